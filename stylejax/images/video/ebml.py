"""The elements that make up Matroska and WebM files (EBML, RFC 8794; Matroska, RFC 9559)."""

import mmap
from collections.abc import Iterator, Sequence

EBML, SEGMENT, TRACKS = 0x1A45DFA3, 0x18538067, 0x1654AE6B
"""Identifiers of the file's header, the segment that follows it, and its list of tracks."""


class Damaged(Exception):
  """The bytes are not those of a valid file; the text is the end of a sentence about the file."""


def read_element(data: mmap.mmap, at: int) -> tuple[int, int, int | None]:
  """(identifier, first byte of the body, size or None if it is unknown) of the element at `at`.

  Raises:
    Damaged: there is no valid element.
  """
  try:
    width = 9 - data[at].bit_length()
    if width > 4:
      raise Damaged(f"is damaged at byte {at:,}")
    kind = int.from_bytes(data[at : at + width], "big")
    body = at + width
    width = 9 - data[body].bit_length()
    if width > 8 or body + width > len(data):
      raise Damaged(f"is damaged at byte {at:,}")
    size = int.from_bytes(data[body : body + width], "big") & (1 << 7 * width) - 1
  except IndexError:
    raise Damaged(f"is truncated inside the element at byte {at:,}") from None
  return kind, body + width, None if size == (1 << 7 * width) - 1 else size


def find_elements(
  data: mmap.mmap, path: Sequence[int], at: int, end: int
) -> Iterator[tuple[int, int]]:
  """Yields (first byte of the body, first byte after it) of each element at a path of types."""
  while at < end:
    kind, start, size = read_element(data, at)
    stop = end if size is None else min(start + size, end)
    if kind == path[0]:
      if len(path) == 1:
        yield start, stop
      else:
        yield from find_elements(data, path[1:], start, stop)
    at = stop
