"""Process setup for commands: signals that stop and clean up, and printing of any file name.

Only commands use it. Importing it changes nothing, and it imports nothing slow.
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
_PAUSE = 0.01  # seconds until a signal that came at a bad moment is sent again


class Terminated(KeyboardInterrupt):
  """SIGTERM or SIGHUP arrived; unfinished files should be removed, as on Ctrl-C."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def run(work: Callable[[], int]) -> int:
  """Runs a command's work and returns its exit status.

  Ctrl-C, SIGTERM and SIGHUP end it at any moment, even during imports, with one line, and run every
  `finally`; a second SIGTERM or SIGHUP ends it at once. A name that the terminal can't show is
  printed with backslash escapes. Changes that the work makes to warnings and to the hooks for
  uncaught exceptions are undone afterwards.

  Args:
    work: called without arguments; returns an exit status.

  Returns:
    That status; 128 plus the signal's number if a signal stopped the command.
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
  """Registers a step that `run` calls after it has undone its changes.

  Use it for what should last until the process ends: `run` undoes the work's own changes to
  warnings and hooks.
  """
  _ends.append(step)


_ends: list[Callable[[], None]] = []


def status(error: KeyboardInterrupt) -> int:
  """The exit status of a command that was stopped: 128 plus the signal's number."""
  return 128 + getattr(error, "number", signal.SIGINT)


def stopped(error: KeyboardInterrupt) -> str:
  """The message of a command that was stopped."""
  return f"stopped by {error}" if isinstance(error, Terminated) else "interrupted"


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
  """Keeps messages of these loggers off the terminal; exceptions say what matters.

  Args:
    names: the loggers' names; handlers that a program has added still get the messages.
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
  """Makes signals raise an exception in the main thread, where it can be caught, during the work.

  A signal that is already handled otherwise (nohup, a host program) is left alone.
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
    """Whether an error was caused by the stop, which other code has wrapped in its own error."""
    # Python 3.11 wraps exceptions from __set_name__, during the creation of a class, in
    # RuntimeError.
    cause = error
    while cause is not None and cause is not self.error:
      cause = cause.__cause__
    return cause is not None

  def swallowed(self, error: BaseException | None) -> bool:
    """Whether an error that can't propagate was the stop; if so, sends the signal again soon.

    Exceptions in a destructor or in a garbage collector callback don't propagate, and each garbage
    collection calls Python code of JAX.
    """
    if error is None or error is not self.error:
      return False
    number = getattr(error, "number", signal.SIGINT)
    signal.signal(number, self._stop)
    _send_soon(number)
    return True

  def _stop(self, number: int, frame) -> None:
    # If anything is raised while an extension initializes, its C code turns it into an ImportError
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
  """Sends a signal to the main thread again after a pause."""

  def send() -> None:
    time.sleep(_PAUSE)
    if hasattr(signal, "pthread_kill"):  # also interrupts a system call that the thread is in
      signal.pthread_kill(threading.main_thread().ident, number)
    else:
      _thread.interrupt_main(number)

  # Not a threading.Thread: its start needs a lock, which the interrupted code may hold.
  _thread.start_new_thread(send, ())


@contextlib.contextmanager
def _hooks(stops: _Stops) -> Iterator[None]:
  """Detects the stop in exceptions that can't be caught; restores warning filters and hooks."""
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
  """Makes stdout escape characters that its encoding lacks instead of raising."""
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
