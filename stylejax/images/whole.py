"""Finds where an image file ends, by the lengths and markers in it; nothing is decoded."""

import mmap
import struct
from pathlib import Path

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Markers of a JPEG (ITU-T T.81, table B.1): the end, the start of a scan, and those without a body.
_END, _SCAN, _BARE = 0xD9, 0xDA, (0x01, *range(0xD0, 0xD9))


def is_cut(path: Path) -> bool:
  """Whether an image file is truncated; False if that can't be told from its format."""
  with path.open("rb") as file:
    if file.seek(0, 2) < 16:
      return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
      if data[:8] == _PNG:
        return _png_is_cut(data)
      if data[:3] == _JPEG:
        return jpeg_end(data) is None
      if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
  return False


def _png_is_cut(data: mmap.mmap) -> bool:
  """Whether a PNG is truncated in or before its pixels (third edition, section 5.3)."""
  at, pixels = len(_PNG), False
  while at + 8 <= len(data):
    length, kind = struct.unpack_from(">I4s", data, at)
    at += 12 + length
    if kind == b"IEND":
      return False
    pixels |= kind == b"IDAT"
    if at > len(data):
      return kind[0] & 0x20 == 0 or not pixels
  return not pixels


def jpeg_end(data: bytes | mmap.mmap) -> int | None:
  """The first byte after the JPEG that `data` begins with; None if it has no end (T.81, B)."""
  at = 2
  while at + 4 <= len(data):
    if data[at] != 0xFF:  # not a marker: damaged in another way
      return _behind_mark(data, at)
    marker = data[at + 1]
    if marker == _END:
      return at + 2
    if marker == 0xFF or marker in _BARE:  # a fill byte, or a marker without a body
      at += 1 if marker == 0xFF else 2
      continue
    at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    if marker == _SCAN:
      # In entropy-coded data, FF is followed by 00 or a restart marker; any other is a marker.
      while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] and not 0xD0 <= data[at + 1] <= 0xD7 and data[at + 1] != 0xFF:
          break
        at += 1 if data[at + 1] == 0xFF else 2
      if at < 0 or at + 1 >= len(data):
        return None
  return at + 2 if data[at : at + 2] == b"\xff\xd9" else None


def _behind_mark(data: bytes | mmap.mmap, at: int) -> int | None:
  end = data.find(b"\xff\xd9", at)
  return None if end < 0 else end + 2
