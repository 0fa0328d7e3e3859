"""HEIC and HEIF files (iPhones, many cameras), which the package pillow-heif decodes.

It is asked for one file at a time: nothing is registered in Pillow.
"""

import io
from pathlib import Path

from PIL import Image

from stylejax.images.profiles import coded_by_cicp

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(file: Path | io.BytesIO) -> bool:
  """Whether the file's first bytes say that it is HEIF (and not AVIF, which is told by Pillow)."""
  if isinstance(file, io.BytesIO):
    head = file.getvalue()[:12]
  else:
    with file.open("rb") as opened:
      head = opened.read(12)
  return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def open_heif(file: Path | io.BytesIO) -> Image.Image:
  """The main image of a HEIF file, 8 bits a channel, not decoded yet; libheif turns it upright.

  Raises:
    ImportError: pillow-heif isn't installed.
    Exception: whatever pillow-heif meets in a damaged file.
  """
  from pillow_heif import HeifImageFile

  image = HeifImageFile(file)
  codes = image.info.get("nclx_profile")
  if codes:
    image.info["nclx"] = coded_by_cicp(codes["color_primaries"], codes["transfer_characteristics"])
  return image
