"""What do checkpoints cost a training run that saves one every N steps?

    python -m benchmarks checkpointing --every 100

Two kinds of windows alternate, each of N steps of the transfer training: one starts with a
checkpoint, saved as `train.py` saves it, and ends when that is on disk; the other has none.
"""

import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

import jax

from benchmarks.harness import command_line, records, timing
from benchmarks.speed import train
from stylejax.models.config import Preset
from stylejax.training import checkpoint
from stylejax.training.tasks import TransferConfig


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  preset: Preset = "base"
  """Sizes of the nets."""
  batch: int = 8
  """Images of each kind per step."""
  size: int = 128
  """Side of the crops in pixels."""
  every: int = 100
  """Steps from one checkpoint to the next."""
  repeats: int = 3
  """Windows of each kind, after a shorter, untimed one of each."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.at_least("--every", self.every, 1)
    command_line.at_least("--repeats", self.repeats, 1)


def window(
  case: timing.Case, steps: int, checkpoints: checkpoint.Checkpoints | None, config: str
) -> float:
  """Seconds for that many steps, including a checkpoint of the first if checkpoints are given."""
  start = time.perf_counter()
  for step in range(steps):
    state, _ = case.call()
    if step == 0 and checkpoints is not None:
      checkpoints.save(state, {"position": step}, config)
  jax.block_until_ready(state)
  if checkpoints is not None:
    checkpoints.wait()
  return time.perf_counter() - start


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  config = TransferConfig(preset=options.preset, batch=options.batch, size=options.size)
  case = train.step_case(config)
  text = config.to_json()
  seconds = {"no checkpoint": [], "a checkpoint": []}
  with tempfile.TemporaryDirectory() as folder, checkpoint.Checkpoints(Path(folder)) as checkpoints:
    for kind in (None, checkpoints):
      window(case, 2, kind, text)
    for repeat, name in itertools.product(range(options.repeats), seconds):
      kind = checkpoints if name == "a checkpoint" else None
      seconds[name].append(window(case, options.every, kind, text))
      print(f"{repeat + 1} of {options.repeats}, {name}: {seconds[name][-1]:.2f} s", flush=True)
  rows = [
    {
      "case": f"{options.every} steps, {name}",
      **case.about,
      "seconds": (quartiles := timing.spread(times)),
      "images_per_second": options.every * options.batch / quartiles["median"],
    }
    for name, times in seconds.items()
  ]
  rows[1]["ratio"] = rows[1]["seconds"]["median"] / rows[0]["seconds"]["median"]
  return records.report("checkpointing", options, {"rows": rows})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
