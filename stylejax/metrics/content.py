"""How far an image is from another: PSNR, SSIM and a distance of the LPIPS form.

Images are [B, H, W, 3] RGB float in [0, 1]; every function returns one number per image, [B].
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.errors import InputError
from stylejax.models.vgg16 import vgg16_features

LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def psnr(image: jax.Array, reference: jax.Array) -> jax.Array:
  """Peak signal-to-noise ratio.

  PSNR = −10 log10 (1/3HW) Σ (image − reference)²

  Args:
    image: [B, H, W, 3] in [0, 1].
    reference: of the same shape.

  Returns:
    [B] in dB, higher is closer; inf for equal images.

  Raises:
    InputError: shapes that differ, or aren't [B, H, W, 3].
  """
  check_pair(image, reference)
  error = jnp.mean(jnp.square(image - reference), axis=(1, 2, 3))
  return -10 * jnp.log10(error)


def ssim(image: jax.Array, reference: jax.Array) -> jax.Array:
  """Structural similarity of the luma, averaged over all windows that lie inside the image.

  SSIM = (2 μ_x μ_y + c1)(2 σ_xy + c2) / ((μ_x² + μ_y² + c1)(σ_x² + σ_y² + c2))

  with Gaussian windows of 11×11 pixels and σ = 1.5, c1 = 0.01², c2 = 0.03².

  Args:
    image: [B, H, W, 3] in [0, 1], H and W ≥ 11.
    reference: of the same shape.

  Returns:
    [B], at most 1, which equal images reach.

  Raises:
    InputError: shapes that differ, aren't [B, H, W, 3], or are smaller than a window.

  Source: Wang, Bovik, Sheikh & Simoncelli 2004, doi:10.1109/TIP.2003.819861; the image is not
  downsampled beforehand, and luma is BT.601's without rounding.
  """
  check_pair(image, reference)
  if min(image.shape[1:3]) < 11:
    raise InputError(f"SSIM image: found shape {image.shape}, expected at least 11×11 pixels")
  c1, c2 = 0.01**2, 0.03**2
  x, y = (jnp.dot(p.astype(jnp.float32), jnp.array(LUMA)) for p in (image, reference))
  # Relative to mid-gray, the products below lose fewer digits.
  x_mean, y_mean = _window_mean(x - 0.5), _window_mean(y - 0.5)
  x_var = _window_mean(jnp.square(x - 0.5)) - jnp.square(x_mean)
  y_var = _window_mean(jnp.square(y - 0.5)) - jnp.square(y_mean)
  covariance = _window_mean((x - 0.5) * (y - 0.5)) - x_mean * y_mean
  x_mean, y_mean = x_mean + 0.5, y_mean + 0.5
  luminance = (2 * x_mean * y_mean + c1) / (jnp.square(x_mean) + jnp.square(y_mean) + c1)
  structure = (2 * covariance + c2) / (x_var + y_var + c2)
  return jnp.mean(luminance * structure, axis=(1, 2))


def lpips_vgg(
  vgg_params: Mapping[str, Any],
  heads: Mapping[str, jax.Array],
  image: jax.Array,
  reference: jax.Array,
) -> jax.Array:
  """A perceptual distance of the LPIPS form on VGG16: a variant, not LPIPS.

  d = Σ_l (1/H_l W_l) Σ_p Σ_c w_lc (f̂_lpc − ĝ_lpc)²,   f̂ = f / ‖f‖ over the channels of a pixel

  over relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3.

  With the packaged VGG16, numbers can't be compared with published LPIPS: the heads w were fitted
  to torchvision's VGG16, whose channels differ. Use it to compare methods with one another
  in one table, under the name "LPIPS-form VGG". With torchvision's weights (`load_vgg(path)`) it is
  the published measure: that net's preprocessing is torchvision's.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_3.
    heads: {layer: [C]}, as `stylejax.weights.perceptual.load_lpips_heads` returns them.
    image: [B, H, W, 3] in [0, 1], H and W ≥ 16.
    reference: of the same shape.

  Returns:
    [B], 0 for equal images.

  Raises:
    InputError: shapes that differ, or as `vgg16_features`.

  Source: Zhang, Isola, Efros, Shechtman & Wang 2018, arXiv:1801.03924, equation 1; heads v0.1.
  """
  check_pair(image, reference)
  return lpips_from_features(
    vgg16_features(vgg_params, image, layers=LPIPS_LAYERS),
    vgg16_features(vgg_params, reference, layers=LPIPS_LAYERS),
    heads,
  )


def lpips_from_features(
  features: Mapping[str, jax.Array],
  reference: Mapping[str, jax.Array],
  heads: Mapping[str, jax.Array],
) -> jax.Array:
  """`lpips_vgg` from features, {layer: [B, H, W, C]} each; returns [B]."""
  total = jnp.float32(0.0)
  for layer in LPIPS_LAYERS:
    difference = jnp.square(_unit(features[layer]) - _unit(reference[layer]))
    total += jnp.mean(difference @ heads[layer], axis=(1, 2))
  return total


def feature_distance(
  features: Mapping[str, jax.Array], reference: Mapping[str, jax.Array], layers: Sequence[str]
) -> jax.Array:
  """The LPIPS form on any net, without fitted heads.

  d = (1/L) Σ_l (1/H_l W_l) Σ_p Σ_c (f̂_lpc − ĝ_lpc)²,   f̂ = f / ‖f‖ over the channels of a pixel

  Args:
    features: {layer: [B, H, W, C]}.
    reference: of the same shapes.
    layers: the L layers to compare.

  Returns:
    [B], 0 for equal features, at most 4.
  """
  distances = [
    jnp.square(_unit(features[layer]) - _unit(reference[layer])).sum(-1).mean((1, 2))
    for layer in layers
  ]
  return jnp.mean(jnp.stack(distances), axis=0)


def check_pair(image: jax.Array, reference: jax.Array) -> None:
  """Raises InputError unless both images are [B, H, W, 3] of one shape."""
  if image.ndim != 4 or image.shape[-1] != 3 or image.shape != reference.shape:
    raise InputError(
      f"images to compare: found shapes {image.shape} and {reference.shape},"
      " expected the same [B, H, W, 3]"
    )


def _unit(features: jax.Array) -> jax.Array:
  # The small constant keeps the gradient finite where every channel of a pixel is 0.
  square = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
  return features * jax.lax.rsqrt(square + 1e-20)


def _window_mean(values: jax.Array) -> jax.Array:
  """Gaussian-weighted mean of every 11×11 window: [B, H, W] → [B, H − 10, W − 10]."""
  rows, columns = (_window_matrix(side) for side in values.shape[1:])
  precise: dict[str, Any] = {"precision": jax.lax.Precision.HIGHEST}
  values = jnp.einsum("yh,bhw->byw", rows, values, **precise)
  return jnp.einsum("xw,byw->byx", columns, values, **precise)


def _window_matrix(side: int) -> np.ndarray:
  """[side − 10, side]: in each row the eleven weights of one window, which add up to 1."""
  taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
  matrix = np.zeros((side - 10, side), np.float32)
  for start in range(side - 10):
    matrix[start, start : start + 11] = taps / taps.sum()
  return matrix
