"""What the commands show on a terminal: one line for a mistake, a progress bar for many images."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stylejax.errors import InputError
from stylejax.runtime import memory, process
from stylejax.runtime.files import describe, printable


def exit_status(work: Callable[[], int], *, starts: bool = True) -> int:
  """Runs a command's work and returns its exit status; a mistake prints one line and gives 2.

  Args:
    work: called without arguments; returns an exit status.
    starts: whether it has yet to import its libraries, for which there must be memory.
  """
  try:
    if starts:
      memory.check_start()
    return work()
  except MemoryError:
    print(
      "error: memory: found too little to continue, expected more, or a smaller image; --size "
      "scales it",
      file=sys.stderr,
    )
    return 2
  except (InputError, OSError) as error:
    print(f"error: {describe(error)}", file=sys.stderr)
    return 2
  except KeyboardInterrupt as error:
    print(process.stopped(error), file=sys.stderr)
    return process.status(error)


def say_note(message: str) -> None:
  """Prints one line about what is left out or ignored in the inputs."""
  print(f"note: {printable(message)}", file=sys.stderr)


def _rate() -> Callable[[int, str], str]:
  """A function of the number done and a unit, which says how fast those after the first came."""
  first, began = 0, 0.0

  def rate(done: int, unit: str) -> str:
    nonlocal first, began
    if not done:
      return "preparing"
    if not first:  # it may have waited for the compiler, so it doesn't count
      first, began = done, time.perf_counter()
    new = done - first
    return f"{new / (time.perf_counter() - began):.2f} {unit}/s" if new else ""

  return rate


@contextlib.contextmanager
def progress(unit: str = "images") -> Iterator[tuple]:
  """Gives callbacks for progress, skipped files, parts of a large image, a descent, and notes.

  They draw a bar on stderr if there is more than one file, and one for each image that takes long.

  Args:
    unit: what is counted, in the plural.
  """
  console = Console(stderr=True)
  bar = Progress(
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.fields[count]}"),
    TextColumn("{task.fields[rate]}"),
    TextColumn("left"),
    TimeRemainingColumn(),
    console=console,
    speed_estimate_period=120,  # a few steps of a large image may take a minute
  )
  task, part, rate_at = None, None, _rate()

  def on_progress(done: int, total: int) -> None:
    nonlocal task
    if total < 2:
      return
    if task is None:
      task = bar.add_task("stylizing", total=total, rate="", count="")
      bar.start()
    bar.update(task, completed=done, rate=rate_at(done, unit), count=f"{done}/{total}")

  def on_skip(message: str) -> None:
    console.print(f"skipped: {printable(message)}", markup=False, highlight=False, soft_wrap=True)

  def on_note(message: str) -> None:
    console.print(f"note: {printable(message)}", markup=False, highlight=False, soft_wrap=True)

  def on_image(share: float, what: str, rate: str, count: str, *, begins: bool = False) -> None:
    nonlocal part
    if part is None:
      part = bar.add_task(what, total=1.0, rate=rate, count=count)
      bar.start()
    elif begins:
      bar.reset(part)
    bar.update(part, completed=share, rate=rate, count=count, visible=share < 1 or task is None)

  def on_part(share: float) -> None:
    on_image(share, "stylizing", "% of the image", f"{round(100 * share)}/100")

  def on_descent(done: int, total: int, share: float, loss: float) -> None:
    rate = "compiling" if math.isnan(loss) else f"loss {loss:.4g}"
    on_image(share, "optimizing", rate, f"{done}/{total}", begins=math.isnan(loss))

  try:
    yield on_progress, on_skip, on_part, on_descent, on_note
  finally:
    if task is not None or part is not None:  # a bar that never ran would still print an empty line
      bar.stop()
