"""Texture by oriented band-pass filters: how strong and how sparse an image's detail is.

No net runs here; losses on features of a net are in features.py.
"""

import jax
import jax.numpy as jnp

from stylejax.losses.color import OPPONENT_AXES
from stylejax.models import layers

LEVELS = 5
"""Largest number of scales of the pyramid: details of about 1 to 32 pixels."""

FLOOR = 1e-2
"""Added before the logarithm, in units of the image, because fainter detail is invisible."""


def pyramid_statistics(image: jax.Array) -> jax.Array:
  """Mean magnitude and root mean square of each band of an image.

  Light and two color axes are filtered at LEVELS scales, each of half the size, by five filters:
  what the next scale doesn't hold (Laplacian pyramid), and differences of pixels two apart along
  rows, columns and both diagonals. The ratio of mean magnitude to root mean square tells a few
  sharp edges from noise all over.

  Args:
    image: [B, H, W, 3] in [0, 1], H and W even, at least 4.

  Returns:
    [B, scales, 5, 2, 3] float32, in units of the image; the axes are scale, filter, statistic and
    color axis. There are LEVELS scales, or as many as have even sides of 4 pixels or more.

  Raises:
    ValueError: a side that is odd or below 4.

  Source: the pyramid of Burt & Adelson 1983, "The Laplacian Pyramid as a Compact Image Code"; the
  statistics are the marginal ones of Portilla & Simoncelli 2000, "A Parametric Texture Model Based
  on Joint Statistics of Complex Wavelet Coefficients", section 3.
  """
  if any(side < 4 or side % 2 for side in image.shape[1:3]):
    raise ValueError(f"image: found shape {image.shape}, expected even sides of at least 4")
  level = jnp.einsum("bhwc,ac->bhwa", image.astype(jnp.float32), OPPONENT_AXES)
  scales: list[jax.Array] = []
  while len(scales) < LEVELS and all(side >= 4 and side % 2 == 0 for side in level.shape[1:3]):
    coarse = layers.downsample2(level)
    bands = (
      level - layers.upsample2(coarse),
      level[:, 1:-1, 2:] - level[:, 1:-1, :-2],
      level[:, 2:, 1:-1] - level[:, :-2, 1:-1],
      level[:, 2:, 2:] - level[:, :-2, :-2],
      level[:, 2:, :-2] - level[:, :-2, 2:],
    )
    scales.append(jnp.stack([_magnitude_and_rms(band) for band in bands], 1))
    level = coarse
  return jnp.stack(scales, 1)


def _magnitude_and_rms(band: jax.Array) -> jax.Array:
  """[B, H, W, 3] → [B, 2, 3]."""
  rms = jnp.sqrt(jnp.square(band).mean((1, 2)) + 1e-8)
  return jnp.stack([jnp.abs(band).mean((1, 2)), rms], 1)


def pyramid_loss(
  image: jax.Array,
  target: jax.Array,
  *,
  content: jax.Array | None = None,
  strength: jax.Array | float = 1.0,
) -> jax.Array:
  """Mean squared logarithm of the ratio of two images' `pyramid_statistics`.

  mean log²((b + FLOOR)/(b* + FLOOR)) over scales, filters, statistics and axes. Faint texture
  counts as much as strong edges, which outweigh it in a net's features; matched together with
  those, textures come out right for other nets too.

  Args:
    image: [B, H, W, 3] in [0, 1], sides as `pyramid_statistics` takes them.
    target: the same for the style image, with as many scales.
    content, strength: as in `features.moment_style_loss`, but of images instead of features.

  Returns:
    [B] float32, dimensionless.
  """
  target_statistics = pyramid_statistics(target)
  if content is not None:
    start = pyramid_statistics(content)
    strength = jnp.reshape(strength, (-1, 1, 1, 1, 1))
    target_statistics = start + strength * (target_statistics - start)
  ratio = jnp.log((pyramid_statistics(image) + FLOOR) / (target_statistics + FLOOR))
  return jnp.square(ratio).mean((1, 2, 3, 4))
