"""The crop that a container asks players to apply, which PyAV doesn't pass on.

It is Matroska's PixelCrop or the clean aperture of MP4 and QuickTime; reader.py crops the frames.
"""

import mmap
from pathlib import Path

from stylejax.images.boxes import boxes, clean_aperture, descend
from stylejax.images.video.ebml import EBML, SEGMENT, TRACKS, Damaged, find_elements

# Matroska (RFC 9559): elements of a track, and the crop at the left, top, right and bottom.
_TRACK, _TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_IS_VIDEO = 1
_SAMPLE_ENTRY = 78  # bytes of a VisualSampleEntry before its boxes (ISO/IEC 14496-12, 12.1.3)


def find_crop(path: Path, number: int, width: int, height: int) -> tuple[int, ...] | None:
  """(left, top, right, bottom) pixels to cut off stored frames; None if nothing is cut off.

  Args:
    path: the video.
    number: which video track, counted from 0.
    width: the width of stored frames, in pixels.
    height: the height of stored frames, in pixels.
  """
  with open(path, "rb") as file:
    head = file.read(12)
    if head[:4] == EBML.to_bytes(4, "big"):
      with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        crop = _matroska(data, number)
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
      crop = _clap(file, file.seek(0, 2), number, width, height)
    else:
      return None
  if crop is None or not any(crop) or crop[0] + crop[2] >= width or crop[1] + crop[3] >= height:
    return None
  return crop


def _matroska(data: mmap.mmap, number: int) -> tuple[int, ...] | None:
  def whole(element: tuple[int, int] | None) -> int:
    return int.from_bytes(data[element[0] : element[1]], "big") if element else 0

  try:
    for start, end in find_elements(data, (SEGMENT, TRACKS), 0, len(data)):
      tracks = [
        span
        for span in find_elements(data, (_TRACK,), start, end)
        if whole(next(find_elements(data, (_TYPE,), *span), None)) == _IS_VIDEO
      ]
      if number < len(tracks):
        return tuple(
          whole(next(find_elements(data, (_VIDEO, crop), *tracks[number]), None)) for crop in _CROPS
        )
  except Damaged:  # damage.py reports it
    pass
  return None


def _clap(file, size: int, number: int, width: int, height: int) -> tuple[int, ...] | None:
  tracks = []
  for span in descend(file, (b"moov", b"trak", b"mdia"), 0, size):
    for start, _ in descend(file, (b"hdlr",), *span):
      file.seek(start + 8)
      if file.read(4) == b"vide":
        tracks.append(span)
  if number >= len(tracks):
    return None
  for start, end in descend(file, (b"minf", b"stbl", b"stsd"), *tracks[number]):
    for _, entry, behind in boxes(file, start + 8, end):
      for first, last in descend(file, (b"clap",), entry + _SAMPLE_ENTRY, behind):
        file.seek(first)
        return clean_aperture(file.read(last - first), width, height)
  return None
