"""The transparency of a BMP with 16 bits a pixel, the only part that Pillow 13.0 doesn't read."""

import struct
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

_HEADER = 14  # bytes of BITMAPFILEHEADER
_BIT_FIELDS = 3
_WITH_ALPHA = 56  # bytes of the shortest header with an alpha mask


def alpha_of_16_bits(image: ImageFile) -> Image.Image | None:
  """Alpha of an opened BMP that isn't decoded yet; None unless it has 16 bits and an alpha mask.

  Source: Microsoft's BITMAPV4HEADER, bV4AlphaMask.
  """
  file = image.fp
  if file is None or image.format != "BMP" or not image.tile or image.tile[0].codec_name != "raw":
    return None
  at = file.tell()
  try:
    file.seek(0)
    header = file.read(_HEADER + _WITH_ALPHA)
    if len(header) < _HEADER + _WITH_ALPHA:
      return None
    (size,) = struct.unpack_from("<I", header, _HEADER)
    bits, compression = struct.unpack_from("<HI", header, _HEADER + 14)
    (mask,) = struct.unpack_from("<I", header, _HEADER + 52)
    if size < _WITH_ALPHA or bits != 16 or compression != _BIT_FIELDS or not mask:
      return None
    stride, direction = _rows(image.tile[0].args)
    width, height = image.size
    file.seek(image.tile[0].offset)
    rows = np.frombuffer(file.read(stride * height), "<u2").reshape(height, stride // 2)
  finally:
    file.seek(at)
  lowest = mask & -mask
  levels = (rows[:, :width] & mask) // lowest * (255 / (mask // lowest))
  return Image.fromarray(np.rint(levels[::direction]).astype(np.uint8))


def _rows(arguments: Any) -> tuple[int, int]:
  """(bytes of a row, -1 if the bottom row comes first, else 1), from Pillow's decoder arguments."""
  _, stride, direction = arguments
  return stride, direction
