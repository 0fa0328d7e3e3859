"""Are the numbers right on this accelerator, and how fast is it? One script for a borrowed GPU.

    bash tools/device_check.sh --output docs/results/device_check.json
    python -m benchmarks device_check --short

Numbers are compared with a CPU's in `device_reference.npz` beside this file, which
`--write-reference` writes on a CPU. Then stylizing, train steps and neural neighbors are timed.
What doesn't fit into `--minutes` is left out and named. Exits with status 1 if a number is wrong.
"""

import dataclasses
import functools
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

import stylejax
from benchmarks.harness import command_line, nets, records, timing
from benchmarks.speed import device_numbers
from benchmarks.speed.train import step_case
from stylejax import transfer
from stylejax.optimization import neighbors
from stylejax.training.tasks import TransferConfig


@dataclasses.dataclass(frozen=True)
class Options:
  """What to check, for how long, and where to save the result."""

  short: bool = False
  """Run all parts at small sizes, on a CPU: a test that this script still works."""
  minutes: float = 11.0
  """Leave out parts that have not begun by then."""
  write_reference: bool = False
  """Write the numbers that others are compared with, on a CPU, and stop."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on a time below 0."""
    command_line.at_least("--minutes", self.minutes, 0)


@dataclasses.dataclass(frozen=True)
class _Timed:
  """Sizes of the timed parts: those for a device, or those of --short."""

  stylize: tuple[tuple[int, int], ...] = ((512, 8), (1024, 4), (2048, 1))
  """(side, batch)."""
  steps: tuple[tuple[str, int, int], ...] = (("base", 128, 32), ("large", 128, 32))
  """(preset, side, batch)."""
  step_dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
  neighbors: int = 512
  neighbor_steps: int | None = None
  repeats: int = 10


_WHOLE = _Timed()
_SHORT = _Timed(
  stylize=((64, 1),), steps=(("tiny", 32, 2),), neighbors=64, neighbor_steps=3, repeats=2
)
DTYPES: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")


def stylize_rows(sizes: _Timed, dtype: str) -> list[dict]:
  """images/s, MFU, memory and compile time at each side, for nets of the shipped sizes."""
  rows = []
  for side, batch in sizes.stylize:
    settings = command_line.Settings(sizes=(side,), batch=batch, dtype=dtype)
    arguments = nets.params(settings), nets.images(settings, side), nets.images(settings, 256)
    case = timing.jit_case(
      "stylize", transfer.stylize, arguments, batch, nets.about(settings, side)
    )
    rows += _measured([case], sizes)
  return rows


def step_rows(sizes: _Timed, preset: str, dtype: str) -> list[dict]:
  """The same for the transfer step of a preset."""
  found = []
  for name, side, batch in sizes.steps:
    if name == preset:
      config = TransferConfig(preset=name, dtype=dtype, size=side, batch=batch)
      found += _measured([step_case(config, jax.local_devices()[:1])], sizes)
  return found


def neighbor_rows(sizes: _Timed) -> list[dict]:
  """Seconds of neural neighbors with its default steps, after a first run with three per stage."""
  side = sizes.neighbors
  content, style = (image[None] for image in device_numbers.photos(side))
  vgg = jax.device_put(stylejax.load_vgg())
  plan = neighbors.stages((side, side), [(side, side)])
  steps = neighbors.default_steps(plan)
  if sizes.neighbor_steps is not None:
    steps = (sizes.neighbor_steps,) * len(plan)
  run = jax.jit(stylejax.optimize_neighbors)

  def seconds(steps):
    start = time.perf_counter()
    jax.block_until_ready(run(vgg, content, [style], steps=np.asarray(steps, np.int32)))
    return time.perf_counter() - start

  first = seconds([3] * len(plan))
  taken = seconds(steps)
  row = {"case": "neighbors", "size": side, "dtype": "float32", "steps": int(sum(steps))}
  row |= {"seconds": timing.spread([taken]), "images_per_second": 1 / taken}
  return [row | {"compile_seconds": first}]


def _measured(cases: list[timing.Case], sizes: _Timed) -> list[dict]:
  found = timing.measure(cases, sizes.repeats)
  return [row | {"limits": found["limits"]} for row in found["rows"]]


def parts(sizes: _Timed) -> dict[str, Callable[[], list[dict]]]:
  """The timed parts, the most informative first."""
  presets = [preset for preset, *_ in sizes.steps]
  timed: dict[str, Callable[[], list[dict]]] = {
    f"stylize in {dtype}": functools.partial(stylize_rows, sizes, dtype) for dtype in DTYPES
  }
  for preset in presets[:1]:
    for dtype in sizes.step_dtypes:
      timed[f"step of {preset} in {dtype}"] = functools.partial(step_rows, sizes, preset, dtype)
  timed["neighbors"] = functools.partial(neighbor_rows, sizes)
  for preset in presets[1:]:
    for dtype in reversed(sizes.step_dtypes):
      timed[f"step of {preset} in {dtype}"] = functools.partial(step_rows, sizes, preset, dtype)
  return timed


def main(options: Options) -> int:
  """Prints the tables and saves the result; 1 if a number is wrong."""
  if options.write_reference:
    device_numbers.write()
    return 0
  started = time.monotonic()
  numbers = device_numbers.compared(
    short=options.short, on_row=lambda row: print(device_numbers.line(row), flush=True)
  )
  rows: list[dict] = []
  left_out: list[str] = []
  for name, part in parts(_SHORT if options.short else _WHOLE).items():
    if time.monotonic() - started > 60 * options.minutes:
      left_out.append(f"{name}: no time was left")
      continue
    try:
      rows += part()
    except jax.errors.JaxRuntimeError as error:
      # Mostly a lack of memory, of which other parts may need less.
      left_out.append(f"{name}: {str(error).splitlines()[0][:200]}")
    gc.collect()
  result = {
    "device": jax.devices()[0].device_kind,
    "short": options.short,
    "numbers": numbers,
    "rows": rows,
    "left_out": left_out,
    "peak_device_mib": _peak_device_mib(),
    "total_seconds": time.monotonic() - started,
  }
  records.report("device_check", options, result, show=show)
  return int(not all(row["holds"] for row in numbers))


def _peak_device_mib() -> float | None:
  """The most memory of the device in use at once in this process, if its allocator counts it."""
  stats: dict[str, Any] = jax.local_devices()[0].memory_stats() or {}
  peak = stats.get("peak_bytes_in_use")
  return peak and peak / 2**20


def show(result: dict) -> None:
  """Prints the timed rows and what was left out."""
  print(f"timed on {result['device']}:")
  records.print_table(result)
  for line in result["left_out"]:
    print(f"  left out: {line}")
  peak = result["peak_device_mib"]
  if peak:
    print(f"  at most {peak:,.0f} MiB of the device at once")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
