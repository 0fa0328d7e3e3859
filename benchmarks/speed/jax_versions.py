"""How fast does another version of JAX stylize, with and without stylejax's compiler options?

    python3.12 -m venv other && other/bin/pip install '.[bench]'
    python -m benchmarks jax_versions --others other/bin/python

One process for each Python holds its compiled programs, and they run in turn, on the same random
images. `ratio` is a program's time over that of the fastest of the first Python's at its size.
"""

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import command_line, processes, records, timing
from stylejax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("tuned", "plain")
"""With `stylejax.compiler_options()` and without."""

# Prints its version of JAX, then the seconds of each program that it is told to run.
WORKER = """
import json, sys, time
import jax
import numpy as np
import stylejax

sizes, numbers = json.loads(sys.argv[1]), np.random.default_rng(0)
params = jax.device_put(stylejax.load_pretrained())
style = jax.device_put(numbers.random((1, 256, 256, 3), np.float32))
programs = {}
for size in sizes:
  content = jax.device_put(numbers.random((1, size, size, 3), np.float32))
  for way, options in (("tuned", stylejax.compiler_options()), ("plain", {})):
    jitted = jax.jit(stylejax.stylize, compiler_options=options)
    compiled = jitted.lower(params, content, style).compile()
    programs[f"{size} {way}"] = lambda compiled=compiled, x=content: compiled(params, x, style)
print(jax.__version__, flush=True)
for line in sys.stdin:
  start = time.perf_counter()
  jax.block_until_ready(programs[line.strip()]())
  print(time.perf_counter() - start, flush=True)
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to run, and where to save the result."""

  others: tuple[Path, ...] = ()
  """Pythons of other environments that have stylejax's requirements; this one comes first."""
  sizes: tuple[int, ...] = (512, 1024)
  """Sides of the square photos, in pixels."""
  repeats: int = 15
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--sizes", self.sizes, 16)
    command_line.at_least("--repeats", self.repeats, 1)
    for path in self.others:
      if not path.is_file():
        raise InputError(f"--others: found no file {path}, expected another environment's Python")


class Worker:
  """A process of one Python, with the programs compiled there.

  Attributes:
    version: its version of JAX.
  """

  def __init__(self, process: subprocess.Popen):
    self._process = process
    self.version = self._line()

  def seconds(self, size: int, way: str) -> float:
    """Runs a program once, and returns how long it took."""
    stream: Any = self._process.stdin
    stream.write(f"{size} {way}\n")
    stream.flush()
    line = self._line()
    try:
      return float(line)
    except ValueError:
      raise InputError(
        f"{self._process.args[0]}: found {line!r}, expected the seconds that a program took"
      ) from None

  def _line(self) -> str:
    stream: Any = self._process.stdout
    line = stream.readline().strip()
    if not line:
      raise InputError(f"{self._process.args[0]}: found no answer, expected it to run stylejax")
    return line


@contextlib.contextmanager
def started(python: Path, sizes: tuple[int, ...]) -> Iterator[Worker]:
  """Starts a worker, which ends with the context."""
  with subprocess.Popen(
    [str(python.absolute()), "-c", WORKER, json.dumps(sizes)],
    env=processes.environment(ROOT, None),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    try:
      yield Worker(process)
    finally:
      process.kill()


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  with contextlib.ExitStack() as stack:
    workers = [
      stack.enter_context(started(python, options.sizes))
      for python in (Path(sys.executable), *options.others)
    ]
    cases = [(size, way, worker) for size in options.sizes for worker in workers for way in WAYS]
    times: list[list[float]] = [[] for _ in cases]
    for repeat in range(options.repeats + 2):
      for (size, way, worker), found in zip(cases, times, strict=True):
        seconds = worker.seconds(size, way)
        if repeat >= 2:
          found.append(seconds)
  rows: list[dict[str, Any]] = []
  for (size, way, worker), found in zip(cases, times, strict=True):
    name = f"stylize, jax {worker.version}, {way}"
    rows.append({"case": name, "size": size, "seconds": timing.spread(found)})
  for size in options.sizes:
    here = [row for row in rows if row["size"] == size]
    best = min(row["seconds"]["median"] for row in here[: len(WAYS)])
    for row in here:
      row["ratio"] = row["seconds"]["median"] / best
  return records.report("jax_versions", options, {"rows": rows})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
