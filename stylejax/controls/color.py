"""Keeping the content's colors: by luminance, or by the moments of all colors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.ranges import per_pixel
from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import image_size

# Rows Y, I and Q of NTSC, the space in which Gatys et al. separate luminance.
_LUMA = (0.299, 0.587, 0.114)
_OPPONENT = (_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
# A channel of less variance than this, (8/255)², has no colors whose spread could be matched.
_MATCH_EPS = 1e-3


@on_any_mesh
def preserve_color(
  stylized: jax.Array,
  content: jax.Array,
  *,
  color: jax.Array | float = 1.0,
  mode: jax.Array | float | None = None,
  moments: tuple | None = None,
) -> jax.Array:
  """Gives a stylized image the colors of its content back.

  There are two modes, and any blend of them. Luminance: Y of the stylized image with I and Q of the
  content, which are moved toward gray where RGB would leave [0, 1]. Moments: one affine map of all
  colors gives them the content's mean and covariance, in YIQ by Cholesky factors, so that luminance
  stays a function of luminance.

  Args:
    stylized: [B, H, W, 3] or [H, W, 3] in [0, 1].
    content: of the same shape.
    color: from 0 (the colors of `stylized`) to 1 (those of `content`): scalar, [B] or [H, W].
    mode: None or 0 for luminance, 1 for moments, or between: scalar, [B] or [H, W]. With None,
      moments are not computed at all.
    moments: `color_moments` of the whole images (stylized, content), if `stylized` and `content`
      are only parts of them.

  Returns:
    As `stylized`, in [0, 1].

  Raises:
    ValueError: shapes that differ or have no pixels, or a color or mode outside 0 to 1 (when not
      traced).

  Departs from the paper in bringing colors back into RGB's range along their hue, and in matching
  colors after stylizing instead of before.
  Source: Gatys et al. 2017, arXiv:1611.07865, section 5.
  """
  if jnp.shape(stylized) != jnp.shape(content):
    raise ValueError(
      f"content: found shape {jnp.shape(content)}, expected that of the stylized "
      f"image, {jnp.shape(stylized)}"
    )
  if 0 in jnp.shape(stylized):
    raise ValueError(f"stylized: found shape {jnp.shape(stylized)}, expected at least one pixel")
  single = jnp.ndim(stylized) == 3
  stylized, content = (
    jnp.asarray(x)[None] if single else jnp.asarray(x) for x in (stylized, content)
  )
  size = image_size(stylized)
  if mode is not None:
    mode = per_pixel(mode, "color mode", 1, size)
    moments = moments or tuple(color_moments(x) for x in (stylized, content))
  amount = per_pixel(color, "color", 1, size)
  output = keep_color(stylized, content, amount, mode=mode, moments=moments)
  return output[0] if single else output


def keep_color(
  stylized: jax.Array,
  content: jax.Array,
  amount: jax.Array,
  *,
  mode: jax.Array | None,
  moments: tuple | None,
) -> jax.Array:
  """`preserve_color` as a pixel control of `stylejax.controls.table`; a mode needs moments."""
  colored = _with_luminance(stylized, content)
  if mode is not None and moments is not None:
    colored = colored + mode * (match_color_moments(stylized, *moments) - colored)
  return stylized + amount * (colored - stylized)


def _with_luminance(stylized: jax.Array, content: jax.Array) -> jax.Array:
  """The luminance of `stylized` with the chroma of `content`, within [0, 1]."""

  def luma(x):
    return (x * jnp.array(_LUMA, x.dtype)[None, None, None]).sum(-1, keepdims=True)

  hue, light = content - luma(content), luma(stylized)
  room = jnp.where(hue > 0, 1.0 - light, light) / jnp.maximum(jnp.abs(hue), 1e-6)
  return light + hue * jnp.minimum(room.min(-1, keepdims=True), 1.0)


def color_moments(
  image: jax.Array, *, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
  """Mean and covariance of an image's colors, in YIQ.

  Args:
    image: [B, H, W, 3].
    mask: [1, H, W, 1], 1 for a pixel that counts and 0 for another; None: all count.

  Returns:
    (mean [B, 1, 1, 3], covariance [B, 3, 3]).
  """
  x = apply_color_matrix(image, _OPPONENT)
  share = jnp.ones((1, 1, 1, 1), x.dtype) if mask is None else mask
  share = share / jnp.broadcast_to(share, (1, *x.shape[1:3], 1)).sum()
  mean = (share * x).sum((1, 2), keepdims=True)
  return mean, jnp.einsum("bhwi,bhwj->bij", share * (x - mean), x - mean, precision="highest")


def match_color_moments(
  image: jax.Array, moments: tuple[jax.Array, jax.Array], target: tuple[jax.Array, jax.Array]
) -> jax.Array:
  """Maps the colors of [B, H, W, 3] affinely, so that `moments` become `target`; in [0, 1]."""
  spread, target_spread = (
    jnp.linalg.cholesky(covariance + _MATCH_EPS * jnp.eye(3, dtype=covariance.dtype)[None])
    for _, covariance in (moments, target)
  )
  matrix = target_spread @ jax.scipy.linalg.solve_triangular(
    spread, jnp.broadcast_to(jnp.eye(3, dtype=spread.dtype), spread.shape), lower=True
  )
  x = apply_color_matrix(image, _OPPONENT)
  x = jnp.einsum("bhwi,bji->bhwj", x - moments[0], matrix, precision="highest") + target[0]
  return jnp.clip(apply_color_matrix(x, np.linalg.inv(_OPPONENT)), 0.0, 1.0)


def apply_color_matrix(x: jax.Array, matrix: Any) -> jax.Array:
  """Multiplies each pixel of [B, H, W, 3] by a 3×3 matrix."""
  return jnp.einsum("bhwi,ji->bhwj", x, jnp.asarray(matrix, x.dtype), precision="highest")
