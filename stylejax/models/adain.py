"""Adaptive instance normalization: channel moments, and moving them to a style's.

Noise is added here too, after the moments are moved; the convolutions are in layers.py.
"""

import jax
import jax.numpy as jnp

from stylejax.models.noise_map import noise_map
from stylejax.models.padding import Edges


def channel_moments(
  features: jax.Array, *, eps: float = 1e-5, edges: Edges | None = None
) -> tuple[jax.Array, jax.Array]:
  """Mean and standard deviation of each channel over the pixels of one image.

  mean_c = (1/HW) Σ_p f_pc,   std_c = sqrt((1/HW) Σ_p f_pc² − mean_c² + eps), in one pass.

  Args:
    features: [B, H, W, C], any range; sums run in float32.
    eps: added to the variance, in squared units of the features.
    edges: which pixels belong to the image; None: all.

  Returns:
    (mean, std), both [B, 1, 1, C] float32, ready to broadcast against features.

  Raises:
    ValueError: features is not of rank 4.

  Departs from pytorch-AdaIN, which divides by HW − 1.
  Source: Huang & Belongie 2017, arXiv:1703.06868, section 3.
  """
  if features.ndim != 4:
    raise ValueError(f"features: found shape {features.shape}, expected [B, H, W, C]")
  if edges is not None:
    return edges.moments(features, eps=eps)
  features = features.astype(jnp.float32)
  mean = features.mean((1, 2), keepdims=True)
  variance = jnp.square(features).mean((1, 2), keepdims=True) - jnp.square(mean)
  return mean, jnp.sqrt(jnp.maximum(variance, 0.0) + eps)


def modulation(
  mean: jax.Array,
  std: jax.Array,
  gain: jax.Array,
  bias: jax.Array,
  *,
  moment_shift: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """The affine map of each channel that moves its moments from (mean, std) to (bias, gain).

  y = (x − mean)/std · gain + bias, which is adaptive instance normalization. With a moment shift s
  below 1 the moments move part of the way: y = (x − mean)/std · (std + s·(gain − std)) + mean +
  s·(bias − mean), and s = 0 leaves x as it is.

  Args:
    mean, std: [B, 1, 1, C], those of the features, as `channel_moments` returns them.
    gain: [B or 1, 1, 1, C], the standard deviation to move to.
    bias: [B or 1, 1, 1, C], the mean to move to.
    moment_shift: scalar or [B or 1, 1, 1, 1], 0 to 1; None is 1.

  Returns:
    (scale, shift), both [B, 1, 1, C] float32, with y = scale·x + shift.

  Departs from AdaIN as published in blending each layer's moments instead of one layer's output.
  Source: Huang & Belongie 2017, arXiv:1703.06868, section 5 (equations 8 and 14).
  """
  scale = gain / std
  shift = bias - mean * scale
  if moment_shift is None:
    return scale, shift
  return 1.0 + moment_shift * (scale - 1.0), moment_shift * shift


def affine(features: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
  """scale·x + shift in the dtype of the features [B, H, W, C]; both broadcast against them."""
  return features * scale.astype(features.dtype) + shift.astype(features.dtype)


def add_noise(
  features: jax.Array,
  noise_std: jax.Array,
  *,
  edges: Edges | None = None,
  top: jax.Array | int = 0,
  left: jax.Array | int = 0,
) -> jax.Array:
  """Adds the noise map, times noise_std [B or 1, 1, 1, C], to each channel of [B, H, W, C].

  The first cell of the features gets cell (top, left) of the noise map. Where edges say that rows
  are divided over several devices, each device adds the number of its first row to `top`.
  """
  height, width = features.shape[1:3]
  if edges is not None:
    top = top + edges.first_row(height)
  noise = noise_map(height, width, top=top, left=left)[None, :, :, None]
  return features + (noise_std * noise).astype(features.dtype)


def modulate(
  features: jax.Array,
  gain: jax.Array,
  bias: jax.Array,
  *,
  noise_std: jax.Array | None = None,
  noise_gain: jax.Array | float = 1.0,
  moment_shift: jax.Array | None = None,
  moments: tuple[jax.Array, jax.Array] | None = None,
  noise: jax.Array | None = None,
  noise_corner: jax.Array | None = None,
  edges: Edges | None = None,
) -> jax.Array:
  """Moves each channel's mean and standard deviation to `bias` and `gain`, and adds noise.

  Args:
    features: [B, H, W, C].
    gain, bias, moment_shift: as `modulation` takes them.
    noise_std: [B or 1, 1, 1, C], standard deviation of the noise in each channel; None: no noise.
    noise_gain: scalar or [B or 1, 1, 1, 1], by which noise_std is multiplied.
    moments: the (mean, std) to start from; None takes those of the features.
    noise: [H, W], the noise map for these features; None: its first cells.
    noise_corner: [B or 1, 2] integers: for each example, the row and the column of the noise map
      that its first cell gets; None: 0, 0. Unused if there is noise.
    edges: which pixels belong to the image; None: all.

  Returns:
    [B, H, W, C] in the dtype of features.
  """
  moments = channel_moments(features, edges=edges) if moments is None else moments
  moved = affine(features, *modulation(*moments, gain, bias, moment_shift=moment_shift))
  if noise_std is None:
    return moved
  if noise is None and noise_corner is None:
    return add_noise(moved, noise_gain * noise_std, edges=edges)
  if noise is None:
    height, width = moved.shape[1:3]
    first = 0 if edges is None else edges.first_row(height)
    noise = jax.vmap(lambda at: noise_map(height, width, top=at[0] + first, left=at[1]))(
      noise_corner
    )
  noise = noise.reshape(-1, *noise.shape[-2:], 1)
  return moved + (noise_gain * noise_std * noise).astype(moved.dtype)
