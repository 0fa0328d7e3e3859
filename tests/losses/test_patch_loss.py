"""The style loss by places, against loops over places."""

import itertools

import jax
import numpy as np
import pytest

from stylejax.losses.patches import patch_loss


def by_loops(image, style):
  """Both directions over all places of one layer, [H, W, C]."""
  mean = style.mean((0, 1))
  image, style = ((x - mean).reshape(-1, x.shape[-1]) for x in (image, style))
  distance = np.empty((len(image), len(style)))
  for p, q in itertools.product(range(len(image)), range(len(style))):
    cosine = image[p] @ style[q] / np.linalg.norm(image[p]) / np.linalg.norm(style[q])
    distance[p, q] = 1 - cosine
  return (distance.min(1).mean() + distance.min(0).mean()) / 2


def test_it_is_the_mean_distance_to_the_nearest_place(rng):
  image, style = rng.normal(size=(2, 2, 5, 4, 6)).astype(np.float32)
  other, larger = rng.normal(size=(2, 3, 3, 2)), rng.normal(size=(2, 4, 6, 2))
  actual = patch_loss({"a": image, "b": other}, {"a": style, "b": larger})
  expected = [(by_loops(image[i], style[i]) + by_loops(other[i], larger[i])) / 2 for i in range(2)]
  np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_of_large_maps_every_other_place_is_compared(rng):
  image, style = rng.normal(size=(2, 1, 10, 9, 3)).astype(np.float32)
  actual = patch_loss({"a": image}, {"a": style}, places=5)
  expected = by_loops(image[0, 1::2, 1::2], style[0, 1::2, 1::2])
  np.testing.assert_allclose(actual, [expected], rtol=1e-4)


def test_where_places_lie_does_not_matter_but_what_is_missing_does(rng):
  style = rng.normal(size=(1, 4, 4, 8)).astype(np.float32)
  assert patch_loss({"a": style[:, ::-1]}, {"a": style})[0] == pytest.approx(0, abs=1e-5)
  # One place of the style everywhere: each is in the style, but the style's others are missing.
  alike = np.broadcast_to(style[:, :1, :1], style.shape)
  missing = patch_loss({"a": alike}, {"a": style})
  assert missing[0] > 0.2
  assert patch_loss({"a": alike}, {"a": style}, strength=0.5)[0] == pytest.approx(missing[0] / 2)


def test_gradients_are_finite_on_plain_images():
  plain = np.zeros((1, 4, 4, 3), np.float32)
  gradient = jax.grad(lambda x: patch_loss({"a": x}, {"a": plain}).sum())(plain)
  assert np.isfinite(gradient).all()
