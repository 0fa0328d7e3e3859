"""What the commands show on a terminal: one line for a mistake, a bar for many images."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stylejax.errors import InputError
from stylejax.runtime import memory, process
from stylejax.runtime.files import describe, printable


def exit_status(work: Callable[[], int], *, starts: bool = True) -> int:
  """Runs a command's work and returns its exit status: a mistake is one line and 2.

  Args:
    work: called without arguments; returns an exit status.
    starts: whether it imports its libraries yet, for which there must be memory.
  """
  try:
    if starts:
      memory.check_start()
    return work()
  except MemoryError:
    print(
      "error: memory: found too little to go on, expected more, or a smaller image; --size "
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
  """Prints one line for what is left out or ignored of the inputs."""
  print(f"note: {printable(message)}", file=sys.stderr)


@contextlib.contextmanager
def progress() -> Iterator[tuple]:
  """Callbacks for progress, skipped files, the share that is done of a large image, and notes.

  A bar on stderr once there is more than one file, and one for each large image.
  """
  console = Console(stderr=True)
  bar = Progress(
    TextColumn("stylizing"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[rate]}"),
    TextColumn("left"),
    TimeRemainingColumn(),
    console=console,
  )
  task, part, started = None, None, 0.0

  def on_progress(done: int, total: int) -> None:
    nonlocal task, started
    if total < 2:
      return
    if task is None:
      task = bar.add_task("stylizing", total=total, rate="")
      started = time.perf_counter()
      bar.start()
    rate = f"{done / (time.perf_counter() - started):.2f} images/s" if done else ""
    bar.update(task, completed=done, rate=rate)

  def on_skip(message: str) -> None:
    console.print(f"skipped: {printable(message)}", markup=False, highlight=False, soft_wrap=True)

  def on_note(message: str) -> None:
    console.print(f"note: {printable(message)}", markup=False, highlight=False, soft_wrap=True)

  def on_part(share: float) -> None:
    nonlocal part
    if part is None:
      part = bar.add_task("stylizing", total=100, rate="% of it")
      bar.start()
    bar.update(part, completed=round(100 * share), visible=share < 1 or task is None)

  try:
    yield on_progress, on_skip, on_part, on_note
  finally:
    if task is not None or part is not None:  # a bar that never ran would still print an empty line
      bar.stop()


@contextlib.contextmanager
def descent() -> Iterator[tuple[Callable[[int], None], Callable[[int, float], None]]]:
  """Callbacks for an optimization: (number of steps), and (steps done, loss).

  A bar on stderr with the loss and the time that is left.
  """
  bar = Progress(
    TextColumn("optimizing"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[loss]}"),
    TimeRemainingColumn(),
    TextColumn("left"),
    console=Console(stderr=True),
  )
  task = bar.add_task("optimizing", total=None, loss="compiling", visible=False)

  def on_start(steps: int) -> None:
    bar.update(task, total=steps, visible=True)
    bar.start()

  def on_step(done: int, loss: float) -> None:
    bar.update(task, completed=done, loss=f"loss {loss:.4g}")

  try:
    yield on_start, on_step
  finally:
    if bar.tasks[0].visible:  # a bar that never ran would still print an empty line
      bar.stop()
