"""Frame lengths of a folder of images, as a list in FFmpeg's "ffconcat version 1.0".

A folder of frames has no times of its own. `ffmpeg -i folder/frames.ffconcat` makes a video of it;
a later run of stylejax reads the list, too.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images.formats import TIMES_NAME

_HEADER = "ffconcat version 1.0"
_MICROSECONDS = 1_000_000


def write(folder: Path, names: Sequence[str], lengths: Sequence[Fraction]) -> None:
  """Writes the list into a folder.

  Args:
    folder: where the frames are.
    names: the names of their files, without spaces and quotes.
    lengths: seconds for each file, rounded to microseconds; rounding errors are carried over.
  """
  lines, seconds, written = [_HEADER], Fraction(0), 0
  for name, length in zip(names, lengths, strict=True):
    seconds += length
    step = round(seconds * _MICROSECONDS) - written
    written += step
    lines += [f"file {name}", f"duration {step // _MICROSECONDS}.{step % _MICROSECONDS:06d}"]
  (folder / TIMES_NAME).write_text("\n".join(lines) + "\n")


def read(folder: Path) -> dict[str, Fraction] | None:
  """Reads the seconds for each file by its name; None if there is no list.

  Raises:
    InputError: the list has an unexpected line, or a duration that is zero or without a file.
  """
  path = folder / TIMES_NAME
  if not path.is_file():
    return None
  lengths, name = {}, None
  for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
    word, _, value = line.strip().partition(" ")
    if word in ("", "ffconcat") or word.startswith("#"):
      continue
    if word == "file":
      name = value.strip("'\"")
      continue
    seconds = re.fullmatch(r"duration (\d{1,8}(?:\.\d{1,12})?)", line.strip(), re.ASCII)
    if name is None or seconds is None or not Fraction(seconds[1]):
      raise InputError(
        f"{path}, line {number}: found {line.strip()!r}, expected a file and then "
        "its duration in seconds"
      )
    lengths[name], name = Fraction(seconds[1]), None
  return lengths
