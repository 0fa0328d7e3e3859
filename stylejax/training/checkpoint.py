"""Checkpoints of a run: asynchronous, atomic, bounded in number, checked. Orbax behind one file."""

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

# Size and CRC-32 of each file of a checkpoint: Orbax reads a flipped bit as a number like others.
SUMS = "sums.json"


def saved_steps(workdir: Path) -> list[int]:
  """The complete checkpoints under a run's folder, newest first; changes nothing there."""
  # Orbax's own listing is a meeting of all processes, to which each would come at its own time.
  folder = workdir / "checkpoints"
  names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
  return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def newest_step(workdir: Path) -> int | None:
  """The newest complete checkpoint under a run's folder, or None; changes nothing there."""
  return next(iter(saved_steps(workdir)), None)


class Checkpoints:
  """The checkpoints under a run's folder; a context manager that waits for the last save."""

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
      keep: how many stay.
      read_only: leave alone what a live run is writing there.
      alone: of several processes only this one comes here, not all of them.
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
    # What has gone wrong already is the better message.
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
      state: saved without its frozen parameters.
      position: of the data, JSON-able.
      config: the run's config as JSON text.
      make_room: called when the save before has ended, and its checkpoint may be removed next.

    Raises:
      OSError: this checkpoint, or the one before, can't be written.
    """
    step = int(state.step)
    if step == self._manager.latest_step():
      return
    state = dataclasses.replace(state, frozen=None)
    if not self._together:
      # Orbax would have every device write its slice, and compile a program for each of them.
      state = local(state)
    # A copy, since the step that follows reuses the donated buffers; on the host where this is one
    # of several processes, of which Orbax would want arrays that all of them know.
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
    """Returns when the last save is on disk; OSError if it can't get there."""
    with self._named_failure():
      self._manager.wait_until_finished()
      self._manager.check_for_errors()

  def restore(
    self, like: TrainState, *, step: int | None = None
  ) -> tuple[TrainState, dict[str, Any]]:
    """The newest checkpoint that is whole (or the given one) as (state, data position).

    A damaged one is named in the log, and the one before it is taken. The damaged ones then move
    to the run's folder "damaged", out of the way of what is saved next.

    Args:
      like: shapes and dtypes of the state, as `jax.eval_shape(init_state, …)` gives them; frozen
        parameters are not looked for.
      step: the one checkpoint to take.

    Returns:
      The state on all devices of all processes (on the host if it is alone among several), and
      the position.

    Raises:
      InputError: no checkpoint is whole, or the newest whole one is of other shapes than `like`.
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
    """(what the checkpoint holds, None), or (None, what is wrong with it)."""
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
    """Whether the flag is set in any of the processes that come here."""
    return distributed.any_process(flag) if self._together else flag

  def _set_aside(self, steps: list[int]) -> None:
    """Moves damaged checkpoints out of the run's: a newer one would keep older ones from use."""
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
    """Runs in Orbax's thread of process 0: all files are there, their folder's name is not yet.

    Those beside the folders of the items are Orbax's own notes: it writes to them later.
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
    """Tells a save that failed in one line, with the last checkpoint that there is."""
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
  """Keeps Orbax off the terminal in a block: what matters of it is raised here."""
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
  """Keeps Orbax off the terminal until the process ends; for commands, whose process it is.

  It reports every save, and every failure with its traceback. Of the hundreds of reads or writes
  that follow a failed one each would print a traceback, too: Orbax gives up at the first, and
  tensorstore then reports the others to a loop that is no more. The last of that comes while the
  interpreter ends.
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
  """[bytes, CRC-32] of a file."""
  data = path.read_bytes()
  return [len(data), zlib.crc32(data)]


def damage(sums: Path) -> str | None:
  """What is wrong with a checkpoint by its sums, or None."""
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
  """The first line of the error, or of the operating system's error behind it."""
  cause: BaseException | None = error
  while cause is not None:
    if isinstance(cause, OSError) and cause.strerror:
      return cause.strerror
    if "RESOURCE_EXHAUSTED" in str(cause):  # tensorstore's word for ENOSPC and EDQUOT
      return "a full disk"
    cause = cause.__cause__ or cause.__context__
  return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
