"""What do images too large for memory cost, and folders of images of many sizes?

    python -m benchmarks large --output docs/results/large.json

Measures three things. A huge image, file to file in a process of its own: its memory, and its time
beside that of images of 1,024 × 1,024, measured before and after it, file to file by the same
command, file to file in a process that has compiled, and in memory. An image whole and in tiles: by
how much they differ. A folder of photos of many sizes, beside one of as many pixels in one size.
"""

import dataclasses
import itertools
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks.harness import command_line, records
from stylejax import transfer
from stylejax.inference import buckets, budget
from stylejax.inference.backends.tiled import Tiled
from stylejax.inference.backends.whole import Whole
from stylejax.inference.batch import Request, stylize_files
from stylejax.inference.stylizer import Stylizer
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained

SAMPLES = Path(__file__).resolve().parents[2] / "stylejax" / "assets" / "samples"
STYLE = SAMPLES / "style" / "great_wave.jpg"
ROOT = Path(__file__).resolve().parents[2]
COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to stylize."""

  width: int = 12_000
  """Width of the huge image, in pixels."""
  height: int = 8_000
  """Height of the huge image, in pixels."""
  tile: float = budget.TILE_PIXELS / 1e6
  """Megapixels of a tile, as in `infer.py --tile`."""
  images: int = 100
  """Images in the folder."""
  sizes: int = 30
  """Different sizes in the folder."""
  repeats: int = 5
  """Repetitions with the image of 1,024 × 1,024."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    for flag in ("width", "height", "images", "sizes", "repeats"):
      command_line.at_least(f"--{flag}", getattr(self, flag), 1)
    command_line.at_least("--tile", self.tile, 0.01)


def photo(height: int, width: int) -> Image.Image:
  """A sample photo at any size."""
  with Image.open(SAMPLES / "content" / "coffee.jpg") as image:
    return image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def style_code(params):
  """The code of the sample style."""
  with Image.open(STYLE) as image:
    pixels = np.asarray(image.convert("RGB").resize((256, 256)), np.float32) / 255
  return fast_jit(transfer.encode_style)(params, pixels)


def seconds_whole(params, code, repeats: int) -> float:
  """Median seconds of stylizing 1,024 × 1,024 pixels, after compilation."""
  content = np.asarray(photo(1024, 1024), np.float32) / 255
  stylizer, times = Stylizer(params), []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    stylizer.prepare(content).stylize([code])
    times.append(time.perf_counter() - start)
  return float(np.median(times[1:]))


def seconds_from_files(images: int, folder: Path) -> float:
  """Seconds per image, JPEG to JPEG, of 1,024 × 1,024 pixels, after compilation."""
  contents = folder_of([(1024, 1024)] * images, folder / "small")
  for run in ("first", "second"):
    report = stylize_files(
      Request(content=[contents], style=[STYLE], output=folder / f"small_{run}", extension="jpg")
    )
  return report.seconds / len(report.written)


def seconds_of_command(width: int, height: int, folder: Path, *options: str) -> float:
  """Seconds of infer.py on one image, from file to file."""
  photo(height, width).save(folder / "photo.jpg", quality=92)
  start = time.perf_counter()
  subprocess.run(
    [
      sys.executable,
      str(ROOT / "infer.py"),
      "--content",
      str(folder / "photo.jpg"),
      "--style",
      str(STYLE),
      "--output",
      str(folder / "stylized.jpg"),
      *options,
    ],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  return time.perf_counter() - start


def small(params, code, repeats: int) -> dict:
  """Seconds per megapixel of images of 1,024 × 1,024, in the three ways."""
  with tempfile.TemporaryDirectory() as name:
    results = {
      "whole": seconds_whole(params, code, repeats),
      "file": seconds_from_files(2 * repeats, Path(name)),
      "command": seconds_of_command(1024, 1024, Path(name)),
    }
  return {
    f"{how}_seconds_per_megapixel": seconds / (1024**2 / 1e6) for how, seconds in results.items()
  }


def huge(options: Options, params, code) -> dict:
  """Seconds and peak resident memory of infer.py on the huge image, and `small` beside it.

  A smaller image is stylized first, so that the programs of the tiles are compiled.
  """
  side = round(3 * (options.tile * 1e6) ** 0.5)
  tile = ("--tile", str(options.tile))
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    seconds_of_command(side, side, folder, *tile)
    before = small(params, code, options.repeats)
    seconds = seconds_of_command(options.width, options.height, folder, *tile)
    after = small(params, code, options.repeats)
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  return {
    "width": options.width,
    "height": options.height,
    "seconds": seconds,
    "peak_gib": peak / 2**20,
    "seconds_per_megapixel": seconds / (options.width * options.height / 1e6),
    **{how: (before[how] + after[how]) / 2 for how in before},
  }


def difference(params, code) -> dict:
  """Largest difference between tiles and the whole, at two sizes, strengths 1 and 2.

  Each also with a black first tile, from whose means all maps are stored though it is unlike the
  rest.
  """
  differences = {}
  for (height, width), strength, black in itertools.product(
    ((1100, 1536), (217, 301)), (1.0, 2.0), (False, True)
  ):
    content = np.asarray(photo(height, width), np.float32) / 255
    content = np.where(black & (np.arange(height) < 150)[:, None, None], np.float32(0), content)
    vector, noise_gain = np.asarray(code.vector), np.float32(strength)  # from 1 on the same number
    (whole,) = Whole(params, content).stylize(vector, noise_gain)
    name = f"{width}×{height}, strength {strength:g}" + (", black first tile" if black else "")
    differences[name] = max(
      float(np.abs(rows - whole.pixels[row : row + len(rows)]).max())
      for _, row, rows in Tiled(params, content, tile_pixels=20_000).stylize(vector, noise_gain)
    )
  return differences


def folder_of(sizes, folder: Path) -> Path:
  """A folder with a photo of each size."""
  folder.mkdir()
  for number, (height, width) in enumerate(sizes):
    photo(height, width).save(folder / f"{number:03}.jpg")
  return folder


def many(options: Options, folder: Path) -> dict:
  """Compilations and images/s of a folder of many sizes, beside one of a single size."""
  draw = random.Random(0)
  # Like photos: a shorter side of 384 to 512 pixels, from square to 16:9, in both orientations.
  kinds = []
  for _ in range(options.sizes):
    shorter = draw.choice((384, 480, 512))
    size = (
      shorter,
      round(shorter * draw.choice((1, 5 / 4, 4 / 3, 1.4, 3 / 2, 16 / 9)) + draw.randrange(-8, 9)),
    )
    kinds.append(size if draw.random() < 0.6 else size[::-1])
  sizes = [draw.choice(kinds) for _ in range(options.images)]
  side = round(np.sqrt(np.mean([height * width for height, width in sizes])) / 8) * 8
  compiled = []
  jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: compiled.append(event) if event == COMPILED else None
  )
  results = {}
  for name, each in (("many", sizes), ("one", [(side, side)] * options.images)):
    contents = folder_of(each, folder / name)
    before = len(compiled)
    for run in ("first", "second"):
      report = stylize_files(
        Request(content=[contents], style=[STYLE], output=folder / f"{name}_{run}")
      )
      results[f"{name}_{run}_images_per_second"] = len(report.written) / report.seconds
      if run == "first":
        results[f"{name}_compilations"] = len(compiled) - before
  bucket_of = buckets.plan(sizes, stride=load_pretrained().config.stride)
  return results | {
    "different_sizes": len(set(sizes)),
    "filling": (
      sum(bucket_of[size][0] * bucket_of[size][1] for size in sizes)
      / sum(height * width for height, width in sizes)
      - 1
    ),
    "share_of_steady": (
      results["many_second_images_per_second"] / results["one_second_images_per_second"]
    ),
  }


def main(options: Options) -> None:
  """Prints and saves the result."""
  params = load_pretrained()
  code = style_code(params)
  with tempfile.TemporaryDirectory() as folder:
    result = {
      "rows": [huge(options, params, code)],
      "tiles_difference": difference(params, code),
      "folder": many(options, Path(folder)),
    }
  records.report("large", options, result, show=show)


def show(result: dict) -> None:
  """Prints a few lines."""
  row, folder = result["rows"][0], result["folder"]
  print(
    f"{row['width']} × {row['height']}: {row['seconds']:.1f} s, peak {row['peak_gib']:.2f} GiB;"
    f" {row['seconds_per_megapixel']:.2f} s a megapixel, of images of 1024 × 1024 "
    f"{row['file_seconds_per_megapixel']:.2f} s file to file, in memory "
    f"{row['whole_seconds_per_megapixel']:.2f} s, one by the same command "
    f"{row['command_seconds_per_megapixel']:.2f} s"
  )
  for size, apart in result["tiles_difference"].items():
    print(f"tiles and the whole at {size}: {apart:.1e} apart")
  print(
    f"{folder['different_sizes']} sizes: {folder['many_compilations']} compilations, "
    f"{folder['filling']:.0%} filling, "
    f"{folder['many_second_images_per_second']:.2f} images/s, "
    f"{folder['share_of_steady']:.2f} of a single size's"
  )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
