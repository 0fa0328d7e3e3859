"""How much faster do several devices run a train step than one?

    python -m benchmarks scaling --command transfer --batch 16

On a CPU the devices are emulated and share the same cores: the figure then shows what splitting
costs, not what more hardware gains.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import jax

from benchmarks.harness import command_line, records, timing
from benchmarks.speed import train
from stylejax.errors import InputError
from stylejax.models.config import Preset
from stylejax.training.config import TrainConfig
from stylejax.training.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Whose step is timed: the training command."""
  preset: Preset = "base"
  """Sizes of the nets."""
  batch: int = 8
  """Images of each kind per step, over all devices: the same for every count."""
  size: int = 128
  """Side of the crops in pixels."""
  counts: tuple[int, ...] = (1, 2)
  """Numbers of devices; those beyond the machine's are skipped, but a CPU emulates any number."""
  repeats: int = 10
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--counts", self.counts, 1)
    command_line.at_least("--repeats", self.repeats, 1)
    group = self.config.group
    for count in self.counts:
      if self.batch % (count * group):
        raise InputError(
          f"--batch: found {self.batch}, expected a multiple of {count * group} for {count} devices"
        )

  @property
  def config(self) -> TrainConfig:
    """The training's config."""
    return TASKS[self.command].config(preset=self.preset, batch=self.batch, size=self.size)


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  # Matters on a CPU only, and must come before the devices are first looked up.
  jax.config.update("jax_num_cpu_devices", max(options.counts))
  devices = jax.local_devices()
  results = timing.measure(
    [
      train.step_case(options.config, devices[:count])
      for count in options.counts
      if count <= len(devices)
    ],
    options.repeats,
  )
  one = next((row for row in results["rows"] if row["devices"] == 1), None)
  for row in results["rows"] if one else ():
    row["ratio"] = row["images_per_second"] / one["images_per_second"]
  results["rows"] += [
    {
      "case": f"{options.command} step",
      "devices": count,
      "skipped": f"found {len(devices)} devices",
    }
    for count in options.counts
    if count > len(devices)
  ]
  return records.report("scaling", options, results)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__, trains=True)
