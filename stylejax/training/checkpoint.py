"""Checkpoints of a run: asynchronous, atomic, bounded in number. Orbax behind one file."""

import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from stylejax.errors import InputError
from stylejax.training.parallel import replicated
from stylejax.training.state import TrainState

# Orbax reports every save at the info level; a run's log has room for what matters.
logging.getLogger("absl").setLevel(logging.ERROR)


def newest_step(workdir: Path) -> int | None:
  """The newest complete checkpoint under a run's folder, or None; changes nothing there."""
  if not (workdir / "checkpoints").is_dir():
    return None
  with Checkpoints(workdir, read_only=True) as checkpoints:
    return checkpoints.latest_step()


class Checkpoints:
  """The checkpoints under a run's folder; a context manager that waits for the last save."""

  def __init__(self, workdir: Path, *, keep: int = 3, read_only: bool = False):
    """Opens a run's checkpoints; read_only leaves alone what a live run is writing there."""
    if read_only:
      options = ocp.CheckpointManagerOptions(read_only=True, create=False)
    else:
      options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
    self._manager = ocp.CheckpointManager(
      (workdir / "checkpoints").absolute(), item_names=("state", "position", "config"),
      options=options)

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *_) -> None:
    self._manager.close()

  def latest_step(self) -> int | None:
    """The newest complete checkpoint's step, or None."""
    return self._manager.latest_step()

  def save(self, state: TrainState, position: dict[str, Any], config: str) -> None:
    """Starts saving; returns once the state is copied, while it is still being written.

    Args:
      state: saved without its frozen parameters.
      position: of the data, JSON-able.
      config: the run's config as JSON text.
    """
    step = int(state.step)
    if step == self._manager.latest_step():
      return
    # A copy, since the step that follows reuses the donated buffers.
    state = jax.tree.map(jnp.copy, state.replace(frozen=None))
    self._manager.save(step, args=ocp.args.Composite(
      state=ocp.args.StandardSave(state), position=ocp.args.JsonSave(position),
      config=ocp.args.JsonSave(json.loads(config))))

  def wait(self) -> None:
    """Returns when the last save is on disk."""
    self._manager.wait_until_finished()

  def restore(self, like: TrainState, step: int | None = None) -> tuple[TrainState, dict[str, Any]]:
    """The newest (or given) checkpoint as (state, data position).

    Args:
      like: shapes and dtypes of the state, as `jax.eval_shape(init_state, …)` gives them; frozen
        parameters are not looked for.
      step: which checkpoint; None is the newest.

    Raises:
      InputError: there is no checkpoint, or it is of other shapes than `like`.
    """
    step = self.latest_step() if step is None else step
    if step is None:
      raise InputError(
        f"checkpoints: found none in {self._manager.directory}, expected a run's checkpoints")
    everywhere = replicated()
    like = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      like.replace(frozen=None))
    try:
      found = self._manager.restore(step, args=ocp.args.Composite(
        state=ocp.args.StandardRestore(like), position=ocp.args.JsonRestore()))
    except (ValueError, KeyError, TypeError, OSError) as e:
      reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
      raise InputError(
        f"checkpoint {self._manager.directory}/{step}: found {reason}, expected one of this config"
      ) from e
    return found["state"], found["position"]
