"""Properties of the main image of an AVIF file that its decoder doesn't pass on.

Source: ISO/IEC 23008-12 (HEIF), 6.5 and 9.3; boxes are parsed in boxes.py.
"""

import struct
from typing import BinaryIO

from stylejax.images.boxes import boxes, clean_aperture, descend


def cut_and_pixels(
  file: BinaryIO, width: int, height: int
) -> tuple[tuple[int, int, int, int] | None, tuple[int, int] | None]:
  """Reads the main image's properties `clap` (crop) and `pasp` (pixel shape).

  Args:
    file: an opened AVIF file.
    width: the stored image's width, in pixels.
    height: the stored image's height, in pixels.

  Returns:
    ((left, top, right, bottom) pixels to cut off, or None; (width, height) of a pixel, or None if
    they are equal).
  """
  cut = pixels = None
  for kind, body in _main_properties(file):
    if kind == b"clap":
      cut = clean_aperture(body, width, height)
    elif kind == b"pasp" and len(body) >= 8:
      wide, high = struct.unpack(">II", body[:8])
      pixels = (wide, high) if wide and high and wide != high else None
  return cut, pixels


def _main_properties(file: BinaryIO) -> list[tuple[bytes, bytes]]:
  """(type, body) of the properties of the main image."""

  def body(start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)

  end = file.seek(0, 2)
  for start, stop in descend(file, (b"meta",), 0, end):
    inside = start + 4, stop  # version and flags come first
    main = next((body(*span) for span in descend(file, (b"pitm",), *inside)), b"")
    for first, last in descend(file, (b"iprp", b"ipco"), *inside):
      listed = [(kind, body(*span)) for kind, *span in boxes(file, first, last)]
      numbers = [
        number
        for span in descend(file, (b"iprp", b"ipma"), *inside)
        for number in _associated(body(*span), int.from_bytes(main[4:], "big"))
      ]
      return [listed[number - 1] for number in numbers if 0 < number <= len(listed)]
  return []


def _associated(ipma: bytes, item: int) -> list[int]:
  """Numbers, starting at 1, of the properties that an `ipma` box assigns to an item."""
  if len(ipma) < 8:
    return []
  wide = 2 if ipma[3] & 1 else 1
  identifier = 4 if ipma[0] else 2
  at, properties = 8, []
  while at + identifier < len(ipma):
    name = int.from_bytes(ipma[at : at + identifier], "big")
    count = ipma[at + identifier]
    at += identifier + 1
    numbers = [
      int.from_bytes(ipma[place : place + wide], "big") & (1 << 8 * wide - 1) - 1
      for place in range(at, at + wide * count, wide)
    ]
    properties += numbers if name == item else []
    at += wide * count
  return properties
