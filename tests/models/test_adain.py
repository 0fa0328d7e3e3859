"""Channel moments against NumPy, and modulation from moments to moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.models import adain


def test_channel_moments_against_numpy(rng):
  x = (rng.normal(size=(2, 7, 9, 4)) * 3 + 5).astype(np.float32)
  mean, std = adain.channel_moments(x, eps=0.0)
  np.testing.assert_allclose(mean[:, 0, 0], x.mean((1, 2)), rtol=1e-5)
  np.testing.assert_allclose(std[:, 0, 0], x.std((1, 2)), rtol=1e-4)


def test_channel_moments_of_a_constant_has_a_finite_gradient():
  gradient = jax.grad(lambda x: adain.channel_moments(x)[1].sum())(jnp.ones((1, 4, 4, 2)))
  assert np.isfinite(gradient).all()


def test_channel_moments_wants_four_axes():
  with pytest.raises(ValueError, match=r"features: found shape \(4, 4, 2\), expected"):
    adain.channel_moments(jnp.ones((4, 4, 2)))


def test_modulate_goes_from_own_moments_to_the_given_ones(rng):
  x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32) * 2 + 1
  gain, bias = np.full((1, 1, 1, 3), 0.5, np.float32), np.full((1, 1, 1, 3), -1.0, np.float32)
  np.testing.assert_array_equal(adain.modulate(x, gain, bias, moment_shift=0.0), x)
  full = np.asarray(adain.modulate(x, gain, bias))
  np.testing.assert_allclose(full.mean((1, 2)), bias[:, 0, 0], atol=1e-4)
  np.testing.assert_allclose(full.std((1, 2)), gain[:, 0, 0], rtol=1e-3)
  half = np.asarray(adain.modulate(x, gain, bias, moment_shift=0.5))
  np.testing.assert_allclose(half, (x + full) / 2, atol=1e-5)
