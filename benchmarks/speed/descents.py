"""How much memory and time do methods without training take, image by image?

    python -m benchmarks descents --sizes 512 --methods refine --steps 9
    python -m benchmarks descents --sizes 256 512 --methods neighbors --steps None --warm

`stylejax paint --method` stylizes each image in a process of its own; the operating system reports
the largest resident memory of that process. Without --warm the seconds include compilation. A few
steps are enough to measure the memory.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.harness import command_line, records
from stylejax.errors import InputError
from stylejax.inference.method_table import DESCENTS

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
IMAGES = {"content": "cat.jpg", "style": "irises.jpg"}
FEWEST = 3  # steps that every method takes


@dataclasses.dataclass(frozen=True)
class Options:
  """What to stylize."""

  sizes: tuple[int, ...] = (256, 512)
  """Sides of the square images, in pixels; styles are read at the same."""
  methods: tuple[str, ...] = DESCENTS
  """Some of `stylejax paint --method`."""
  steps: int | None = 9
  """In all, over the scales; None: as many as the method makes by default."""
  warm: bool = False
  """Compile in a run of a few steps first, so that the seconds are those of the steps."""
  tile: float | None = None
  """Megapixels of a band, as of `stylejax paint --tile`; None: as many as fit."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--sizes", self.sizes, 64)
    if self.steps is not None:
      command_line.at_least("--steps", self.steps, FEWEST)
    for method in self.methods:
      if method not in DESCENTS:
        raise InputError(f"--methods: found {method}, expected names among {', '.join(DESCENTS)}")


def square(path: Path, side: int) -> Image.Image:
  """The middle of an image at a size."""
  with Image.open(path) as image:
    shorter = min(image.size)
    left, top = ((length - shorter) // 2 for length in image.size)
    box = (left, top, left + shorter, top + shorter)
    return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS, box=box)


def paint(method: str, side: int, options: Options) -> dict:
  """Memory and seconds of one image.

  Raises:
    InputError: the command ended with an error; its last line is said.
  """
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    for kind, file in IMAGES.items():
      square(SAMPLES / kind / file, side).save(folder / f"{kind}.png")
    words = [sys.executable, "-m", "stylejax", "paint", "content.png", "style.png", "out.png"]
    words += ["--method", method, "--size", str(side)]
    if options.tile is not None and method != "gram":
      words += ["--tile", str(options.tile)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if options.warm:
      # What is wrong, if anything is, is reported by the run that is measured.
      few = [*words, "--steps", str(FEWEST)]
      subprocess.run(few, cwd=folder, env=environment, capture_output=True, check=False)
      (folder / "out.png").unlink(missing_ok=True)
    words += [] if options.steps is None else ["--steps", str(options.steps)]
    started = time.perf_counter()
    with open(folder / "said", "wb") as said:
      process = subprocess.Popen(words, cwd=folder, stdout=said, stderr=said, env=environment)
      _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = (folder / "said").read_text(errors="replace").split("\n")
    if process.returncode:
      raise InputError(f"stylejax paint: found status {process.returncode}: {' '.join(lines[-2:])}")
  return {
    "case": f"{method}, {side} px",
    "method": method,
    "size": side,
    "steps": options.steps,
    "seconds": time.perf_counter() - started,
    "cpu_seconds": used.ru_utime + used.ru_stime,
    "peak_gib": used.ru_maxrss / 2**20,
    "notes": [line.removeprefix("note: ") for line in lines if line.startswith("note: ")],
  }


def main(options: Options) -> dict:
  """Measures every method at every size and returns the result."""
  rows = [paint(method, side, options) for side in options.sizes for method in options.methods]
  return records.report("descents", options, {"rows": rows}, show=show)


def show(result: dict) -> None:
  """Prints a line for each image."""
  for row in result["rows"]:
    notes = "".join(f"; {note}" for note in row["notes"])
    print(
      f"{row['case']:20} {row['peak_gib']:6.2f} GiB {row['seconds']:8.1f} s "
      f"({row['cpu_seconds']:.0f} s of CPU), {row['steps'] or 'default'} steps{notes}"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
