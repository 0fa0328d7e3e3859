"""The frozen VGG16, up to conv5_3, on whose features content and style are compared.

Its parameters are an argument; `stylejax.weights.perceptual` reads them from a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from stylejax.errors import InputError
from stylejax.models.layers import Conv

# Channels of every convolution; a 2×2 max pool precedes the first of blocks 2 to 5.
VGG16_CHANNELS = {
  "conv1_1": 64,
  "conv1_2": 64,
  "conv2_1": 128,
  "conv2_2": 128,
  "conv3_1": 256,
  "conv3_2": 256,
  "conv3_3": 256,
  "conv4_1": 512,
  "conv4_2": 512,
  "conv4_3": 512,
  "conv5_1": 512,
  "conv5_2": 512,
  "conv5_3": 512,
}
VGG16_LAYERS = tuple(VGG16_CHANNELS)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def max_pool_2x2(features: jax.Array) -> jax.Array:
  """Maximum of each 2×2 block; an odd last row or column is dropped.

  Args:
    features: [B, H, W, C].

  Returns:
    [B, H // 2, W // 2, C], of the same dtype.

  Written as strided slices: the gradient of `reduce_window` runs on one thread on a CPU, and
  reshapes change layouts between a TPU's convolutions. Equal largest values of a block share the
  gradient; PyTorch gives it all to the first.
  """
  height, width = features.shape[1:3]
  even = features[:, : height // 2 * 2, : width // 2 * 2]
  rows = jnp.maximum(even[:, ::2], even[:, 1::2])
  return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


class InputScale(nn.Module):
  """(image − mean) · scale, the preprocessing that the weights were trained with."""

  @nn.compact
  def __call__(self, image: jax.Array) -> jax.Array:
    mean = self.param("mean", nn.initializers.zeros, (3,))
    scale = self.param("scale", nn.initializers.ones, (3,))
    return (image - mean.reshape(1, 1, 1, 3)) * scale.reshape(1, 1, 1, 3)


class VGG16(nn.Module):
  """The thirteen convolutions of VGG16, 3×3 with zero padding, each followed by ReLU.

  Attributes:
    dtype: of the activations; the input's scaling is always float32.

  Departs from the published net in having no classifier, and in its max pool (see `max_pool_2x2`).
  Source: Simonyan & Zisserman 2014, arXiv:1409.1556, configuration D.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, image: jax.Array, *, layers: Sequence[str] = ("relu5_3",)
  ) -> dict[str, jax.Array]:
    """Features of the requested layers; nothing deeper than the deepest of them is computed.

    Args:
      image: [B, H, W, 3], RGB float in [0, 1].
      layers: names among relu1_1 … relu5_3.

    Returns:
      For each name in layers, [B, H / 2^(block − 1), W / 2^(block − 1), C] of `dtype`, sides
      rounded down.

    Raises:
      InputError: an unknown layer, or an image of the wrong shape or too small for the layer.
    """
    wanted = check_layers(layers)
    deepest = wanted[-1]
    block = int(deepest[len("relu")])
    if image.ndim != 4 or image.shape[-1] != 3:
      raise InputError(f"VGG16 image: found shape {image.shape}, expected [B, H, W, 3]")
    smallest = 2 ** (block - 1)
    if min(image.shape[1:3]) < smallest:
      raise InputError(
        f"VGG16 image: found {image.shape[1]}×{image.shape[2]} pixels,"
        f" expected at least {smallest}×{smallest} for {deepest}"
      )
    features = InputScale(name="input")(image.astype(jnp.float32))
    outputs = {}
    for name, channels in VGG16_CHANNELS.items():
      if name.endswith("_1") and name != "conv1_1":
        features = max_pool_2x2(features)
      features = nn.relu(Conv(channels, padding="zeros", dtype=self.dtype, name=name)(features))
      layer = name.replace("conv", "relu")
      if layer in wanted:
        outputs[layer] = features = checkpoint_name(features, layer)
      if layer == deepest:
        break
    return {layer: outputs[layer] for layer in layers}


def check_layers(layers: Sequence[str]) -> list[str]:
  """The requested layers from shallow to deep; raises InputError for one that VGG16 lacks."""
  known = [name.replace("conv", "relu") for name in VGG16_LAYERS]
  for layer in layers:
    if layer not in known:
      raise InputError(f"VGG16 layer: found {layer!r}, expected one of relu1_1 … relu5_3")
  if not layers:
    raise InputError("VGG16 layers: found none, expected at least one of relu1_1 … relu5_3")
  return sorted(layers, key=known.index)


def vgg16_features(
  vgg_params: Mapping[str, Any],
  image: jax.Array,
  *,
  layers: Sequence[str] = STYLE_LAYERS,
  dtype: Any = jnp.float32,
) -> dict[str, jax.Array]:
  """Features of VGG16 after the ReLU of the requested layers.

  Args:
    vgg_params: {"input": {"mean": [3], "scale": [3]}, "conv1_1": {"kernel": [3, 3, 3, 64], "bias":
      [64]}, …}, as `stylejax.weights.perceptual.load_vgg` returns it; layers deeper than the
      deepest requested one may be missing.
    image: [B, H, W, 3], RGB float in [0, 1].
    layers: names among relu1_1 … relu5_3, in any order.
    dtype: of the activations, float32 or bfloat16.

  Returns:
    {layer: [B, H / 2^(block − 1), W / 2^(block − 1), C]} in the order of layers.

  Raises:
    InputError: an unknown layer, a layer that vgg_params lacks, an image of the wrong shape or
      too small.
  """
  deepest = check_layers(layers)[-1].replace("relu", "conv")
  needed = ("input", *VGG16_LAYERS[: VGG16_LAYERS.index(deepest) + 1])
  missing = [name for name in needed if name not in vgg_params]
  if missing:
    raise InputError(f"VGG16 parameters: found no {missing[0]!r}, expected it for {deepest}")
  params = {name: vgg_params[name] for name in needed}
  features: Any = VGG16(dtype=dtype).apply({"params": params}, image, layers=tuple(layers))
  return features
