"""Fine speckles and clouds of color, on images for which the right value is known."""

import jax
import numpy as np

from benchmarks.quality import chroma
from stylejax.optimization.colors import oklab_to_srgb

detail, plain = jax.jit(chroma.chroma_detail), jax.jit(chroma.plain_chroma)


def image_of(a, b=0.0):
  """An image [1, H, W, 3] of lightness 0.6 and these a and b [H, W] of Oklab."""
  a = np.asarray(a, np.float32)
  b = np.broadcast_to(np.float32(b), a.shape)
  return oklab_to_srgb(np.stack([np.full_like(a, 0.6), a, b], -1)[None])


def test_speckles_are_detail_and_areas_are_none(rng):
  signs = rng.choice([-0.03, 0.03], (64, 64))
  # Subtracting the mean of 16 signs removes a sixteenth of the variance.
  np.testing.assert_allclose(detail(image_of(signs)), 0.03 * np.sqrt(15 / 16), rtol=0.02)
  areas = np.kron(signs[:16, :16], np.ones((4, 4)))
  np.testing.assert_allclose(detail(image_of(areas)), 0, atol=1e-4)


def test_clouds_count_where_the_content_is_plain(rng):
  """A content whose left half is plain, and clouds of variance 0.02² in either half."""
  lightness = np.full((64, 128), 0.5, np.float32)
  lightness[:, 64:] = rng.uniform(0.1, 0.9, (64, 64))
  content = np.repeat(lightness[..., None], 3, -1)[None]
  cloud = np.kron(rng.permuted(np.tile([-0.02, 0.02], (8, 8)), axis=1), np.ones((8, 8)))
  for columns, expected in ((slice(0, 64), 0.02**2), (slice(64, 128), 0.0)):
    a = np.zeros((64, 128))
    a[:, columns] = cloud[:, columns]
    actual = plain(image_of(a), content)
    # Windows across the middle are in neither half.
    np.testing.assert_allclose(actual, expected, rtol=0.35, atol=2e-5)


def test_it_is_finite_where_nothing_is_plain(rng):
  content = rng.random((2, 64, 64, 3), np.float32)
  actual = plain(content[::-1], content)
  assert actual.shape == (2,) and np.isfinite(actual).all()
