"""How many crops per second do decoding and the whole input pipeline yield, and is it enough?

    python train.py shards --input-dir photos --output-dir photo_shards
    python -m benchmarks input --places photos photo_shards --size 128

Without --places, the package's sample images are read; a real collection says more. --bucket reads
folders of shards through gs://, from a server on this machine that answers as late as storage does
(`benchmarks.harness.bucket`). Each round reads every place in every way once. Images/s per core
count processor time, of this process and its workers: other programs, the bucket's server among
them, disturb it less than the clock. The ratio is to what the transfer step takes in, two crops for
each of its images, timed in the same run on the same cores. The cores for one chip are those that
make as many crops as it takes in at the rate of `--chip-images-per-second`, or else at the best
roofline of docs/results/pod.json: a bound, so no chip needs more.
"""

import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import bucket, command_line, records, timing
from benchmarks.speed import train
from stylejax.data.crops import random_resized_crop
from stylejax.data.pipeline import MIN_SIDE_PER_SIZE, make_batches
from stylejax.data.sources import open_images, require_readable
from stylejax.errors import InputError
from stylejax.images.decode import decode_image
from stylejax.models.config import PRESETS

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
POD = ROOT / "docs" / "results" / "pod.json"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  places: tuple[str, ...] = (str(SAMPLES),)
  """Folders or shards of images, as train.py takes them; each is read for both streams."""
  bucket: tuple[Path, ...] = ()
  """Folders of shards that are also read through gs://, from a stand-in for a bucket."""
  delay: float = 0.03
  """Seconds that the stand-in takes to answer."""
  size: int = 128
  """Side of the crops in pixels."""
  batch: int = 8
  """Crops of each stream in a batch."""
  workers: tuple[int, ...] = (0, os.cpu_count() or 1)
  """Worker processes of the pipeline; 0 decodes in threads."""
  batches: int = 40
  """Timed batches per round, after some untimed ones."""
  repeats: int = 3
  """Rounds."""
  step: bool = True
  """Also time the transfer step of `base`, to compare with."""
  chip_images_per_second: float | None = None
  """Images per second that one chip trains on. Default: from docs/results/pod.json, if there."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    for flag, value, smallest in (
      ("--places", len(self.places), 1),
      ("--size", self.size, 1),
      ("--batch", self.batch, 1),
      ("--batches", self.batches, 1),
      ("--workers", min(self.workers, default=-1), 0),
      ("--repeats", self.repeats, 1),
    ):
      command_line.at_least(flag, value, smallest)
    if not 0 <= self.delay < float("inf"):
      raise InputError(f"--delay: found {self.delay}, expected seconds, 0 or more")
    if self.chip_images_per_second is not None and not self.chip_images_per_second > 0:
      raise InputError(
        f"--chip-images-per-second: found {self.chip_images_per_second}, expected a number above 0"
      )


def decode_seconds(options: Options, images: Sequence, first: int) -> tuple[float, float]:
  """(wall-clock, processor) seconds per crop in one thread that decodes and crops in turn."""
  rng = np.random.default_rng(0)
  count = options.batches * options.batch
  start = time.perf_counter(), time.process_time()
  for index in range(first, first + count):
    image = decode_image(
      images[index % len(images)], min_side=round(MIN_SIDE_PER_SIZE * options.size)
    )
    random_resized_crop(image, rng, size=options.size)
  return (time.perf_counter() - start[0]) / count, (time.process_time() - start[1]) / count


def pipeline_seconds(
  options: Options, images: Sequence, workers: int, seed: int
) -> tuple[float, float]:
  """(wall-clock, processor) seconds per crop of batches of both streams, as train.py makes them."""
  # Skips the start of the workers, and what they made while others were starting.
  untimed = 4 * (1 + workers)
  count = options.batches * 2 * options.batch
  with contextlib.closing(
    make_batches(images, images, batch=options.batch, size=options.size, seed=seed, workers=workers)
  ) as batches:
    for _ in range(untimed):
      next(batches)
    start = time.perf_counter(), _processor_seconds()
    for _ in range(options.batches):
      next(batches)
    return (time.perf_counter() - start[0]) / count, (_processor_seconds() - start[1]) / count


def _processor_seconds() -> float:
  """Processor seconds of this process and of the workers that it has now."""
  workers = [process.pid for process in multiprocessing.active_children()]
  return time.process_time() + sum(map(_processor_seconds_of, workers))


def _processor_seconds_of(process: int | None) -> float:
  # After the name, which may contain anything, come among others user and system time.
  fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def chip_rates(options: Options) -> dict[str, float]:
  """{chip: images per second of one}: as given, or from the best roofline of pod.json."""
  if options.chip_images_per_second is not None:
    return {"as told": options.chip_images_per_second}
  rates = {}
  if POD.exists():
    for row in json.loads(POD.read_text())["rows"]:
      if row["case"] == "transfer step" and row["size"] == options.size:
        chip = row["topology"].partition(":")[0]
        rates[chip] = max(rates.get(chip, 0.0), row["images_per_second"] / row["chips"])
  return rates


def _row(case: str, options: Options, place: str, times: list[tuple[float, float]], **more) -> dict:
  clock, processor = (timing.spread(list(each)) for each in zip(*times, strict=True))
  return {
    "case": f"{case}, {place}",
    "size": options.size,
    **more,
    "seconds": clock,
    "processor_seconds": processor,
    "images_per_second": 1 / clock["median"],
    "images_per_second_per_core": 1 / processor["median"],
  }


def _opened(options: Options, stack: contextlib.ExitStack) -> dict[str, Sequence]:
  """{place's name: its images}; buckets are served until the stack is closed."""
  opened = {}
  for place in options.places:
    name = "samples" if place == str(SAMPLES) else place
    opened[name] = open_images(place, flag="--places")
  for folder in options.bucket:
    if not folder.is_dir():
      raise InputError(f"--bucket: found no folder {folder}, expected one of shards")
  if options.bucket:
    # All folders share a bucket, because gcsfs knows only one server.
    common = Path(os.path.commonpath([folder.resolve().parent for folder in options.bucket]))
    url = stack.enter_context(bucket.serve(common, delay=options.delay))
    for folder in options.bucket:
      name = f"{folder} through gs://, {1e3 * options.delay:.0f} ms late"
      inner = folder.resolve().relative_to(common).as_posix()
      opened[name] = open_images(f"{url}/{inner}", flag="--bucket")
  for name, images in opened.items():
    require_readable(images, name)
  return opened


def _measured(options: Options, opened: dict[str, Sequence]) -> list[dict]:
  ways = list(itertools.product(opened, [None, *options.workers]))
  times: dict[tuple, list[tuple[float, float]]] = {way: [] for way in ways}
  for number in range(options.repeats):
    for place, workers in ways:
      times[place, workers].append(
        decode_seconds(options, opened[place], number * options.batches * options.batch)
        if workers is None
        else pipeline_seconds(options, opened[place], workers, seed=number)
      )
  rows = []
  for (place, workers), taken in times.items():
    if workers is None:
      rows.append(_row("decode and crop, one thread", options, place, taken))
    else:
      more = {"batch": options.batch, "workers": workers}
      rows.append(_row("pipeline", options, place, taken, **more))
  return rows


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  with contextlib.ExitStack() as stack:
    opened = _opened(options, stack)
    rows = _measured(options, opened)
  chips = chip_rates(options)
  for row in rows:
    if chips:
      row["cores_per_chip"] = {
        chip: 2 * rate / row["images_per_second_per_core"] for chip, rate in chips.items()
      }
  results = {
    "rows": rows,
    "images": {place: len(opened[place]) for place in opened},
    "chip_images_per_second": chips,
  }
  if options.step:
    case = train.transfer_case(PRESETS["base"], batch=options.batch, size=options.size)
    timed = timing.measure([case], 5)
    results["limits"] = timed["limits"]
    taken_in = 2 * timed["rows"][0]["images_per_second"]
    for row in rows:
      row["ratio"] = row["images_per_second"] / taken_in
    rows += timed["rows"]
  result = records.report("input", options, results)
  for row in rows:
    for chip, count in row.get("cores_per_chip", {}).items():
      print(
        f"  {records.label(row)}: {count:.1f} cores for one chip ({chip}, "
        f"{chips[chip]:,.0f} images/s)"
      )
  return result


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
