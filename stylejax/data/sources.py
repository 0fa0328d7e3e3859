"""What is on disk: picture files in folders, and a source that reads them by number.

Lives here: listing, the check at startup, and how an unreadable file is replaced. Not here:
decoding one file (pictures.py), crops (transforms.py), order and batches (pipeline.py).
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from stylejax.data.pictures import decode_image
from stylejax.errors import InputError

_TRAINING_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A file that could not be read: its path and the reason, one line each."""

  path: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Example:
  """One decoded file of a source.

  Attributes:
    image: upright, mode RGB.
    index: position in the source of the file that was read.
    skipped: the unreadable files that stood before it, in order.
  """

  image: Image.Image
  index: int
  skipped: tuple[Skipped, ...] = ()


def find_pictures(folder: str | os.PathLike, *, flag: str = "folder") -> list[Path]:
  """Lists the JPEG, PNG and WebP files of a folder and the folders in it.

  Hidden files and folders are left out, and a folder reached twice by links counts once. The
  order is that of the relative path's parts, the same on every machine.

  Args:
    folder: where to look.
    flag: what the message calls the folder, for example "--content-dir".

  Returns:
    The paths, sorted, at least one.

  Raises:
    InputError: no such folder, not a folder, or no picture in it.
  """
  folder = Path(folder)
  if not folder.exists():
    raise InputError(f"{flag}: found no folder {folder}, expected a folder of pictures")
  if not folder.is_dir():
    raise InputError(f"{flag}: found the file {folder}, expected a folder of pictures")
  found = []
  visited = set()
  for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise(flag)):
    # Links may lead in circles; which way in comes first must not depend on the disk's order.
    folders[:] = sorted(name for name in folders if not name.startswith("."))
    if os.path.realpath(root) in visited:
      folders.clear()
      continue
    visited.add(os.path.realpath(root))
    found += [
      Path(root, name)
      for name in names
      if not name.startswith(".") and name.lower().endswith(_TRAINING_SUFFIXES)
    ]
  if not found:
    raise InputError(f"{flag}: found no picture in {folder}, expected JPEG, PNG or WebP files")
  return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _raise(flag: str):
  """An error handler for os.walk, which otherwise passes over folders in silence."""

  def handler(error: OSError) -> None:
    reason = error.strerror or type(error).__name__
    raise InputError(
      f"{flag}: found the folder {error.filename} unreadable ({reason}), expected to list it"
    ) from error

  return handler


def require_readable(paths: Sequence[Path], flag: str) -> None:
  """Checks that at least one file decodes, and stops at the first that does.

  Args:
    paths: the files, in the order to try.
    flag: what the message calls them, for example "--content-dir".

  Raises:
    InputError: none of them can be read.
  """
  reason = "no files"
  for path in paths:
    try:
      decode_image(path, min_side=1)
      return
    except InputError as error:
      reason = str(error)
  raise InputError(
    f"{flag}: found {len(paths)} files and none readable (the last: {reason}), "
    "expected at least one readable picture"
  )


class PictureSource:
  """Grain's random-access source over picture files, which never fails on a bad file.

  An unreadable file is replaced by the next readable one in index order (after the last comes
  the first), so what is read at an index depends on the files only.
  """

  def __init__(self, paths: Sequence[str | os.PathLike], *, min_side: int | None = None):
    """Keeps the list; opens nothing.

    Args:
      paths: the files.
      min_side: as in pictures.decode_image, in pixels.

    Raises:
      InputError: the list is empty.
    """
    if not len(paths):
      raise InputError("pictures: found an empty list, expected at least one file")
    self._paths = [str(path) for path in paths]
    self._min_side = min_side
    # Which files are bad is remembered, to read each of them once; results don't depend on it.
    self._bad: dict[int, Skipped] = {}

  def __len__(self) -> int:
    """The number of files, readable or not."""
    return len(self._paths)

  def __repr__(self) -> str:
    return f"PictureSource({len(self._paths)} files, min_side={self._min_side})"

  def __getitem__(self, index: int) -> Example:
    """Reads the file at an index, or the next one that can be read.

    Raises:
      InputError: not one file of the source can be read.
    """
    skipped = []
    for offset in range(len(self._paths)):
      position = (int(index) + offset) % len(self._paths)
      if position not in self._bad:
        path = self._paths[position]
        try:
          return Example(decode_image(path, min_side=self._min_side), position, tuple(skipped))
        except InputError as error:
          self._bad[position] = Skipped(path, str(error).removeprefix(f"{path}: "))
      skipped.append(self._bad[position])
    raise InputError(
      f"{self._paths[0]} and {len(self._paths) - 1} more: found no readable picture, "
      f"expected at least one (the last: {skipped[-1].reason})"
    )
