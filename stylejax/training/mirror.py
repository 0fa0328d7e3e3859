"""Copies a run's local folder to storage, where a checkpoint is either complete or not there.

A checkpoint's checksum file is uploaded last and removed first, so a checkpoint without it is
incomplete. What the files hold is in checkpoint.py and monitor.py, who may write in
runtime/leases.py.
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

# The files, besides its checkpoints, that a run needs to continue.
CARRIED = ("config.json", "changes.jsonl", "metrics.jsonl")

_LOOK_EVERY = 0.5  # seconds between looks at the local folder
_FILES_EVERY = 30.0  # minimum seconds between uploads of metrics and other files
_ATTEMPTS = 5
_FIRST_PAUSE = 1.0  # seconds before the second attempt; each later pause is twice as long


def stored_steps(store: Store) -> list[int]:
  """The steps of a run's complete checkpoints in storage, newest first."""
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
  """Downloads what a run needs to continue: CARRIED and the newest undamaged checkpoint.

  Damaged checkpoints newer than that are downloaded too, so that restoring can name them.
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
  """Uploads a run's files from a background thread, which ends with the context manager."""

  def __init__(self, local: Path, store: Store, lease: Lease, *, keep: int):
    """Reads which checkpoints the storage has.

    Args:
      local: the folder that the run writes to.
      store: the storage that it is copied to.
      lease: the lease that makes this process the only one that writes there.
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
    # Remove what a killed run was still uploading or removing.
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
      # An error that is already on its way is the better message.
      with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
        self.finish_copying()

  def check(self) -> None:
    """Raises OSError if an upload has failed for good or another process writes there."""
    if self._error:
      raise self._error
    self._lease.check()

  def finish_copying(self, *, everything: bool = True) -> None:
    """Returns when the local files are in storage; raises OSError if they can't be uploaded.

    Args:
      everything: whether to upload metrics and other files even if no checkpoint is new.
    """
    self.check()
    self._tried(lambda: self._copy(everything=everything), time.sleep)

  def _look(self) -> bool:
    """Copies what is new, in the thread; returns False once that has failed for good."""
    try:
      self._tried(lambda: self._copy(everything=time.monotonic() > self._due), self._thread.pause)
    except OSError as error:
      if not self._thread.stopped:
        self._error = error
      return False
    return True

  def _tried(self, work: Callable[[], None], pause: Callable[[float], bool | None]) -> None:
    """Does the work, and again after a pause if storage fails, until a pause returns True."""
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
    """Uploads new checkpoints and, with them or if `everything` is set, the files that changed."""
    with self._turn:
      here = checkpoint.saved_steps(self._local)
      new = [step for step in reversed(here) if step not in self._stored]
      damaged = [
        step for step in self._stored - set(here) if (self._local / "damaged" / str(step)).is_dir()
      ]
      if new or damaged or everything:
        self._lease.confirm()
        begun = time.monotonic()
        # Files go first, so that the stored metrics reach at least as far as the checkpoints.
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
          # Read at once, since the run continues writing to it.
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
  """All files of a run except its checkpoints and unfinished files."""
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
