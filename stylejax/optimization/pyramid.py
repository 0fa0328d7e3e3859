"""Image and Laplacian pyramids of any size, which reconstruct their image up to rounding.

Pure functions on arrays; the optimization of pyramids is in the modules beside this one.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from stylejax.errors import InputError

LEVELS = 8
"""Largest number of band-pass levels in a Laplacian pyramid."""

Pyramid = tuple[jax.Array, ...]
"""Band-pass levels from fine to coarse, then the remaining small image; each [B, h, w, C]."""


def halve(image: jax.Array) -> jax.Array:
  """Halves the sides of [B, H, W, C], rounded up, by a triangle filter about four pixels wide."""
  batch, height, width, channels = image.shape
  return _resize(image, (batch, (height + 1) // 2, (width + 1) // 2, channels))


def halved(image: jax.Array, times: int) -> jax.Array:
  """Applies `halve` a number of times."""
  for _ in range(times):
    image = halve(image)
  return image


def laplacian_pyramid(image: jax.Array, *, levels: int = LEVELS) -> Pyramid:
  """What each halving of an image loses, from fine to coarse, and the image that is left.

  band_l = x_l − up(x_{l+1}),   x_{l+1} = halve(x_l),   x_0 = image

  Args:
    image: [B, H, W, C], any range.
    levels: largest number of bands; there are fewer if a side would become less than 2.

  Returns:
    levels + 1 arrays or fewer; the last is the smallest image itself.

  Raises:
    InputError: image is not of rank 4.

  Source: Burt & Adelson 1983, "The Laplacian Pyramid as a Compact Image Code".
  """
  if jnp.ndim(image) != 4:
    raise InputError(f"image: found shape {jnp.shape(image)}, expected [B, H, W, C]")
  bands: list[jax.Array] = []
  while len(bands) < levels and min(image.shape[1:3]) > 2:
    coarse = halve(image)
    bands.append(image - _resize(coarse, image.shape))
    image = coarse
  return (*bands, image)


def reconstruct(pyramid: Sequence[jax.Array]) -> jax.Array:
  """Reconstructs the image [B, H, W, C] of a Laplacian pyramid, or x_l from its levels l on.

  Args:
    pyramid: arrays [B, h, w, C] from fine to coarse, at least one.
  """
  image = pyramid[-1]
  for band in pyramid[-2::-1]:
    image = _resize(image, (*image.shape[:1], *band.shape[1:])) + band
  return image


def _resize(image: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  return jax.image.resize(image, shape, "linear", antialias=True, precision="highest")
