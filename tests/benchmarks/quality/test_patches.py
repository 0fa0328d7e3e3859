"""Distances of places: equal to NumPy's, 0 for the style itself, independent of positions."""

import numpy as np

from benchmarks.quality import patches


def reference(features, style):
  """One place after the other, in float64."""
  mean = style.reshape(-1, style.shape[-1]).mean(0)
  output, style = (x.reshape(-1, x.shape[-1]) - mean for x in (features, style))

  def nearest(x, others):
    return min(1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in others)

  return (
    np.mean([nearest(x, style) for x in output]),
    np.mean([nearest(y, output) for y in style]),
  )


def test_it_is_the_mean_distance_to_the_nearest(rng):
  output = {"a": rng.normal(size=(1, 4, 5, 3)) + 1, "b": rng.normal(size=(1, 2, 3, 7))}
  style = {"a": rng.normal(size=(1, 3, 6, 3)) + 1, "b": rng.normal(size=(1, 2, 2, 7))}
  expected = np.mean([reference(output[k], style[k]) for k in "ab"], 0)
  np.testing.assert_allclose(patches.patch_distances(output, style, "ab"), expected, atol=1e-5)
  np.testing.assert_allclose(
    patches.patch_distances(output, style, "a"), reference(output["a"], style["a"]), atol=1e-5
  )


def test_moments_can_be_right_and_places_wrong(rng):
  """Noise with the style's mean and covariance is far; the style's shuffled places are at 0."""
  style = (
    rng.integers(0, 2, (1, 12, 12, 1)) * rng.normal(size=(1, 1, 1, 6))
    + rng.normal(size=(1, 12, 12, 6)) * 0.01
  )
  flat = style.reshape(-1, 6)
  noise = rng.multivariate_normal(flat.mean(0), np.cov(flat.T), 144).reshape(style.shape)
  shuffled = rng.permutation(flat).reshape(style.shape)
  far, near = (patches.patch_distances({"a": x}, {"a": style}, "a") for x in (noise, shuffled))
  np.testing.assert_allclose(near, 0, atol=1e-5)
  assert far[0] > 1e-4


def test_the_way_is_0_at_the_identity_and_1_at_the_floor():
  values = np.array([0.4, 0.35, 0.3])
  np.testing.assert_allclose(patches.way(values, np.array(0.4), np.array(0.3)), [0, 0.5, 1])
