"""What a command needs of its process: a stop that cleans up, and a terminal that takes any name.

Only commands call this; importing it changes nothing, and it imports nothing that takes time.
"""

import _thread
import contextlib
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader

_LOADING = (ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__)
_PAUSE = 0.01  # seconds until a signal that came at a bad moment is tried again


class Terminated(KeyboardInterrupt):
  """SIGTERM or SIGHUP arrived: everything that is unfinished is to be removed, as on Ctrl-C."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def run(work: Callable[[], int]) -> int:
  """Runs a command's work and returns its exit status.

  Ctrl-C, SIGTERM and SIGHUP end it at any moment, also amid its imports, with one line and through
  every `finally`; a second SIGTERM or SIGHUP then ends it at once. A name that the terminal can't
  show is printed with backslash escapes. What the work does to warnings and to hooks for what
  nobody catches ends with it.

  Args:
    work: called without arguments; returns an exit status.

  Returns:
    That status; of a command that was stopped, 128 and the number of the signal.
  """
  _ends.clear()
  stops = _Stops()
  try:
    with stops, _any_name(), _hooks(stops), quiet("PIL"):
      return work()
  except KeyboardInterrupt as error:
    stop = error
  except Exception as error:
    if not stops.caused(error):
      raise
    stop = stops.error
  finally:
    while _ends:
      _ends.pop()()
  print(stopped(stop), file=sys.stderr)
  return status(stop)


def at_end(step: Callable[[], None]) -> None:
  """Has `run` call a step once it has put everything back, for what is to last as the process ends.

  What the work itself does to warnings and hooks is taken back before.
  """
  _ends.append(step)


_ends: list[Callable[[], None]] = []


def status(error: KeyboardInterrupt) -> int:
  """The exit status of a command that was stopped: 128 and the signal's number."""
  return 128 + getattr(error, "number", signal.SIGINT)


def stopped(error: KeyboardInterrupt) -> str:
  """What the command says then."""
  return f"stopped by {error}" if isinstance(error, Terminated) else "interrupted"


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
  """Keeps what these loggers say off the terminal: what matters of it is in an exception.

  Args:
    names: of loggers; where a program has given one a handler, that is told as before.
  """
  handler = logging.NullHandler()  # without any, Python prints warnings itself
  for name in names:
    logging.getLogger(name).addHandler(handler)
  try:
    yield
  finally:
    for name in names:
      logging.getLogger(name).removeHandler(handler)


class _Stops:
  """Lets signals raise in the main thread, where that can be caught, until the work has ended.

  A signal that somebody else decides about (nohup, a host program) stays theirs.
  """

  def __init__(self):
    self.error: KeyboardInterrupt | None = None
    self._before = {}

  def __enter__(self) -> "_Stops":
    if threading.current_thread() is threading.main_thread():
      for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (
          signal.SIG_DFL,
          signal.default_int_handler,
        ):
          self._before[number] = signal.signal(number, self._stop)
    return self

  def __exit__(self, *_) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def caused(self, error: BaseException) -> bool:
    """Whether an error is the stop, which something has turned into an error of its own."""
    # Python 3.11 makes a RuntimeError of what is raised in __set_name__, while a class is made.
    cause = error
    while cause is not None and cause is not self.error:
      cause = cause.__cause__
    return cause is not None

  def swallowed(self, error: BaseException | None) -> bool:
    """Whether an error that can't be raised any further was the stop; if so, stops again soon.

    What is raised in a destructor or in a callback of the garbage collector goes no further, and
    each collection calls Python code of JAX.
    """
    if error is None or error is not self.error:
      return False
    number = getattr(error, "number", signal.SIGINT)
    signal.signal(number, self._stop)
    _send_soon(number)
    return True

  def _stop(self, number: int, frame) -> None:
    # While an extension initializes itself, its C code makes an ImportError of whatever is raised,
    # or crashes (numpy 2.4, jaxlib 0.10.2).
    if _loads_extension(frame):
      _send_soon(number)
      return
    signal.signal(number, self._before[number])
    self.error = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
    raise self.error


def _loads_extension(frame) -> bool:
  while frame is not None and frame.f_code not in _LOADING:
    frame = frame.f_back
  return frame is not None


def _send_soon(number: int) -> None:
  """Sends the main thread a signal again after a pause."""

  def send() -> None:
    time.sleep(_PAUSE)
    if hasattr(signal, "pthread_kill"):  # ends the system call that the thread may be in by then
      signal.pthread_kill(threading.main_thread().ident, number)
    else:
      _thread.interrupt_main(number)

  # Not a threading.Thread: its start takes a lock, which the interrupted code may hold.
  _thread.start_new_thread(send, ())


@contextlib.contextmanager
def _hooks(stops: _Stops) -> Iterator[None]:
  """Looks for the stop in what nobody can catch; puts warnings' filters and the hooks back."""
  unraisable, threads = sys.unraisablehook, threading.excepthook

  def report(error) -> None:
    if not stops.swallowed(error.exc_value):
      unraisable(error)

  try:
    with warnings.catch_warnings():
      sys.unraisablehook = report
      yield
  finally:
    sys.unraisablehook, threading.excepthook = unraisable, threads


@contextlib.contextmanager
def _any_name() -> Iterator[None]:
  """Lets stdout escape what its encoding lacks, where it would raise."""
  stream = sys.stdout
  errors = getattr(stream, "errors", None)
  able = hasattr(stream, "reconfigure") and errors in ("strict", "surrogateescape")
  if able:
    stream.reconfigure(errors="backslashreplace")
  try:
    yield
  finally:
    if able and not stream.closed:
      stream.reconfigure(errors=errors)
