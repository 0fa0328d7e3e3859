"""Cooperating processes: how they connect, which one prints, and when they all stop.

What runs on their devices, and how work is divided among them, is not here.
"""

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from stylejax.errors import InputError
from stylejax.runtime.files import printable

_logger = logging.getLogger("stylejax")


def join(
  *,
  required: bool = False,
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
  detect: bool = True,
  deadline: float = 0.0,
) -> None:
  """Connects to the other processes of this job, if any; call it before using any device.

  The cluster is given by the arguments, or detected by `jax.distributed.initialize`: a TPU pod,
  Slurm, Open MPI or a Kubernetes job. Unless a cluster is required, one that can't be read or that
  runs a single process is ignored.

  Args:
    required: whether a cluster is required (--distributed).
    coordinator, processes, process: HOST:PORT of process 0, the number of processes, and the index
      of this one; all three or none.
    detect: whether to look for a cluster that was not asked for.
    deadline: seconds of `watch.Watch`. JAX's own heartbeat timeout, which doesn't name the process
      that failed, is at least twice as long.

  Raises:
    InputError: a cluster is required but not found, or process 0 doesn't answer.
  """
  given = coordinator is not None
  if jax.distributed.is_initialized() or not (required or given or (detect and _detected() > 1)):
    return
  # For processes on CPUs; other backends have their own collectives.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  # It would intercept SIGTERM, which Interrupt handles together with SIGINT.
  jax.config.update("jax_enable_preemption_service", False)
  try:
    jax.distributed.initialize(
      coordinator, processes, process, heartbeat_timeout_seconds=max(100, int(2 * deadline))
    )
  except (ValueError, RuntimeError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise InputError(
      f"--distributed: found {coordinator or 'no cluster'} ({reason}), expected a TPU pod, "
      "Slurm, Open MPI or Kubernetes, or --coordinator where process 0 listens"
    ) from None


def check(coordinator: str | None, processes: int | None, process: int | None) -> None:
  """Raises InputError unless these are all None or identify one process of a cluster."""
  flags = {"--coordinator": coordinator, "--processes": processes, "--process": process}
  missing = [flag for flag, value in flags.items() if value is None]
  if len(missing) == 3:
    return
  if coordinator is None or processes is None or process is None:
    given = ", ".join(flag for flag in flags if flag not in missing)
    raise InputError(f"{given}: found without {' and '.join(missing)}, expected all three")
  if processes < 1:
    raise InputError(f"--processes: found {processes}, expected at least 1")
  if not 0 <= process < processes:
    raise InputError(
      f"--process: found {process}, expected 0 to {processes - 1}, below --processes"
    )
  if not coordinator.rpartition(":")[2].isdigit():
    raise InputError(f"--coordinator: found {coordinator}, expected HOST:PORT")


def _detected() -> int:
  """How many processes jax's own cluster detection finds; 1 if it finds no cluster."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
      # Not public, but `initialize` would hide all GPUs but one from a single process under Slurm.
      from jax._src.clusters import ClusterEnv

      for kind in ClusterEnv._cluster_types:
        if not kind.opt_in_only_method and kind.is_env_present():
          return kind.get_process_count()
    except Exception as error:  # A cluster's client may raise anything; then run without it.
      _logger.warning("a cluster that can't be read is left out: %s", error)
  return 1


def several() -> bool:
  """Whether this process runs together with others."""
  return jax.distributed.is_initialized() and jax.process_count() > 1


def share() -> tuple[int, int]:
  """(index of this process, number of processes); (0, 1) for a single process."""
  return (jax.process_index(), jax.process_count()) if several() else (0, 1)


def leads() -> bool:
  """Whether this is the process that prints and writes logs."""
  return not several() or jax.process_index() == 0


def say(message: str) -> None:
  """Prints a line from one of all processes."""
  if leads():
    print(printable(message), flush=True)


def any_process(flag: bool) -> bool:
  """Whether the flag is set in any process; all must call it, and all get the same result."""
  return bool(multihost_utils.process_allgather(np.int32(flag)).any()) if several() else flag


def total(numbers: Sequence[int]) -> list[int]:
  """Sums each number over the processes; all must call it, and all get the same result."""
  if not several():
    return list(numbers)
  return multihost_utils.process_allgather(np.asarray(numbers, np.int32)).sum(0).tolist()


def from_process_0(tree: Any) -> Any:
  """Copies the arrays of process 0 exactly, as host arrays; all must call it with equal shapes."""
  if not several():
    return tree

  def pack(x):
    data = np.asarray(x).tobytes()
    # As integers: the broadcast sums with zeros, which would turn -0.0 into 0.0.
    return np.frombuffer(data + bytes(-len(data) % 4), np.uint32)

  packed = multihost_utils.broadcast_one_to_all(jax.tree.map(pack, tree))
  return jax.tree.map(
    lambda words, x: np.frombuffer(
      np.asarray(words).tobytes()[: np.asarray(x).nbytes], np.asarray(x).dtype
    ).reshape(np.shape(x)),
    packed,
    tree,
  )


def json_from_process_0(value: Any) -> Any:
  """Copies a JSON-serializable value from process 0; all must call it."""
  if not several():
    return value
  data = json.dumps(value).encode() if leads() else b""
  (size,) = total([len(data)])
  return json.loads(from_process_0(np.frombuffer(data.ljust(size), np.uint8)).tobytes())


def abandon(code: int) -> int:
  """Returns the exit code of a failed run; among several processes, exits with it at once.

  A normal exit would wait minutes for the others, which wait for this process's next step.
  """
  if several():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  return code


class Interrupt:
  """Turns the first SIGINT or SIGTERM into a request to stop; a second one stops at once."""

  def __init__(self, agree_every: int):
    """Several processes agree on stopping at steps that are multiples of agree_every."""
    self._asked = False
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
    """Whether to stop after this step; equal in all processes if each one asks at every step."""
    if not several():
      return self._asked
    return step % self._agree_every == 0 and any_process(self._asked)

  def _note(self, number, frame) -> None:
    del frame
    self._asked = True
    signal.signal(number, self._before[number])
