"""A run's checkpoints, by Orbax: asynchronous, atomic, limited in number and checked."""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from stylejax.errors import InputError
from stylejax.runtime import distributed
from stylejax.training.replicas import local, replicated
from stylejax.training.state import TrainState

_logger = logging.getLogger("stylejax")

# Size and CRC-32 of each file of a checkpoint: Orbax doesn't notice a flipped bit in a number.
SUMS = "sums.json"


def saved_steps(workdir: Path) -> list[int]:
  """The steps of the complete checkpoints in a run's folder, newest first; only reads there."""
  # Orbax's own listing synchronizes all processes, but each calls this at its own time.
  folder = workdir / "checkpoints"
  names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
  return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def newest_step(workdir: Path) -> int | None:
  """The step of the newest complete checkpoint in a run's folder, or None; only reads there."""
  return next(iter(saved_steps(workdir)), None)


class Checkpoints:
  """The checkpoints in a run's folder; a context manager that waits for the last save."""

  def __init__(
    self,
    workdir: Path,
    *,
    keep: int = 3,
    read_only: bool = False,
    alone: bool = False,
    name: str | None = None,
  ):
    """Opens a run's checkpoints.

    Args:
      workdir: the run's folder.
      keep: how many checkpoints to keep.
      read_only: leave alone what a live run is writing there.
      alone: of several processes, only this one uses the checkpoints.
      name: what messages call the folder.
    """
    self._workdir = workdir
    self._folder = (workdir / "checkpoints").absolute()
    self._name = f"{name or workdir.absolute()}/checkpoints"
    self._read_only = read_only
    self._together = distributed.several() and not alone
    self._alone_among_several = distributed.several() and alone
    self._saving: int | None = None
    processes = {}
    if self._alone_among_several:
      me = jax.process_index()
      processes = {
        "multiprocessing_options": ocp.options.MultiprocessingOptions(
          primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        )
      }
    if read_only:
      options = ocp.CheckpointManagerOptions(read_only=True, create=False, **processes)
    else:
      if processes:
        self._folder.mkdir(parents=True, exist_ok=True)
      options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        cleanup_tmp_directories=True,
        create=not processes,
        async_options=ocp.AsyncOptions(post_finalization_callback=self._write_sums),
        **processes,
      )
    with contextlib.ExitStack() as quiet:
      quiet.enter_context(quiet_orbax())
      self._manager = ocp.CheckpointManager(
        self._folder, item_names=("state", "position", "config"), options=options
      )
      self._quiet = quiet.pop_all()

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, kind, *_) -> None:
    # An error that is already on its way is the better message.
    with self._quiet, contextlib.suppress(Exception) if kind else contextlib.nullcontext():
      self._manager.close()

  def latest_step(self) -> int | None:
    """The newest complete checkpoint's step, or None."""
    return self._manager.latest_step()

  def save(
    self,
    state: TrainState,
    position: dict[str, Any],
    config: str,
    *,
    make_room: Callable[[], None] = lambda: None,
  ) -> None:
    """Starts saving; returns once the state is copied, while it is still being written.

    Args:
      state: the state, which is saved without its frozen parameters.
      position: the data position, serializable as JSON.
      config: the run's config as JSON text.
      make_room: called after the previous save has ended, before old checkpoints may be removed.

    Raises:
      OSError: this checkpoint or the previous one can't be written.
    """
    step = int(state.step)
    if step == self._manager.latest_step():
      return
    state = dataclasses.replace(state, frozen=None)
    if not self._together:
      # Otherwise Orbax has every device write its slice, and compiles a program for each of them.
      state = local(state)
    # A copy, since the next step reuses the donated buffers; on the host if this process, alone
    # among several, saves: Orbax would expect device arrays to be global ones.
    state = jax.tree.map(np.array if self._alone_among_several else jnp.copy, state)
    with self._named_failure():
      self._manager.wait_until_finished()
    make_room()
    with self._named_failure():
      self._saving = step
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          position=ocp.args.JsonSave(position),
          config=ocp.args.JsonSave(json.loads(config)),
        ),
      )

  def check(self) -> None:
    """Raises OSError if a save under way is known to have failed; waits for nothing."""
    with self._named_failure():
      self._manager.check_for_errors()

  def wait(self) -> None:
    """Returns when the last save is on disk; raises OSError if it can't be written."""
    with self._named_failure():
      self._manager.wait_until_finished()
      self._manager.check_for_errors()

  def restore(
    self, like: TrainState, *, step: int | None = None
  ) -> tuple[TrainState, dict[str, Any]]:
    """Reads the newest undamaged checkpoint (or the given one).

    A damaged checkpoint is named in the log, and the previous one is used. Damaged checkpoints are
    then moved to the run's folder "damaged", out of the way of later saves.

    Args:
      like: shapes and dtypes of the state, as `jax.eval_shape(init_state, …)` gives them; frozen
        parameters are not restored.
      step: the only checkpoint to try.

    Returns:
      (state, data position), the state on all devices of all processes, or on the host if this
      process uses the checkpoints alone among several.

    Raises:
      InputError: all checkpoints are damaged, or the newest undamaged one doesn't fit `like`.
    """
    if self._alone_among_several:
      like = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype), dataclasses.replace(like, frozen=None)
      )
    else:
      everywhere = replicated()
      like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), like
      )
    steps, first = [step] if step is not None else saved_steps(self._workdir), None
    for count, step in enumerate(steps):
      restored, reason = self._read(step, like)
      if restored is not None:
        self._set_aside(steps[:count])
        return restored["state"], restored["position"]
      message = f"checkpoint {self._name}/{step}: found {reason}"
      first = first or message
      if step != steps[-1] and distributed.leads():
        _logger.warning("%s; the one before, of step %d, is used", message, steps[count + 1])
    raise InputError(
      f"{first}, expected a whole checkpoint"
      if first
      else f"checkpoints: found none in {self._name}, expected a run's checkpoints"
    )

  def _read(self, step: int, like: TrainState) -> tuple[Any, str | None]:
    """(the checkpoint's items, None), or (None, what is wrong with it)."""
    sums = self._folder / str(step) / SUMS
    reads = distributed.leads() or not self._together
    reason = damage(sums) if reads and sums.exists() else None
    if self._in_any(reason is not None):
      return None, reason or "damage"
    restored = None
    try:
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(like), position=ocp.args.JsonRestore()
        ),
      )
    except Exception as error:  # Orbax raises Exception itself, among others.
      reason = _reason(error)
      if sums.exists():
        raise InputError(
          f"checkpoint {self._name}/{step}: found {reason}, expected one of this config"
        ) from error
    return (None, reason or "damage") if self._in_any(restored is None) else (restored, None)

  def _in_any(self, flag: bool) -> bool:
    """Whether the flag is set in any of the processes that use the checkpoints."""
    return distributed.any_process(flag) if self._together else flag

  def _set_aside(self, steps: list[int]) -> None:
    """Moves damaged checkpoints away: a newer one would keep older ones from being used."""
    if not steps or self._read_only:
      return
    if distributed.leads() or not self._together:
      damaged = self._workdir / "damaged"
      damaged.mkdir(exist_ok=True)
      for step in steps:
        shutil.rmtree(damaged / str(step), ignore_errors=True)
        os.replace(self._folder / str(step), damaged / str(step))
    if self._together:
      multihost_utils.sync_global_devices("damaged checkpoints are set aside")
    self._manager.reload()

  def _write_sums(self) -> None:
    """Writes the checksums of a checkpoint whose files are complete, before its folder is renamed.

    It runs in Orbax's thread of process 0. The files next to the items' folders are left out: they
    are Orbax's own notes, to which it writes later.
    """
    (folder,) = self._folder.glob(f"{self._saving}{ocp.utils.TMP_DIR_SUFFIX}*")
    sums = {
      str(path.relative_to(folder)): _sum(path)
      for path in sorted(folder.glob("*/**/*"))
      if path.is_file()
    }
    (folder / SUMS).write_text(json.dumps(sums, indent=0))

  @contextlib.contextmanager
  def _named_failure(self):
    """Turns a failed save into an OSError of one line that names the last good checkpoint."""
    try:
      yield
    except Exception as error:
      newest = newest_step(self._workdir)
      raise OSError(
        f"checkpoint {self._name}/{self._saving}: found {_reason(error)}, expected room to write; "
        f"{'none before it' if newest is None else f'that of step {newest}'} is kept"
      ) from error


_NOISY_LOGGERS = ("absl", "asyncio")


@contextlib.contextmanager
def quiet_orbax() -> Iterator[None]:
  """Keeps Orbax off the terminal within the context: errors that matter are raised here."""
  loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
  levels, show = [logger.level for logger in loggers], sys.unraisablehook
  try:
    with warnings.catch_warnings():
      silence_orbax()
      yield
  finally:
    sys.unraisablehook = show
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)


def silence_orbax() -> None:
  """Keeps Orbax off the terminal until the process ends; for commands, which own their process.

  Orbax reports every save, and every failure with its traceback. Hundreds of reads or writes may
  follow a failed one, and each would print a traceback, too: Orbax gives up at the first, and
  tensorstore reports the others to an event loop that is closed by then, the last of them while the
  interpreter exits.
  """
  show = sys.unraisablehook

  def hook(unraisable):
    if not (
      isinstance(unraisable.exc_value, RuntimeError)
      and str(unraisable.exc_value) == "Event loop is closed"
    ):
      show(unraisable)

  sys.unraisablehook = hook
  warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
  for name in _NOISY_LOGGERS:
    logging.getLogger(name).setLevel(logging.CRITICAL)


def _sum(path: Path) -> list[int]:
  """[size in bytes, CRC-32] of a file."""
  data = path.read_bytes()
  return [len(data), zlib.crc32(data)]


def damage(sums: Path) -> str | None:
  """What is wrong with a checkpoint according to its file of checksums, or None."""
  try:
    expected = json.loads(sums.read_text())
    for name, (size, crc) in expected.items():
      path = sums.parent / name
      if not path.exists():
        return f"no file {name}"
      if _sum(path) != [size, crc]:
        return f"other bytes in {name} than were written"
  except (OSError, ValueError, AttributeError) as error:
    return f"{SUMS} or a file it names unreadable ({_reason(error)})"
  return None


def _reason(error: BaseException) -> str:
  """The message of the operating system's error behind an error, or the error's first line."""
  cause: BaseException | None = error
  while cause is not None:
    if isinstance(cause, OSError) and cause.strerror:
      return cause.strerror
    if "RESOURCE_EXHAUSTED" in str(cause):  # tensorstore's word for ENOSPC and EDQUOT
      return "a full disk"
    cause = cause.__cause__ or cause.__context__
  return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
