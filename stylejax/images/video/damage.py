"""Whether a video file is whole, as its container's own lengths and checksums say.

FFmpeg goes on behind damage without a word, and takes the end of a cut file for the film's. Only
headers are looked at here, and what a checksum covers; packets are read in container.py.
"""

import mmap
import struct
import zlib
from pathlib import Path

# Matroska (RFC 9559) in EBML (RFC 8794): identifiers, of which the sizes are known beforehand.
_EBML, _SEGMENT, _CLUSTER, _CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xBF
_IN_SEGMENT = {
  0x114D9B74,  # SeekHead
  0x1549A966,  # Info
  0x1654AE6B,  # Tracks
  _CLUSTER,
  0x1C53BB6B,  # Cues
  0x1941A469,  # Attachments
  0x1043A770,  # Chapters
  0x1254C367,  # Tags
  0xEC,  # Void
  _CRC,
}
# Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock, Void
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, _CRC}


class _Damaged(Exception):
  """Carries what was found."""


def find_damage(path: Path) -> str | None:
  """What is wrong with a Matroska, WebM or AVI file, as the end of a sentence; None of a whole one.

  Other formats have no such lengths, or FFmpeg reports of them itself.
  """
  with open(path, "rb") as file:
    if file.seek(0, 2) < 16:
      return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
      try:
        if data[:4] == struct.pack(">I", _EBML):
          _check_matroska(data)
        elif data[:4] == b"RIFF" and data[8:11] == b"AVI":
          size = struct.unpack_from("<I", data, 4)[0] + 8
          if size > len(data):
            raise _cut(data, size)
      except _Damaged as damaged:
        return str(damaged)
  return None


def _cut(data: mmap.mmap, size: int) -> _Damaged:
  return _Damaged(f"is cut: {len(data):,} of its {size:,} bytes are there")


def _check_matroska(data: mmap.mmap) -> None:
  """Goes through the elements of a file; raises _Damaged at the first that can't be."""
  at, end = 0, len(data)
  while at < end:
    kind, start, size = _element(data, at)
    if kind == _SEGMENT:
      if size is not None and start + size > end:
        _check_segment(data, start, end, cut=start + size)
        raise _cut(data, start + size)
      _check_segment(data, start, end if size is None else start + size)
      return  # what stands behind it is no part of the film
    if size is None:
      return
    at = start + size


def _check_segment(data: mmap.mmap, at: int, end: int, cut: int | None = None) -> None:
  """Goes through a segment up to `end`; `cut` is where it should end."""
  while at < end:
    place = at
    try:
      kind, start, size = _element(data, at)
    except _Damaged:
      if cut:
        return
      raise
    if kind not in _IN_SEGMENT:
      raise _Damaged(f"is damaged at byte {place:,}")
    if size is not None and start + size > end:
      if cut:
        return
      raise _Damaged(f"is damaged or cut at byte {place:,}")
    if kind == _CLUSTER:
      at = _check_cluster(data, place, start, end if size is None else start + size, size is None)
    elif size is None:
      raise _Damaged(f"is damaged at byte {place:,}")
    else:
      at = start + size


def _check_cluster(data: mmap.mmap, place: int, at: int, end: int, unknown: bool) -> int:
  """Goes through a cluster at `place`; returns where it ends."""
  first = True
  while at < end:
    here = at
    kind, start, size = _element(data, at)
    if unknown and kind in _IN_SEGMENT - _IN_CLUSTER:
      return here  # the next element of the segment ends a cluster of unknown size
    if kind not in _IN_CLUSTER or size is None:
      raise _Damaged(f"is damaged at byte {here:,}")
    at = start + size
    if at > end:
      raise _Damaged(f"is {'cut' if unknown else 'damaged'} at byte {here:,}")
    if kind == _CRC and first and size == 4 and not unknown:
      (checksum,) = struct.unpack_from("<I", data, start)
      with memoryview(data) as view, view[at:end] as body:
        if zlib.crc32(body) != checksum:
          raise _Damaged(f"is damaged between bytes {place:,} and {end:,}")
    first = False
  return at


def _element(data: mmap.mmap, at: int) -> tuple[int, int, int | None]:
  """(identifier, first byte of the body, size or None if it is unknown) of the element at `at`."""
  try:
    width = 9 - data[at].bit_length()
    if width > 4:
      raise _Damaged(f"is damaged at byte {at:,}")
    kind = int.from_bytes(data[at : at + width], "big")
    body = at + width
    width = 9 - data[body].bit_length()
    if width > 8 or body + width > len(data):
      raise _Damaged(f"is damaged at byte {at:,}")
    size = int.from_bytes(data[body : body + width], "big") & (1 << 7 * width) - 1
  except IndexError:
    raise _Damaged(f"is cut inside the element at byte {at:,}") from None
  return kind, body + width, None if size == (1 << 7 * width) - 1 else size
