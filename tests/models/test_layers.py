"""Blocks against PyTorch and NumPy, which share no code with them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import F, torch

from stylejax.models import layers


def to_torch(x):
  """NHWC array → NCHW tensor."""
  return torch.from_numpy(np.asarray(x).transpose(0, 3, 1, 2).copy())


def from_torch(x):
  """NCHW tensor → NHWC array."""
  return x.numpy().transpose(0, 2, 3, 1)


@pytest.mark.torch
@pytest.mark.parametrize("stride", [1, 2])
def test_reflect_conv_is_a_valid_convolution_of_the_reflected_image(rng, stride):
  x = rng.normal(size=(2, 10, 14, 5)).astype(np.float32)
  kernel = rng.normal(size=(3, 3, 5, 7)).astype(np.float32)
  padded = F.pad(to_torch(x), (1, 1, 1, 1), mode="reflect")
  expected = F.conv2d(padded, torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()), stride=stride)
  actual = layers.reflect_conv(x, kernel, stride=stride)
  np.testing.assert_allclose(actual, from_torch(expected), atol=1e-4)


@pytest.mark.torch
def test_upsample2_is_bilinear_between_pixel_centers(rng):
  x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
  expected = F.interpolate(to_torch(x), scale_factor=2, mode="bilinear", align_corners=False)
  np.testing.assert_allclose(layers.upsample2(x), from_torch(expected), atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("scale", [2, 4])
def test_upsample_conv_is_upsampling_and_a_convolution_folded(rng, scale):
  x = rng.normal(size=(1, 8, 9, 4)).astype(np.float32)
  module = layers.UpsampleConv(3, scale=scale)
  variables = module.init(jax.random.key(0), x)
  kernel = np.asarray(variables["params"]["kernel"]).transpose(3, 2, 0, 1).copy()
  larger = F.interpolate(to_torch(x), scale_factor=scale, mode="bilinear", align_corners=False)
  expected = from_torch(F.conv2d(larger, torch.from_numpy(kernel), padding=1))
  actual = np.asarray(module.apply(variables, x))
  assert actual.shape == expected.shape
  inside = (slice(None), slice(scale, -scale), slice(scale, -scale))
  np.testing.assert_allclose(actual[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_upsample_conv_keeps_a_constant_constant_however_sharp(rng, scale):
  x = jnp.full((1, 6, 6, 4), 0.7)
  module = layers.UpsampleConv(3, scale=scale)
  params = module.init(jax.random.key(1), x)["params"]
  params = params | {"sharp": rng.normal(size=(3, 3, 4, 3 * scale**2)).astype(np.float32)}
  actual = np.asarray(module.apply({"params": params}, x))
  assert np.ptp(actual, axis=(1, 2)).max() < 1e-5


@pytest.mark.torch
def test_the_sharp_part_makes_what_doubling_cannot(rng):
  """Makes stripes of one pixel from two channels with the even and the odd columns."""
  stripes = rng.normal(size=(1, 6, 8, 2)).astype(np.float32)
  sharp = np.zeros((3, 3, 2, 2, 2, 1), np.float32)  # tap, tap, channel, row's and column's phase
  for phase in range(2):
    sharp[1, 1, phase, :, phase] = 1.0
  params = {
    "kernel": np.zeros((3, 3, 2, 1), np.float32),
    "bias": np.zeros(1, np.float32),
    "sharp": sharp.reshape(3, 3, 2, 4),
  }
  actual = np.asarray(layers.UpsampleConv(1).apply({"params": params}, stripes))
  mean = F.avg_pool2d(F.pad(to_torch(stripes), (1, 1, 1, 1), "reflect"), 3, 1)
  mean = np.repeat(np.repeat(from_torch(mean), 2, 1), 2, 2)
  # Phases share a channel's mean over 3×3; what differs from that mean stays separate.
  expected = np.repeat(stripes.reshape(1, 6, 16, 1), 2, 1)
  alternating = np.tile([1.0, 0.0], 8)[None, None, :, None] - 0.5
  expected = expected - alternating * mean[..., :1] + alternating * mean[..., 1:]
  np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_conv_transpose_is_linens_inside_the_border(rng):
  x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
  expected = nn.ConvTranspose(4, (4, 4), (2, 2))
  variables = expected.init(jax.random.key(0), x)
  actual = layers.ConvTranspose(4)
  assert jax.tree.map(jnp.shape, actual.init(jax.random.key(0), x)) == jax.tree.map(
    jnp.shape, variables
  )
  a, b = (np.asarray(module.apply(variables, x)) for module in (actual, expected))
  assert a.shape == b.shape
  np.testing.assert_allclose(a[:, 1:-1, 1:-1], b[:, 1:-1, 1:-1], atol=1e-5)


def test_conv_transpose_makes_no_frame(rng):
  module = layers.ConvTranspose(3)
  x = jnp.full((1, 6, 6, 4), 0.7)
  y = np.asarray(module.apply(module.init(jax.random.key(1), x), x))
  np.testing.assert_allclose(y[:, ::2, ::2], y[:, :1, :1] + 0 * y[:, ::2, ::2], atol=1e-5)


def test_space_to_depth_and_back(rng):
  x = rng.normal(size=(2, 6, 8, 3)).astype(np.float32)
  folded = layers.space_to_depth(x)
  np.testing.assert_array_equal(folded[1, 2, 3], x[1, 4:6, 6:8].reshape(-1))
  np.testing.assert_array_equal(layers.depth_to_space(folded), x)
  x = rng.normal(size=(1, 4, 8, 3)).astype(np.float32)
  folded = layers.space_to_depth(x, side=4)
  np.testing.assert_array_equal(folded[0, 0, 1], x[0, :, 4:].reshape(-1))
  np.testing.assert_array_equal(layers.depth_to_space(folded, side=4), x)


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (2, 17, 23, 1)])
def test_pad_to_multiple_mirrors_at_the_bottom_and_right(rng, shape):
  x = rng.normal(size=shape).astype(np.float32)
  _, height, width, _ = shape
  expected = np.pad(x, ((0, 0), (0, -height % 8), (0, -width % 8), (0, 0)), mode="reflect")
  np.testing.assert_array_equal(layers.pad_to_multiple(x, 8), expected)
