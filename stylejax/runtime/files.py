"""Writing a file so that it is whole or not there at all.

Knows nothing of pictures or weights; both are written through here.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stylejax.errors import InputError


def printable(text: object) -> str:
  """The text on one line: what can't be printed (newlines, escapes) becomes a backslash escape."""
  return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def check_writable(path: Path, what: str) -> None:
  """Raises unless a file can be written at `path`, before any time is spent on its contents.

  Args:
    path: where the file will be written; it may exist (it would be replaced).
    what: the name of the setting for the message, as "output".

  Raises:
    InputError: the folder is missing, is no folder or is not writable; or `path` is a folder,
      a special file, a read-only file or a link to itself.
  """
  folder = path.parent
  if not folder.is_dir():
    found = "a file" if folder.exists() else "no such folder"
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
  if not os.access(folder, os.W_OK):
    raise InputError(f"{what} folder {folder}: found no permission to write, expected a writable "
                     "folder")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
  """Gives a temporary name beside `path` to write to; renames it to `path` when all went well.

  On any exception, KeyboardInterrupt included, the temporary file is removed and whatever was at
  `path` before is untouched. A symbolic link at `path` stays a link: its target is replaced.

  Args:
    path: the final file name; its folder must exist.

  Yields:
    The temporary path, in the same folder so that the rename is atomic.
  """
  target = Path(os.path.realpath(path))
  # Short and without the target's own name: a name of 255 bytes must not grow.
  temporary = target.parent / f".stylejax-{os.getpid()}-{os.urandom(4).hex()}.tmp"
  try:
    yield temporary
    os.replace(temporary, target)
  finally:
    temporary.unlink(missing_ok=True)
