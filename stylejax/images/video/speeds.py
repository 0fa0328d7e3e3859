"""Detects edit lists in MP4 and QuickTime that change the speed, which FFmpeg ignores."""

import struct
from pathlib import Path

from stylejax.images.boxes import descend

_USUAL = 1 << 16  # rate 1 as a 16.16 fixed-point number


def has_other_speeds(path: Path) -> bool:
  """Whether an edit list has a rate other than 1; a rate of 0 holds one image.

  Source: ISO/IEC 14496-12, 8.6.6; QuickTime File Format, "Edit List Atom".
  """
  with open(path, "rb") as file:
    if file.read(8)[4:] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
      return False
    for start, end in descend(file, (b"moov", b"trak", b"edts", b"elst"), 0, file.seek(0, 2)):
      file.seek(start)
      body = file.read(min(end - start, 1 << 20))
      if len(body) < 8:
        continue
      entry = ">QqI" if body[0] == 1 else ">IiI"
      size = struct.calcsize(entry)
      (count,) = struct.unpack_from(">I", body, 4)
      for at in range(8, min(8 + count * size, len(body) - size + 1), size):
        length, begin, rate = struct.unpack_from(entry, body, at)
        if length and begin >= 0 and rate != _USUAL:
          return True
  return False
