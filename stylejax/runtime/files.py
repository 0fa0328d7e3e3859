"""Writes files atomically, and never over a file that is being read.

It knows nothing about images or weights; both are written through it. Folders are filled in
folders.py; names of temporary files are in temporary.py.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from stylejax.errors import InputError
from stylejax.runtime.temporary import sweep, temporary_path

_LONGEST_TEMPORARY = 80  # bytes of a temporary file's name, with room to spare


def printable(text: object) -> str:
  """The text on one line: unprintable characters (newlines, escapes) become backslash escapes."""
  return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def describe(error: Exception) -> str:
  """An error as the end of a line; for an OSError, its file and reason without the number."""
  if not isinstance(error, OSError) or error.strerror is None:
    return printable(error)
  if error.filename is None:
    return printable(f"found {error.strerror}")
  return printable(f"{os.fsdecode(error.filename)}: found {error.strerror}")


def check_apart(
  outputs: Iterable[str | os.PathLike],
  inputs: Iterable[str | os.PathLike],
  *,
  folders: Iterable[str | os.PathLike] = (),
  reads: Iterable[str] | None = None,
  what: str = "output",
) -> None:
  """Raises if an output is an input, under any name, or would be read by a second run.

  Every command calls it before anything is computed. It also removes temporary files that killed
  runs left behind in the folders that will be written to.

  Args:
    outputs: files that will be written, and folders that will be filled. They need not exist.
    inputs: files that are read, including those found in `folders`.
    folders: folders in which all files are read, including subfolders but not hidden ones.
    reads: extensions, in lower case and with the dot, of the files that are read there; None for
      all. An output file with another extension may be there.
    what: the name of the setting for the message, such as "output".

  Raises:
    InputError: an output is an input, by real path or as a hard link; an output folder contains an
      input; or an output is in one of the folders.
  """
  outputs = [Path(path) for path in outputs]
  inputs = [Path(path) for path in inputs]
  files = dict(zip(identities(inputs), inputs, strict=True))
  for path, identity in zip(outputs, identities(outputs), strict=True):
    if (source := files.get(identity)) is not None:
      raise InputError(f"{what} {path}: found the input {source}, expected another name")
  if folders_out := [path for path in outputs if path.is_dir()]:
    places = real_paths(inputs)
    for path, real in zip(folders_out, real_paths(folders_out), strict=True):
      for source, place in zip(inputs, places, strict=True):
        if place.startswith(os.path.join(real, "")):
          raise InputError(
            f"{what} folder {path}: found the input {source} in it, expected another folder"
          )
  searched = _searched(inputs, folders)
  suffixes = None if reads is None else tuple(reads)
  if searched:
    outside: set[str] = set()
    for path, real in zip(outputs, real_paths(outputs), strict=True):
      read = suffixes is None or not path.suffix or path.suffix.lower() in suffixes
      if (read or path.is_dir()) and (folder := _above(real, searched, outside)) is not None:
        raise InputError(
          f"{what} {path}: found it inside the input folder {folder}, where the "
          "next run would read it, expected a place outside of it"
        )
  _sweep_around(outputs)


def real_paths(paths: Iterable[str | os.PathLike]) -> list[str]:
  """`os.path.realpath` of each path, but every folder on the way is resolved only once."""
  known: dict[str, str] = {}

  def real(path: str) -> str:
    waiting = []
    while path not in known:
      parent, name = os.path.split(path)
      if name in ("", ".", "..") or not parent:  # not a plain name in a folder
        known[path] = os.path.realpath(path)
      else:
        waiting.append((path, parent, name))
        path = parent
    for path, parent, name in reversed(waiting):
      place = os.path.join(known[parent], name)
      known[path] = os.path.realpath(place) if os.path.islink(place) else place
    return known[waiting[0][0] if waiting else path]

  return [real(os.fspath(path)) for path in paths]


def _searched(inputs: list[Path], folders: Iterable[str | os.PathLike]) -> dict[str, Path]:
  """Folders whose files are read: from the real path to the path that was given."""
  searched = {}
  for folder in map(Path, folders):
    searched.setdefault(os.path.realpath(folder), folder)
    inside = os.path.join(folder, "")
    # A link in the folder may lead to another folder.
    parents = list(dict.fromkeys(path.parent for path in inputs if str(path).startswith(inside)))
    for parent, real in zip(parents, real_paths(parents), strict=True):
      searched.setdefault(real, parent)
  return searched


def _above(real: str, searched: dict[str, Path], outside: set[str]) -> Path | None:
  """The input folder in which a second run would find the file or folder `real`, or None.

  `outside` collects paths that are known to be in none of them.
  """
  passed = []
  while real not in searched:
    above, name = os.path.split(real)
    # Hidden folders are not searched.
    if real in outside or above == real or name.startswith("."):
      outside.update(passed)
      return None
    passed.append(real)
    real = above
  return searched[real]


def _sweep_around(outputs: list[Path]) -> None:
  """Removes leftover temporary files beside outputs, or in outputs that are folders."""
  folders = {path if path.is_dir() else path.parent for path in outputs}
  # A link stays a link, so its temporary file is beside its target.
  folders |= {Path(os.path.realpath(path)).parent for path in outputs if path.is_symlink()}
  for folder in folders:
    sweep(folder)


def identities(paths: Iterable[str | os.PathLike]) -> list[object]:
  """A key for each path; equal for names of one file, including hard and symbolic links."""
  paths = list(paths)
  names: list[object] = []
  for path, real in zip(paths, real_paths(paths), strict=True):
    try:
      status = os.stat(path)
      names.append((status.st_dev, status.st_ino))
    except OSError:
      names.append(real)
  return names


def check_writable(path: Path, what: str) -> None:
  """Raises unless a file can be written to `path`, before any time is spent on its contents.

  Args:
    path: where the file will be written; an existing file would be replaced.
    what: the name of the setting for the message, such as "output".

  Raises:
    InputError: the folder is missing, not a folder or not writable; the name is too long; or `path`
      is a folder, a special file, a read-only file, a link to itself or a link into a missing
      folder.
  """
  folder = path.parent
  if not os.path.isdir(folder):  # unlike Path.is_dir, it also accepts a name that is too long
    found = "a file" if os.path.exists(folder) else "no such folder"
    raise InputError(f"{what} folder {folder}: found {found}, expected a folder that exists")
  try:
    mode = path.stat().st_mode
  except FileNotFoundError:
    mode = None
  except OSError as error:
    raise InputError(f"{what} {path}: found {error.strerror}, expected a file name") from error
  if mode is not None:
    if stat.S_ISDIR(mode):
      raise InputError(f"{what} {path}: found a folder, expected a file name")
    # Renaming over a device or pipe would replace it, which nobody wants.
    if not stat.S_ISREG(mode):
      raise InputError(f"{what} {path}: found a special file, expected an ordinary one")
    if not os.access(path, os.W_OK):
      raise InputError(f"{what} {path}: found a read-only file, expected one that may be replaced")
  if path.is_symlink():  # the link stays, and its target is written
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
      raise InputError(
        f"{what} {path}: found a link into {folder}, which is not a folder, expected a "
        "link into one that exists"
      )
  _check_length(path, what)
  if not os.access(folder, os.W_OK | os.X_OK):
    raise InputError(
      f"{what} folder {folder}: found no permission to write, expected a writable folder"
    )


def check_creatable(paths: Iterable[Path], what: str) -> None:
  """Raises InputError unless files can be written once their missing folders are created.

  Args:
    paths: files to write, whose folders may be missing.
    what: as for `check_writable`.
  """
  known: set[Path] = set()
  for path in paths:
    missing = path
    while missing not in known:
      known.add(missing)
      there = missing.parent
      if os.path.lexists(there):
        _check_place(path, there, what)
      _check_length(missing, what)
      missing = there if not os.path.lexists(there) else missing
    _check_length(path, what)


def _check_place(path: Path, there: Path, what: str) -> None:
  if not os.path.isdir(there):
    found = "a link to nothing" if os.path.islink(there) else "a file"
    raise InputError(f"{what} {path}: found {found} at {there}, expected a folder")
  if not os.access(there, os.W_OK | os.X_OK):
    raise InputError(
      f"{what} folder {there}: found no permission to write, expected a writable folder"
    )


def _check_length(path: Path, what: str) -> None:
  """Raises InputError if the path, or its last name, is too long for the file system."""
  there = path.parent
  name_limit, path_limit = _limit(there, "PC_NAME_MAX", 255), _limit(there, "PC_PATH_MAX", 4096)
  length = len(os.fsencode(path.name))
  if length > name_limit:
    raise InputError(
      f"{what} {path}: found a name of {length} bytes, too long, expected at most {name_limit}"
    )
  longest = len(os.fsencode(os.path.abspath(there))) + max(length, _LONGEST_TEMPORARY) + 2
  if longest > path_limit:
    raise InputError(
      f"{what} {path}: found a path of {longest} bytes, too long, expected at most {path_limit}"
    )


def _limit(folder: Path, name: str, otherwise: int) -> int:
  try:
    return os.pathconf(folder, name)
  except (OSError, ValueError, AttributeError):  # unknown on this system
    return otherwise


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary file beside `path` to write to, and renames it to `path` on success.

  On any exception, KeyboardInterrupt included, the temporary file is removed and an existing file
  at `path` is untouched. A symbolic link at `path` stays a link: its target is replaced. The new
  file gets the permissions of the one it replaces and, if the system allows it, its owner.

  Args:
    path: the final file name; its folder must exist.

  Yields:
    The path of an empty file in the same folder, so that the rename is atomic.

  Raises:
    OSError: writing failed; if the error names no file, as for a full disk, `path` is added.
  """
  target = Path(os.path.realpath(path))
  # Short and without the target's own name, which may already have 255 bytes.
  temporary = temporary_path(target.parent)
  with naming(target):
    try:
      before = target.stat()
    except FileNotFoundError:
      before = None
    try:
      # A file that replaces a private one must never be readable by others.
      mode = 0o666 if before is None else 0o600
      os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
      yield temporary
      if before is not None:
        _pass_on(before, target, temporary)
      _to_disk(temporary)
      os.replace(temporary, target)
    finally:
      temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
  """Flushes the file to disk, so that a power cut can't leave an empty file under its name."""
  descriptor = os.open(path, os.O_RDWR)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # fsync not supported
      raise
  finally:
    os.close(descriptor)


def _pass_on(before: os.stat_result, target: Path, temporary: Path) -> None:
  """Gives a file the owner, group and permissions of the file that it replaces."""
  mode = stat.S_IMODE(before.st_mode) & 0o777
  if hasattr(os, "chown"):
    with contextlib.suppress(OSError):
      os.chown(temporary, before.st_uid, -1)
    try:
      os.chown(temporary, -1, before.st_gid)
    except OSError:  # keeps another group from getting more permissions than others have
      others = mode & 0o007
      mode = mode & 0o707 | mode & (others << 3)
  with contextlib.suppress(OSError, AttributeError):  # Linux's access control list
    access = os.getxattr(target, "system.posix_acl_access")
    os.setxattr(temporary, "system.posix_acl_access", access)
  with contextlib.suppress(OSError):  # a file system without permissions
    os.chmod(temporary, mode)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Adds `path` to an OSError from the block that names no file, as for a full disk."""
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    raise
