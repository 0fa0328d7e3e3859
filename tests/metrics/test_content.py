"""PSNR, SSIM and the LPIPS form against NumPy and PyTorch references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax import InputError
from stylejax.metrics.content import (
  LPIPS_LAYERS,
  feature_distance,
  lpips_from_features,
  lpips_vgg,
  psnr,
  ssim,
)
from stylejax.weights.perceptual import load_lpips_heads, load_vgg


@pytest.fixture
def images(rng):
  """Two batches of smooth images that resemble each other, [2, 24, 31, 3]."""
  base = rng.uniform(size=(2, 24, 31, 3))
  for axis in (1, 2):
    base = (base + np.roll(base, 1, axis) + np.roll(base, 2, axis)) / 3
  noisy = np.clip(base + 0.1 * rng.normal(size=base.shape), 0, 1)
  return base.astype(np.float32), noisy.astype(np.float32)


@pytest.fixture
def features(rng):
  """Two sets of features of the five layers, some pixels without any."""

  def one():
    made = {layer: np.maximum(rng.normal(size=(2, 4, 5, 6)), 0) for layer in LPIPS_LAYERS}
    made["relu3_3"][:, 0, 0] = 0
    return {layer: value.astype(np.float32) for layer, value in made.items()}

  return one(), one(), {layer: rng.uniform(size=6).astype(np.float32) for layer in LPIPS_LAYERS}


def numpy_psnr(a, b):
  error = ((a.astype(np.float64) - b) ** 2).mean((1, 2, 3))
  return 10 * np.log10(1 / error)


def numpy_ssim(a, b):
  """SSIM by definition: the weighted variance of every window, around its own mean."""
  axis = np.arange(11.0) - 5
  window = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 1.5**2))
  window /= window.sum()
  x, y = (
    np.lib.stride_tricks.sliding_window_view(
      p.astype(np.float64) @ [0.299, 0.587, 0.114], (11, 11), (1, 2)
    )
    for p in (a, b)
  )
  mx, my = ((window * v).sum((3, 4), keepdims=True) for v in (x, y))
  vx, vy = ((window * (v - m) ** 2).sum((3, 4)) for v, m in ((x, mx), (y, my)))
  cov = (window * (x - mx) * (y - my)).sum((3, 4))
  mx, my = mx[..., 0, 0], my[..., 0, 0]
  c1, c2 = 1e-4, 9e-4
  value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
  return value.mean((1, 2))


def numpy_lpips(a, b, heads):
  total = 0
  for layer in LPIPS_LAYERS:
    x, y = (np.asarray(f[layer], np.float64) for f in (a, b))
    x, y = (v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-10) for v in (x, y))
    total = total + ((x - y) ** 2 * np.asarray(heads[layer], np.float64)).sum(-1).mean((1, 2))
  return total


CASES = {"psnr": (psnr, numpy_psnr), "ssim": (ssim, numpy_ssim)}


@pytest.mark.parametrize("name", CASES)
class TestPixels:
  def test_reference(self, images, name):
    ours, reference = CASES[name]
    np.testing.assert_allclose(ours(*map(jnp.asarray, images)), reference(*images), rtol=1e-4)

  def test_jit_and_vmap(self, images, name):
    ours = CASES[name][0]
    a, b = map(jnp.asarray, images)
    eager = ours(a, b)
    assert eager.shape == (2,)
    np.testing.assert_allclose(jax.jit(ours)(a, b), eager, rtol=1e-4)
    each = jax.vmap(lambda x, y: ours(x[None], y[None])[0])(a, b)
    np.testing.assert_allclose(each, eager, rtol=1e-4)

  def test_gradient(self, images, name):
    ours = CASES[name][0]
    gradient = jax.jit(jax.grad(lambda a, b: ours(a, b).sum()))
    assert np.isfinite(gradient(*map(jnp.asarray, images))).all()

  @pytest.mark.parametrize(
    "shapes", [((1, 16, 16, 3), (1, 16, 17, 3)), ((16, 16, 3),) * 2, ((1, 16, 16, 1),) * 2]
  )
  def test_wrong_shapes(self, name, shapes):
    with pytest.raises(InputError, match="images to compare: found shapes"):
      CASES[name][0](*map(jnp.zeros, shapes))


def test_equal_images(images):
  a = jnp.asarray(images[0])
  assert np.isinf(psnr(a, a)).all()
  np.testing.assert_allclose(ssim(a, a), 1, atol=1e-6)


def test_ssim_of_flat_images():
  """Without structure only the luminance term is left: (2·0.2·0.6 + c1) / (0.2² + 0.6² + c1)."""
  actual = ssim(jnp.full((1, 12, 12, 3), 0.2), jnp.full((1, 12, 12, 3), 0.6))
  np.testing.assert_allclose(actual, (0.24 + 1e-4) / (0.4 + 1e-4), rtol=1e-4)


def test_ssim_of_a_small_image():
  with pytest.raises(InputError, match="expected at least 11×11 pixels"):
    ssim(jnp.zeros((1, 10, 30, 3)), jnp.zeros((1, 10, 30, 3)))


class TestLpipsForm:
  def test_reference(self, features):
    a, b, heads = features
    np.testing.assert_allclose(
      lpips_from_features(a, b, heads), numpy_lpips(a, b, heads), rtol=1e-4
    )

  def test_empty_pixels_have_a_finite_gradient(self, features):
    a, b, heads = features
    gradient = jax.grad(lambda x: lpips_from_features(x, b, heads).sum())(a)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))

  def test_grows_with_noise(self, images):
    vgg_params, heads = load_vgg(), load_lpips_heads()
    clean, noisy = map(jnp.asarray, images)
    distance = jax.jit(lpips_vgg)
    none, half, full = (
      np.asarray(distance(vgg_params, heads, clean + amount * (noisy - clean), clean))
      for amount in (0.0, 0.5, 1.0)
    )
    np.testing.assert_allclose(none, 0, atol=1e-9)
    assert none.shape == (2,) and (half > 1e-3).all() and (full > half).all()

  def test_wrong_shapes(self):
    with pytest.raises(InputError, match="images to compare: found shapes"):
      lpips_vgg({}, {}, jnp.zeros((1, 16, 16, 3)), jnp.zeros((1, 16, 18, 3)))


def test_distance_without_heads(features):
  """Compared with the definition in float64; 0 for equal features, 4 for opposite ones."""
  a, b, _ = features
  b = {layer: value + 0.1 for layer, value in b.items()}
  a = {layer: value + 0.1 for layer, value in a.items()}
  layers = LPIPS_LAYERS[:3]

  def unit(x):
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).sum(-1, keepdims=True))

  want = np.mean([((unit(a[k]) - unit(b[k])) ** 2).sum(-1).mean((1, 2)) for k in layers], axis=0)
  np.testing.assert_allclose(
    jax.jit(feature_distance, static_argnums=2)(a, b, layers), want, rtol=1e-5
  )
  np.testing.assert_array_equal(feature_distance(a, a, layers), 0)
  opposite = {layer: -value for layer, value in a.items()}
  np.testing.assert_allclose(feature_distance(a, opposite, layers), 4, rtol=1e-5)
