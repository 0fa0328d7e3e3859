"""Checks whether a video file is whole, by its container's own lengths and checksums.

FFmpeg silently skips damage, and takes the end of a truncated file for the end of the video. Only
headers and what a checksum covers are read here; packets are read in container.py.
"""

import mmap
import struct
import zlib
from pathlib import Path

from stylejax.images.video.ebml import EBML, SEGMENT, TRACKS, Damaged, read_element

# Identifiers of Matroska (RFC 9559).
_CLUSTER, _CRC = 0x1F43B675, 0xBF
_INSEGMENT = {
  0x114D9B74,  # SeekHead
  0x1549A966,  # Info
  TRACKS,
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


def find_damage(path: Path) -> str | None:
  """What is wrong with a Matroska, WebM or AVI file, as the end of a sentence; None if nothing is.

  Other formats have no such lengths, or FFmpeg itself reports damage.
  """
  with open(path, "rb") as file:
    if file.seek(0, 2) < 16:
      return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
      try:
        if data[:4] == struct.pack(">I", EBML):
          _check_matroska(data)
        elif data[:4] == b"RIFF" and data[8:11] == b"AVI":
          size = struct.unpack_from("<I", data, 4)[0] + 8
          if size > len(data):
            raise _cut(data, size)
      except Damaged as damaged:
        return str(damaged)
  return None


def _cut(data: mmap.mmap, size: int) -> Damaged:
  return Damaged(f"is truncated: only {len(data):,} of its {size:,} bytes are there")


def _check_matroska(data: mmap.mmap) -> None:
  """Walks through the elements of a file; raises Damaged at the first invalid one."""
  at, end = 0, len(data)
  while at < end:
    kind, start, size = read_element(data, at)
    if kind == SEGMENT:
      if size is not None and start + size > end:
        _check_segment(data, start, end, cut=start + size)
        raise _cut(data, start + size)
      _check_segment(data, start, end if size is None else start + size)
      return  # what follows is not part of the video
    if size is None:
      return
    at = start + size


def _check_segment(data: mmap.mmap, at: int, end: int, cut: int | None = None) -> None:
  """Walks through a segment up to `end`; `cut` is where it should end if the file is truncated."""
  while at < end:
    place = at
    try:
      kind, start, size = read_element(data, at)
    except Damaged:
      if cut:
        return
      raise
    if kind not in _INSEGMENT:
      raise Damaged(f"is damaged at byte {place:,}")
    if size is not None and start + size > end:
      if cut:
        return
      raise Damaged(f"is damaged or truncated at byte {place:,}")
    if kind == _CLUSTER:
      at = _check_cluster(data, place, start, end if size is None else start + size, size is None)
    elif size is None:
      raise Damaged(f"is damaged at byte {place:,}")
    else:
      at = start + size


def _check_cluster(data: mmap.mmap, place: int, at: int, end: int, unknown: bool) -> int:
  """Walks through the cluster at `place`; returns where it ends."""
  first = True
  while at < end:
    here = at
    kind, start, size = read_element(data, at)
    if unknown and kind in _INSEGMENT - _IN_CLUSTER:
      return here  # a cluster of unknown size ends at the segment's next element
    if kind not in _IN_CLUSTER or size is None:
      raise Damaged(f"is damaged at byte {here:,}")
    at = start + size
    if at > end:
      raise Damaged(f"is {'truncated' if unknown else 'damaged'} at byte {here:,}")
    if kind == _CRC and first and size == 4 and not unknown:
      (checksum,) = struct.unpack_from("<I", data, start)
      with memoryview(data) as view, view[at:end] as body:
        if zlib.crc32(body) != checksum:
          raise Damaged(f"is damaged between bytes {place:,} and {end:,}")
    first = False
  return at
