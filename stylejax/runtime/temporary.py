"""Names for what is not finished yet, and removing what a process that was killed left behind.

A name carries the process that writes it: where its number is known to count (same boot, same
container), a dead process's files are removed at the next start, and no other's are touched.
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
"""Seconds without a write after which a file of an unknown process counts as left behind."""

_PREFIX, _SUFFIX = ".stylejax-", ".tmp"
_IDENTITY = re.compile(r"([0-9a-f]{12})-(\d+)-(\d+)")
_NAME = re.compile(r"\.stylejax-([0-9a-f]{12})-(\d+)-(\d+)-[0-9a-f]{8}\.tmp")


def temporary_path(folder: Path) -> Path:
  """A hidden name in the folder that nothing has yet; 64 bytes at most, whatever it is for."""
  pid = os.getpid()
  return folder / (
    f"{_PREFIX}{_system()}-{pid}-{_start_time(pid) or 0}-{os.urandom(4).hex()}{_SUFFIX}"
  )


def identity() -> str:
  """This process among all that there ever were on any machine, for `is_dead`."""
  pid = os.getpid()
  return f"{_system()}-{pid}-{_start_time(pid) or 0}"


def is_dead(process: object) -> bool:
  """Whether the process of that `identity` is known to have ended: one of here that is gone."""
  match = _IDENTITY.fullmatch(process) if isinstance(process, str) else None
  return bool(
    match
    and match[1] == _system()
    and os.name == "posix"
    and not _is_alive(int(match[2]), int(match[3]))
  )


def is_temporary(name: str) -> bool:
  """Whether a file or folder of this name is an unfinished one of stylejax."""
  return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def sweep(folder: str | os.PathLike) -> None:
  """Removes unfinished files and folders whose process is dead; never raises.

  Those of another machine, container or boot, whose processes can't be seen from here, are removed
  only when nothing was written to them for a week.
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
  """Seconds since 1970; of a folder that of the newest file in it."""
  times = [entry.stat(follow_symlinks=False).st_mtime]
  if entry.is_dir(follow_symlinks=False):
    times += [inner.stat(follow_symlinks=False).st_mtime for inner in os.scandir(entry.path)]
  return max(times)


def _is_alive(pid: int, start: int) -> bool:
  """Whether the process of that number is there and is the one that started then (0: unknown)."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except OverflowError:  # a number that no process has
    return False
  except PermissionError:  # there, and somebody else's
    pass
  actual = _start_time(pid)
  return actual is None or (actual != -1 and start in (0, actual))


def _start_time(pid: int) -> int | None:
  """When a process started, in clock ticks since boot; -1 if it has ended; None if not told."""
  try:
    # The second field, the program's name in brackets, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])
  except (OSError, ValueError, IndexError):
    return None


@functools.cache
def _system() -> str:
  """Names where process numbers mean the same: this boot of this machine, in this container."""
  about = [socket.gethostname()]
  if sys.platform == "linux":
    try:
      about += [
        Path("/proc/sys/kernel/random/boot_id").read_text(),
        os.readlink("/proc/self/ns/pid"),
      ]
    except OSError:  # two containers could not be told apart: nobody's files are known
      about.append(os.urandom(8).hex())
  return hashlib.sha256(" ".join(about).encode()).hexdigest()[:12]
