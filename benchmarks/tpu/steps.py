"""A train step compiled for a slice of TPUs: its costs, its roofline, and the batches that fit.

`benchmarks.tpu.slices` finds slices; `benchmarks.tpu.programs` makes and caches programs.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from benchmarks.tpu import chips, hlo, programs
from benchmarks.tpu.programs import DoesNotFit
from benchmarks.tpu.slices import Slice, memory_limit
from stylejax.errors import InputError
from stylejax.models.config import Preset
from stylejax.training.config import TrainConfig
from stylejax.training.replicas import check_batch
from stylejax.training.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class StepOptions:
  """Which train step, and where to save the result."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """The training whose step is compiled."""
  preset: Preset = "large"
  """Sizes of the nets."""
  size: int = 128
  """Side of the crops in pixels."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Data type of the activations."""
  remat: bool = False
  """As in train.py: the perceptual net's features are computed twice instead of kept."""
  accumulate: int = 1
  """As in train.py: a device computes its images of a step in this many parts, one by one."""
  code: bool = False
  """Also make the machine code, for its size and the compiler's estimate of its cycles; takes a
  quarter of an hour for `large`."""
  cache: Path | None = None
  """Folder that keeps what was compiled."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""


def row(options: StepOptions, config: TrainConfig, place: Slice, facts: dict) -> dict:
  """What a compiled step costs, per chip and in total; memory is per device."""
  module = hlo.instructions(facts["text"])
  each, memory = place.chip.devices, dict(facts["memory"])
  flops, moved = (number * each for number in (_flops(config, facts), hlo.hbm_bytes(module)))
  memory["peak"] = (
    memory["argument"]
    + memory["output"]
    + memory["temp"]
    + memory.get("generated_code", 0)
    - memory["alias"]
  )
  collectives = hlo.collectives(module)
  bound = roofline(place, flops, moved, collectives)
  limit = memory_limit(place)
  return {
    "case": f"{options.command} step",
    "topology": place.name,
    "slices": place.slices,
    "chips": place.chips,
    "devices": len(place.devices),
    "preset": config.preset,
    "size": config.size,
    "batch": config.batch,
    "batch_per_chip": config.batch // place.chips,
    "dtype": config.model.dtype,
    "remat": options.remat,
    "accumulate": options.accumulate,
    "gflop_per_chip": flops / 1e9,
    "gflop": flops * place.chips / 1e9,
    "hbm_gb_per_chip": moved / 1e9,
    **({"compiler_cycles": hlo.estimated_cycles(module)} if options.code else {}),
    "memory_mib": {key: value / 2**20 for key, value in memory.items()},
    "memory_limit_mib": limit / 2**20,
    "memory_share": memory["peak"] / limit,
    "collectives": collectives,
    "overlapped_share": hlo.overlapped_share(module),
    "roofline": bound,
    "images_per_second": config.batch / bound["step_seconds"],
    "peak_share": bound["compute_seconds"] / bound["step_seconds"],
    "communication_share": bound["communication_seconds"] / bound["step_seconds"],
    "compile_seconds": facts["seconds"],
  }


def _flops(config: TrainConfig, facts: dict) -> float:
  """FLOPs of a step on a device; XLA counts the loop over parts of the batch as one iteration."""
  return facts["cost"]["flops"] * config.accumulate


def roofline(place: Slice, flops: float, moved: float, collectives: list[dict]) -> dict[str, float]:
  """Seconds of a step by the formula of `benchmarks.tpu.pod`.

  Args:
    place: the slices.
    flops: FLOPs per chip.
    moved: bytes moved between a chip and its HBM.
    collectives: as `hlo.collectives` lists them.
  """
  compute, memory = flops / place.chip.flops, moved / place.chip.bandwidth
  within = between = 0.0
  for collective in collectives:
    for size in collective["each"]:
      if collective["between"] == "slices":
        between += chips.network_seconds(place.chip, place.slices, collective["kind"], size)
      else:
        within += chips.collective_seconds(place.chip, place.sides, collective["kind"], size)
  return {
    "compute_seconds": compute,
    "memory_seconds": memory,
    "within_slices_seconds": within,
    "between_slices_seconds": between,
    "communication_seconds": within + between,
    "step_seconds": max(compute, memory) + within + between,
  }


def step_config(options: StepOptions, place: Slice, batch: int) -> TrainConfig:
  """The trainer's config; InputError if its batch doesn't suit the slice."""
  config = train_config(options, batch)
  check_batch(batch, group=config.group * config.accumulate, devices=place.devices)
  return config


def train_config(options: StepOptions, batch: int) -> TrainConfig:
  """The trainer's config for a batch over all devices."""
  remat = {"remat": True} if options.remat else {}
  if remat and options.command != "transfer":
    raise InputError(f"--remat: found it with {options.command}, expected transfer")
  config = TASKS[options.command].config(
    preset=options.preset,
    dtype=options.dtype,
    size=options.size,
    batch=batch,
    accumulate=options.accumulate,
    **remat,
  )
  config.check()
  return config


def step_facts(options: StepOptions, config: TrainConfig, place: Slice) -> dict[str, Any]:
  """What the compiler reports of the step; raises DoesNotFit if it doesn't fit."""
  facts = programs.compiled_facts if options.code else programs.planned_facts
  return facts(config, place, options.cache)


def step_row(options: StepOptions, place: Slice, batch: int) -> dict:
  """Compiles the step for a batch over the whole slice; raises DoesNotFit if it doesn't fit."""
  config = step_config(options, place, batch)
  return row(options, config, place, step_facts(options, config, place))


def largest_batch(
  needed: Callable[[int], tuple[bool, float | None]],
  tried: int,
  used: float | None,
  unit: int,
  limit: float,
) -> int:
  """The largest multiple of unit below `tried` that fits, or 0.

  Memory is nearly linear in the batch, so the next try is where the line through the largest batch
  that fitted and the smallest that didn't reaches the limit, or halfway where the compiler gave no
  figure; each failure in a row halves that distance.

  Args:
    needed: returns (whether a batch fits, its bytes or None).
    tried: a batch that doesn't fit, a multiple of unit.
    used: bytes that it needs, or None.
    unit: devices times examples that must stay together.
    limit: bytes that the compiler may use.
  """
  low, high, failures = (0, 0.0), (tried, used), 0
  while high[0] - low[0] > unit:
    fraction = 0.5
    if low[1] is not None and high[1] is not None and high[1] > max(low[1], limit):
      fraction = (limit - low[1]) / (high[1] - low[1])
    guess = low[0] + int(fraction / 2**failures * (high[0] - low[0]) / unit) * unit
    guess = min(max(guess, low[0] + unit), high[0] - unit)
    fits, bytes_used = needed(guess)
    if fits:
      low, failures = (guess, bytes_used), 0
    else:
      high, failures = (guess, bytes_used), failures + 1
  return low[0]


def fitting_batch(options: StepOptions, place: Slice, batch: int, used: float | None) -> int:
  """The largest fitting batch below one that doesn't fit, found by compiling a few."""

  def needed(batch: int):
    try:
      return True, step_row(options, place, batch)["memory_mib"]["peak"] * 2**20
    except DoesNotFit as error:
      return False, error.needed

  unit = len(place.devices) * TASKS[options.command].config().group * options.accumulate
  return largest_batch(needed, batch, used, unit, memory_limit(place))


def with_efficiency(rows: list[dict]) -> list[dict]:
  """Adds to each row its images/s per chip over the first row's."""
  rates = [row["images_per_second"] / row["chips"] for row in rows]
  return [row | {"efficiency": rate / rates[0]} for row, rate in zip(rows, rates, strict=True)]
