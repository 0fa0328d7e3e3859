"""Texture by oriented band-pass filters: how strong and how sparse a picture's detail is.

Filters and sums on pixels; no net is run here. What a net sees of a texture is in perceptual.py.
"""

import jax
import jax.numpy as jnp

from stylejax.losses.perceptual import OPPONENT_AXES
from stylejax.models import blocks

LEVELS = 5
"""Scales of the pyramid, at most: details of about 1 to 32 pixels."""

# Added before the logarithm, in units of the picture: fainter detail is not to be seen.
FLOOR = 1e-2


def band_statistics(picture: jax.Array) -> jax.Array:
  """Mean magnitude and root mean square of each band of a picture.

  Light and two colours, at LEVELS scales that halve the picture, through five filters: what the
  next scale doesn't hold (Laplacian pyramid), and differences of pixels two apart along rows,
  columns and both diagonals. The mean over the root mean square tells whether there are few sharp
  edges or grain all over.

  Args:
    picture: [B, H, W, 3] in [0, 1], H and W even, at least 4.

  Returns:
    [B, scales, 5, 2, 3] float32, in units of the picture: scale, filter, statistic, colour axis.
    Scales are LEVELS, or as many as have even sides of 4 pixels or more.

  Raises:
    ValueError: a side that is odd or below 4.

  Source: the pyramid of Burt & Adelson 1983, "The Laplacian Pyramid as a Compact Image Code"; the
  statistics are the marginal ones of Portilla & Simoncelli 2000, "A Parametric Texture Model Based
  on Joint Statistics of Complex Wavelet Coefficients", section 3.
  """
  if any(side < 4 or side % 2 for side in picture.shape[1:3]):
    raise ValueError(f"picture: found shape {picture.shape}, expected even sides from 4 on")
  level = jnp.einsum("bhwc,ac->bhwa", picture.astype(jnp.float32), OPPONENT_AXES)
  scales = []
  while len(scales) < LEVELS and all(side >= 4 and side % 2 == 0 for side in level.shape[1:3]):
    coarse = blocks.downsample2(level)
    bands = (level - blocks.upsample2(coarse),
             level[:, 1:-1, 2:] - level[:, 1:-1, :-2], level[:, 2:, 1:-1] - level[:, :-2, 1:-1],
             level[:, 2:, 2:] - level[:, :-2, :-2], level[:, 2:, :-2] - level[:, :-2, 2:])
    scales.append(jnp.stack([jnp.stack(
      [jnp.abs(band).mean((1, 2)), jnp.sqrt(jnp.square(band).mean((1, 2)) + 1e-8)], 1)
      for band in bands], 1))
    level = coarse
  return jnp.stack(scales, 1)


def band_loss(picture: jax.Array, target: jax.Array, content: jax.Array | None = None,
              strength: jax.Array | float = 1.0) -> jax.Array:
  """Mean squared logarithm of the ratios of two pictures' `band_statistics`.

  mean log²((b + FLOOR)/(b* + FLOOR)) over scales, filters, statistics, axes and the batch. Faint
  grain counts as much as strong edges, which in features of a net outweigh it: matched together
  with those, textures come out right also for other nets.

  Args:
    picture: [B, H, W, 3] in [0, 1], sides as `band_statistics` takes them.
    target: the same of the style picture, with as many scales.
    content, strength: as `perceptual.moment_style_loss` takes them, of pictures.

  Returns:
    Scalar, dimensionless.
  """
  wanted = band_statistics(target)
  if content is not None:
    own = band_statistics(content)
    wanted = own + jnp.reshape(strength, (-1, 1, 1, 1, 1)) * (wanted - own)
  ratio = jnp.log((band_statistics(picture) + FLOOR) / (wanted + FLOOR))
  return jnp.square(ratio).mean()
