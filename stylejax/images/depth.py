"""How many bits a channel a file stores, for formats that Pillow decodes to 8."""

import struct
from typing import Any

from PIL import Image

_BITS_PER_SAMPLE = 258  # a tag of TIFF 6.0


def stored_bits(form: str, head: bytes) -> int | None:
  """Bits a channel from the first bytes of a JPEG 2000 or AVIF file; None if they don't say.

  Sources: ISO/IEC 15444-1, A.5.1 (SIZ); ISO/IEC 23008-12, 6.5.6 (pixi).
  """
  if form == "JPEG2000":
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(head) < at + 46:
      return None
    (channels,) = struct.unpack_from(">H", head, at + 40)
    return max(((depth & 0x7F) + 1 for depth in head[at + 42 :][: 3 * channels : 3]), default=None)
  at = head.find(b"pixi")
  if at < 0 or len(head) < at + 9:
    return None
  return max(head[at + 9 :][: head[at + 8]], default=None)


def narrowed(image: Image.Image) -> list[str]:
  """A note, in a list, if an image stores more than the 8 bits a channel it is decoded to."""
  bits = image.info.get("stored_bits") or image.info.get("bit_depth")
  if image.format == "TIFF":
    tags: Any = image
    bits = tags.tag_v2.get(_BITS_PER_SAMPLE, 8)
    bits = max(bits) if isinstance(bits, tuple) else bits
  if image.format in ("TIFF", "JPEG2000", "AVIF", "HEIF") and (bits or 8) > 8:
    return [f"only the upper 8 of its {bits} bits per channel are read"]
  return []
