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


def test_at_full_strength_nothing_is_computed_away(rng):
  """The image stays as it is, bit for bit, but its slope in the strength is that below 1."""
  stylized, content = 0.2 + 0.6 * rng.random((2, 1, 4, 5, 3), np.float32)
  blended = jax.jit(strength.blend_with_content)
  np.testing.assert_array_equal(blended(stylized, content, np.float32(1)), stylized)
  slope = jax.jacobian(strength.blend_with_content, argnums=2)
  below, full = (slope(stylized, content, jnp.float32(blend)) for blend in (0.999, 1.0))
  assert abs(full).max() > 0.1
  np.testing.assert_allclose(full, below, atol=0.01)


def test_each_image_of_a_batch_has_its_blend(rng):
  stylized, content = rng.random((2, 3, 4, 5, 3), np.float32)
  blends = np.float32([0.3, 1, 0])
  together = strength.blend_with_content(stylized, content, blends[:, None, None, None])
  mapped = jax.vmap(strength.blend_with_content)(stylized, content, blends)
  for index, blend in enumerate(blends):
    alone = strength.blend_with_content(stylized[index], content[index], blend)
    np.testing.assert_allclose(together[index], alone, atol=1e-6)
    np.testing.assert_allclose(mapped[index], alone, atol=1e-6)
