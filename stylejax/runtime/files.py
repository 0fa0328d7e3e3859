"""Writing a file so that it is whole or not there at all, and never over what is being read.

Knows nothing of images or weights; both are written through here. Folders that are whole or not
there: folders.py. Names of what is unfinished: temporary.py.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from stylejax.errors import InputError
from stylejax.runtime.temporary import sweep, temporary_path

_LONGEST_TEMPORARY = 80  # bytes; of a temporary name in the folder, with room to spare


def printable(text: object) -> str:
  """The text on one line: what can't be printed (newlines, escapes) becomes a backslash escape."""
  return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def describe(error: Exception) -> str:
  """An error as the rest of a line: of an OSError the file and the reason, without its number."""
  if not isinstance(error, OSError) or error.strerror is None:
    return printable(error)
  if error.filename is None:
    return printable(f"found {error.strerror}")
  return printable(f"{os.fsdecode(error.filename)}: found {error.strerror}")


def check_apart(
    outputs: Iterable[str | os.PathLike],
    inputs: Iterable[str | os.PathLike],
    folders: Iterable[str | os.PathLike] = (),
    *,
    reads: Iterable[str] | None = None,
    what: str = "output",
) -> None:
  """Raises if an output is an input, by whatever name, or would be read by a second run.

  Every command calls it before anything is computed. On the way it removes what killed runs left
  behind in the folders that will be written to.

  Args:
    outputs: files that will be written, and folders whose whole content will be. They need not
      exist.
    inputs: files that are read, those found in `folders` among them.
    folders: folders in which all files are read, also in folders below, hidden ones left out.
    reads: extensions, in small letters and with the dot, of the files that are read there; None
      for all. An output file of another extension may lie there.
    what: the name of the setting for the message, as "output".

  Raises:
    InputError: an output is an input, by real path or as a hard link; an output folder contains an
      input; or an output lies in one of the folders.
  """
  outputs = [Path(path) for path in outputs]
  inputs = [Path(path) for path in inputs]
  files = {identity(path): path for path in inputs}
  for path in outputs:
    if (found := files.get(identity(path))) is not None:
      raise InputError(f"{what} {path}: found the input {found}, expected another name")
  for path in filter(os.path.isdir, outputs):
    real = Path(os.path.realpath(path))
    for found in inputs:
      if Path(os.path.realpath(found)).is_relative_to(real):
        raise InputError(f"{what} folder {path}: found the input {found} in it, expected another "
                         "folder")
  searched = _searched(inputs, folders)
  suffixes = None if reads is None else tuple(reads)
  for path in outputs:
    if (folder := _reader(path, searched, suffixes)) is not None:
      raise InputError(f"{what} {path}: found it inside of the input folder {folder}, where the "
                       "next run would read it, expected a place outside of it")
  for folder in {_folder_of(path) for path in outputs}:
    sweep(folder)


def _searched(inputs: list[Path], folders: Iterable[str | os.PathLike]) -> dict[Path, Path]:
  """Real folders whose files are read, with the names they were given by."""
  searched = {}
  for folder in map(Path, folders):
    searched.setdefault(Path(os.path.realpath(folder)), folder)
    # A link in the folder may lead to another one.
    for parent in {path.parent for path in inputs if path.is_relative_to(folder)}:
      searched.setdefault(Path(os.path.realpath(parent)), parent)
  return searched


def _reader(path: Path, searched: dict[Path, Path], suffixes: tuple[str, ...] | None
            ) -> Path | None:
  """The folder in which a second run would find the output, or None."""
  real = Path(os.path.realpath(path))
  if suffixes is not None and path.suffix and not path.is_dir() \
      and path.suffix.lower() not in suffixes:
    return None
  for folder in (real, *real.parents):
    if folder in searched:
      return searched[folder]
    if folder.name.startswith("."):  # hidden: not searched from above
      return None
  return None


def identity(path: Path) -> object:
  """What two names of one file share, hard links and symbolic links included."""
  try:
    status = path.stat()
  except OSError:
    return os.path.realpath(path)
  return status.st_dev, status.st_ino


def _folder_of(path: Path) -> Path:
  """Where the output's unfinished file is: beside it, or in it if it is a folder."""
  real = Path(os.path.realpath(path))
  return real if real.is_dir() else real.parent


def check_writable(path: Path, what: str) -> None:
  """Raises unless a file can be written at `path`, before any time is spent on its contents.

  Args:
    path: where the file will be written; it may exist (it would be replaced).
    what: the name of the setting for the message, as "output".

  Raises:
    InputError: the folder is missing, is no folder or is not writable; the name is too long; or
      `path` is a folder, a special file, a read-only file, a link to itself or a link into a folder
      that is missing.
  """
  folder = path.parent
  if not os.path.isdir(folder):  # unlike the path's own method also of a name that is too long
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
    # Renaming over a device or pipe would replace it, which nobody means.
    if not stat.S_ISREG(mode):
      raise InputError(f"{what} {path}: found a special file, expected an ordinary one")
    if not os.access(path, os.W_OK):
      raise InputError(f"{what} {path}: found a read-only file, expected one that may be replaced")
  if path.is_symlink():  # the link stays, and what it leads to is written
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
      raise InputError(f"{what} {path}: found a link into {folder}, which is no folder, expected a "
                       "link into one that exists")
  check_name(path, what)
  if not os.access(folder, os.W_OK | os.X_OK):
    raise InputError(f"{what} folder {folder}: found no permission to write, expected a writable "
                     "folder")


def check_creatable(path: Path, what: str) -> None:
  """Raises InputError unless a file can be written at `path` once its missing folders are made."""
  there = path.parent
  while not os.path.lexists(there) and there != there.parent:
    there = there.parent
  if not os.path.isdir(there):
    found = "a link to nothing" if os.path.islink(there) else "a file"
    raise InputError(f"{what} {path}: found {found} at {there}, expected a folder")
  if not os.access(there, os.W_OK | os.X_OK):
    raise InputError(f"{what} folder {there}: found no permission to write, expected a writable "
                     "folder")
  check_name(path, what)


def check_name(path: Path, what: str) -> None:
  """Raises InputError if a name of `path` is too long for the disk; its folders may be missing."""
  missing = [path]
  while not os.path.isdir(missing[-1].parent) and missing[-1] != missing[-1].parent:
    missing.append(missing[-1].parent)
  there = missing[-1].parent
  name_limit, path_limit = _limit(there, "PC_NAME_MAX", 255), _limit(there, "PC_PATH_MAX", 4096)
  for part in missing:
    length = len(os.fsencode(part.name))
    if length > name_limit:
      raise InputError(f"{what} {path}: found a name of {length} bytes, too long, expected at most "
                       f"{name_limit}")
  folder = len(os.fsencode(os.path.realpath(path.parent)))
  longest = folder + max(len(os.fsencode(path.name)), _LONGEST_TEMPORARY) + 2
  if longest > path_limit:
    raise InputError(f"{what} {path}: found a path of {longest} bytes, too long, expected at most "
                     f"{path_limit}")


def _limit(folder: Path, name: str, otherwise: int) -> int:
  try:
    return os.pathconf(folder, name)
  except (OSError, ValueError, AttributeError):  # not told on this system
    return otherwise


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
  """Gives a temporary name beside `path` to write to; renames it to `path` when all went well.

  On any exception, KeyboardInterrupt included, the temporary file is removed and whatever was at
  `path` before is untouched. A symbolic link at `path` stays a link: its target is replaced. A file
  that is replaced passes on its permissions, and its owner where the system lets it.

  Args:
    path: the final file name; its folder must exist.

  Yields:
    The path of an empty file in the same folder, so that the rename is atomic.

  Raises:
    OSError: as whatever writes the file; one that names no file, as that of a full disk, leaves
      naming this one.
  """
  target = Path(os.path.realpath(path))
  # Short and without the target's own name: a name of 255 bytes must not grow.
  temporary = temporary_path(target.parent)
  with naming(target):
    try:
      before = target.stat()
    except FileNotFoundError:
      before = None
    try:
      # What replaces a private file must at no time be readable by others.
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
  """Waits until the disk has the file: after a power cut a name must not stand for an empty one."""
  descriptor = os.open(path, os.O_RDWR)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # nothing to wait for
      raise
  finally:
    os.close(descriptor)


def _pass_on(before: os.stat_result, target: Path, temporary: Path) -> None:
  """Gives a file the owner, group and permissions of the one that it replaces."""
  mode = stat.S_IMODE(before.st_mode) & 0o777
  if hasattr(os, "chown"):
    with contextlib.suppress(OSError):
      os.chown(temporary, before.st_uid, -1)
    try:
      os.chown(temporary, -1, before.st_gid)
    except OSError:  # what its group could do, no other group must
      others = mode & 0o007
      mode = mode & 0o707 | mode & (others << 3)
  with contextlib.suppress(OSError, AttributeError):  # a list of more permissions, on Linux
    access = os.getxattr(target, "system.posix_acl_access")
    os.setxattr(temporary, "system.posix_acl_access", access)
  os.chmod(temporary, mode)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """An OSError that names no file, as that of a full disk, leaves the block naming `path`."""
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    raise
