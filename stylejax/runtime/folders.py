"""Filling a folder so that it is whole or as it was before, and never emptying anybody else's.

A folder that stylejax filled holds a hidden list of its files. With it a later run tells its own
files, which it may replace, from all others, which it never touches. Single files: files.py.
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
"""The hidden list in a folder: [name, bytes, time of the last write] of each file."""

_LITTER = frozenset({LIST_NAME, ".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"})
_LOCK = "filled"
_CLOCK_STEP = 2.0  # seconds; some file systems keep no finer times


def check_folder(path: Path, what: str, *, replaces: bool) -> int:
  """Raises unless `filling` may put files there.

  Args:
    path: the folder, which may be missing; then the one above must be there.
    what: the name of the setting for the message, as "output".
    replaces: whether files of an earlier run may be there.

  Returns:
    How many files of an earlier run will be replaced.

  Raises:
    InputError: `path` is a file or can't be written to, or there are files in it that no earlier
      run wrote, or that were changed since.
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
  """Makes the folders that are missing, and takes those away that are empty after an error.

  Raises:
    InputError: one can't be made.
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
      with contextlib.suppress(OSError):  # not empty: what is whole stays
        path.rmdir()
    raise


@contextlib.contextmanager
def filling(path: Path, what: str, *, replaces: bool) -> Iterator[Path]:
  """Gives an empty folder to fill; its files are moved to `path` when all went well.

  A folder that is missing, or empty and not in use, comes whole or not at all. One that holds the
  files of an earlier run gets the new ones when all are written, and then loses those of the old
  ones that have no new one of their name. On any exception it stays as it was.

  Args:
    path: a folder that `check_folder` let pass.
    what: the name of the setting for the message, as "output".
    replaces: as of `check_folder`; the folder then gets a list of its files.

  Raises:
    InputError: since the check somebody put other files there.
  """
  target = Path(os.path.realpath(path))
  # Inside of a folder that is there: it may be a volume of its own, and the one above read-only.
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
  """Whether the folder could be given its name: it can't if by now there is one with files."""
  try:
    os.rename(unfinished, target)
  except OSError:
    if not target.is_dir():
      raise
    return False
  return True


def _move(unfinished: Path, target: Path, what: str, replaces: bool) -> None:
  """Moves the files one by one; each name always stands for a whole file, old or new."""
  old = _files_to_replace(target, what, replaces)
  (unfinished / LIST_NAME).unlink(missing_ok=True)
  new = _listed_now(unfinished)
  if replaces:  # a kill between here and the end leaves a folder that the next run may replace
    _write_list(target, [*old, *new])
  for name, *_ in new:
    os.replace(unfinished / name, target / name)
  for name in {name for name, *_ in old} - {name for name, *_ in new}:
    (target / name).unlink(missing_ok=True)
  if replaces:
    _write_list(target, new)


def _files_to_replace(folder: Path, what: str, replaces: bool) -> list[list]:
  """The entries of an earlier run that are there; InputError if anything else is."""
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
  """What the folder's list says; nothing if there is none or it can't be read."""
  try:
    saved = json.loads((folder / LIST_NAME).read_text())
    return [(str(name), int(size), float(written)) for name, size, written in saved["files"]]
  except (OSError, ValueError, KeyError, TypeError, RecursionError):
    return []
