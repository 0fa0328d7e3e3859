"""A lock on a file that several processes change: one at a time, and a killed one holds none."""

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
except ImportError:  # no such locks on this system
  fcntl = None  # type: ignore[assignment]


class NoLocks(InputError):
  """The file system has no locks."""


PATIENCE = 20.0
"""Seconds for which a lock is waited for."""

_PAUSE = 0.05


def lock_path(path: Path) -> Path:
  """The file that is locked in the place of `path`, hidden beside it."""
  return path.parent / f".{path.name[:200]}.lock"


@contextlib.contextmanager
def locked(
  path: str | os.PathLike, what: str, *, patience: float = PATIENCE, place: Path | None = None
) -> Iterator[None]:
  """Runs a block in which no other process is in a block of the same path.

  The lock is the system's own on a file beside `path`, so the end of a process, a kill included,
  releases it. The file is removed at the end of the block.

  Args:
    path: what is about to be changed, which need not exist; its folder must.
    what: the name of the thing for the message, as "library".
    patience: seconds to wait for the lock.
    place: the file to lock; by default a hidden one beside `path`.

  Raises:
    NoLocks: the folder is on a file system without locks.
    InputError: another process holds the lock for longer than that, or the folder can't be
      written to.
  """
  target = Path(os.path.realpath(path))
  place = lock_path(target) if place is None else place
  descriptor = _acquire(place, target, what, patience)
  try:
    yield
  finally:
    if descriptor is not None:
      # Before it is released: whoever gets it then sees that the file is no longer this one.
      with contextlib.suppress(OSError):
        os.unlink(place)
      os.close(descriptor)


def _acquire(place: Path, target: Path, what: str, patience: float) -> int | None:
  """An open file of `place`, locked; None on a system without locks."""
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
  """Whether the open file is the one at its path: who held the lock before has removed it."""
  try:
    return os.path.samestat(os.stat(place), os.fstat(descriptor))
  except FileNotFoundError:
    return False
