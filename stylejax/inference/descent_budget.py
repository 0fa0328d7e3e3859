"""What optimizing the pixels of an image takes of memory, and what fits into what is free.

Apart from `budget`, since what is known here of VGG16 needs modules that take time to import.
"""

from collections.abc import Sequence

import jax

from stylejax.errors import InputError
from stylejax.optimization.hypercolumns import STRIDE
from stylejax.optimization.targets import BANK_PLACES
from stylejax.optimization.tiles import MARGIN
from stylejax.runtime.memory import available_bytes

OPTIMIZED_BYTES = 6_600
"""Bytes a pixel that is optimized at once: VGG16's maps, their gradients, hypercolumns."""

PYRAMID_BYTES = 250
"""Bytes a pixel of the whole image while it is optimized: its pyramid, Adam's moments."""

BANK_BYTES = 1_400
"""Bytes a pixel of a style, beside that: its hypercolumns, at most those of BANK_PIXELS."""

BANK_PIXELS = BANK_PLACES * STRIDE**2

STYLE_BYTES = 1_150
"""Bytes a pixel of all styles, before that: VGG16's maps."""

MIN_BAND_ROWS = 64
"""Rows of the smallest bands in which pixels are optimized."""


def descent_room(
  shape: tuple[int, ...], styles: Sequence[int], *, tile_pixels: int | None = None
) -> int:
  """Bytes that what is optimized at once may take, of an image [H, W, ...].

  Args:
    shape: of the content.
    styles: pixels of each style.
    tile_pixels: of a band; None: as many as fit into half of the memory that is free.
  """
  if tile_pixels is not None:
    return tile_pixels * OPTIMIZED_BYTES
  if jax.default_backend() != "cpu":
    return 2**62
  return max(0, available_bytes() // 2 - _kept_bytes(shape, styles))


def bands(size: tuple[int, int], room: int) -> int:
  """Into how many bands of rows an image of (H, W) is divided for such a `descent_room`."""
  height, width = size
  if height * width * OPTIMIZED_BYTES <= room:
    return 1
  rows = max(MIN_BAND_ROWS, room // (width * OPTIMIZED_BYTES) - 2 * MARGIN)
  return max(1, -(-height // rows))


def check_descent(
  what: object, shape: tuple[int, ...], styles: Sequence[int], *, banded: bool
) -> None:
  """Raises InputError where an image [H, W, ...] can't be optimized in what is free.

  Args:
    what: the image, for the message.
    shape: its.
    styles: pixels of each style.
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
  """Of the whole image and of what its styles offer."""
  bank = sum(min(pixels, BANK_PIXELS) for pixels in styles)
  return shape[0] * shape[1] * PYRAMID_BYTES + bank * BANK_BYTES
