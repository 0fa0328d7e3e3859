"""A lock where the system has none, in object storage: a file that its holder rewrites in time.

A killed holder can't release it; others see that it is no longer rewritten, and take it over. Two
that do so in the same instant are told apart a moment later, by what the file then says. Where the
storage ignores conditional writes (S3's If-None-Match, GCS's ifGenerationMatch), two that start in
the same instant could both begin, and one of them stops at its next beat.
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
"""Seconds between two writes of the holder."""
DEAD_AFTER = 60.0
"""Seconds without a write after which the holder counts as dead."""
_SETTLE = 1.0  # seconds for which somebody else's takeover may be under way


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
    """Raises OSError if somebody else has taken the lease over, as far as is known."""
    if self._lost:
      raise OSError(
        f"{self._store.url}: found that {self._lost} has taken it over, expected to be "
        "the only one that writes there"
      )

  def confirm(self) -> None:
    """Asks the store, then as `check`."""
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
    """Waits until the holder is seen to live, which is an error, or counts as dead."""
    end = time.monotonic() + DEAD_AFTER
    if not temporary.is_dead(holder.get("process")):
      say(
        f"{self._store.url}: {_holder(holder)} was here; waiting up to {DEAD_AFTER:.0f} s to see "
        "whether it still is"
      )
      while time.monotonic() < end:
        time.sleep(min(1.0, DEAD_AFTER / 10))
        before, holder = holder, self._read() or {}
        if holder and holder != before:
          raise InputError(
            f"{what}: found {self._store.url} in use by {_holder(holder)}, expected "
            "another folder, or to wait for its end"
          )
        if not holder:  # it has just ended
          break
    self._store.write(self._name, self._content())
    # Whoever else took it over in this moment has written too, and one of the two is read back.
    time.sleep(_SETTLE)
    winner = self._read() or {}
    if winner.get("token") != self._mine["token"]:
      raise InputError(
        f"{what}: found {self._store.url} just taken by {_holder(winner)}, expected "
        "another folder, or to wait for its end"
      )

  def _keep(self) -> bool:
    """Rewrites the file; False once the lease is lost."""
    # Storage that can't be reached for a while is no loss; the next beat will tell.
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
    name: of the file; it is removed at the end.
    what: the name of the setting for messages, as "--workdir".
    say: is told when it has to be waited for.

  Raises:
    InputError: a live process holds it.
    OSError: the storage can't be written.
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
