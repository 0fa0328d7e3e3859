"""Background threads: computing results ahead of time, and repeating a task.

    ahead         computes function(item) for the next items, in order
    ReadAhead     reads the next items of an iterator
    Repeating     calls a function every few seconds, until told to stop

An exception in a thread is raised where its result is requested.
"""

import collections
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def ahead(
  function: Callable[[In], Out], items: Iterable[In], *, threads: int, depth: int
) -> Iterator[tuple[In, Out]]:
  """Yields (item, function(item)) in order, computed in threads before they are requested.

  Args:
    function: called in the threads; an exception is raised here when its item's turn comes.
    items: read in the caller's thread.
    threads: how many threads run at once.
    depth: how many results may be waiting or under way.
  """
  waiting: collections.deque[tuple[In, Future[Out]]] = collections.deque()
  with ThreadPoolExecutor(threads) as pool:
    try:
      for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) > depth:
          item, future = waiting.popleft()
          yield item, future.result()
      while waiting:
        item, future = waiting.popleft()
        yield item, future.result()
    finally:
      pool.shutdown(cancel_futures=True)


class ReadAhead(Iterator[Out], Generic[Out]):
  """An iterator whose next items a thread prepares; close it, or use it as a context manager."""

  def __init__(self, items: Iterator[Out], *, depth: int, name: str):
    """Starts the thread.

    Args:
      items: from now on read by the thread only.
      depth: how many items may be ready or under way, at least 1.
      name: the thread's name.

    Raises:
      ValueError: depth is less than 1.
    """
    if depth < 1:
      raise ValueError(f"depth: found {depth}, expected at least 1")
    self._items = items
    self._ready: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    self._room = threading.Semaphore(depth)
    self._stop = threading.Event()
    self._ended: BaseException | None = None
    self._thread = threading.Thread(target=self._fill, daemon=True, name=name)
    self._thread.start()

  def __iter__(self) -> "ReadAhead[Out]":
    return self

  def __next__(self) -> Out:
    if self._ended is None:
      item, self._ended = self._ready.get()
      self._room.release()
    if self._ended is not None:
      raise self._ended
    return item

  def __enter__(self) -> "ReadAhead[Out]":
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def close(self) -> None:
    """Ends the thread and drops prepared items; next() raises StopIteration from now on.

    Waits for the item under way. Close this before the iterator it reads from.
    """
    self._stop.set()
    self._room.release()
    self._thread.join()
    self._ended = StopIteration()
    self._ready = queue.SimpleQueue()

  def _fill(self) -> None:
    """Runs in the thread: prepares items until it is stopped or the iterator ends."""
    while True:
      self._room.acquire()
      if self._stop.is_set():
        return
      try:
        self._ready.put((next(self._items), None))
      except BaseException as error:  # raised again in next(), whatever it is
        self._ready.put((None, error))
        return


class Repeating:
  """Calls a function in a thread every few seconds, until stopped or until it returns False."""

  def __init__(self, work: Callable[[], object], *, every: Callable[[], float], name: str):
    """Prepares the thread without starting it.

    Args:
      work: called in the thread; must not raise, and ends the thread by returning False.
      every: returns the seconds between the end of a call and the next one.
      name: the thread's name.
    """
    self._work, self._every = work, every
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._run, daemon=True, name=name)

  def start(self) -> None:
    """Starts the thread."""
    self._thread.start()

  def stop(self) -> None:
    """Ends the thread; waits for the call under way."""
    self._stop.set()
    self._thread.join()

  @property
  def stopped(self) -> bool:
    """Whether it was told to stop."""
    return self._stop.is_set()

  def pause(self, seconds: float) -> bool:
    """Sleeps within a call of `work`; returns True at once when told to stop."""
    return self._stop.wait(seconds)

  @contextlib.contextmanager
  def running(self) -> Iterator[None]:
    """Runs the thread for the duration of a block."""
    self.start()
    try:
      yield
    finally:
      self.stop()

  def _run(self) -> None:
    while not self._stop.wait(self._every()):
      if self._work() is False:
        return
