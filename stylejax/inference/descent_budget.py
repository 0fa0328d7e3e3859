"""The memory that optimizing the pixels of an image takes, and whether it fits.

It is apart from `budget` because it imports modules that take time to load.
"""

from collections.abc import Sequence

import jax

from stylejax.errors import InputError
from stylejax.optimization.hypercolumns import STRIDE
from stylejax.optimization.targets import BANK_PLACES
from stylejax.optimization.tiles import MARGIN
from stylejax.runtime.memory import available_bytes

OPTIMIZED_BYTES = 6_600
"""Bytes per pixel that is optimized at once: VGG16's maps, their gradients, hypercolumns."""

PYRAMID_BYTES = 250
"""Bytes per pixel of the whole image while it is optimized: its pyramid, Adam's moments."""

BANK_BYTES = 1_400
"""Bytes per pixel of a style in addition: its hypercolumns, for at most BANK_PIXELS pixels."""

BANK_PIXELS = BANK_PLACES * STRIDE**2

STYLE_BYTES = 1_150
"""Bytes per pixel of all styles before the optimization: VGG16's maps."""

MIN_BAND_ROWS = 64
"""Number of rows in the smallest bands in which pixels are optimized."""


def descent_room(
  shape: tuple[int, ...], styles: Sequence[int], *, tile_pixels: int | None = None
) -> int:
  """Bytes available for the pixels of an image that are optimized at once.

  Args:
    shape: shape of the content, [H, W, ...].
    styles: number of pixels of each style.
    tile_pixels: number of pixels of a band; None takes as many as fit into half the free memory.
  """
  if tile_pixels is not None:
    return tile_pixels * OPTIMIZED_BYTES
  if jax.default_backend() != "cpu":
    return 2**62
  return max(0, available_bytes() // 2 - _kept_bytes(shape, styles))


def bands(size: tuple[int, int], room: int) -> int:
  """Into how many bands of rows an image of size (H, W) is divided to fit a `descent_room`."""
  height, width = size
  if height * width * OPTIMIZED_BYTES <= room:
    return 1
  rows = max(MIN_BAND_ROWS, room // (width * OPTIMIZED_BYTES) - 2 * MARGIN)
  return max(1, -(-height // rows))


def check_descent(
  what: object, shape: tuple[int, ...], styles: Sequence[int], *, banded: bool
) -> None:
  """Raises InputError if the free memory isn't enough to optimize an image.

  Args:
    what: the image, for the message.
    shape: its shape, [H, W, ...].
    styles: number of pixels of each style.
    banded: whether the method works in bands.
  """
  if jax.default_backend() != "cpu":
    return
  rows = min(shape[0], MIN_BAND_ROWS + 2 * MARGIN) if banded else shape[0]
  needed = max(
    rows * shape[1] * OPTIMIZED_BYTES + _kept_bytes(shape, styles), sum(styles) * STYLE_BYTES
  )
  free = available_bytes()
  if needed > 0.9 * free:
    raise InputError(
      f"{what}: found {shape[1]}×{shape[0]} pixels, whose optimization takes about "
      f"{needed / 1e9:.1f} GB, expected at most the {free / 1e9:.1f} GB of memory that are free; "
      "--size scales it, --style-size its styles"
    )


def _kept_bytes(shape: tuple[int, ...], styles: Sequence[int]) -> int:
  """Bytes that stay allocated for the whole image and for the hypercolumns of its styles."""
  bank = sum(min(pixels, BANK_PIXELS) for pixels in styles)
  return shape[0] * shape[1] * PYRAMID_BYTES + bank * BANK_BYTES
