"""The kernel distance of sets of images, against its definition and on known distributions."""

import itertools

import numpy as np
import pytest

from stylejax import InputError
from stylejax.metrics.kernel_distance import kernel_distance, kernel_terms


def test_is_the_mean_over_pairs_of_images(rng):
  """Straight from the definition, crop by crop."""
  x, y = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 2, 5)) + 0.5

  def kernel(a, b):
    return np.mean([(u @ v / 5 + 1) ** 3 for u in a for v in b])

  want = np.mean(
    [
      kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
      for i, j in itertools.permutations(range(4), 2)
    ]
  )
  assert kernel_distance(kernel_terms(x, y)) == pytest.approx(want)
  half = kernel_distance(kernel_terms(x, y), chosen=np.array([0, 2]))
  assert half == pytest.approx(kernel_distance(kernel_terms(x[::2], y[::2])))


def test_is_unbiased_and_sees_a_shift(rng):
  """The mean is 0 for samples of one distribution, even if images come in correlated pairs."""
  same, paired, shifted = [], [], []
  for _ in range(300):
    x, y = rng.normal(size=(2, 10, 1, 4))
    same.append(kernel_distance(kernel_terms(x, y)))
    paired.append(kernel_distance(kernel_terms(x, (x + y) / np.sqrt(2))))
    shifted.append(kernel_distance(kernel_terms(x, y + 1)))
  for actual in (same, paired):
    assert abs(np.mean(actual)) < 4 * np.std(actual) / np.sqrt(len(actual))
  assert np.mean(shifted) > 5 * np.std(same)


def test_same_images_are_at_no_distance(rng):
  x = rng.normal(size=(5, 2, 3))
  assert kernel_distance(kernel_terms(x, x)) == pytest.approx(0)


def test_other_images_or_features(rng):
  with pytest.raises(InputError, match="the same N and D"):
    kernel_terms(np.zeros((4, 2, 5)), np.zeros((3, 2, 5)))
