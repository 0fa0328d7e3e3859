"""Sums, means and percentiles equal NumPy's."""

import jax
import numpy as np
import pytest

from stylejax import reductions


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (3, 7, 1), (41, 33, 1)])
def test_the_tenth_percentile_is_numpys(rng, shape):
  values = rng.random(shape, np.float32)
  actual = jax.jit(reductions.least_tenth)(values)
  np.testing.assert_allclose(actual, np.percentile(values, 10), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 1), (512, 33, 1)])
def test_the_mean_is_numpys(rng, shape):
  values = rng.random(shape, np.float32)
  np.testing.assert_allclose(jax.jit(reductions.mean)(values), values.mean(), rtol=1e-6)


def test_box_means_repeat_the_edge(rng):
  values = rng.random((6, 9), np.float32)
  windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, ((0, 0), (2, 2)), "edge"), 5, 1)
  np.testing.assert_allclose(reductions.box_mean(values, 1, 5), windows.mean(-1), rtol=1e-5)


def test_sums_of_nothing_are_empty():
  assert reductions.channel_sum(np.zeros((0, 16), np.float32)).shape == (0,)


@pytest.mark.parametrize("channels", [1, 24, 64])
def test_channel_sums_are_numpys(rng, channels):
  values = rng.random((2, 5, channels), np.float32)
  total = jax.jit(lambda x: reductions.channel_sum(x * x))(values)
  np.testing.assert_allclose(total, np.square(values).sum(-1), rtol=1e-5)
  slope = jax.grad(lambda x: reductions.channel_sum(x * x).sum())(values)
  np.testing.assert_allclose(slope, 2 * values, rtol=1e-6)
