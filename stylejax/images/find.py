"""Finding images in folders, by the extensions of the format table.

Nothing is opened here; what a folder holds beside images is counted and named, never dropped
without a word.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.files import printable

_NAMED = 3  # files that a note names; the others are counted


def find_images(
  paths: Iterable[str | os.PathLike], flag: str, *,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
  """Lists files as they are, and folders as the images in them and in the folders below.

  Args:
    paths: files or folders. A file may have any name: it is known by its bytes when it is read.
    flag: the setting's name for messages, for example "--content".
    on_note: called with one line for each folder that holds other files, too.

  Returns:
    Files in the order given, those of a folder sorted; none twice.

  Raises:
    InputError: a path is missing, or a folder holds no image.
  """
  found: dict[str, Path] = {}
  for name in paths:
    if not os.fspath(name):  # as from a variable that is not set; Path makes the folder "." of it
      raise InputError(f"{flag}: found an empty name, expected an image or a folder of images")
    path = Path(name)
    if os.path.isdir(path):  # unlike the path's own method also of a name that is too long
      files = list_images(path, flag=flag, on_note=on_note)
    elif os.path.lexists(path):
      files = [path]
    else:
      raise InputError(f"{flag}: found no file or folder {path}, expected an image or a folder of "
                       "images")
    for file in files:
      found.setdefault(os.path.realpath(file), file)
  return list(found.values())


def list_images(
  folder: str | os.PathLike, *, flag: str = "folder",
  rows: Sequence[formats.Format] = formats.READ_IMAGES,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
  """Lists the images of a folder and the folders in it.

  Hidden files and folders are left out, and a folder reached twice by links counts once. The
  order is that of the relative path's parts, the same on every machine.

  Args:
    folder: where to look.
    flag: what messages call the folder, for example "--content-dir".
    rows: the formats that are looked for.
    on_note: called with one line if the folder holds other files, too.

  Returns:
    The paths, sorted, at least one.

  Raises:
    InputError: no such folder, not a folder, or no image in it.
  """
  folder = Path(folder)
  if not folder.exists():
    raise InputError(f"{flag}: found no folder {folder}, expected a folder of images")
  if not folder.is_dir():
    raise InputError(f"{flag}: found the file {folder}, expected a folder of images")
  wanted = formats.suffixes(rows)
  found, others = [], []
  for path in files_below(folder, flag):
    (found if path.name.lower().endswith(wanted) else others).append(path)
  expected = formats.names(rows)
  if not found:
    among = f" among {len(others)} files ({_some(others)})" if others else ""
    raise InputError(f"{flag}: found no image in {folder}{among}, expected {expected} files")
  if others:
    on_note(f"{flag}: {len(others)} of {len(found) + len(others)} files left out, which are no "
            f"{expected} ({_some(others)})")
  return found


def _some(files: Sequence[Path]) -> str:
  """The first names, on one line."""
  more = ", …" if len(files) > _NAMED else ""
  return ", ".join(printable(path) for path in files[:_NAMED]) + more


def files_below(folder: Path, flag: str) -> list[Path]:
  """Lists the files of a folder and the folders in it that are not hidden, sorted.

  Raises:
    InputError: a folder can't be listed.
  """
  found = []
  visited = set()
  for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise(flag)):
    # Links may lead in circles; which way in comes first must not depend on the disk's order.
    folders[:] = sorted(name for name in folders if not name.startswith("."))
    status = os.stat(root)
    identity = status.st_dev, status.st_ino
    if identity in visited:
      folders.clear()
      continue
    visited.add(identity)
    found += [Path(root, name) for name in names if not name.startswith(".")]
  return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _raise(flag: str):
  """An error handler for os.walk, which otherwise passes over folders in silence."""

  def handler(error: OSError) -> None:
    reason = error.strerror or type(error).__name__
    raise InputError(
      f"{flag}: found the folder {error.filename} unreadable ({reason}), expected to list it"
    ) from error

  return handler
