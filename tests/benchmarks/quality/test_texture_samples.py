"""Distances between the images of a batch."""

import jax
import numpy as np
import pytest

from benchmarks.quality import texture_samples
from stylejax.metrics.content import lpips_vgg
from stylejax.weights.perceptual import load_lpips_heads, load_vgg


def test_mean_distance_is_over_pairs_of_different_images(rng):
  batch = rng.random((3, 32, 32, 3), np.float32)
  vgg, heads = load_vgg(), load_lpips_heads()
  pair = jax.jit(lpips_vgg)
  expected = np.mean(
    [
      float(pair(vgg, heads, batch[i : i + 1], batch[j : j + 1])[0])
      for i, j in ((0, 1), (0, 2), (1, 2))
    ]
  )
  assert float(texture_samples.mean_distance(vgg, heads, batch)) == pytest.approx(
    expected, rel=1e-3
  )


def test_real_crops_are_of_other_places_each_time():
  crops = texture_samples.real_crops(texture_samples.SAMPLES, 7, 0)
  assert crops.shape == (7, texture_samples.SIDE, texture_samples.SIDE, 3)
  assert len({crop.tobytes() for crop in crops}) == 7
  np.testing.assert_array_equal(crops, texture_samples.real_crops(texture_samples.SAMPLES, 7, 0))
