"""Processes that train together: how they meet, which of them speaks, and when they all stop.

Not here: what runs on their devices (parallel.py) and what each of them reads (data/pipeline.py).
"""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from stylejax.errors import InputError
from stylejax.training.config import TrainConfig

_logger = logging.getLogger("stylejax")


def join(config: TrainConfig) -> None:
  """Meets the other processes of this training, if there are any; before any device is touched.

  Which they are comes from --coordinator, --processes and --process, or from what started them: a
  TPU pod, Slurm, Open MPI or a Kubernetes job, as `jax.distributed.initialize` detects them.
  Without --distributed, a cluster that can't be read or that runs one process is no cluster.

  Raises:
    InputError: --distributed, and there is no cluster, or process 0 doesn't answer.
  """
  given = config.coordinator is not None
  if jax.distributed.is_initialized() or not (config.distributed or given or _detected() > 1):
    return
  # Of processes on CPUs; others bring their own.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  # It would take SIGTERM away from Interrupt, which has SIGINT too.
  jax.config.update("jax_enable_preemption_service", False)
  try:
    jax.distributed.initialize(config.coordinator, config.processes, config.process)
  except (ValueError, RuntimeError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise InputError(
      f"--distributed: found {config.coordinator or 'no cluster'} ({reason}), expected a TPU pod, "
      "Slurm, Open MPI or Kubernetes, or --coordinator with process 0 behind it") from None


def _detected() -> int:
  """How many processes jax's own detection of clusters finds; 1 where it finds no cluster."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
      # Not public, but `initialize` would hide all GPUs but one from a lone process under Slurm.
      from jax._src.clusters import ClusterEnv

      for kind in ClusterEnv._cluster_types:
        if not kind.opt_in_only_method and kind.is_env_present():
          return kind.get_process_count()
    except Exception as error:  # Whatever a cluster's own client raises; the run is then alone.
      _logger.warning("a cluster that can't be read is left out: %s", error)
  return 1


def several() -> bool:
  """Whether this process trains with others."""
  return jax.distributed.is_initialized() and jax.process_count() > 1


def leads() -> bool:
  """Whether this process is the one that prints and writes logs."""
  return not several() or jax.process_index() == 0


def any_process(flag: bool) -> bool:
  """Whether the flag is set in any process; all must call it, and all get the same answer."""
  return bool(multihost_utils.process_allgather(np.int32(flag)).any()) if several() else flag


def abandon(code: int) -> int:
  """The exit code of a run that failed; among several processes, ends this one with it.

  An ordinary exit waits for the others, and they wait for this one's next step: for minutes.
  """
  if several():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  return code


class Interrupt:
  """Turns the first SIGINT or SIGTERM into a request to stop; a second one stops at once."""

  def __init__(self, agree_every: int):
    """Several processes agree at steps that are multiples of agree_every; one needs no word."""
    self._seen = False
    self._agree_every = agree_every
    self._before: dict[int, Callable] = {}

  def __enter__(self) -> "Interrupt":
    for number in (signal.SIGINT, signal.SIGTERM):
      self._before[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def stops(self, step: int) -> bool:
    """Whether to stop after this step: the same in all processes, when each asks at each step."""
    if not several():
      return self._seen
    return step % self._agree_every == 0 and any_process(self._seen)

  def _note(self, number, frame) -> None:
    del frame
    self._seen = True
    signal.signal(number, self._before[number])
