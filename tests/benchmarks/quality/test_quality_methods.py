"""Arithmetic of the quality benchmark's methods: moved colors, squares."""

import numpy as np

from benchmarks.quality import methods


def test_square_cuts_the_middle():
  image = np.zeros((60, 120, 3), np.float32)
  image[:, 40:80] = 1
  actual = methods.square(image, 80)
  assert actual.shape == (80, 80, 3)
  np.testing.assert_allclose(actual[:, 20:60], 1, atol=0.02)
  np.testing.assert_allclose(actual[:, [5, 74]], 0, atol=0.02)


def test_color_moments_moves_mean_and_covariance(rng):
  content = rng.uniform(size=(20, 24, 3)) @ rng.uniform(size=(3, 3))
  style = rng.uniform(size=(15, 18, 3)) @ rng.uniform(size=(3, 3)) + 0.2
  actual, want = (x.reshape(-1, 3) for x in (methods.color_moments(content, style), style))
  np.testing.assert_allclose(actual.mean(0), want.mean(0), rtol=1e-6)
  np.testing.assert_allclose(np.cov(actual.T), np.cov(want.T), rtol=1e-3, atol=1e-6)


def test_color_moments_of_gray_is_finite(rng):
  gray = np.repeat(rng.uniform(size=(8, 8, 1)), 3, axis=2)
  assert np.isfinite(methods.color_moments(gray, rng.uniform(size=(8, 8, 3)))).all()


def test_color_moments_is_symmetric_transport(rng):
  """The optimal map between Gaussians has a symmetric positive matrix; ZCA to ZCA does not."""
  content, style = rng.uniform(size=(2, 30, 30, 3)) @ rng.uniform(size=(2, 1, 3, 3))
  moved = methods.color_moments(content, style)
  x, y = (p.reshape(-1, 3) - p.reshape(-1, 3).mean(0) for p in (content, moved))
  transport = np.linalg.lstsq(x, y)[0]
  np.testing.assert_allclose(transport, transport.T, atol=1e-6)
  assert (np.linalg.eigvalsh(transport) > 0).all()
