"""How much memory is left for this process under all limits.

All code that depends on memory calls `available_bytes`. The memory that an image needs is in
`stylejax.inference.budget`, malloc's settings are in `stylejax.runtime.jit`.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stylejax.errors import InputError

try:
  import resource
except ImportError:  # Windows has no such limits
  resource = None  # type: ignore[assignment]

_UNLIMITED = 2**60
"""A limit of a version 1 control group above this many bytes means no limit."""


def available_bytes(root: Path = Path("/")) -> int:
  """Bytes that this process can still allocate: the least that the machine and all limits leave.

  Considers free memory (MemAvailable, and the remaining commit limit if the kernel doesn't
  overcommit), the memory limits of this process's control group and of all groups above it
  (versions 1 and 2, as set by Docker, Kubernetes, systemd and Slurm), and RLIMIT_AS and RLIMIT_DATA
  (`ulimit -v`, `ulimit -d`). Beyond most of these, Linux lets an allocation succeed and kills the
  process when it uses the memory, so it has to be checked beforehand.

  Args:
    root: the folder that contains proc and sys; other than "/" only in tests.

  Returns:
    The number of bytes, at least 0; half of the machine's memory if no limit can be read.
  """
  rooms = [*_machine_rooms(root), *_group_rooms(root), *_process_rooms(root)]
  if rooms:
    return max(0, min(rooms))
  try:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
  except (AttributeError, ValueError, OSError):
    return 4 * 2**30


def check_start(*, addresses: int = 900 * 2**20, resident: int = 300 * 2**20) -> None:
  """Raises InputError if there is too little memory for a command to import its libraries.

  Args:
    addresses: bytes of address space needed by JAX, its threads and one small image.
    resident: bytes of memory needed by them.
  """
  for least, room in (
    (addresses, min(_process_rooms(Path("/")), default=addresses)),
    (resident, available_bytes()),
  ):
    if room < least:
      kind = "of address space (ulimit -v) " if least == addresses else ""
      raise InputError(
        f"memory: found {max(0, room) / 1e9:.2f} GB {kind}free, expected at least "
        f"{least / 1e9:.2f} GB to start"
      )


def scratch_folder(root: Path = Path("/")) -> Path:
  """The folder for large temporary files: the system's own, unless that is in memory.

  If /tmp is a tmpfs, as on several Linux distributions and in containers, a file in it uses the
  memory that it was meant to save. Then the folder is /var/tmp, if that is on a disk.
  """
  usual = Path(tempfile.gettempdir())
  for folder in (usual, root / "var/tmp"):
    if os.access(folder, os.W_OK) and not _in_memory(folder, root):
      return folder
  return usual


def _in_memory(folder: Path, root: Path) -> bool:
  """Whether the innermost mount that contains a folder is in memory (tmpfs, ramfs)."""
  folder, mount = folder.resolve(), (0, "")
  for line in _lines(root / "proc/self/mountinfo"):
    place, _, kind = line.partition(" - ")
    place, kind = place.split(), kind.split()
    if len(place) >= 5 and kind:
      top = Path(place[4].replace("\\040", " "))
      if top == folder or top in folder.parents:
        mount = max(mount, (len(top.parts), kind[0]), key=lambda each: each[0])
  return mount[1] in ("tmpfs", "ramfs")


def _machine_rooms(root: Path) -> Iterator[int]:
  """Yields the bytes that the machine has left."""
  fields = _fields(root / "proc/meminfo")
  if "MemAvailable:" in fields:
    yield fields["MemAvailable:"] * 1024
  strict = _number(root / "proc/sys/vm/overcommit_memory") == 2
  if strict and {"CommitLimit:", "Committed_AS:"} <= fields.keys():
    yield (fields["CommitLimit:"] - fields["Committed_AS:"]) * 1024


def _process_rooms(root: Path) -> Iterator[int]:
  """Yields the bytes left by this process's own limits on address space and writable memory."""
  if resource is None:
    return
  used = _fields(root / "proc/self/status")
  for limit, name in (("RLIMIT_AS", "VmSize:"), ("RLIMIT_DATA", "VmData:")):
    most, _ = resource.getrlimit(getattr(resource, limit))
    if most != resource.RLIM_INFINITY:
      yield most - used.get(name, 0) * 1024


def _group_rooms(root: Path) -> Iterator[int]:
  """Yields the bytes left by each control group of this process, from the innermost outwards."""
  for version, top, group in _memory_groups(root):
    names = (
      (("memory.max", "memory.high"), "memory.current", "")
      if version == 2
      else (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_")
    )
    limits, usage, prefix = names
    while True:
      stat = _fields(group / "memory.stat")
      most = [limit for name in limits if (limit := _number(group / name)) is not None]
      # In version 1, this includes the limits of groups that a container doesn't see.
      most += [stat[name] for name in ("hierarchical_memory_limit",) if name in stat]
      used = _number(group / usage)
      if used is not None and most and min(most) < _UNLIMITED:
        # Cached file pages count as used, but are freed when memory is needed.
        files = stat.get(f"{prefix}inactive_file", 0) + stat.get(f"{prefix}active_file", 0) // 2
        yield min(most) - max(0, used - files)
      if group == top or top not in group.parents:
        break
      group = group.parent


def _memory_groups(root: Path) -> Iterator[tuple[int, Path, Path]]:
  """Yields (version, hierarchy's folder, folder of this process's group) of memory groups."""
  paths = {}
  for line in _lines(root / "proc/self/cgroup"):  # "4:memory:/docker/1f", or "0::/user.slice"
    number, controllers, path = line.split(":", 2)
    if number == "0" and not controllers:
      paths[2] = path
    elif "memory" in controllers.split(","):
      paths[1] = path
  for line in _lines(root / "proc/self/mountinfo"):
    # "31 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"; spaces are \040 there.
    place, _, kind = line.partition(" - ")
    place, kind = place.split(), kind.split()
    if len(place) < 5 or not kind:
      continue
    version = {"cgroup": 1, "cgroup2": 2}.get(kind[0])
    if version not in paths or (version == 1 and "memory" not in kind[-1].split(",")):
      continue
    mounted, top = (text.replace("\\040", " ") for text in place[3:5])
    top = root / top.lstrip("/")
    # A container may see its own group as the top, but the group's name as seen from outside.
    inner = os.path.relpath(paths[version], mounted)
    group = top if inner.startswith("..") else top / inner
    yield version, top, group if group.is_dir() else top


def _lines(path: Path) -> list[str]:
  try:
    return path.read_text(errors="replace").splitlines()
  except OSError:
    return []


def _fields(path: Path) -> dict[str, int]:
  """Parses lines such as "MemFree: 12 kB" to the first word and the number after it."""
  fields = {}
  for line in _lines(path):
    words = line.split()
    if len(words) > 1 and words[1].isdigit():
      fields[words[0]] = int(words[1])
  return fields


def _number(path: Path) -> int | None:
  """The number in a file; None for "max" or if there is no such file."""
  lines = _lines(path)
  return int(lines[0]) if lines and lines[0].strip().isdigit() else None
