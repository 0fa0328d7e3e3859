"""Pyramids: what a level is, and that nothing is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylejax.errors import InputError
from stylejax.optimization.pyramid import halve, halved, laplacian_pyramid, reconstruct


def halved_lines(x):
  """NumPy: (1, 3, 3, 1) / 8 at every second line; taps beyond the edges are left out."""
  lines = []
  for i in range(0, len(x), 2):
    taps = [(i - 1, 1), (i, 3), (i + 1, 3), (i + 2, 1)]
    taps = [(at, weight) for at, weight in taps if 0 <= at < len(x)]
    lines.append(sum(weight * x[at] for at, weight in taps) / sum(weight for _, weight in taps))
  return np.stack(lines)


def test_halving_is_a_triangle_filter(rng):
  x = rng.normal(size=(12, 18, 3))
  expected = halved_lines(halved_lines(x).swapaxes(0, 1)).swapaxes(0, 1)
  actual = jax.jit(halve)(jnp.asarray(x[None], jnp.float32))
  np.testing.assert_allclose(actual[0], expected, atol=1e-6)
  np.testing.assert_allclose(actual, halve(jnp.asarray(x[None], jnp.float32)), atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(2, 40), width=st.integers(2, 40), levels=st.integers(0, 8))
def test_an_image_comes_back(height, width, levels):
  image = np.random.default_rng(0).uniform(-1, 2, (2, height, width, 3)).astype(np.float32)
  pyramid = laplacian_pyramid(jnp.asarray(image), levels=levels)
  assert len(pyramid) <= levels + 1
  np.testing.assert_allclose(reconstruct(pyramid), image, atol=1e-5)
  for level in range(len(pyramid)):
    np.testing.assert_allclose(
      reconstruct(pyramid[level:]), halved(jnp.asarray(image), level), atol=1e-5
    )


def test_bands_hold_what_halving_loses():
  """A constant image has empty bands; the smallest level has a side of at most 2."""
  pyramid = laplacian_pyramid(jnp.full((1, 33, 64, 3), 0.25))
  assert [x.shape[1:3] for x in pyramid] == [(33, 64), (17, 32), (9, 16), (5, 8), (3, 4), (2, 2)]
  for band in pyramid[:-1]:
    np.testing.assert_allclose(band, 0.0, atol=1e-6)
  with pytest.raises(InputError, match=r"image: found shape \(4, 4, 3\), expected \[B, H, W, C\]"):
    laplacian_pyramid(jnp.zeros((4, 4, 3)))


def test_vmap_is_a_loop(rng):
  images = jnp.asarray(rng.normal(size=(3, 1, 10, 14, 3)), jnp.float32)
  together = jax.vmap(laplacian_pyramid)(images)
  for number, image in enumerate(images):
    for actual, alone in zip(together, laplacian_pyramid(image), strict=True):
      np.testing.assert_allclose(actual[number], alone, atol=1e-6)
