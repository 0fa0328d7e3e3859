"""Hypercolumns against PyTorch's bilinear interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import torch

from stylejax.errors import InputError
from stylejax.models.vgg16 import vgg16_features
from stylejax.optimization.hypercolumns import (
  CHANNELS,
  LAYERS,
  _on_grid,
  feature_maps,
  hypercolumns,
  layer_scales,
)
from stylejax.weights.perceptual import load_vgg


@pytest.mark.torch
def test_layers_lie_one_after_the_other_on_a_grid(rng):
  """torch.nn.functional.interpolate, bilinear; divided by the channels, as in the paper."""
  vgg_params = load_vgg()
  image = jnp.asarray(rng.uniform(size=(2, 32, 40, 3)), jnp.float32)
  features = jax.jit(vgg16_features, static_argnames="layers")(vgg_params, image, layers=LAYERS)
  parts = [
    torch.nn.functional.interpolate(
      torch.from_numpy(np.array(features[layer])).permute(0, 3, 1, 2),
      (8, 10),
      mode="bilinear",
      align_corners=False,
    )
    .permute(0, 2, 3, 1)
    .numpy()
    / CHANNELS[layer]
    for layer in LAYERS
  ]
  run = jax.jit(hypercolumns)
  actual = run(vgg_params, image)
  assert actual.shape == (2, 8, 10, 2688) and actual.dtype == jnp.float32
  np.testing.assert_allclose(actual, np.concatenate(parts, -1), rtol=1e-3, atol=1e-4)
  scaled = run(vgg_params, image, scales=jnp.arange(10.0))
  np.testing.assert_allclose(scaled[..., :64], 0.0)
  np.testing.assert_allclose(scaled[..., -512:], 9 * 512 * actual[..., -512:], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("size", [(33, 40), (38, 31), (47, 45)])
def test_places_of_all_layers_lie_over_each_other(size):
  """A ramp, pooled like the net's maps, has the same value at a place on every layer's map."""
  ramp = np.arange(size[0])[:, None] + 2.0 * np.arange(size[1])[None]
  grid = (size[0] // 4, size[1] // 4)
  expected = (4 * np.arange(grid[0])[:, None] + 1.5) + 2.0 * (4 * np.arange(grid[1])[None] + 1.5)
  level = ramp
  for block in (1, 2, 3, 4):
    actual = _on_grid(jnp.asarray(level[None, :, :, None], jnp.float32), block, grid)
    assert actual.shape == (1, *grid, 1)
    inner = (slice(1, -2), slice(1, -2))  # Nothing is known beyond the cells' centers at the edge.
    np.testing.assert_allclose(actual[0, :, :, 0][inner], expected[inner], atol=1e-3)
    rows, columns = (side // 2 * 2 for side in level.shape)
    level = level[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))


def test_scales_give_every_layer_the_same_spread(rng):
  maps = [jnp.asarray(rng.normal(size=(1, 6, 7, 5)) * s + 3, jnp.float32) for s in (0.1, 1, 20)]
  scales = layer_scales(maps)
  for x, scale in zip(maps, scales, strict=True):
    x = np.asarray(x).reshape(-1, 5) * float(scale)
    np.testing.assert_allclose(np.square(x - x.mean(0)).sum(1).mean(), 1.0, rtol=1e-3)


def test_bfloat16_is_near(rng):
  vgg_params = load_vgg()
  image = jnp.asarray(rng.uniform(size=(1, 16, 16, 3)), jnp.float32)
  run = jax.jit(feature_maps, static_argnames="dtype")
  exact, rounded = (run(vgg_params, image, dtype=d) for d in (jnp.float32, jnp.bfloat16))
  for a, b in zip(exact, rounded, strict=True):
    assert b.dtype == jnp.float32
    assert float(jnp.linalg.norm(a - b) / jnp.linalg.norm(a)) < 0.05


def test_wrong_shapes_are_one_line():
  for shape in ((1, 15, 64, 3), (16, 16, 3), (1, 16, 16, 1)):
    with pytest.raises(InputError, match=r"image: found shape .* expected \[B, H, W, 3\]"):
      hypercolumns({}, jnp.zeros(shape))
  with pytest.raises(InputError, match=r"scales: found shape \(3,\), expected \[10\]"):
    hypercolumns(load_vgg(), jnp.zeros((1, 16, 16, 3)), scales=jnp.ones(3))
