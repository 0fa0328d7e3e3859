"""Nets whose coarsest cell is larger than the smallest image: a single line is its own neighbor."""

import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.inference.stylizer import Stylizer
from stylejax.models.config import ModelConfig
from stylejax.models.nets import init_params

SIZES = [(16, 16), (16, 70), (45, 32), (33, 64)]


@pytest.fixture(scope="module")
def params():
  config = ModelConfig(
    name="coarse",
    fold=4,
    content_widths=(8, 8, 8, 8),
    content_blocks=(0, 0, 0, 0),
    decoder_blocks=1,
    noisy_levels=1,
    style_widths=(8, 8),
    style_dim=8,
  )
  assert config.stride == 32 > transfer.MIN_SIDE
  return jax.jit(lambda: init_params(jax.random.key(5), config))()


@pytest.fixture(scope="module")
def expected(params):
  """Images and what the pure function makes of them."""
  rng, stylize = np.random.default_rng(3), jax.jit(transfer.stylize)
  style = rng.random((40, 40, 3), np.float32)
  images = {size: rng.random((*size, 3), np.float32) for size in SIZES}
  return style, {size: (x, np.asarray(stylize(params, x, style))) for size, x in images.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
  "how, tolerance",
  # Tiles are stored in float16, and a map of one cell has almost no deviation to divide by.
  [({}, 1e-4), ({"tile_pixels": 1024}, 2e-3), ({"shard": True}, 1e-4)],
  ids=["padded", "tiled", "sharded"],
)
def test_every_way_gives_the_same_image(params, expected, size, how, tolerance):
  style, images = expected
  content, whole = images[size]
  code = transfer.encode_style(params, style)
  stylized = Stylizer(params)(content, [code], **how)
  np.testing.assert_allclose(stylized, whole, atol=tolerance)


def test_the_pure_function_mirrors_as_an_extended_image_does(params, expected):
  style, images = expected
  content, whole = images[(16, 70)]
  extended = np.pad(content, ((0, 16), (0, 26), (0, 0)), mode="reflect")
  stylized = jax.jit(transfer.stylize)(params, extended, style)
  np.testing.assert_allclose(stylized[:16, :70], whole, atol=1e-5)


@pytest.mark.parametrize("axes", ["x", "xy"])
def test_the_smallest_seamless_image(params, expected, axes):
  style, images = expected
  content = images[(16, 16)][0]
  stylized = Stylizer(params)(content, style, seamless=axes)
  assert stylized.shape == (16, 16, 3) and np.isfinite(stylized).all()


def test_gradients_of_a_map_of_one_line(params, expected):
  style, images = expected
  content = images[(16, 16)][0]
  gradient = jax.jit(jax.grad(lambda x: transfer.stylize(params, x, style).sum()))(content)
  assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
