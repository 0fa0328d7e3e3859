"""How long do folders of photos and a video take, file to file?

    python -m benchmarks files
    git worktree add /tmp/before 83c8b83; python -m benchmarks files --against /tmp/before

Each round runs every case once, in turn: infer.py on a folder of photos of one size, on a folder of
photos that all differ in size but have about as many pixels, and on a video, also with its motion
ignored. Programs are in the cache already, except those of the folder of many sizes, which finds
what other sizes have left there. Times are processor seconds, user and system, and wall-clock
seconds.
"""

import dataclasses
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.harness import command_line, processes, records

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
SIZE = (512, 384)
SPREAD = 0.2  # largest change of a side in the folder of many sizes, up or down, as a fraction


@dataclasses.dataclass(frozen=True)
class Options:
  """How much to stylize, and where to save the result."""

  photos: int = 100
  """Photos in each folder."""
  frames: int = 120
  """Frames of the video."""
  video: tuple[int, int] = (640, 360)
  """Width and height of the video."""
  against: Path | None = None
  """Folder of another revision of stylejax, whose infer.py takes the same flags."""
  repeats: int = 3
  """Rounds."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    for name in ("photos", "frames", "repeats"):
      command_line.at_least(f"--{name}", getattr(self, name), 1)
    command_line.all_at_least("--video", self.video, 16)
    processes.check_checkout(self.against)


def write_inputs(folder: Path, options: Options) -> dict[str, Path]:
  """Writes a folder of photos of one size, one of many sizes, and a video, all from the samples."""
  photos = [Image.open(path).convert("RGB") for path in sorted((SAMPLES / "content").glob("*.jpg"))]
  inputs = {name: folder / name for name in ("one_size", "many_sizes")}
  numbers = random.Random(0)
  for name, path in inputs.items():
    path.mkdir()
    for index in range(options.photos):
      size = SIZE
      if name == "many_sizes":
        # Half of the photos are wider, the others taller: on average as many pixels.
        scale = 1 + SPREAD * (numbers.random() if index % 2 else -numbers.random())
        size = (round(SIZE[0] * scale), round(SIZE[1] * (2 - scale)))
      photos[index % len(photos)].resize(size).save(path / f"{index:03}.jpg", quality=92)
  inputs["video"] = folder / "video.mp4"
  width, height = options.video
  # A window moves over a larger image, so that no two successive frames are equal.
  large = np.asarray(photos[0].resize((2 * width, 2 * height)))
  with av.open(str(inputs["video"]), "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    for index in range(options.frames):
      at = index % min(width, height)
      frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(large[at : at + height, at : at + width]), format="rgb24"
      )
      file.mux(stream.encode(frame))
    file.mux(stream.encode())
  return inputs


class Revision:
  """A checkout of stylejax, with a cache of its own.

  Args:
    name: prefix of its rows.
    checkout: the folder.
    scratch: folder for caches and outputs.
    inputs: what `write_inputs` made.
  """

  def __init__(self, name: str, checkout: Path, scratch: Path, inputs: dict[str, Path]):
    self._checkout, self._inputs = checkout, inputs
    self._folder = scratch / (name or "ours")
    self._folder.mkdir()
    self._prefix = f"{name}, " if name else ""

  def cases(self) -> dict[str, Callable[[], float]]:
    """Functions that run a process and return its processor seconds."""
    cases = {
      f"{self._prefix}photos of one size": lambda: self.paint("one_size"),
      f"{self._prefix}photos of many sizes": lambda: self.paint("many_sizes"),
      f"{self._prefix}video": lambda: self.paint("video"),
    }
    if not self._prefix:  # The other revision may not know of motion.
      cases["motion ignored, video"] = lambda: self.paint("video", "--motion", "ignored")
    return cases

  def paint(self, name: str, *more: str) -> float:
    """Runs infer.py on one of the inputs."""
    output = self._folder / (f"{name}.mp4" if name == "video" else name)
    shutil.rmtree(output, ignore_errors=True)
    output.unlink(missing_ok=True)
    flags = ("--sequence", "--content") if name == "video" else ("--content",)
    words = (*flags, self._inputs[name], "--style", SAMPLES / "style" / "great_wave.jpg")
    command = [sys.executable, self._checkout / "infer.py", *words, "--output", output, *more]
    environment = processes.environment(self._checkout, self._folder / "cache")
    return processes.processor_seconds([*map(str, command)], environment)


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  with tempfile.TemporaryDirectory() as name:
    scratch = Path(name)
    inputs = write_inputs(scratch, options)
    revisions = [Revision("", ROOT, scratch, inputs)]
    if options.against is not None:
      revisions.append(Revision("before", options.against.absolute(), scratch, inputs))
    cases: dict[str, Callable[[], float]] = {}
    for revision in revisions:
      # Fills the cache.
      revision.paint("one_size")
      for name, call in revision.cases().items():
        if name.endswith("video"):
          call()
      cases |= revision.cases()
    rows = processes.alternate(cases, options.repeats)
  for row in rows:
    count = options.frames if row["case"].endswith("video") else options.photos
    row["images_per_second"] = count / row["wall_seconds"]["median"]
  return records.report("files", options, {"rows": rows})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
