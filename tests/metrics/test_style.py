"""Style distances against NumPy references, and the resampling by area."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import torch

from stylejax import InputError
from stylejax.metrics import style as metrics
from stylejax.models.vgg16 import vgg16_features
from stylejax.weights.perceptual import load_vgg

LAYERS = ("relu1_1", "relu2_1", "relu3_1")


@pytest.fixture
def features(rng):
  """Features, as if of three layers, of two batches of 2 images with different sizes."""

  def one(height, width):
    return {
      layer: np.maximum(rng.normal(size=(2, height, width, 5)), 0).astype(np.float32)
      for layer in LAYERS
    }

  return one(6, 7), one(9, 4)


def numpy_moments(features, style):
  """By definition, in float64: the mean over layers of the moments' difference over E[s²]."""
  actual = []
  for layer in LAYERS:
    f, s = (x[layer].astype(np.float64).reshape(2, -1, 5) for x in (features, style))
    moved = (f.mean(1) - s.mean(1)) ** 2 + (f.std(1) - s.std(1)) ** 2
    actual.append(moved.sum(1) / (s**2).mean(1).sum(1))
  return np.mean(actual, 0)


def numpy_gram(features, style):
  actual = []
  for layer in LAYERS:
    grams = []
    for x in (features, style):
      flat = x[layer].astype(np.float64).reshape(2, -1, 5)
      grams.append(np.einsum("bpc,bpd->bcd", flat, flat) / flat.shape[1])
    actual.append(((grams[0] - grams[1]) ** 2).sum((1, 2)) / (grams[1] ** 2).sum((1, 2)))
  return np.mean(actual, 0)


CASES = {
  "moments": (metrics.moment_distance_from_features, metrics.moment_distance, numpy_moments),
  "gram": (metrics.gram_distance_from_features, metrics.gram_distance, numpy_gram),
}


@pytest.mark.parametrize("name", CASES)
class TestFeatures:
  def test_reference(self, features, name):
    from_features, _, reference = CASES[name]
    np.testing.assert_allclose(
      from_features(*features, layers=LAYERS), reference(*features), rtol=1e-4
    )

  def test_jit_and_vmap(self, features, name):
    def run(f, s):
      return CASES[name][0](f, s, layers=LAYERS)

    eager = run(*features)
    np.testing.assert_allclose(jax.jit(run)(*features), eager, rtol=1e-5)

    def single(f, s):
      return run(*jax.tree.map(lambda x: x[None], (f, s)))[0]

    np.testing.assert_allclose(jax.vmap(single)(*features), eager, rtol=1e-5)

  def test_same_features_are_at_no_distance(self, features, name):
    np.testing.assert_array_equal(CASES[name][0](features[0], features[0], layers=LAYERS), 0)

  def test_no_features_are_at_distance_one(self, features, name):
    blank = jax.tree.map(np.zeros_like, features[0])
    np.testing.assert_allclose(CASES[name][0](blank, features[1], layers=LAYERS), 1, rtol=1e-3)

  def test_gradient_at_constant_features(self, features, name):
    flat = jax.tree.map(np.ones_like, features[0])
    gradient = jax.grad(lambda f: CASES[name][0](f, features[1], layers=LAYERS).sum())(flat)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))

  def test_gradient_at_a_constant_image(self, name):
    vgg_params = load_vgg()
    style = jax.random.uniform(jax.random.key(0), (1, 16, 20, 3))
    gradient = jax.jit(
      jax.grad(lambda p: CASES[name][1](vgg_params, p, style, layers=LAYERS).sum())
    )
    for image in (jnp.zeros((1, 16, 16, 3)), jnp.full((1, 16, 16, 3), 0.5)):
      assert np.isfinite(gradient(image)).all()

  def test_of_images_is_of_their_features(self, name):
    vgg_params = load_vgg()
    image, style = jax.random.uniform(jax.random.key(1), (2, 2, 16, 18, 3))
    actual = jax.jit(CASES[name][1])(vgg_params, image, style)
    assert actual.shape == (2,) and (actual > 0).all()
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    features = jax.jit(vgg16_features, static_argnames="layers")
    distance = jax.jit(CASES[name][0])
    one = distance(*(features(vgg_params, p[1:], layers=layers) for p in (image, style)))
    np.testing.assert_allclose(actual[1:], one, rtol=1e-3)


class TestColors:
  def test_shift_by_a_constant(self):
    """Every slice moves by |shift · u|."""
    image = jax.random.uniform(jax.random.key(0), (2, 8, 9, 3))
    shift = np.array([0.1, -0.2, 0.05], np.float32)
    actual = metrics.sliced_color_distance(image + shift.reshape(1, 1, 1, 3), image)
    vectors = metrics._half_sphere(16)
    np.testing.assert_allclose(actual, np.abs(shift @ vectors).mean(), rtol=1e-4)

  def test_order_of_pixels_is_nothing(self, rng):
    image = rng.uniform(size=(1, 8, 9, 3)).astype(np.float32)
    other = rng.permutation(image.reshape(-1, 3)).reshape(1, 6, 12, 3)
    actual = metrics.sliced_color_distance(jnp.asarray(image), jnp.asarray(other))
    np.testing.assert_allclose(actual, 0, atol=1e-6)

  @pytest.mark.torch
  def test_wasserstein_of_torch(self, rng):
    """In one direction, z, the quantiles of the blue channel are compared."""
    a, b = rng.uniform(size=(2, 1, 5, 6, 3)).astype(np.float32)
    vectors = metrics._half_sphere(4)
    want = np.mean(
      [
        (
          torch.tensor(a.reshape(-1, 3) @ u).sort().values
          - torch.tensor(b.reshape(-1, 3) @ u).sort().values
        )
        .abs()
        .mean()
        for u in vectors.T
      ]
    )
    actual = metrics.sliced_color_distance(jnp.asarray(a), jnp.asarray(b), directions=4)
    np.testing.assert_allclose(actual[0], want, rtol=1e-4)

  def test_directions_are_even(self):
    """Unit vectors whose second moments are nearly those of the sphere, the identity over 3."""
    vectors = metrics._half_sphere(16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors @ vectors.T / 16, np.eye(3) / 3, atol=0.03)

  def test_other_numbers_of_pixels(self):
    with pytest.raises(InputError, match="same number of pixels"):
      metrics.sliced_color_distance(jnp.zeros((1, 4, 4, 3)), jnp.zeros((1, 4, 5, 3)))


class TestResizeArea:
  @pytest.mark.torch
  def test_whole_factors_are_block_means(self, rng):
    image = rng.uniform(size=(2, 12, 15, 3)).astype(np.float32)
    want = torch.nn.functional.avg_pool2d(torch.tensor(image).permute(0, 3, 1, 2), (3, 5))
    actual = metrics.resize_area(jnp.asarray(image), 4, 3)
    np.testing.assert_allclose(actual, want.permute(0, 2, 3, 1), rtol=1e-5)

  @pytest.mark.parametrize("size", [(4, 5), (7, 3), (11, 16), (1, 1), (20, 30)])
  def test_is_the_integral(self, rng, size):
    """Each source pixel cut into as many parts as the target has pixels, then block means."""
    image = rng.uniform(size=(1, 7, 9, 2)).astype(np.float32)
    fine = image.repeat(size[0], 1).repeat(size[1], 2).astype(np.float64)
    want = fine.reshape(1, size[0], 7, size[1], 9, 2).mean((2, 4))
    actual = metrics.resize_area(jnp.asarray(image), *size)
    np.testing.assert_allclose(actual, want, rtol=1e-4)

  def test_own_size_is_the_image(self, rng):
    image = rng.uniform(size=(1, 7, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(metrics.resize_area(jnp.asarray(image), 7, 9), image, atol=1e-6)
