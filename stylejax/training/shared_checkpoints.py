"""Checkpoints that only process 0 of several can reach; the others get the state from it."""

import dataclasses
from typing import Any

import jax
import numpy as np

from stylejax.errors import InputError
from stylejax.runtime import distributed
from stylejax.training import replicas
from stylejax.training.checkpoint import Checkpoints
from stylejax.training.state import TrainState


class SharedCheckpoints:
  """Like `Checkpoints`; all processes call its methods together, except `check` and `wait`."""

  def __init__(self, checkpoints: Checkpoints | None):
    """Takes the checkpoints in process 0, opened with `alone`, and None in the other processes."""
    self._checkpoints = checkpoints
    latest = checkpoints.latest_step() if checkpoints else None
    self._latest: int | None = distributed.json_from_process_0(latest)

  def __enter__(self) -> "SharedCheckpoints":
    return self

  def __exit__(self, *error) -> None:
    if self._checkpoints:
      self._checkpoints.__exit__(*error)

  def latest_step(self) -> int | None:
    """The newest complete checkpoint's step, or None; the other processes know it as of opening."""
    return self._checkpoints.latest_step() if self._checkpoints else self._latest

  def save(self, state: TrainState, *rest, **options) -> None:
    """Starts saving in process 0."""
    if self._checkpoints:
      self._checkpoints.save(replicas.local(state), *rest, **options)

  def check(self) -> None:
    """Raises OSError if a save under way is known to have failed."""
    if self._checkpoints:
      self._checkpoints.check()

  def wait(self) -> None:
    """Returns when the last save is on disk."""
    if self._checkpoints:
      self._checkpoints.wait()

  def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """(state, data position) of the newest complete checkpoint, the state as host arrays.

    Raises:
      InputError: process 0 can't restore one.
    """
    like, error = dataclasses.replace(like, frozen=None), None
    state, position = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like), None
    if self._checkpoints:
      try:
        state, position = self._checkpoints.restore(like)
      except InputError as raised:
        error = raised
    if distributed.any_process(error is not None):
      raise error or InputError(
        "checkpoints: found that process 0 can't restore one, expected a "
        "whole checkpoint of this config"
      )
    return distributed.from_process_0(state), distributed.json_from_process_0(position)
