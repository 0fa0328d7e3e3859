"""How far an image is from a style: moments and Gram matrices of VGG16's features, and colors.

Images are RGB float in [0, 1]; every function returns one number per image, [B]. The resampling by
area that brings the images of a table to one size is here, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.errors import InputError
from stylejax.models.vgg16 import STYLE_LAYERS, vgg16_features


def moment_distance(
  vgg_params: Mapping[str, Any],
  image: jax.Array,
  style: jax.Array,
  *,
  layers: Sequence[str] = STYLE_LAYERS,
) -> jax.Array:
  """Distance of channel means and standard deviations, relative to the style's mean square.

  d = (1/L) Σ_l Σ_c [(mean_c f − mean_c s)² + (std_c f − std_c s)²] / Σ_c mean_c s²

  f and s are the layer's features of image and style; mean_c and std_c run over the pixels.

  Args:
    vgg_params: as `vgg16_features` takes them.
    image: [B, H, W, 3] in [0, 1].
    style: [B, H', W', 3] in [0, 1]; feature maps depend on scale, so bring both to one size.
    layers: names of VGG16's layers.

  Returns:
    [B], 0 where all moments agree; an image with no features at all would give about 1.

  Raises:
    InputError: as `vgg16_features`.

  Departs from AdaIN's style loss, which takes the numerator alone: divided by the style's mean
  square, layers of different magnitude have the same weight. Source of the moments: Huang &
  Belongie 2017, arXiv:1703.06868, equation 13.
  """
  return moment_distance_from_features(
    vgg16_features(vgg_params, image, layers=layers),
    vgg16_features(vgg_params, style, layers=layers),
    layers=layers,
  )


def moment_distance_from_features(
  features: Mapping[str, jax.Array],
  style: Mapping[str, jax.Array],
  *,
  layers: Sequence[str] = STYLE_LAYERS,
) -> jax.Array:
  """`moment_distance` from features, {layer: [B, H, W, C]} each; returns [B]."""
  distances = []
  for layer in layers:
    (mean, std), (style_mean, style_std) = _moments(features[layer]), _moments(style[layer])
    moved = jnp.square(mean - style_mean) + jnp.square(std - style_std)
    power = jnp.square(style_mean) + jnp.square(style_std)
    distances.append(jnp.sum(moved, axis=-1) / jnp.sum(power, axis=-1))
  return jnp.mean(jnp.stack(distances), axis=0)


def gram_distance(
  vgg_params: Mapping[str, Any],
  image: jax.Array,
  style: jax.Array,
  *,
  layers: Sequence[str] = STYLE_LAYERS,
) -> jax.Array:
  """Distance of Gram matrices, relative to the style's own.

  d = (1/L) Σ_l ‖G(f) − G(s)‖² / ‖G(s)‖²,   G(f)_cd = (1/HW) Σ_p f_pc f_pd

  Arguments, result and errors as in `moment_distance`.

  Departs from Gatys, Ecker & Bethge 2016, doi:10.1109/CVPR.2016.265, in dividing every layer by the
  style's Gram matrix and by the number of pixels, so that sizes and layers can be compared.
  """
  return gram_distance_from_features(
    vgg16_features(vgg_params, image, layers=layers),
    vgg16_features(vgg_params, style, layers=layers),
    layers=layers,
  )


def gram_distance_from_features(
  features: Mapping[str, jax.Array],
  style: Mapping[str, jax.Array],
  *,
  layers: Sequence[str] = STYLE_LAYERS,
) -> jax.Array:
  """`gram_distance` from features, {layer: [B, H, W, C]} each; returns [B]."""
  distances = []
  for layer in layers:
    gram, style_gram = _gram(features[layer]), _gram(style[layer])
    moved = jnp.sum(jnp.square(gram - style_gram), axis=(1, 2))
    distances.append(moved / jnp.sum(jnp.square(style_gram), axis=(1, 2)))
  return jnp.mean(jnp.stack(distances), axis=0)


def sliced_color_distance(image: jax.Array, style: jax.Array, *, directions: int = 16) -> jax.Array:
  """Sliced Wasserstein-1 distance of the colors of two images.

  d = (1/K) Σ_k (1/P) Σ_i |sort(X u_k)_i − sort(Y u_k)_i|

  over K fixed unit vectors u_k spread evenly over half of the sphere, P pixels.

  Args:
    image: [B, H, W, 3] in [0, 1].
    style: [B, H', W', 3] with as many pixels, H'W' = HW.
    directions: K.

  Returns:
    [B], in units of the [0, 1] range; 0 where the colors are a permutation of each other.

  Raises:
    InputError: other shapes, or different numbers of pixels.

  Source: Rabin, Peyré, Delon & Bernot 2011, doi:10.1007/978-3-642-24785-9_37; here with fixed
  directions and exponent 1.
  """
  pixels = [
    p.shape[1] * p.shape[2] if p.ndim == 4 and p.shape[3] == 3 else 0 for p in (image, style)
  ]
  if pixels[0] != pixels[1] or not pixels[0]:
    raise InputError(
      f"colors to compare: found shapes {image.shape} and {style.shape},"
      " expected [B, H, W, 3] with the same number of pixels"
    )
  vectors = jnp.asarray(_half_sphere(directions))
  slices = [jnp.sort(p.reshape(p.shape[0], -1, 3) @ vectors, axis=1) for p in (image, style)]
  return jnp.mean(jnp.abs(slices[0] - slices[1]), axis=(1, 2))


def resize_area(image: jax.Array, height: int, width: int) -> jax.Array:
  """Resamples by area: each target pixel is the mean of the source over the rectangle it covers.

  Args:
    image: [B, H, W, C].
    height: of the target, in pixels; may be larger than H.
    width: of the target, in pixels.

  Returns:
    [B, height, width, C] float32. Source pixels cut by an edge count by their share, while Pillow's
    BOX filter takes them whole or not at all.
  """
  rows, columns = _area_weights(image.shape[1], height), _area_weights(image.shape[2], width)
  precise: dict[str, Any] = {"precision": jax.lax.Precision.HIGHEST}
  image = jnp.einsum("yh,bhwc->bywc", rows, image.astype(jnp.float32), **precise)
  return jnp.einsum("xw,bywc->byxc", columns, image, **precise)


def _moments(features: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Mean and standard deviation over the pixels, [B, C] each."""
  features = features.astype(jnp.float32)
  # The constant under the root only keeps the gradient finite where a channel is constant.
  return jnp.mean(features, axis=(1, 2)), jnp.sqrt(jnp.var(features, axis=(1, 2)) + 1e-8)


def _gram(features: jax.Array) -> jax.Array:
  batch, height, width, channels = features.shape
  flat = features.astype(jnp.float32).reshape(batch, height * width, channels)
  return jnp.einsum("bpc,bpd->bcd", flat, flat) / (height * width)


def _half_sphere(count: int) -> np.ndarray:
  """[3, count] unit vectors by the golden angle, with z > 0, as u and −u give the same distance."""
  index = np.arange(count) + 0.5
  z = 1 - index / count
  angle = np.pi * (1 + np.sqrt(5)) * index
  radius = np.sqrt(1 - z**2)
  return np.stack([radius * np.cos(angle), radius * np.sin(angle), z]).astype(np.float32)


def _area_weights(source: int, target: int) -> np.ndarray:
  """[target, source]: the share that each source pixel has in each target pixel."""
  edges = np.arange(target + 1) * (source / target)
  starts = np.arange(source)
  overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
  return (np.maximum(overlap, 0) * (target / source)).astype(np.float32)
