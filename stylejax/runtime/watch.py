"""Ends a run of several processes if one of them is gone or none makes progress, and says which.

Without it, the others wait in a collective until their backend times out, with an error that names
no process. Processes connect in `stylejax.runtime.distributed`.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

from stylejax.errors import InputError
from stylejax.runtime import distributed

_KEY = "stylejax/watch/"
_DONE = "done"
# Fractions of the deadline: the time between two heartbeats, the time without progress after which
# others' heartbeats are read, and the time without a heartbeat after which a process is gone.
_BEAT, _STALLED, _SILENT = 1 / 12, 1 / 2, 1 / 3
_LONGEST_BEAT = 10.0


class Watch:
  """Tells the other processes that this one is alive and where it is, and watches them.

      with Watch(deadline=600) as watch:
        for step in range(steps):
          watch.note(f"step {step}")

  A thread sends the heartbeats, so a process that computes or compiles for a long time is not taken
  for dead. With one process, it does nothing.

  Args:
    deadline: seconds without a `note` after which the process ends with status 1 and one line,
      which names the process without a heartbeat or, if all have one, what each is doing. 0: never.
    store: a store of strings by key, shared by all processes; by default that of jax.distributed.
    end: called with that line instead of ending the process.
  """

  def __init__(
    self, *, deadline: float, store: Any = None, end: Callable[[str], None] | None = None
  ):
    self._deadline = deadline
    self._beat = min(deadline * _BEAT, _LONGEST_BEAT)
    self._store = store
    self._end = end or _end
    self._place, self._since, self._limited = "start", time.monotonic(), False
    self._count = 0
    self._signs: dict[int, tuple[str, float]] = {}
    self._stop = threading.Event()
    self._thread: threading.Thread | None = None
    self._handler: Any = None

  def __enter__(self) -> "Watch":
    if self._deadline and distributed.several():
      if self._store is None:
        self._store = _store()
      self._handler = None if jax.process_index() == 0 else _tell_of_abort()
      self._give_sign()
      self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
      self._thread.start()
    return self

  def __exit__(self, kind, error, traceback) -> None:
    if self._thread is None:
      return
    if _may_come_from_others(error):
      self._blame()
    self._stop.set()
    self._thread.join()
    if kind is None:
      # The others may take longer to save than this process.
      self._place, self._limited = _DONE, False
      self._give_sign()
    if self._handler is not None:
      ctypes.CDLL(None).signal(signal.SIGABRT, None)

  def note(self, place: str, *, limited: bool = True) -> None:
    """Reports progress and what this process does next; the deadline applies to it if `limited`."""
    self._place, self._limited, self._since = place, limited, time.monotonic()

  def _run(self) -> None:
    while not self._stop.wait(self._beat):
      line = self._check()
      if line and not self._stop.is_set():
        self._end(line)
        return

  def _check(self) -> str | None:
    """Describes what is wrong; None if nothing is."""
    try:
      self._give_sign()
      waited = time.monotonic() - self._since
      if waited < self._deadline * _STALLED:
        self._signs = {}
        return None
      self._read_signs()
    except jax.errors.JaxRuntimeError as error:
      return f"process 0 is gone: it doesn't answer ({str(error).splitlines()[0][:100]})"
    silent = self._silent()
    if silent:
      return self._gone(silent)
    if self._limited and waited >= self._deadline:
      places = ", ".join(f"process {i} at {self._place_of(i)}" for i in sorted(self._signs))
      return (
        f"--deadline: found no end of {self._place} in {waited:.0f} s, expected one in "
        f"{self._deadline:g} s: {places}"
      )
    return None

  def _give_sign(self) -> None:
    self._count += 1
    sign = json.dumps([self._count, self._place])
    self._store.key_value_set(f"{_KEY}{jax.process_index()}", sign, allow_overwrite=True)

  def _read_signs(self) -> None:
    now = time.monotonic()
    signs = {int(key.rpartition("/")[2]): sign for key, sign in self._store.key_value_dir_get(_KEY)}
    for process in range(jax.process_count()):
      sign = signs.get(process, "")
      if self._signs.get(process, (None,))[0] != sign:
        self._signs[process] = sign, now

  def _silent(self) -> list[int]:
    """The processes without a new heartbeat for too long."""
    now, limit = time.monotonic(), self._deadline * _SILENT
    return [
      process
      for process, (_, since) in sorted(self._signs.items())
      if process != jax.process_index() and now - since >= limit
      if self._place_of(process) != _DONE
    ]

  def _place_of(self, process: int) -> str:
    sign = self._signs[process][0]
    return json.loads(sign)[1] if sign else "start"

  def _gone(self, silent: list[int]) -> str:
    those = ", ".join(f"{process} (last at {self._place_of(process)})" for process in silent)
    if len(silent) == 1:
      return f"process {those} is gone: it gives no sign of life"
    return f"processes {those} are gone: they give no sign of life"

  def _blame(self) -> None:
    """Waits for the thread to find a process that is gone and end the run; else returns."""
    self._since = time.monotonic() - self._deadline * _STALLED
    self._limited = False
    assert self._thread is not None
    self._thread.join(self._deadline * _STALLED)


def _may_come_from_others(error: BaseException | None) -> bool:
  """Whether a collective may have raised it: Gloo's errors are ValueErrors, others XLA's."""
  if isinstance(error, InputError | FloatingPointError):
    return False
  return isinstance(error, jax.errors.JaxRuntimeError | ValueError)


def _store():
  # Not public; JAX has no public API for it.
  from jax._src import distributed as jax_distributed

  return jax_distributed.global_state.client


def _end(line: str) -> None:
  print(f"error: {line}; restart all processes with --resume", file=sys.stderr)
  distributed.abandon(1)


def _tell_of_abort() -> Any:
  """Installs a handler that reports that process 0 is gone if jaxlib aborts for it, from C++."""
  from jax._src import distributed as jax_distributed

  host, _, port = (jax_distributed.global_state.coordinator_address or "").rpartition(":")

  @ctypes.CFUNCTYPE(None, ctypes.c_int)
  def on_abort(number: int) -> None:
    try:
      socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except (OSError, ValueError):
      os.write(
        2, b"error: process 0 is gone: it doesn't answer; restart all processes with --resume\n"
      )
    os._exit(128 + number)

  ctypes.CDLL(None).signal(signal.SIGABRT, on_abort)
  return on_abort
