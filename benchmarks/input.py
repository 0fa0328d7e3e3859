"""How many crops a second come out of decoding and of the whole input pipeline?

    python -m benchmarks input --folder photos --size 128

Without a folder, the sample pictures of the package; a real collection says more. The share is of
the rate at which the transfer step takes pictures in (two for each of its images).
"""

import contextlib
import dataclasses
import os
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks import timing, train
from stylejax.data.pictures import decode_rgb
from stylejax.data.pipeline import make_batches
from stylejax.data.sources import find_pictures
from stylejax.data.transforms import random_resized_crop
from stylejax.models.config import PRESETS

SAMPLES = Path(__file__).parent.parent / "stylejax" / "assets" / "samples"
MIN_SIDE_PER_SIZE = 3


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to keep it."""

  folder: Path = SAMPLES
  """Pictures to read, for both streams."""
  size: int = 128
  """Side of the crops in pixels."""
  batch: int = 8
  """Crops of each stream in a batch."""
  workers: tuple[int, ...] = (0, os.cpu_count() or 1)
  """Worker processes of the pipeline; 0 decodes in threads."""
  batches: int = 20
  """Timed batches, after two that are not."""
  step: bool = True
  """Also time the transfer step of `base`, to compare with."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    for flag, value, smallest in (("--size", self.size, 1), ("--batch", self.batch, 1),
                                  ("--workers", min(self.workers, default=0), 0),
                                  ("--batches", self.batches, 2)):
      timing.at_least(flag, value, smallest)


def decode_row(options: Options, paths: list[Path]) -> dict:
  """One thread, one file after another: decode and crop."""
  rng = np.random.default_rng(0)
  seconds = []
  for index in range(options.batches * options.batch):
    start = time.perf_counter()
    picture = decode_rgb(paths[index % len(paths)], min_side=MIN_SIDE_PER_SIZE * options.size)
    random_resized_crop(picture, rng, size=options.size)
    seconds.append(time.perf_counter() - start)
  return _row("decode and crop, one thread", options, seconds, 1)


def pipeline_row(options: Options, paths: list[Path], workers: int) -> dict:
  """Batches of both streams, as train.py makes them."""
  seconds = []
  with contextlib.closing(make_batches(paths, paths, batch=options.batch, size=options.size, seed=0,
                                       workers=workers)) as batches:
    for index in range(options.batches + 2):
      start = time.perf_counter()
      next(batches)
      if index >= 2:
        seconds.append(time.perf_counter() - start)
  return _row("pipeline", options, seconds, 2 * options.batch) | {"workers": workers}


def _row(name: str, options: Options, seconds: list[float], images: int) -> dict:
  # Batches come in bursts, so the rate is that of the mean, not of the median.
  quarters = statistics.quantiles(seconds, n=4)
  median = statistics.median(seconds)
  return {"case": name, "size": options.size, "batch": options.batch,
          "seconds": {"median": median, "low": quarters[0], "high": quarters[2]},
          "images_per_second": images / statistics.fmean(seconds)}


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  paths = find_pictures(options.folder, flag="--folder")
  rows = [decode_row(options, paths)]
  rows += [pipeline_row(options, paths, workers) for workers in options.workers]
  found = {"rows": rows, "files": len(paths)}
  if options.step:
    case = train.transfer_case(PRESETS["base"], batch=options.batch, size=options.size)
    timed = timing.measure([case], 5)
    found["limits"] = timed["limits"]
    taken_in = 2 * timed["rows"][0]["images_per_second"]
    for row in rows:
      row["ratio"] = row["images_per_second"] / taken_in
    rows += timed["rows"]
  return timing.report("input", options, found)


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
