"""One meaning of strength: numbers by hand, and the exports' own arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.controls import strength


def test_the_ends_and_the_middle():
  blend, noise_gain = strength.split(np.float32([0, 0.5, 1, 1.5, 2]))
  np.testing.assert_allclose(blend, [0, 0.625, 1, 1, 1])  # s(3 − s)/2
  np.testing.assert_allclose(noise_gain, [1, 1, 1, 1.5, 2])


def test_numpy_gives_the_same():
  values = np.linspace(0, 2, 33, dtype=np.float32)
  for a, b in zip(
    strength.split(values),
    strength.split(values, minimum=np.minimum, maximum=np.maximum),
    strict=True,
  ):
    assert isinstance(b, np.ndarray)
    np.testing.assert_array_equal(a, b)


def test_light_is_blended_not_numbers():
  """Half of white and half of black: linear 0.5 is 0.7354 in sRGB (IEC 61966-2-1)."""
  white, black = np.ones((1, 2, 2, 3), np.float32), np.zeros((1, 2, 2, 3), np.float32)
  blended = strength.blend_with_content(white, black, np.float32(0.5))
  np.testing.assert_allclose(blended, 0.735357, atol=1e-5)


@pytest.mark.parametrize("blend", [0.0, 0.3, 1.0])
def test_gradients_are_finite_at_black_and_white(blend):
  images = jnp.asarray([0.0, 1.0, 0.04045, 0.5], jnp.float32).reshape(1, 2, 2, 1)
  images = jnp.broadcast_to(images, (1, 2, 2, 3))
  gradients = jax.grad(lambda *x: strength.blend_with_content(*x).sum(), argnums=(0, 1, 2))(
    images, images[:, ::-1], jnp.float32(blend)
  )
  assert all(np.isfinite(gradient).all() for gradient in gradients)
