"""The memory that an image takes on its way from file to file, and whether it fits.

The figures are bytes per pixel, measured with `python -m benchmarks memory` and under memory
limits. They are rounded up, since XLA stops the process when it runs out of memory.
`stylejax.runtime.memory` tells how much is free.
"""

import jax

from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.runtime.memory import available_bytes

TILE_PIXELS = 1_000_000
"""Approximate number of the image's pixels in a tile, which are computed at once. With smaller
tiles more pixels are computed twice; larger ones take more memory."""

MIN_TILE_PIXELS = 40_000
"""In smaller tiles most of the computed pixels would be overlap."""

FILE_BYTES = 12
"""Bytes per pixel while a file is decoded or encoded: Pillow's image and two arrays."""

_COMPILING = 200 * 2**20  # bytes that compiling the programs of tiles takes, approximately


def whole_bytes(config: ModelConfig) -> int:
  """Bytes per pixel of an image that is stylized whole.

  About 10 maps of the finest level and 12 of the image's size exist at once.
  """
  return 4 * (10 * config.content_widths[0] // config.fold**2 + 12 * 3)


def sequence_bytes(config: ModelConfig) -> int:
  """Bytes per pixel of a frame in a sequence, including the previous and the next frame."""
  return whole_bytes(config) + 10 * FILE_BYTES


def fits(shape: tuple[int, ...], config: ModelConfig, *, images: int = 1) -> bool:
  """Whether this many images [H, W, 3] may be stylized whole at once; always on accelerators."""
  if jax.default_backend() != "cpu":
    return True
  return images * shape[0] * shape[1] * whole_bytes(config) < available_bytes() // 2


def check_fits(what: str, shape: tuple[int, ...], pixel_bytes: int, hint: str) -> None:
  """Raises InputError if an image that must be computed whole doesn't fit.

  Args:
    what: the image or the setting, for the message.
    shape: [H, W, ...].
    pixel_bytes: bytes per pixel, as from `whole_bytes`.
    hint: what to do about it, for the message.
  """
  needed, free = shape[0] * shape[1] * pixel_bytes, available_bytes()
  if jax.default_backend() == "cpu" and needed > 0.9 * free:
    raise InputError(
      f"{what}: found {shape[1]}×{shape[0]} pixels, which take about "
      f"{needed / 1e9:.1f} GB at once, expected at most the {free / 1e9:.1f} GB of "
      f"memory that are free; {hint}"
    )


def check_file(path: object, width: int, height: int) -> None:
  """Raises InputError if an image's decoded pixels alone don't fit."""
  needed, free = width * height * FILE_BYTES, available_bytes()
  if needed > 0.9 * free:
    raise InputError(
      f"{path}: found {width}×{height} pixels, which take about "
      f"{needed / 1e9:.1f} GB to decode, expected at most the {free / 1e9:.1f} GB "
      "of memory that are free"
    )


def leaves_room(pixels: int) -> bool:
  """Whether files with this many pixels may be decoded while another image is being stylized."""
  return pixels * FILE_BYTES < available_bytes() // 8


def tile_pixels(shape: tuple[int, ...], config: ModelConfig) -> int:
  """Pixels per tile with which an image [H, W, 3] fits, at most TILE_PIXELS.

  Raises:
    InputError: even the smallest tiles don't fit.
  """
  if jax.default_backend() != "cpu":
    return TILE_PIXELS
  free = available_bytes()
  # The output and the file need memory too, and two tiles are in progress at a time.
  room = 0.8 * (free - _COMPILING - shape[0] * shape[1] * FILE_BYTES)
  pixels = int(room) // (2 * whole_bytes(config))
  if pixels < min(MIN_TILE_PIXELS, shape[0] * shape[1]):
    raise InputError(
      f"memory: found {free / 1e9:.2f} GB free for an image of {shape[1]}×{shape[0]} pixels, "
      f"expected at least {(_needed(shape, config)) / 1e9:.2f} GB; --size scales it"
    )
  return min(TILE_PIXELS, pixels)


def _needed(shape: tuple[int, ...], config: ModelConfig) -> float:
  """Bytes that an image takes with the smallest tiles."""
  return (
    _COMPILING + shape[0] * shape[1] * FILE_BYTES + 2 * whole_bytes(config) * MIN_TILE_PIXELS / 0.8
  )
