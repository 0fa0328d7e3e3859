"""Names for temporary files, and the removal of those that killed processes left behind.

A name identifies the process that writes it. If process numbers are comparable (same boot, same
container), files of a dead process are removed at the next start, and no others are touched.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import sys
import time
from pathlib import Path

ABANDONED_AFTER = 7 * 24 * 3600
"""Seconds without a write after which a file of an unknown process is considered abandoned."""

_PREFIX, _SUFFIX = ".stylejax-", ".tmp"
_IDENTITY = re.compile(r"([0-9a-f]{12})-(\d+)-(\d+)")
_NAME = re.compile(r"\.stylejax-([0-9a-f]{12})-(\d+)-(\d+)-[0-9a-f]{8}\.tmp")


def temporary_path(folder: Path) -> Path:
  """A new hidden path in the folder, with a name of at most 64 bytes."""
  pid = os.getpid()
  return folder / (
    f"{_PREFIX}{_system()}-{pid}-{_start_time(pid) or 0}-{os.urandom(4).hex()}{_SUFFIX}"
  )


def identity() -> str:
  """A string that identifies this process among all processes on all machines, for `is_dead`."""
  pid = os.getpid()
  return f"{_system()}-{pid}-{_start_time(pid) or 0}"


def is_dead(process: object) -> bool:
  """Whether the process with this `identity` ran on this system and has ended."""
  match = _IDENTITY.fullmatch(process) if isinstance(process, str) else None
  return bool(
    match
    and match[1] == _system()
    and os.name == "posix"
    and not _is_alive(int(match[2]), int(match[3]))
  )


def is_temporary(name: str) -> bool:
  """Whether this is the name of a temporary file or folder of stylejax."""
  return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def sweep(folder: str | os.PathLike) -> None:
  """Removes temporary files and folders whose process is dead; never raises.

  Those from another machine, container or boot, whose processes can't be seen from here, are only
  removed if nothing was written to them for a week.
  """
  with contextlib.suppress(OSError):
    for entry in list(os.scandir(folder)):
      if is_temporary(entry.name) and _is_abandoned(entry):
        with contextlib.suppress(OSError):
          if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
          else:
            os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry) -> bool:
  match = _NAME.fullmatch(entry.name)
  if match is not None and match[1] == _system() and os.name == "posix":
    return not _is_alive(int(match[2]), int(match[3]))
  with contextlib.suppress(OSError):
    return time.time() - _last_write(entry) > ABANDONED_AFTER
  return False


def _last_write(entry: os.DirEntry) -> float:
  """Time of the last write in seconds since 1970; for a folder, including the files in it."""
  times = [entry.stat(follow_symlinks=False).st_mtime]
  if entry.is_dir(follow_symlinks=False):
    times += [inner.stat(follow_symlinks=False).st_mtime for inner in os.scandir(entry.path)]
  return max(times)


def _is_alive(pid: int, start: int) -> bool:
  """Whether a process with this number is running and started at `start` (0: unknown)."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except OverflowError:  # no process has such a number
    return False
  except PermissionError:  # it is running, as another user
    pass
  actual = _start_time(pid)
  return actual is None or (actual != -1 and start in (0, actual))


def _start_time(pid: int) -> int | None:
  """When a process started, in clock ticks since boot; -1 if it has ended; None if unknown."""
  try:
    # The second field, the program's name in parentheses, may contain anything.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])
  except (OSError, ValueError, IndexError):
    return None


@functools.cache
def _system() -> str:
  """Identifies where process numbers are valid: this boot of this machine, in this container."""
  about = [socket.gethostname()]
  if sys.platform == "linux":
    try:
      about += [
        Path("/proc/sys/kernel/random/boot_id").read_text(),
        os.readlink("/proc/self/ns/pid"),
      ]
    except OSError:  # containers can't be told apart, so no other process is recognized
      about.append(os.urandom(8).hex())
  return hashlib.sha256(" ".join(about).encode()).hexdigest()[:12]
