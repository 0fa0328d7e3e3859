"""The boxes that make up JPEG 2000, AVIF, MP4 and QuickTime files (ISO/IEC 14496-12, 4.2)."""

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO


def boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
  """Yields (type, first byte of the body, first byte after it) of the boxes in file[at:end]."""
  while at + 8 <= end:
    file.seek(at)
    head = file.read(8)
    if len(head) < 8:
      return
    length, kind = struct.unpack(">I4s", head)
    start = at + 8
    if length == 1:
      length = int.from_bytes(file.read(8), "big")
      start += 8
    stop = end if length == 0 else min(at + length, end)
    if stop < start:
      return
    yield kind, start, stop
    at = stop


def descend(file: BinaryIO, path: Sequence[bytes], at: int, end: int) -> Iterator[tuple[int, int]]:
  """Yields (first byte of the body, first byte after it) of every box at a path of types."""
  for kind, start, stop in boxes(file, at, end):
    if kind == path[0]:
      if len(path) == 1:
        yield start, stop
      else:
        yield from descend(file, path[1:], start, stop)


def clean_aperture(body: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
  """(left, top, right, bottom) pixels that a `clap` box cuts off an image; None if it cuts nothing.

  Source: ISO/IEC 14496-12, 12.1.4: width, height and the center's offset are fractions.
  """
  if len(body) < 32:
    return None
  numbers = struct.unpack(">IIIIiIiI", body[:32])
  if not all(numbers[1::2]):
    return None
  wide, high, right, down = (numbers[n] / numbers[n + 1] for n in (0, 2, 4, 6))
  left = round((width - wide) / 2 + right)
  top = round((height - high) / 2 + down)
  cuts = (left, top, width - left - round(wide), height - top - round(high))
  fits = min(cuts) >= 0 and round(wide) > 0 and round(high) > 0
  return cuts if fits and any(cuts) else None
