"""What an image costs in memory on its way from file to file, and what fits into what is free.

The figures are bytes a pixel, measured with `python -m benchmarks memory` and under limits, and
rounded up: where memory ends XLA stops the process, so too much is asked for rather than too
little. How much is free is asked of `stylejax.runtime.memory`.
"""

import jax

from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.runtime.memory import available_bytes

TILE_PIXELS = 1_000_000
"""Pixels of the image in a tile, about: what is computed at once. Of smaller tiles more pixels
are computed twice, larger ones take more memory."""

MIN_TILE_PIXELS = 40_000
"""Below this most of what is computed are the seams of tiles."""

FILE_BYTES = 12
"""Bytes a pixel while a file is decoded or encoded: Pillow's image, an array, and another."""

_COMPILING = 200 * 2**20  # bytes that compiling the programs of tiles takes, about


def whole_bytes(config: ModelConfig) -> int:
  """Bytes a pixel of an image that is stylized whole.

  About 10 maps of the finest level and 12 of the image's own at once.
  """
  return 4 * (10 * config.content_widths[0] // config.fold**2 + 12 * 3)


def sequence_bytes(config: ModelConfig) -> int:
  """Bytes a pixel of a frame of a sequence: there are the frame before and the next one, too."""
  return whole_bytes(config) + 10 * FILE_BYTES


def fits(shape: tuple[int, ...], config: ModelConfig, *, images: int = 1) -> bool:
  """Whether so many images [H, W, 3] may be stylized whole at once; an accelerator says itself."""
  if jax.default_backend() != "cpu":
    return True
  return images * shape[0] * shape[1] * whole_bytes(config) < available_bytes() // 2


def check_fits(what: str, shape: tuple[int, ...], pixel_bytes: int, hint: str) -> None:
  """Raises InputError where an image must be computed whole and doesn't fit.

  Args:
    what: the image or the setting, for the message.
    shape: [H, W, ...].
    pixel_bytes: bytes a pixel, as `whole_bytes`.
    hint: what to do about it.
  """
  needed, free = shape[0] * shape[1] * pixel_bytes, available_bytes()
  if jax.default_backend() == "cpu" and needed > 0.9 * free:
    raise InputError(
      f"{what}: found {shape[1]}×{shape[0]} pixels, which take about "
      f"{needed / 1e9:.1f} GB at once, expected at most the {free / 1e9:.1f} GB of "
      f"memory that are free; {hint}"
    )


def check_file(path: object, width: int, height: int) -> None:
  """Raises InputError for an image whose decoded pixels alone don't fit."""
  needed, free = width * height * FILE_BYTES, available_bytes()
  if needed > 0.9 * free:
    raise InputError(
      f"{path}: found {width}×{height} pixels, which take about "
      f"{needed / 1e9:.1f} GB to decode, expected at most the {free / 1e9:.1f} GB "
      "of memory that are free"
    )


def leaves_room(pixels: int) -> bool:
  """Whether files of so many pixels may be decoded while another image is being stylized."""
  return pixels * FILE_BYTES < available_bytes() // 8


def tile_pixels(shape: tuple[int, ...], config: ModelConfig) -> int:
  """Pixels of tiles in which an image [H, W, 3] fits, at most TILE_PIXELS.

  Raises:
    InputError: even the smallest tiles don't fit.
  """
  if jax.default_backend() != "cpu":
    return TILE_PIXELS
  free = available_bytes()
  # Its output and its file come on top, and two tiles are on their way at a time.
  room = 0.8 * (free - _COMPILING - shape[0] * shape[1] * FILE_BYTES)
  pixels = int(room) // (2 * whole_bytes(config))
  if pixels < min(MIN_TILE_PIXELS, shape[0] * shape[1]):
    raise InputError(
      f"memory: found {free / 1e9:.2f} GB free for an image of {shape[1]}×{shape[0]} pixels, "
      f"expected at least {(_needed(shape, config)) / 1e9:.2f} GB; --size scales it"
    )
  return min(TILE_PIXELS, pixels)


def _needed(shape: tuple[int, ...], config: ModelConfig) -> float:
  """Bytes that the smallest tiles take."""
  return (
    _COMPILING + shape[0] * shape[1] * FILE_BYTES + 2 * whole_bytes(config) * MIN_TILE_PIXELS / 0.8
  )
