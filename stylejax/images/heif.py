"""HEIC and HEIF files (iPhones, many cameras), decoded by the package pillow-heif.

It is called for one file at a time; nothing is registered in Pillow.
"""

import io
from pathlib import Path

from PIL import Image

from stylejax.images.profiles import coded_by_cicp

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(file: Path | io.BytesIO) -> bool:
  """Whether the file's first bytes are those of HEIF (not AVIF, which Pillow recognizes)."""
  if isinstance(file, io.BytesIO):
    head = file.getvalue()[:12]
  else:
    with file.open("rb") as opened:
      head = opened.read(12)
  return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def open_heif(file: Path | io.BytesIO) -> Image.Image:
  """Opens the main image of a HEIF file lazily, with 8 bits a channel; libheif turns it upright.

  Raises:
    ImportError: pillow-heif isn't installed.
    Exception: whatever pillow-heif raises for a damaged file.
  """
  from pillow_heif import HeifImageFile

  image = HeifImageFile(file)
  codes = image.info.get("nclx_profile")
  if codes:
    image.info["nclx"] = coded_by_cicp(codes["color_primaries"], codes["transfer_characteristics"])
  return image
