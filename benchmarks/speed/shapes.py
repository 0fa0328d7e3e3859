"""What would `stylize` cost with nets of other sizes? Times them in turn with the preset.

    python -m benchmarks shapes --shapes "fold=4 content_widths=48,96,128,128" "decoder_blocks=4"

`ratio` is the time over that of the preset at the same size. Parameters are random. The style has
256 × 256 pixels, as it is read by default.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from benchmarks.harness import command_line, records, timing
from benchmarks.speed.layers import config_of
from stylejax import transfer
from stylejax.models.config import Preset
from stylejax.models.nets import init_params

STYLE_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  shapes: tuple[str, ...]
  """Sizes that differ from the preset's, as `stylejax train --model-sizes` takes them: those of
  one net in one argument, separated by blanks."""
  preset: Preset = "base"
  """Sizes of the nets that all others are compared with."""
  sizes: tuple[int, ...] = (512, 1024)
  """Sides of the photo, in pixels."""
  repeats: int = 9
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--sizes", self.sizes, 64)
    command_line.at_least("--repeats", self.repeats, 1)
    for shape in self.shapes:
      config_of(self.preset, shape.split())


def main(options: Options) -> dict:
  """Measures all nets at all sizes in turn and returns the result."""
  rng, every = np.random.default_rng(0), []
  style = rng.random((1, STYLE_SIZE, STYLE_SIZE, 3), np.float32)
  for shape in ("", *options.shapes):
    config = config_of(options.preset, shape.split())
    params = jax.jit(lambda config=config: init_params(jax.random.key(0), config))()
    for size in options.sizes:
      content = rng.random((1, size, size, 3), np.float32)
      about = {"size": size, "work": config.work}
      arguments = (params, content, style)
      name = shape or options.preset
      every.append(timing.jit_case(name, transfer.stylize, arguments, 1, about))
  result = timing.measure(every, options.repeats)
  base = {
    row["size"]: row["seconds"]["median"] for row in result["rows"] if row["case"] == options.preset
  }
  for row in result["rows"]:
    row["ratio"] = row["seconds"]["median"] / base[row["size"]]
  return records.report("shapes", options, result)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
