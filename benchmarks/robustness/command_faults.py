"""Commands under attack: killed at random moments, run two at once, held to little memory.

What is attacked and what must hold is here; which attacks are run, and training, in faults.py. Each
attack is one row: the case, what was done, what was found wrong (nothing, if it held).
"""

import contextlib
import dataclasses
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import stylejax

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
_SECONDS = 600.0  # after which a command counts as hanging
_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Case:
  """A command, with {style} or {weights} where its two versions differ.

  Attributes:
    name: for the row.
    arguments: of the command; paths are relative to the folder it is started in.
    joins: whether of two at once both must be in the output, not one of the two alone.
    refuses: whether of two at once the later may be refused with one line.
    files_apart: whether each file of the output stands for itself, so that of two at once some may
      be one's and some the other's.
  """

  name: str
  arguments: tuple[str, ...]
  joins: bool = False
  refuses: bool = False
  files_apart: bool = False


_STYLES_ADD = Case(
  "styles add",
  (
    "infer.py",
    "styles",
    "add",
    "{style}.png",
    "--weights",
    "a.safetensors",
    "--library",
    "out/styles.safetensors",
  ),
  joins=True,
)
_PAINT = ("infer.py", "--weights", "a.safetensors", "--style", "{style}.png", "--content")
CASES = (
  Case("one image", (*_PAINT, "photos/1.png", "--output", "out/one.png")),
  Case("a folder of images", (*_PAINT, "photos", "--output", "out/"), files_apart=True),
  Case(
    "optimization",
    (
      "infer.py",
      "--method",
      "optimize",
      "--content",
      "photos/1.png",
      "--style",
      "{style}.png",
      "--size",
      "64",
      "--steps",
      "8",
      "--output",
      "out/best.png",
    ),
  ),
  Case("sequence to a folder", (*_PAINT, "photos", "--sequence", "--output", "out/")),
  Case("sequence to a GIF", (*_PAINT, "photos", "--sequence", "--output", "out/film.gif")),
  Case(
    "shards",
    (
      "train.py",
      "shards",
      "--input-dir",
      "photos",
      "--output-dir",
      "out/",
      "--shard-size",
      "0.01",
      "--max-side",
      "{side}",
    ),
    refuses=True,
  ),
  _STYLES_ADD,
  Case(
    "styles sheet",
    (
      "infer.py",
      "styles",
      "sheet",
      "--content",
      "photos/1.png",
      "--weights",
      "a.safetensors",
      "--library",
      "{style}_styles.safetensors",
      "--output",
      "out/sheet.png",
      "--size",
      "64",
    ),
  ),
  Case(
    "export",
    (
      "infer.py",
      "export",
      "--weights",
      "{style}.safetensors",
      "--output",
      "out/stylize.zip",
      "--platforms",
      "cpu",
    ),
  ),
)


class Arena:
  """A folder with inputs, an output folder and the caches, in which commands are attacked."""

  def __init__(self, folder: Path):
    self.folder, self.out, self._whole = folder, folder / "out", {}
    (folder / "photos").mkdir(parents=True)
    self.out.mkdir()
    for number, path in enumerate(sorted((SAMPLES / "content").iterdir())[:2] * 3):
      Image.open(path).resize((160, 96)).save(folder / "photos" / f"{number}.png")
    for name, path in zip("ab", sorted((SAMPLES / "style").iterdir()), strict=False):
      Image.open(path).resize((96, 96)).save(folder / f"{name}.png")
      stylejax.save_weights(folder / f"{name}.safetensors", _random_params(ord(name)))
    for name in "ab":
      _finish(self.start(_STYLES_ADD, name))
      (self.out / "styles.safetensors").rename(folder / f"{name}_styles.safetensors")
    self.inputs = _digests(folder)

  def start(
    self,
    case: Case,
    version: str,
    *,
    before: Callable[[], None] | None = None,
    more: tuple[str, ...] = (),
  ) -> subprocess.Popen:
    """One of the two versions of a case's command, in a process of its own."""
    script, *arguments = (
      argument.format(style=version, side=48 if version == "a" else 64)
      for argument in (*case.arguments, *more)
    )
    environment = os.environ | {
      "PYTHONPATH": str(ROOT),
      "STYLEJAX_CACHE": str(self.folder / "cache"),
      "JAX_NUM_CPU_DEVICES": "1",
      "TMPDIR": str(self.folder / "tmp"),
      "XDG_DATA_HOME": str(self.folder / "data"),
    }
    (self.folder / "tmp").mkdir(exist_ok=True)

    def prepare() -> None:
      # A shell lets what runs in its background ignore Ctrl-C, and children inherit that.
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
    """Empties the output folder, and puts into it what an earlier run wrote."""
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
    """(outputs, seconds) of a command that nobody disturbs; it is run once, or where `rerun`.

    Raises:
      RuntimeError: it failed.
    """
    key = case, version
    if rerun or key not in self._whole:
      self.reset(case)
      started = time.monotonic()
      status, lines = _finish(self.start(case, version))
      if status:
        raise RuntimeError(f"{case.name}: exit status {status}, {lines[-1:]}")
      self._whole[key] = self.outputs(), time.monotonic() - started
    return self._whole[key]

  def outputs(self) -> dict[str, bytes]:
    """What a person sees in the output folder."""
    return {
      str(path.relative_to(self.out)): path.read_bytes()
      for path in sorted(self.out.rglob("*"))
      if path.is_file()
      and not any(part.startswith(".") for part in path.relative_to(self.out).parts)
    }

  def faults(self, *, left: bool) -> list[str]:
    """Inputs that changed, and, if `left`, what a command should have taken away."""
    faults = []
    now = _digests(self.folder)
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
  """Parameters of the smallest preset by NumPy: compiling JAX's would take longer than an attack."""
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), stylejax.PRESETS["tiny"]))
  generator = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: np.float32(generator.uniform(-0.2, 0.2, leaf.shape)), shapes)


def _digests(folder: Path) -> dict[str, str]:
  """SHA-256 of every input."""
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in [*folder.glob("*.*"), *folder.glob("photos/*")]
    if path.is_file()
  }


def _finish(process: subprocess.Popen) -> tuple[int, list[str]]:
  """(exit status, lines of stderr that are no progress) of a process; kills one that hangs."""
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


def kill(arena: Arena, case: Case, times: int, moments: random.Random) -> Iterator[dict]:
  """Kills a command at random moments, then lets it end; yields a row for each.

  Half of the times the output folder holds what an earlier run with other inputs wrote.
  """
  expected, seconds = arena.whole(case, "a")
  earlier = {} if case.refuses else arena.whole(case, "b")[0]
  for turn in range(times):
    old = earlier if turn % 4 in (1, 2) else {}
    if old and case.name == "sequence to a folder":
      arena.whole(case, "b", rerun=True)  # its list knows when each file was written
    else:
      arena.reset(case, old)
    before = arena.outputs()
    number = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[turn % 4]
    process, started = arena.start(case, "a"), time.monotonic()
    moment = _wait(arena, process, moments, seconds)
    alive = process.poll() is None
    process.send_signal(number)
    status, _ = _finish(process)
    faults = arena.faults(left=number != signal.SIGKILL)
    faults += _not_whole(arena.outputs(), [before, expected])
    if alive and number != signal.SIGKILL and status not in (128 + number, -number, 0):
      faults.append(f"exit status {status} after {signal.Signals(number).name}")
    yield {
      "case": f"{case.name}, {signal.Signals(number).name} {moment} after "
      f"{time.monotonic() - started:.2f} s",
      "alive": alive,
      "faults": faults,
    }
  if case.refuses:
    arena.reset(case)
  status, lines = _finish(arena.start(case, "a"))
  faults = arena.faults(left=True)
  if status:
    faults.append(f"exit status {status}: {lines[-1:]}")
  if not case.joins and arena.outputs() != expected:
    faults.append("another output than that of a run that was never killed")
  yield {"case": f"{case.name}, run again to its end", "alive": True, "faults": faults}


def _wait(arena: Arena, process: subprocess.Popen, moments: random.Random, seconds: float) -> str:
  """Waits for a random moment of the whole run, or of the writing; says which."""
  if moments.random() < 0.4:
    end = time.monotonic() + moments.uniform(0, seconds)
    while time.monotonic() < end and process.poll() is None:
      time.sleep(0.01)
    return "at any time"
  while process.poll() is None and not any(
    name.endswith((".tmp", ".lock")) for name in _listed(arena.out, arena.folder)
  ):
    time.sleep(0.0005)
  time.sleep(moments.choice([0, 0.002, 0.02, 0.2]) * moments.random())
  return "while writing"


def _listed(*folders: Path) -> Iterator[str]:
  for folder in folders:
    with contextlib.suppress(OSError):
      yield from os.listdir(folder)


def _not_whole(outputs: dict[str, bytes], whole: list[dict[str, bytes]]) -> list[str]:
  """Files that are none of those that may be there under their name."""
  return [
    f"{name} is no whole file"
    for name, data in outputs.items()
    if not any(each.get(name) == data for each in whole)
  ]


def run_two(arena: Arena, case: Case) -> dict:
  """Starts both versions of a command at once, of one output; returns a row."""
  whole = [arena.whole(case, version)[0] for version in "ab"]
  arena.reset(case)
  ends = [_finish(process) for process in [arena.start(case, version) for version in "ab"]]
  faults, outputs = arena.faults(left=True), arena.outputs()
  for status, lines in ends:
    refused = case.refuses and status == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    if status and not refused:
      faults.append(f"exit status {status}: {lines[-1:]}")
  if all(status for status, _ in ends):
    faults.append("neither came to its end")
  if case.joins:
    faults += [
      f"style @{name} is lost"
      for name in "ab"
      if f'\\"{name}\\"'.encode() not in outputs["styles.safetensors"]
    ]
  elif case.files_apart:
    faults += _not_whole(outputs, whole)
    faults += [f"{name} is lost" for each in whole for name in each if name not in outputs]
  elif outputs not in whole:
    faults.append("the output is neither one's nor the other's")
  return {
    "case": f"{case.name}, two at once: exit {', '.join(str(end[0]) for end in ends)}",
    "alive": True,
    "faults": faults,
  }


def limit_memory(arena: Arena, gib: float, side: int, *, group: bool) -> dict:
  """Stylizes an image with so much memory, by RLIMIT_AS or in a cgroup; returns a row.

  It must come out as it does without a limit (within 2 levels of 8 bits, by tiles or whole), or be
  refused in one line: no signal, no abort, no half file.
  """
  case = CASES[0]
  how = "a memory cgroup" if group else "RLIMIT_AS"
  name = f"one image of {side}×{side * 3 // 4} in {gib:g} GiB by {how}"
  Image.open(min((SAMPLES / "content").iterdir())).convert("RGB").resize(
    (side, side * 3 // 4)
  ).save(arena.folder / "photos" / "1.png", compress_level=1)
  arena.inputs = _digests(arena.folder)
  expected = arena.whole(case, "a", rerun=True)[0]
  arena.reset(case)
  with contextlib.ExitStack() as stack:
    if group:
      try:
        join = stack.enter_context(_memory_group(int(gib * _GIB)))
      except OSError as error:
        return {
          "case": f"{name}: not run, no cgroup can be made here ({error.strerror})",
          "alive": True,
          "faults": [],
        }
    else:

      def join() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gib * _GIB),) * 2)

    status, lines = _finish(arena.start(case, "a", before=join))
  faults = arena.faults(left=True)
  if status == 0:
    difference = np.abs(
      _pixels(arena.out / "one.png") - _pixels_of(expected["one.png"], arena.folder)
    ).max()
    if difference > 2:
      faults.append(f"another image than without a limit, by {difference} levels")
  elif status != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
    faults.append(f"exit status {status}: {lines[-1:]}")
  elif arena.outputs():
    faults.append("refused, and a file is there")
  said = f": {lines[0]}" if lines and status == 2 else ""
  return {"case": f"{name}: exit {status}{said}", "alive": True, "faults": faults}


def _pixels(path: Path) -> np.ndarray:
  return np.int16(Image.open(path))


def _pixels_of(data: bytes, folder: Path) -> np.ndarray:
  path = folder / "tmp" / "expected.png"
  path.write_bytes(data)
  try:
    return _pixels(path)
  finally:
    path.unlink()


@contextlib.contextmanager
def _memory_group(limit: int) -> Iterator[Callable[[], None]]:
  """A memory cgroup, v2 or v1, of its own; gives what a child process calls to join it.

  Raises:
    OSError: none may be made here.
  """
  root, file = Path("/sys/fs/cgroup"), "memory.max"
  if not (root / "cgroup.controllers").exists():
    root, file = root / "memory", "memory.limit_in_bytes"
  folder = root / f"stylejax-faults-{os.getpid()}"
  folder.mkdir()
  try:
    (folder / file).write_text(str(limit))
    yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
  finally:
    for _ in range(50):
      try:
        folder.rmdir()
        break
      except OSError:  # a process in it is still ending
        time.sleep(0.1)


def show(row: dict) -> None:
  """Prints the verdict of a row."""
  verdict = "holds" if not row["faults"] else "FAULT: " + "; ".join(row["faults"])
  print(f"{row['case']}{'' if row['alive'] else ' (it had ended)'}: {verdict}", flush=True)
