"""A lock for object storage, which has none: a file that its holder rewrites regularly.

A killed holder can't release it; others notice that it is no longer rewritten, and take it over. If
two do so at the same moment, what the file says shortly after decides. If the storage ignores
conditional writes (S3's If-None-Match, GCS's ifGenerationMatch), two that start at the same moment
may both begin, and one of them stops at its next beat.
"""

import contextlib
import datetime
import json
import os
import socket
import time
from collections.abc import Callable, Iterator

from stylejax.errors import InputError
from stylejax.runtime import temporary
from stylejax.runtime.background import Repeating
from stylejax.runtime.stores import Store

BEAT = 15.0
"""Seconds between two writes by the holder."""
DEAD_AFTER = 60.0
"""Seconds without a write after which the holder is considered dead."""
_SETTLE = 1.0  # seconds to wait for another takeover that may be under way


class Lease:
  """A held lease; see `leased`."""

  def __init__(self, store: Store, name: str):
    self._store, self._name = store, name
    self._mine = {
      "host": socket.gethostname(),
      "pid": os.getpid(),
      "process": temporary.identity(),
      "token": os.urandom(8).hex(),
      "since": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    self._beats = 0
    self._lost: str | None = None

  def check(self) -> None:
    """Raises OSError if the last contact showed that another process has taken the lease over."""
    if self._lost:
      raise OSError(
        f"{self._store.url}: found that {self._lost} has taken it over, expected to be "
        "the only one that writes there"
      )

  def confirm(self) -> None:
    """Reads the file to see who holds the lease, then does the same as `check`."""
    holder = self._read()
    if holder is None or holder.get("token") != self._mine["token"]:
      self._lost = _holder(holder)
    self.check()

  def _content(self) -> bytes:
    return json.dumps(self._mine | {"beat": self._beats}).encode()

  def _read(self) -> dict | None:
    text = self._store.read(self._name)
    with contextlib.suppress(ValueError):
      holder = json.loads(text) if text is not None else None
      return holder if isinstance(holder, dict | None) else {}
    return {}

  def _acquire(self, what: str, say: Callable[[str], None]) -> None:
    while not self._store.create(self._name, self._content()):
      holder = self._read()
      if holder is not None:
        self._take_over(holder, what, say)
        return

  def _take_over(self, holder: dict, what: str, say: Callable[[str], None]) -> None:
    """Waits until the holder shows that it is alive, which is an error, or is considered dead."""
    end = time.monotonic() + DEAD_AFTER
    if not temporary.is_dead(holder.get("process")):
      say(
        f"{self._store.url}: {_holder(holder)} was here; waiting up to {DEAD_AFTER:.0f} s to see "
        "whether it is still running"
      )
      while time.monotonic() < end:
        time.sleep(min(1.0, DEAD_AFTER / 10))
        before, holder = holder, self._read() or {}
        if holder and holder != before:
          raise InputError(
            f"{what}: found {self._store.url} in use by {_holder(holder)}, expected "
            "another folder, or a start after that has ended"
          )
        if not holder:  # it has just released the lease
          break
    self._store.write(self._name, self._content())
    # Another process that took it over at this moment has written too; the last write wins.
    time.sleep(_SETTLE)
    winner = self._read() or {}
    if winner.get("token") != self._mine["token"]:
      raise InputError(
        f"{what}: found {self._store.url} just taken by {_holder(winner)}, expected "
        "another folder, or a start after that has ended"
      )

  def _keep(self) -> bool:
    """Rewrites the file; False once the lease is lost."""
    # If storage is unreachable for a while, the lease isn't lost; the next beat tries again.
    with contextlib.suppress(OSError):
      self.confirm()
      self._beats += 1
      self._store.write(self._name, self._content())
    return not self._lost


@contextlib.contextmanager
def leased(
  store: Store, name: str, what: str, *, say: Callable[[str], None] = print
) -> Iterator[Lease]:
  """Runs a block while no other process holds the lease of this name.

  Args:
    store: where the file is.
    name: the file's name; it is removed at the end.
    what: the name of the setting for messages, such as "--workdir".
    say: called with a line if it has to wait.

  Raises:
    InputError: a live process holds the lease.
    OSError: the storage can't be written to.
  """
  lease = Lease(store, name)
  lease._acquire(what, say)
  try:
    with Repeating(lease._keep, every=lambda: BEAT, name="lease").running():
      yield lease
  finally:
    with contextlib.suppress(OSError):
      lease.confirm()
      store.remove(name)


def _holder(holder: dict | None) -> str:
  if not holder:
    return "another process"
  text = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
  return "".join(c if c.isprintable() else "?" for c in text)[:200]
