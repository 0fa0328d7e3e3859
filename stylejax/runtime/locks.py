"""A lock for files that several processes change; it is released even if its holder is killed."""

import contextlib
import datetime
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from stylejax.errors import InputError

try:
  import fcntl
except ImportError:  # the system has no such locks
  fcntl = None  # type: ignore[assignment]


class NoLocks(InputError):
  """The file system has no locks."""


PATIENCE = 20.0
"""Default time to wait for a lock, in seconds."""

_PAUSE = 0.05


def lock_path(path: Path) -> Path:
  """The hidden file beside `path` that is locked instead of it."""
  return path.parent / f".{path.name[:200]}.lock"


@contextlib.contextmanager
def locked(
  path: str | os.PathLike, what: str, *, patience: float = PATIENCE, place: Path | None = None
) -> Iterator[None]:
  """Runs a block while no other process runs a block for the same path.

  It locks a file beside `path` with the system's own lock, which is released when the process ends,
  even if it is killed. The file is removed at the end of the block.

  Args:
    path: what will be changed; it need not exist, but its folder must.
    what: its name for the message, such as "library".
    patience: seconds to wait for the lock.
    place: the file to lock; by default a hidden one beside `path`.

  Raises:
    NoLocks: the folder is on a file system without locks.
    InputError: another process holds the lock for longer than `patience`, or the folder can't be
      written to.
  """
  target = Path(os.path.realpath(path))
  place = lock_path(target) if place is None else place
  descriptor = _acquire(place, target, what, patience)
  try:
    yield
  finally:
    if descriptor is not None:
      # Before the lock is released, so that the next holder sees that the file has been replaced.
      with contextlib.suppress(OSError):
        os.unlink(place)
      os.close(descriptor)


def _acquire(place: Path, target: Path, what: str, patience: float) -> int | None:
  """Opens and locks the file `place`; None on a system without locks."""
  if fcntl is None:
    return None
  end = time.monotonic() + patience
  while True:
    try:
      descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
      raise InputError(
        f"{what} {target}: found {error.strerror} for the lock beside it, expected a "
        "folder that can be written to"
      ) from error
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
      if _is_still(place, descriptor):
        os.truncate(descriptor, 0)
        since = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
        holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        os.pwrite(descriptor, holder.encode(), 0)
        return descriptor
    except OSError as error:
      if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
        os.close(descriptor)
        raise NoLocks(
          f"{what} {target}: found a file system without locks ({error.strerror}), "
          "expected one on which a file can be locked"
        ) from error
    except BaseException:
      os.close(descriptor)
      raise
    holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
    os.close(descriptor)
    if time.monotonic() > end:
      waited = f" within {patience:.0f} s" if patience else ""
      raise InputError(
        f"{what} {target}: found it in use by {holder}, expected it to be free"
        f"{waited}; try again when that has ended"
      )
    time.sleep(_PAUSE)


def _is_still(place: Path, descriptor: int) -> bool:
  """Whether the open file is still the one at its path; its last holder may have removed it."""
  try:
    return os.path.samestat(os.stat(place), os.fstat(descriptor))
  except FileNotFoundError:
    return False
