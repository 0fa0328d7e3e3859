"""What a command needs of its process: a stop that cleans up, and a terminal that takes any name.

Only commands call this; importing it changes nothing, and it imports nothing that takes time.
"""

import contextlib
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator


class Terminated(KeyboardInterrupt):
  """SIGTERM or SIGHUP arrived: everything that is unfinished is to be removed, as on Ctrl-C."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def run(work: Callable[[], int]) -> int:
  """Runs a command's work and returns its exit status.

  SIGTERM and SIGHUP end it as Ctrl-C does, through every `finally`; a second one ends it at once.
  A name that the terminal can't show is printed with backslash escapes. What the work does to
  warnings and to hooks for what nobody catches ends with it.

  Args:
    work: called without arguments; returns an exit status.

  Returns:
    That status; of a command that was stopped, 128 and the number of the signal.
  """
  with _signals(), _any_name(), _hooks(), quiet("PIL"):
    try:
      return work()
    except KeyboardInterrupt as error:
      print(stopped(error), file=sys.stderr)
      return status(error)


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


@contextlib.contextmanager
def _hooks() -> Iterator[None]:
  """Puts warnings' filters and the hooks back as they were."""
  unraisable, threads = sys.unraisablehook, threading.excepthook
  try:
    with warnings.catch_warnings():
      yield
  finally:
    sys.unraisablehook, threading.excepthook = unraisable, threads


@contextlib.contextmanager
def _signals() -> Iterator[None]:
  """Lets SIGTERM and SIGHUP raise, unless somebody else decided what they do (nohup, a host)."""
  before = {}
  if threading.current_thread() is threading.main_thread():
    for name in ("SIGTERM", "SIGHUP"):
      number = getattr(signal, name, None)
      if number is not None and signal.getsignal(number) is signal.SIG_DFL:
        before[number] = signal.signal(number, _stop)
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _stop(number: int, frame) -> None:
  del frame
  signal.signal(number, signal.SIG_DFL)
  raise Terminated(number)


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
