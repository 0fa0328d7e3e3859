"""Keeps a run's folder in storage as its local copy is: checkpoints whole or not there at all.

A checkpoint's file of sums goes up last and comes down first, so that one without it is unfinished.
Not here: what is in the files (checkpoint.py, monitor.py), and who may write (runtime/leases.py).
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from stylejax.runtime.background import Repeating
from stylejax.runtime.leases import Lease
from stylejax.runtime.stores import Store
from stylejax.training import checkpoint

# What a run goes on with, beside its checkpoints.
CARRIED = ("config.json", "changes.jsonl", "metrics.jsonl")

_LOOK_EVERY = 0.5  # seconds between looks at the local folder
_FILES_EVERY = 30.0  # seconds between uploads of metrics and the like, at least
_ATTEMPTS = 5
_FIRST_PAUSE = 1.0  # seconds before the second attempt; each later one is twice as long


def stored_steps(store: Store) -> list[int]:
  """The whole checkpoints of a run in storage, newest first."""
  names = [name.split("/") for name in store.list("checkpoints")]
  return sorted(
    (
      int(parts[1])
      for parts in names
      if len(parts) == 3 and parts[1].isdigit() and parts[2] == checkpoint.SUMS
    ),
    reverse=True,
  )


def fetch(store: Store, local: Path) -> None:
  """Downloads what a run goes on with: notes and the newest checkpoint that isn't damaged.

  Damaged ones come too, so that whoever restores can name them.
  """
  for name in CARRIED:
    data = store.read(name)
    if data is not None:
      (local / name).write_bytes(data)
  for step in stored_steps(store):
    folder = local / "checkpoints" / str(step)
    for name in store.list(f"checkpoints/{step}"):
      store.download(name, local / name)
    if checkpoint.damage(folder / checkpoint.SUMS) is None:
      return


class Mirror:
  """Uploads from a thread; a context manager that ends it."""

  def __init__(self, local: Path, store: Store, lease: Lease, *, keep: int):
    """Reads which checkpoints there are.

    Args:
      local: the folder that the run writes to.
      store: where it goes.
      lease: what makes this process the only one that writes there.
      keep: how many checkpoints stay in storage.
    """
    self._local, self._store, self._lease, self._keep = local, store, lease, keep
    self._stored = set(stored_steps(store))
    self._stamps = {path.relative_to(local).as_posix(): _stamp(path) for path in _files(local)}
    self._turn = threading.Lock()
    self._error: OSError | None = None
    self._due, self._pause = 0.0, _FILES_EVERY
    self._thread = Repeating(self._look, every=lambda: _LOOK_EVERY, name="mirror")

  def __enter__(self) -> "Mirror":
    # What a killed run was in the midst of uploading, or of removing.
    self._store.sweep()
    for name in self._store.list("checkpoints"):
      step = name.split("/")[1]
      if not (step.isdigit() and int(step) in self._stored):
        self._store.remove(name)
    self._thread.start()
    return self

  def __exit__(self, kind, *_) -> None:
    self._thread.stop()
    if kind is None or not issubclass(kind, KeyboardInterrupt):
      # What has gone wrong already is the better message.
      with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
        self.finish_copying()

  def check(self) -> None:
    """Raises OSError if an upload has failed for good or somebody else writes there."""
    if self._error:
      raise self._error
    self._lease.check()

  def finish_copying(self, *, everything: bool = True) -> None:
    """Returns when what is written here is in storage; OSError if it can't get there.

    Args:
      everything: whether to wait for metrics and the like too, and not for checkpoints only.
    """
    self.check()
    self._tried(lambda: self._copy(everything=everything), time.sleep)

  def _look(self) -> bool:
    """Copies what is new, in the thread; False once that has failed for good."""
    try:
      self._tried(lambda: self._copy(everything=time.monotonic() > self._due), self._thread.pause)
    except OSError as error:
      if not self._thread.stopped:
        self._error = error
      return False
    return True

  def _tried(self, work: Callable[[], None], pause: Callable[[float], bool | None]) -> None:
    """Does the work, again after a pause if storage fails; a pause that returns True ends that."""
    for attempt in range(_ATTEMPTS):
      try:
        return work()
      except OSError as error:
        self._lease.check()
        if attempt == _ATTEMPTS - 1 or pause(_FIRST_PAUSE * 2**attempt):
          newest = max(self._stored, default=None)
          remaining = "no checkpoint" if newest is None else f"the checkpoint of step {newest}"
          raise OSError(f"{error}; {remaining} is there") from error

  def _copy(self, *, everything: bool) -> None:
    """Uploads new checkpoints, and with or without them files that have changed since."""
    with self._turn:
      here = checkpoint.saved_steps(self._local)
      new = [step for step in reversed(here) if step not in self._stored]
      damaged = [
        step for step in self._stored - set(here) if (self._local / "damaged" / str(step)).is_dir()
      ]
      if new or damaged or everything:
        self._lease.confirm()
        begun = time.monotonic()
        # First: the metrics reach at least as far as the checkpoints.
        self._copy_files()
        self._pause = max(_FILES_EVERY, 20 * (time.monotonic() - begun))
        self._due = time.monotonic() + self._pause
      for step in damaged:
        self._remove(step)
      for step in new:
        self._copy_step(step)
        for old in sorted(self._stored, reverse=True)[self._keep :]:
          self._remove(old)

  def _copy_files(self) -> None:
    for path in _files(self._local):
      name = path.relative_to(self._local).as_posix()
      with contextlib.suppress(FileNotFoundError):
        stamp = _stamp(path)
        if self._stamps.get(name) != stamp:
          # All at once, since the run goes on writing to it.
          self._store.write(name, path.read_bytes())
          self._stamps[name] = stamp

  def _copy_step(self, step: int) -> None:
    folder = self._local / "checkpoints" / str(step)
    for name in self._store.list(f"checkpoints/{step}"):
      self._store.remove(name)
    for path in sorted(folder.rglob("*")):
      if path.is_file() and path != folder / checkpoint.SUMS:
        self._store.upload(path, path.relative_to(self._local).as_posix())
    self._lease.confirm()
    sums = (folder / checkpoint.SUMS).read_bytes()
    self._store.write(f"checkpoints/{step}/{checkpoint.SUMS}", sums)
    self._stored.add(step)

  def _remove(self, step: int) -> None:
    self._store.remove(f"checkpoints/{step}/{checkpoint.SUMS}")
    self._stored.discard(step)
    for name in self._store.list(f"checkpoints/{step}"):
      self._store.remove(name)
    self._store.remove_empty_folders(f"checkpoints/{step}")


def _files(folder: Path) -> list[Path]:
  """All files of a run but its checkpoints and what is not finished."""
  return [
    path
    for path in sorted(folder.rglob("*"))
    if path.is_file()
    and path.suffix != ".tmp"
    and path.relative_to(folder).parts[0] != "checkpoints"
  ]


def _stamp(path: Path) -> tuple[int, int]:
  stat = path.stat()
  return stat.st_size, stat.st_mtime_ns
