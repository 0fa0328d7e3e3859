"""A run's folder: a local one, or one in storage with a local copy while the run is active.

Only process 0 holds the folder's lock; if it is in storage, only process 0 reads and writes it.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stylejax.errors import InputError
from stylejax.runtime import distributed, stores
from stylejax.runtime.folders import making
from stylejax.runtime.leases import leased
from stylejax.runtime.locks import NoLocks, locked
from stylejax.runtime.temporary import sweep, temporary_path
from stylejax.training import checkpoint
from stylejax.training.mirror import Mirror, fetch, stored_steps

_FLAG = "--workdir"
_LOCK = ".lock"
_LEASE = "lease.json"


def open_folder(place: str) -> "Folder | StoredFolder":
  """The folder of a run, given by path or URL; nothing is created.

  Raises:
    InputError: the URL can't be written to, or a package that it needs is missing.
  """
  return StoredFolder(place) if stores.is_url(place) else Folder(place)


class Folder:
  """A run's folder on a disk that all processes can reach.

  Attributes:
    name: the user's name for it, for messages.
    path: where its files are on this machine.
    shared: whether each process reads and writes its part there.
  """

  shared = True

  def __init__(self, place: str):
    self.name, self.path = place, Path(place)

  def config_text(self) -> str | None:
    """The text of config.json, or None if there is none; raises OSError if it can't be read."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      return (self.path / "config.json").read_text()
    return None

  def newest_step(self) -> int | None:
    """The step of the newest complete checkpoint, or None."""
    return checkpoint.newest_step(self.path)

  @contextlib.contextmanager
  def held(self, *, keep: int) -> Iterator[None]:
    """Makes and locks the folder; after an error, folders made here that are empty are removed.

    Args:
      keep: how many checkpoints to keep.

    Raises:
      InputError: another training run holds the folder, or it can't be written to.
    """
    del keep  # Orbax keeps count
    with _by_process_0(self.name, self._held):
      self._probe()
      yield

  def _probe(self) -> None:
    """Raises InputError unless this process can write to the folder."""
    for place in (self.path, self.path / "grids"):
      sweep(place)
    try:
      probe = temporary_path(self.path)
      probe.touch()
      probe.unlink()
    except OSError as error:
      raise InputError(
        f"{_FLAG}: found {self.name} ({error.strerror}), expected a folder that can be written to"
      ) from error

  @contextlib.contextmanager
  def _held(self) -> Iterator[None]:
    folder = self.path.resolve()
    with making([folder], _FLAG), contextlib.ExitStack() as stack:
      try:
        stack.enter_context(locked(folder, _FLAG, patience=0, place=folder / _LOCK))
      except NoLocks:
        store = stores.open_store(f"file://{folder}", flag=_FLAG)
        stack.enter_context(leased(store, _LEASE, _FLAG))
      yield

  @contextlib.contextmanager
  def copied(self) -> Iterator[Path]:
    """Gives a local folder to read the run from."""
    yield self.path

  def check(self) -> None:
    """Raises OSError if what was written to `path` can't be kept."""

  def make_room(self) -> None:
    """Returns when the checkpoints so far are in their final place, so another may be written."""


class StoredFolder:
  """A run's folder in storage; `path` is a local copy that process 0 has while it holds it."""

  shared = False

  def __init__(self, place: str):
    self.name, self._store = place, stores.open_store(place, flag=_FLAG)
    self.path: Path | None = None
    self._mirror: Mirror | None = None

  def config_text(self) -> str | None:
    """As in `Folder`."""
    data = self._store.read("config.json")
    return None if data is None else data.decode(errors="replace")

  def newest_step(self) -> int | None:
    """As in `Folder`."""
    return next(iter(stored_steps(self._store)), None)

  @contextlib.contextmanager
  def held(self, *, keep: int) -> Iterator[None]:
    """As in `Folder`; downloads what a run needs to continue, and at the end uploads everything."""
    with _by_process_0(self.name, lambda: self._held(keep)):
      yield

  @contextlib.contextmanager
  def _held(self, keep: int) -> Iterator[None]:
    with self.copied(fetched=False), leased(self._store, _LEASE, _FLAG) as lease:
      fetch(self._store, self.path)
      with Mirror(self.path, self._store, lease, keep=keep) as self._mirror:
        yield

  @contextlib.contextmanager
  def copied(self, *, fetched: bool = True) -> Iterator[Path]:
    """Gives a local copy with the config and the newest checkpoint; removes it at the end."""
    folder = Path(tempfile.gettempdir())
    sweep(folder)
    self.path = temporary_path(folder)
    self.path.mkdir()
    try:
      if fetched:
        fetch(self._store, self.path)
      yield self.path
    finally:
      shutil.rmtree(self.path, ignore_errors=True)

  def check(self) -> None:
    """As in `Folder`."""
    if self._mirror:
      self._mirror.check()

  def make_room(self) -> None:
    """As in `Folder`."""
    if self._mirror:
      self._mirror.finish_copying(everything=False)


@contextlib.contextmanager
def _by_process_0(name: str, hold) -> Iterator[None]:
  """Enters a context in process 0; an error there is raised in the other processes too."""
  with contextlib.ExitStack() as stack:
    error: Exception | None = None
    if distributed.leads():
      try:
        stack.enter_context(hold())
      except (InputError, OSError) as raised:
        error = raised
    if distributed.any_process(error is not None):
      raise error or InputError(
        f"{_FLAG}: found {name} refused by process 0, expected a folder that it can use"
      )
    yield
