"""The frozen ResNet-50 of half width, a second perceptual net beside VGG16.

A generator can satisfy one net with patterns that mean nothing to another; two nets of different
design are harder to satisfy. `stylejax.weights.perceptual` reads the parameters from a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from stylejax.errors import InputError
from stylejax.models.layers import initializer, lecun_normal
from stylejax.models.vgg16 import InputScale

# Number of bottleneck blocks and their inner channels, for the stages conv2_x to conv4_x.
STAGES = {"conv2": (3, 32), "conv3": (4, 64), "conv4": (6, 128)}
RESNET_LAYERS = ("conv1", "conv2_x", "conv3_x", "conv4_x")


class Bottleneck(nn.Module):
  """1×1, 3×3 and 1×1 convolutions beside a shortcut; batch norms are folded into them.

  Attributes:
    features: inner channels; the output has four times as many.
    stride: of the first 1×1 convolution and of the shortcut.
    project: whether the shortcut is a 1×1 convolution, as where channels or sides change.
    dtype: of the activations.
  """

  features: int
  stride: int = 1
  project: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    init = initializer(self, lecun_normal)

    def conv(name, features, side=1, stride=1):
      return nn.Conv(
        features, (side, side), stride, side // 2, kernel_init=init, dtype=self.dtype, name=name
      )

    y = nn.relu(conv("reduce", self.features, stride=self.stride)(x))
    y = nn.relu(conv("middle", self.features, side=3)(y))
    y = conv("expand", 4 * self.features)(y)
    if self.project:
      x = conv("shortcut", 4 * self.features, stride=self.stride)(x)
    return nn.relu(x + y)


class HalfResNet50(nn.Module):
  """ResNet-50 with half the channels inside its blocks, down to conv4_x.

  Attributes:
    dtype: of the activations; the input's scaling is always float32.

  Departs from the published net in the width, in having neither conv5_x nor a classifier, and in
  batch norms that are folded into the convolutions.
  Source: He et al. 2015, arXiv:1512.03385, table 1, column "50-layer".
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, image: jax.Array, *, layers: Sequence[str] = RESNET_LAYERS
  ) -> dict[str, jax.Array]:
    """As `resnet_features`; stages deeper than the deepest requested layer aren't computed."""
    x = InputScale(name="input")(image.astype(jnp.float32))
    init = initializer(self, lecun_normal)
    x = nn.relu(nn.Conv(64, (7, 7), 2, 3, kernel_init=init, dtype=self.dtype, name="conv1")(x))
    features_of = {"conv1": checkpoint_name(x, "conv1")}
    x = max_pool_3x3(features_of["conv1"])
    deepest = max(map(RESNET_LAYERS.index, layers))
    for stage, (blocks, features) in list(STAGES.items())[:deepest]:
      for index in range(1, blocks + 1):
        stride = 2 if index == 1 and stage != "conv2" else 1
        x = Bottleneck(features, stride, index == 1, self.dtype, name=f"{stage}_{index}")(x)
      features_of[f"{stage}_x"] = x = checkpoint_name(x, f"{stage}_x")
    return {layer: features_of[layer] for layer in layers}


def max_pool_3x3(features: jax.Array) -> jax.Array:
  """3×3 max pool of stride 2 for features [B, H, W, C] ≥ 0.

  At the bottom and the right it reaches over the edge rather than leaving a pixel out, as in Caffe.
  Written as strided slices for the same reasons as `vgg16.max_pool_2x2`.

  Returns:
    [B, ⌈(H − 1) / 2⌉, ⌈(W − 1) / 2⌉, C].
  """
  for axis in (1, 2):
    size = features.shape[axis]
    places = size // 2
    beyond = [(0, 0)] * 4
    beyond[axis] = (0, 2 * places + 1 - size)
    padded = jnp.pad(features, beyond)
    features = jnp.stack(
      [
        jax.lax.slice_in_dim(padded, first, first + 2 * places - 1, stride=2, axis=axis)
        for first in range(3)
      ]
    ).max(0)
  return features


def resnet_features(
  params: Mapping[str, Any],
  image: jax.Array,
  *,
  layers: Sequence[str] = RESNET_LAYERS,
  dtype: Any = jnp.float32,
) -> dict[str, jax.Array]:
  """Features of the half-width ResNet-50 at the ends of the requested stages, after their ReLU.

  Args:
    params: as `stylejax.weights.perceptual.load_resnet` returns them.
    image: [B, H, W, 3], RGB float in [0, 1], sides of at least 16.
    layers: names among conv1, conv2_x, conv3_x, conv4_x, in any order.
    dtype: of the activations, float32 or bfloat16.

  Returns:
    {layer: [B, H/r, W/r, C]} in the order of layers, with r = 2, 4, 8, 16 and C = 64, 128, 256,
    512, sides rounded up or down.

  Raises:
    InputError: an unknown layer, or an image of the wrong shape or too small.
  """
  for layer in layers:
    if layer not in RESNET_LAYERS:
      raise InputError(f"ResNet layer: found {layer!r}, expected one of {', '.join(RESNET_LAYERS)}")
  if not layers:
    raise InputError("ResNet layers: found none, expected at least one")
  if image.ndim != 4 or image.shape[-1] != 3 or min(image.shape[1:3]) < 16:
    raise InputError(
      f"ResNet image: found shape {image.shape}, expected [B, H, W, 3] with sides of 16 at least"
    )
  features: Any = HalfResNet50(dtype=dtype).apply({"params": params}, image, layers=tuple(layers))
  return features
