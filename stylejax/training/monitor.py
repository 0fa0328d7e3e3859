"""What a run shows: a progress bar, metrics.jsonl, TensorBoard files and image grids."""

import contextlib
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import rich.progress
import tensorboardX
from PIL import Image

from stylejax.runtime.files import printable, replacing

# The losses that fit on the progress bar, most informative first.
SHOWN = ("loss", "l1", "content", "style", "identity", "disc", "penalty")


class Monitor:
  """Writes a run's metrics and grids under its folder and shows its progress on the terminal."""

  def __init__(self, workdir: Path, *, steps: int, start: int, batch: int, description: str):
    self._workdir = workdir
    self._batch = batch
    self._start = start
    self._metrics = _open_metrics(workdir / "metrics.jsonl", start)
    # The queue is large, so that writing to it doesn't block once its thread has died of a full
    # disk; log() then reports the error.
    self._board = tensorboardX.SummaryWriter(
      str(workdir / "tensorboard"), purge_step=start + 1 if start else None, max_queue=1000
    )
    self._board_error: OSError | None = None
    self._thread_hook = threading.excepthook
    self._steps, self._born = steps, time.monotonic()
    self._timed = start, self._born
    self._description = description
    self._progress = rich.progress.Progress(
      rich.progress.TextColumn("{task.description}"),
      rich.progress.BarColumn(),
      rich.progress.MofNCompleteColumn(),
      rich.progress.TextColumn("{task.fields[notes]}"),
    )
    # Outside a terminal a bar would be squeezed into 80 columns, or appear only at the end.
    self._bar = self._progress.console.is_terminal
    self._task = self._progress.add_task(
      description, total=steps, completed=start, notes="compiling"
    )

  def __enter__(self) -> "Monitor":
    threading.excepthook = self._note_thread
    if self._bar:
      self._progress.start()
    return self

  def __exit__(self, kind, *_) -> None:
    if self._bar:
      self._progress.stop()
    # An error that is already on its way is the better message.
    with contextlib.suppress(OSError) if kind else _named(self._workdir):
      try:
        self._board.close()
      finally:
        self._metrics.close()
    if not kind:
      threading.excepthook = self._thread_hook

  def compiled(self, step: int) -> None:
    """Notes that the first step of this process, with this number, is done."""
    self._timed = step, time.monotonic()
    if self._bar:
      self._progress.update(self._task, advance=1, notes="")
    else:
      self.say(f"{self._description}: compiled in {_duration(time.monotonic() - self._born)}")

  def _note_thread(self, args) -> None:
    if type(args.thread).__module__.startswith("tensorboardX"):
      self._board_error = self._board_error or args.exc_value
    else:
      self._thread_hook(args)

  def log(self, step: int, metrics: dict[str, float], seconds_per_step: float | None) -> None:
    """Writes a line of metrics.jsonl and TensorBoard scalars, and updates the progress bar."""
    line = {"step": step, **{k: float(f"{v:.6g}") for k, v in metrics.items()}}
    if seconds_per_step:
      line["images_per_second"] = round(self._batch / seconds_per_step, 3)
    with _named(self._workdir):
      self._metrics.write(json.dumps(line) + "\n")
      self._metrics.flush()
      if self._board_error:
        raise self._board_error
    for name, value in metrics.items():
      self._board.add_scalar(name, value, step)
    self._show(step, metrics, seconds_per_step)

  def _show(self, step: int, metrics: dict[str, float], seconds_per_step: float | None) -> None:
    notes = []
    if seconds_per_step:
      notes.append(f"{self._batch / seconds_per_step:.1f} images/s")
      # Averaged over all steps so far, since some of them also save and draw.
      first, since = self._timed
      if first < step < self._steps:
        left = (time.monotonic() - since) / (step - first) * (self._steps - step)
        notes.append(f"{_duration(left)} left")
    notes += [f"{name} {metrics[name]:.3g}" for name in SHOWN if name in metrics]
    if self._bar:
      self._progress.update(self._task, completed=step, notes=", ".join(notes))
    else:
      self.say(f"step {step} of {self._steps}: {', '.join(notes)}")

  def say(self, message: str) -> None:
    """Prints a line above the progress bar."""
    self._progress.console.print(printable(message), soft_wrap=True, highlight=False, markup=False)

  def grid(self, step: int, rows: np.ndarray) -> None:
    """Saves images [R, C, H, W, 3] in [0, 1] as one PNG and to TensorBoard."""
    count, columns, height, width, _ = rows.shape
    grid = np.asarray(rows).transpose(0, 2, 1, 3, 4).reshape(count * height, columns * width, 3)
    grid = np.round(np.clip(grid, 0.0, 1.0) * 255.0).astype(np.uint8)
    folder = self._workdir / "grids"
    folder.mkdir(exist_ok=True)
    with replacing(folder / f"step_{step:07d}.png") as unfinished:
      Image.fromarray(grid).save(unfinished, format="PNG")
    self._board.add_image("grid", grid, step, dataformats="HWC")


def _duration(seconds: float) -> str:
  """A duration in its two largest units: 45 s, 3 min 20 s, 5 h 10 min, 2 d 3 h."""
  seconds = round(seconds)
  for unit, name, smaller, small in (
    (86400, "d", 3600, "h"),
    (3600, "h", 60, "min"),
    (60, "min", 1, "s"),
  ):
    if seconds >= unit:
      rest = seconds % unit // smaller
      return f"{seconds // unit} {name}" + (f" {rest} {small}" if rest else "")
  return f"{seconds} s"


class Silent:
  """Stands in for a Monitor in the processes that show nothing."""

  def __init__(self, *_, **__):
    pass

  def __enter__(self) -> "Silent":
    return self

  def __exit__(self, *_) -> None:
    pass

  def compiled(self, step: int) -> None:
    """Does nothing: process 0 reports it."""

  def log(self, *_) -> None:
    """Does nothing: process 0 has the same numbers."""

  def grid(self, *_) -> None:
    """Does nothing: process 0 draws the grids."""

  def say(self, message: str) -> None:
    """Prints to stderr, since only this process knows which of its files can't be read."""
    print(printable(message), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _named(workdir: Path):
  """Adds the run's folder to an OSError, whose own message may name no file."""
  try:
    yield
  except OSError as error:
    raise OSError(
      f"{workdir}: found {error.strerror or error}, expected room to write the metrics"
    ) from error


def _open_metrics(path: Path, start: int):
  """Opens metrics.jsonl for appending and removes the lines of steps that will be run again."""
  if path.exists():
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
    earlier = [line for line in lines if json.loads(line)["step"] <= start]
    with replacing(path) as unfinished:
      unfinished.write_text("".join(line + "\n" for line in earlier))
  return path.open("a")
