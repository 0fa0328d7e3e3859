"""Finds images in folders by the extensions in the format table.

No file is opened here. Other files in a folder are counted and reported, never dropped silently.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.files import printable, real_paths

_NAMED = 3  # how many files a note names; the others are counted


def find_images(
  paths: Iterable[str | os.PathLike],
  flag: str,
  *,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
  """Lists the given files, and the images in the given folders and their subfolders.

  Args:
    paths: files or folders. A file may have any name: its format is recognized by its bytes later.
    flag: the setting's name for messages, for example "--content".
    on_note: called with one line for each folder that also holds other files.

  Returns:
    The files in the order given, those of a folder sorted, without duplicates.

  Raises:
    InputError: a path is missing, or a folder holds no image.
  """
  by_stem: dict[str, Path] = {}
  for name in paths:
    if not os.fspath(name):  # such as an unset variable; Path would turn it into the folder "."
      raise InputError(f"{flag}: found an empty name, expected an image or a folder of images")
    path = Path(name)
    if os.path.isdir(path):  # unlike Path.is_dir, it also accepts a name that is too long
      files = list_images(path, flag=flag, on_note=on_note)
    elif os.path.lexists(path):
      files = [path]
    else:
      raise InputError(
        f"{flag}: found no file or folder {path}, expected an image or a folder of images"
      )
    for file, real in zip(files, real_paths(files), strict=True):
      by_stem.setdefault(real, file)
  return list(by_stem.values())


def list_images(
  folder: str | os.PathLike,
  *,
  flag: str = "folder",
  rows: Sequence[formats.Format] = formats.READ_IMAGES,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
  """Lists the images in a folder and its subfolders.

  Hidden files and folders are left out, and a folder reached twice through links counts once. Paths
  are sorted by the parts of their relative path, so the order is the same on every machine.

  Args:
    folder: where to look.
    flag: what messages call the folder, for example "--content-dir".
    rows: the formats to look for.
    on_note: called with one line if the folder also holds other files.

  Returns:
    The sorted paths, at least one.

  Raises:
    InputError: no such folder, not a folder, or no image in it.
  """
  folder = Path(folder)
  if not folder.exists():
    raise InputError(f"{flag}: found no folder {folder}, expected a folder of images")
  if not folder.is_dir():
    raise InputError(f"{flag}: found the file {folder}, expected a folder of images")
  wanted = formats.suffixes(rows)
  images: list[Path] = []
  others: list[Path] = []
  for path in files_below(folder, flag):
    if path.name != formats.TIMES_NAME:  # it belongs to the frames
      (images if path.name.lower().endswith(wanted) else others).append(path)
  expected = formats.names(rows)
  if not images:
    among = f" among {len(others)} files ({_some(others)})" if others else ""
    raise InputError(f"{flag}: found no image in {folder}{among}, expected {expected} files")
  if others:
    on_note(
      f"{flag}: {len(others)} of {len(images) + len(others)} files left out, which are not "
      f"{expected} ({_some(others)})"
    )
  return images


def _some(files: Sequence[Path]) -> str:
  """The names of the first few files, on one line."""
  more = ", …" if len(files) > _NAMED else ""
  return ", ".join(printable(path) for path in files[:_NAMED]) + more


def files_below(folder: Path, flag: str) -> list[Path]:
  """Lists the files in a folder and its subfolders, sorted, except hidden ones.

  Raises:
    InputError: a folder can't be listed.
  """
  files, visited, waiting = [], set(), [Path(folder)]
  while waiting:  # os.walk recurses on Python 3.11, and folders may be nested a thousand deep
    place = waiting.pop()
    try:
      status = os.stat(place)
      # Links may lead in circles.
      if (identity := (status.st_dev, status.st_ino)) in visited:
        continue
      visited.add(identity)
      with os.scandir(place) as listing:
        entries = [(entry.name, entry.is_dir()) for entry in listing if entry.name[0] != "."]
    except OSError as error:
      reason = error.strerror or type(error).__name__
      raise InputError(
        f"{flag}: found the folder {place} unreadable ({reason}), expected to list it"
      ) from error
    # Sorted, so that the first path into a cycle of links doesn't depend on the disk's order.
    entries.sort()
    files += [place / name for name, is_folder in entries if not is_folder]
    waiting += [place / name for name, is_folder in reversed(entries) if is_folder]
  return sorted(files, key=lambda path: path.relative_to(folder).parts)
