"""Times cases beside the machine's limits; not a benchmark itself.

Every round runs a large matrix product, a large copy and each case once, so that what slows the
machine down slows all of them; results are medians and quartiles over the rounds.
"""

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tpu.chips import PEAK_FLOPS
from stylejax.runtime.jit import compiler_options

# Side of the matrix product and bytes of the copy; an accelerator needs more to show its rate.
LIMIT_SIZES = {"cpu": (2048, 2**26)}
LIMIT_SIZES_ELSEWHERE = (8192, 2**30)


@dataclasses.dataclass(frozen=True)
class Case:
  """One thing to time.

  Attributes:
    name: what it is, the same from run to run.
    call: runs it once and returns what to wait for.
    images: images that one call takes in.
    about: size, batch and whatever else tells cases of one name apart.
    compiled: the program, where XLA made it; gives FLOPs, bytes and memory.
    flops: FLOPs of one call with direct convolutions, where known.
    compile_seconds: seconds that compilation took.
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
  """Compiles function(*arguments) and makes a case of it, with its arguments on the device.

  Uses stylejax's own compiler options unless others are given.
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


def measure(cases: Sequence[Case], repeats: int, *, trace: Path | None = None) -> dict[str, Any]:
  """Runs all cases in turn and returns {"limits": …, "rows": […]}, ready for JSON."""
  side, copied = LIMIT_SIZES.get(jax.default_backend(), LIMIT_SIZES_ELSEWHERE)
  matrix, block = jnp.ones((side, side)), jnp.ones(copied // 4)
  product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1.0)
  calls = [lambda: product(matrix), lambda: copy(block), *(case.call for case in cases)]
  seconds = [[] for _ in calls]
  for repeat in range(repeats + 2):
    # Each round starts with another one: what ran before leaves traces in caches and threads.
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
  # The limits are those of one device; emulated devices share it.
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
  """MiB that a compiled program holds at once, from its memory analysis."""
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  ) / 2**20


def place(arguments: Any, devices: int | None) -> Any:
  """Spreads the leading axis of every array over that many local devices."""
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()[: devices or 1]), ("data",))
  rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
  return jax.device_put(arguments, rows)


def replicate(arguments: Any, devices: int | None) -> Any:
  """Copies every array to that many local devices."""
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()[: devices or 1]), ("data",))
  return jax.device_put(arguments, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def peak_resident_mib() -> float:
  """Largest resident memory of this process so far."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _published_peak() -> float | None:
  kind = jax.devices()[0].device_kind
  return next((peak for name, peak in PEAK_FLOPS.items() if kind.startswith(name)), None)
