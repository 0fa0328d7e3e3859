"""Hypercolumns: the features of VGG16's layers up to relu4_3 at one place, as one vector.

Pure functions of parameters and images. How places are compared is in `matching.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from stylejax.errors import InputError
from stylejax.models import layers
from stylejax.models.padding import image_size
from stylejax.models.vgg16 import VGG16_CHANNELS, vgg16_features

LAYERS = tuple(name.replace("conv", "relu") for name in VGG16_CHANNELS if name < "conv5")
"""relu1_1 … relu4_3."""

CHANNELS = {layer: VGG16_CHANNELS[layer.replace("relu", "conv")] for layer in LAYERS}

STRIDE = 4
"""Pixels between neighboring places (grid positions), down and across."""

MIN_SIDE = 16
"""Smallest side, in pixels, of an image that can be described."""


def grid_size(size: tuple[int, int]) -> tuple[int, int]:
  """(rows, columns) of the grid of places of an image of (H, W)."""
  return size[0] // STRIDE, size[1] // STRIDE


def hypercolumns(
  vgg_params: Mapping[str, Any],
  image: jax.Array,
  *,
  scales: jax.Array | None = None,
  dtype: Any = jnp.float32,
) -> jax.Array:
  """Features of relu1_1 … relu4_3 at every fourth pixel, concatenated.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv4_3.
    image: [B, H, W, 3] in [0, 1], sides at least 16.
    scales: [10], a factor for each layer, see `layer_scales`; None: 1 / channels.
    dtype: of VGG16's activations.

  Returns:
    [B, H // 4, W // 4, 2688] float32.

  Raises:
    InputError: an image of the wrong shape or too small, scales of the wrong shape.

  Source: Kolkin et al. 2022, arXiv:2203.13215, section 3.2; hypercolumns are from Hariharan et al.
  2015, arXiv:1411.5752.
  """
  check_image(image, "image")
  maps = feature_maps(vgg_params, image, dtype=dtype)
  if scales is None:
    scales = 1.0 / jnp.array([CHANNELS[layer] for layer in LAYERS], jnp.float32)
  if jnp.shape(scales) != (len(LAYERS),):
    raise InputError(f"scales: found shape {jnp.shape(scales)}, expected [{len(LAYERS)}]")
  return jnp.concatenate([x * scale for x, scale in zip(maps, scales, strict=True)], -1)


def feature_maps(
  vgg_params: Mapping[str, Any], image: jax.Array, *, dtype: Any = jnp.float32
) -> list[jax.Array]:
  """The layers of `hypercolumns` as maps [B, H // 4, W // 4, C] float32, before scaling."""
  rows, columns = grid_size(image_size(image))
  features = vgg16_features(vgg_params, image, layers=LAYERS, dtype=dtype)
  return [
    _on_grid(features[layer], int(layer[len("relu")]), (rows, columns)).astype(jnp.float32)
    for layer in LAYERS
  ]


def layer_scales(maps: Sequence[jax.Array], *, eps: float = 1e-6) -> jax.Array:
  """Factors that give every layer the same share of the distances between hypercolumns.

  s_l = (mean_p ‖f_lp − mean_q f_lq‖² + eps)^(−1/2)

  Args:
    maps: one for each layer, [..., C].
    eps: added to a layer's variance, in squared units of the features.

  Returns:
    [layers] float32.

  Departs from the paper, which divides by the number of channels. That suits weights whose
  activations grow with depth; those of the packaged VGG16 shrink, and the first two layers alone
  would decide.
  """

  def spread(x):
    x = x.astype(jnp.float32).reshape(-1, x.shape[-1])
    return x.var(0).sum()

  return jax.lax.rsqrt(jnp.stack([spread(x) for x in maps]) + eps)


def check_image(image: jax.Array, name: str) -> None:
  """Raises InputError unless the image is [B, H, W, 3] with sides of MIN_SIDE or more."""
  shape = jnp.shape(image)
  if len(shape) != 4 or shape[-1] != 3 or min(shape[1:3]) < MIN_SIDE:
    raise InputError(
      f"{name}: found shape {shape}, expected [B, H, W, 3] with sides of at least {MIN_SIDE} pixels"
    )


def _on_grid(x: jax.Array, block: int, size: tuple[int, int]) -> jax.Array:
  """Resamples a block's map to STRIDE, bilinearly at the centers of squares of 4×4 pixels.

  Blocks 1 and 2 use slices, as the matrices of a resize would cost a tenth of the net there; block
  4 uses a resize, as slices and their gradient would.
  """
  rows, columns = size
  if block == 1:
    # The center lies between the second and third of four pixels.
    x = x[:, : 4 * rows, : 4 * columns]
    x = 0.5 * (x[:, 1::4] + x[:, 2::4])
    return 0.5 * (x[:, :, 1::4] + x[:, :, 2::4])
  if block == 2:
    return layers.downsample2(x[:, : 2 * rows, : 2 * columns])
  if block == 3:
    return x
  batch, height, width, channels = x.shape
  x = jax.image.resize(x, (batch, 2 * height, 2 * width, channels), "linear", precision="highest")
  missing = [(0, side - have) for side, have in zip(size, x.shape[1:3], strict=True)]
  return jnp.pad(x, ((0, 0), *missing, (0, 0)), mode="edge") if any(m for _, m in missing) else x
