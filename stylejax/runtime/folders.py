"""Fills folders atomically, and never removes files that stylejax didn't write.

A folder filled by stylejax contains a hidden list of its files. It tells a later run which files it
may replace; all others are never touched. Single files are written in files.py.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from stylejax.errors import InputError
from stylejax.runtime.files import check_writable, naming, printable, replacing
from stylejax.runtime.locks import locked
from stylejax.runtime.temporary import is_temporary, temporary_path

LIST_NAME = ".stylejax-files.json"
"""Name of the hidden list in a folder: [name, size in bytes, modification time] of each file."""

_LITTER = frozenset({LIST_NAME, ".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"})
_LOCK = "filled"
_CLOCK_STEP = 2.0  # seconds; the resolution of times on some file systems


def check_folder(path: Path, what: str, *, replaces: bool) -> int:
  """Raises unless `filling` may put files into a folder.

  Args:
    path: the folder, which may be missing if its parent exists.
    what: the name of the setting for the message, such as "output".
    replaces: whether files of an earlier run may be there.

  Returns:
    How many files of an earlier run will be replaced.

  Raises:
    InputError: `path` is a file or can't be written to, or it contains files that no earlier run
      wrote or that have changed since.
  """
  if not os.path.isdir(path):
    if os.path.lexists(path) and not os.path.islink(path):
      raise InputError(f"{what} {path}: found a file, expected a new or empty folder")
    check_writable(path, what)
    return 0
  if not os.access(path, os.W_OK | os.X_OK):
    raise InputError(
      f"{what} folder {path}: found no permission to write, expected a writable folder"
    )
  return len(_files_to_replace(path, what, replaces))


@contextlib.contextmanager
def making(folders: Iterable[Path], what: str) -> Iterator[None]:
  """Creates missing folders, and removes those that are empty if the block raises.

  Raises:
    InputError: a folder can't be created.
  """
  made = []
  try:
    for folder in folders:
      missing = [folder]
      while not missing[-1].parent.is_dir() and missing[-1] != missing[-1].parent:
        missing.append(missing[-1].parent)
      for path in reversed(missing):
        if not path.is_dir():
          try:
            path.mkdir(exist_ok=True)
          except OSError as error:
            raise InputError(
              f"{what} folder {path}: found {error.strerror}, expected a folder that can be made"
            ) from error
          made.append(path)
    yield
  except BaseException:
    for path in reversed(made):
      with contextlib.suppress(OSError):  # not empty: finished files stay
        path.rmdir()
    raise


@contextlib.contextmanager
def filling(path: Path, what: str, *, replaces: bool) -> Iterator[Path]:
  """Yields an empty folder to fill, and moves its files to `path` on success.

  A missing folder is created by one rename, complete or not at all. An existing one gets the files
  when all are written, and then loses files of an earlier run that have no new file of the same
  name. If the block raises, it stays as it was.

  Args:
    path: a folder that `check_folder` accepted.
    what: the name of the setting for the message, such as "output".
    replaces: as for `check_folder`; if true, the folder gets a list of its files.

  Raises:
    InputError: other files have appeared in the folder since the check.
  """
  target = Path(os.path.realpath(path))
  # Inside an existing folder: it may be a separate volume, and its parent may be read-only.
  unfinished = temporary_path(target if target.is_dir() else target.parent)
  with naming(target):
    unfinished.mkdir()
    try:
      yield unfinished
      if unfinished.parent != target and replaces:
        _write_list(unfinished, _listed_now(unfinished))
      if unfinished.parent == target or not _renamed(unfinished, target):
        with locked(target / _LOCK, what):
          _move(unfinished, target, what, replaces)
    finally:
      shutil.rmtree(unfinished, ignore_errors=True)


def _renamed(unfinished: Path, target: Path) -> bool:
  """Renames the folder to `target`; False if a folder with files is there by now."""
  try:
    os.rename(unfinished, target)
  except OSError:
    if not target.is_dir():
      raise
    return False
  return True


def _move(unfinished: Path, target: Path, what: str, replaces: bool) -> None:
  """Moves the files one by one; at any time, each name refers to a complete file, old or new."""
  old = _files_to_replace(target, what, replaces)
  (unfinished / LIST_NAME).unlink(missing_ok=True)
  new = _listed_now(unfinished)
  if replaces:  # if the process is killed midway, the next run may replace the folder
    _write_list(target, [*old, *new])
  for name, *_ in new:
    os.replace(unfinished / name, target / name)
  for name in {name for name, *_ in old} - {name for name, *_ in new}:
    (target / name).unlink(missing_ok=True)
  if replaces:
    _write_list(target, new)


def _files_to_replace(folder: Path, what: str, replaces: bool) -> list[list]:
  """The entries of an earlier run in a folder; raises InputError if it contains anything else."""
  known: dict[str, list[tuple[int, float]]] = {}
  for name, size, written in _read_list(folder) if replaces else ():
    known.setdefault(name, []).append((size, written))
  ours: list[list] = []
  others: list[list] = []
  for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
    if entry.name in _LITTER or is_temporary(entry.name) or entry.name == f".{_LOCK}.lock":
      continue
    listed = _entry(entry)
    alike = any(
      listed[1] == size and abs(listed[2] - written) <= _CLOCK_STEP
      for size, written in known.get(entry.name, ())
    )
    (ours if alike and entry.is_file(follow_symlinks=False) else others).append(listed)
  if others:
    names = ", ".join(printable(name) for name, *_ in others[:3])
    names += ", ..." if len(others) > 3 else ""
    whose = "that no earlier run wrote" if replaces else "in it"
    raise InputError(
      f"{what} folder {folder}: found {len(others)} "
      f"file{'s' * (len(others) > 1)} {whose} ({names}), expected a new or empty "
      "folder"
    )
  return ours


def _listed_now(folder: Path) -> list[list]:
  return [_entry(entry) for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)]


def _entry(entry: os.DirEntry) -> list:
  status = entry.stat(follow_symlinks=False)
  return [entry.name, status.st_size, status.st_mtime]


def _write_list(folder: Path, entries: list[list]) -> None:
  with replacing(folder / LIST_NAME) as temporary:
    temporary.write_text(json.dumps({"stylejax": 1, "files": entries}))


def _read_list(folder: Path) -> list[tuple[str, int, float]]:
  """The entries of the folder's list; empty if there is none or it can't be read."""
  try:
    saved = json.loads((folder / LIST_NAME).read_text())
    return [(str(name), int(size), float(written)) for name, size, written in saved["files"]]
  except (OSError, ValueError, KeyError, TypeError, RecursionError):
    return []
