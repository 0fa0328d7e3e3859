"""A folder with inputs and outputs in which commands run, and checks of it afterwards.

The attacks themselves are in command_faults.py.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import stylejax
from benchmarks.robustness.commands import STYLES_ADD, Case

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
_SECONDS = 600.0  # after which a command counts as hanging


class Arena:
  """A folder with inputs, an output folder and the caches, in which commands are attacked."""

  def __init__(self, folder: Path):
    self.folder, self.out, self._whole = folder, folder / "out", {}
    (folder / "photos").mkdir(parents=True)
    self.out.mkdir()
    for number, path in enumerate(sorted((SAMPLES / "content").iterdir())[:2] * 3):
      Image.open(path).resize((160, 96)).save(folder / "photos" / f"{number}.png")
    for name, path in zip("ab", sorted((SAMPLES / "style").iterdir()), strict=False):
      (folder / name).mkdir()
      # Output files are named after the style: with the same name, they replace each other.
      for place in (f"{name}.png", f"{name}/style.png"):
        Image.open(path).resize((96, 96)).save(folder / place)
      stylejax.save_weights(folder / f"{name}.safetensors", _random_params(ord(name)))
    for name in "ab":
      finish(self.start(STYLES_ADD, name))
      (self.out / "styles.safetensors").rename(folder / f"{name}_styles.safetensors")
    self.inputs = digests(folder)

  def start(
    self,
    case: Case,
    version: str,
    *,
    before: Callable[[], None] | None = None,
    more: tuple[str, ...] = (),
  ) -> subprocess.Popen:
    """Starts one of the two versions of a case's command in a process of its own."""
    script, *arguments = (*case.command(version), *more)
    environment = os.environ | {
      "PYTHONPATH": str(ROOT),
      "STYLEJAX_CACHE": str(self.folder / "cache"),
      "JAX_NUM_CPU_DEVICES": "1",
      "TMPDIR": str(self.folder / "tmp"),
      "XDG_DATA_HOME": str(self.folder / "data"),
    }
    (self.folder / "tmp").mkdir(exist_ok=True)

    def prepare() -> None:
      # A shell makes its background processes ignore Ctrl-C, and children inherit that.
      signal.signal(signal.SIGINT, signal.SIG_DFL)
      if before is not None:
        before()

    return subprocess.Popen(
      [sys.executable, str(ROOT / script), *arguments],
      cwd=self.folder,
      env=environment,
      text=True,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      preexec_fn=prepare,
    )

  def reset(self, case: Case, old: dict[str, bytes] | None = None) -> None:
    """Empties the output folder, and puts the files of an earlier run into it."""
    shutil.rmtree(self.out)
    self.out.mkdir()
    for name, data in (old or {}).items():
      (self.out / name).parent.mkdir(exist_ok=True)
      (self.out / name).write_bytes(data)
    if case.joins and not old:
      shutil.copy(self.folder / "b_styles.safetensors", self.out / "styles.safetensors")

  def whole(
    self, case: Case, version: str, *, rerun: bool = False
  ) -> tuple[dict[str, bytes], float]:
    """(outputs, seconds) of a command that is not disturbed; it runs once, or again with `rerun`.

    Raises:
      RuntimeError: it failed.
    """
    key = case, version
    if rerun or key not in self._whole:
      self.reset(case)
      started = time.monotonic()
      status, lines = finish(self.start(case, version))
      if status:
        raise RuntimeError(f"{case.name}: exit status {status}, {lines[-1:]}")
      self._whole[key] = self.outputs(), time.monotonic() - started
    return self._whole[key]

  def outputs(self) -> dict[str, bytes]:
    """The files that a person sees in the output folder, hidden ones left out."""
    return {
      str(path.relative_to(self.out)): path.read_bytes()
      for path in sorted(self.out.rglob("*"))
      if path.is_file()
      and not any(part.startswith(".") for part in path.relative_to(self.out).parts)
    }

  def faults(self, *, left: bool) -> list[str]:
    """Inputs that changed, and, if `left`, files that a command should have removed."""
    faults = []
    now = digests(self.folder)
    faults += [
      f"input {name} changed" for name in self.inputs if now.get(name) != self.inputs[name]
    ]
    if left:
      faults += [
        f"left {path.relative_to(self.folder)}"
        for path in self.folder.rglob("*")
        if path.name.endswith((".tmp", ".lock")) or path.parent.name == "tmp"
      ]
    return faults


def _random_params(seed: int) -> stylejax.Params:
  """Parameters of the smallest preset, by NumPy: to compile JAX's takes longer than an attack."""
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), stylejax.PRESETS["tiny"]))
  generator = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: np.float32(generator.uniform(-0.2, 0.2, leaf.shape)), shapes)


def digests(folder: Path) -> dict[str, str]:
  """SHA-256 of every input."""
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in [*folder.glob("*.*"), *folder.glob("photos/*"), *folder.glob("*/style.png")]
    if path.is_file()
  }


def finish(process: subprocess.Popen) -> tuple[int, list[str]]:
  """(exit status, lines of stderr without progress bars) of a process; kills one that hangs."""
  try:
    _, error = process.communicate(timeout=_SECONDS)
  except subprocess.TimeoutExpired:
    process.kill()
    process.communicate()
    return -signal.SIGKILL, [f"hung for {_SECONDS:.0f} s"]
  except BaseException:
    process.kill()
    process.communicate()
    raise
  lines = [line for line in error.splitlines() if line.strip() and "━" not in line]
  return process.returncode, lines
