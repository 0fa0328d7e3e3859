"""What will a train step cost on a slice of TPUs, before anybody pays for one?

    python -m benchmarks pod --topology v5e:16x16 --preset large --batch 2048

Compiles the trainer's own step for the slice, without a TPU (it needs the extra `tpu`), and adds up
what the compiler says: FLOPs, memory, collectives. The time is a roofline from published figures,
a bound that no run will reach:

    step = max(FLOPs / peak, HBM bytes / bandwidth) + Σ collectives,

with nothing overlapped, and collectives as `benchmarks.tpu.chips` costs them. Nothing is measured.
Of a batch that doesn't fit it names the largest that does, and exits with status 2.
"""

import dataclasses
import gzip
import hashlib
import importlib.util
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from benchmarks.harness import command_line, records
from benchmarks.tpu import chips, hlo
from stylejax.errors import InputError
from stylejax.models.config import Preset
from stylejax.runtime.extras import install_command
from stylejax.training.config import TrainConfig
from stylejax.training.loop import load_frozen
from stylejax.training.replicas import check_batch, make_replicas
from stylejax.training.state import init_state
from stylejax.training.tasks import TASKS, task_of

PER_CHIP = 8
# Without these libtpu asks a metadata server what it runs on, and locks others out.
ENVIRONMENT = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class StepOptions:
  """Whose step, and where to keep what is found."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Whose step."""
  preset: Preset = "large"
  """Sizes of the nets."""
  size: int = 128
  """Side of the crops in pixels."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Of the activations."""
  remat: bool = False
  """As train.py's: the perceptual net's features are computed twice instead of kept."""
  cache: Path | None = None
  """Folder that keeps what was compiled: a step takes minutes."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""


@dataclasses.dataclass(frozen=True)
class Options(StepOptions):
  """What to compile, and where to keep what is found."""

  topology: tuple[str, ...] = ("v5e:16x16",)
  """Slices: v4, v5e, v5p or v6e and its sides, such as v5e:4x4 or v5p:2x2x1."""
  batch: int | None = None
  """Images of each kind per step, over all chips. Default: --per-chip on each."""
  per_chip: int = PER_CHIP
  """Images of each kind per step on a chip, down to a multiple of what must stay together."""

  def check(self) -> None:
    """Raises InputError on a batch that no slice could take."""
    command_line.at_least("--batch", 1 if self.batch is None else self.batch, 1)
    command_line.at_least("--per-chip", self.per_chip, TASKS[self.command].config().group)


@dataclasses.dataclass(frozen=True)
class Slice:
  """A topology: its name, its kind of chip, its sides, and devices to compile for."""

  name: str
  chip: chips.Tpu
  sides: tuple[int, ...]
  devices: list


class DoesNotFit(Exception):
  """The compiler ran out of memory: `needed` bytes (None if it doesn't say)."""

  def __init__(self, needed: float | None):
    super().__init__(f"{needed} bytes")
    self.needed = needed


def find_slice(name: str) -> Slice:
  """The slice of that name; InputError if there is none, or no libtpu."""
  match = re.fullmatch(r"(\w+):(\d+(?:x\d+)+)", name)
  chip = chips.TPUS.get(match[1]) if match else None
  sides = tuple(int(side) for side in match[2].split("x")) if match else ()
  if chip is None or len(sides) != chip.axes or max(sides) > chip.longest:
    raise InputError(
      f"--topology: found {name!r}, expected one of {', '.join(chips.TPUS)} and its "
      "sides, such as v5e:16x16 (at most) or v4:4x4x4"
    )
  if importlib.util.find_spec("libtpu") is None:
    raise InputError("libtpu: found none, expected it for compiling: " + install_command("tpu"))
  for key, value in ENVIRONMENT.items():
    os.environ.setdefault(key, value)
  from jax.experimental import topologies

  # Both cores of a v4 chip as one device, which is how programs run there.
  merged = {"chip_config_name": "megacore"} if match[1] == "v4" else {}
  try:
    topology = topologies.get_topology_desc(platform="tpu", topology_name=name, **merged)
  except jax.errors.JaxRuntimeError as error:
    raise InputError(
      f"--topology: found {name!r}, of which libtpu says: {str(error).splitlines()[0]}"
    ) from None
  return Slice(name, chip, sides, list(topology.devices))


def lower_step(config: TrainConfig, devices: list) -> jax.stages.Lowered:
  """The trainer's step for these devices; neither weights nor images are made."""
  state = jax.eval_shape(lambda: init_state(config))
  state = state.replace(frozen=jax.eval_shape(lambda: load_frozen(config)))
  side = config.crop_size
  crops = jax.ShapeDtypeStruct((config.batch, side, side, 3), jnp.uint8)
  batch = dict.fromkeys(config.streams, crops)
  batch["index"] = jax.ShapeDtypeStruct((config.batch,), jnp.int32)
  replicas = make_replicas("shard_map", task_of(config).make_train_step(config), devices=devices)
  return replicas.lower(state, batch)


def compiled_facts(lowered: jax.stages.Lowered, place: Slice, cache: Path | None) -> dict[str, Any]:
  """{"cost", "memory", "text", "seconds"} of the compiled step, from the cache if it is there.

  Raises:
    DoesNotFit: the compiler found no way to fit it into a chip's memory.
  """
  import libtpu

  about = "\n".join([place.name, jax.__version__, libtpu.__version__, lowered.as_text()])
  key = hashlib.sha256(about.encode()).hexdigest()[:24]
  cached = cache / f"{place.name.replace(':', '-')}-{key}.json.gz" if cache else None
  if cached is not None and cached.exists():
    facts = json.loads(gzip.decompress(cached.read_bytes()))
    if "needed" in facts:
      raise DoesNotFit(facts["needed"])
    return facts
  start = time.perf_counter()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    facts = {"needed": memory_needed(str(error))}
  else:
    memory = compiled.memory_analysis()
    facts = {
      "cost": {key: compiled.cost_analysis()[key] for key in ("flops", "bytes accessed")},
      "memory": {
        name: getattr(memory, f"{name}_size_in_bytes")
        for name in ("argument", "output", "alias", "temp", "generated_code")
      },
      "text": compiled.as_text(),
      "seconds": time.perf_counter() - start,
    }
  if cached is not None:
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(gzip.compress(json.dumps(facts).encode()))
  if "needed" in facts:
    raise DoesNotFit(facts["needed"])
  return facts


def memory_needed(message: str) -> float | None:
  """Bytes of HBM that the compiler's message says the program would take; it has two forms."""
  match = re.search(r"Used ([\d.]+)([KMGT]) of |\(([\d.]+)([KMGT])\) exceeds", message)
  return float(match[1] or match[3]) * UNITS[match[2] or match[4]] if match else None


def row(options: StepOptions, config: TrainConfig, place: Slice, facts: dict) -> dict:
  """What a compiled step costs, per chip and in all."""
  module = hlo.instructions(facts["text"])
  count, memory = len(place.devices), dict(facts["memory"])
  memory["peak"] = (
    memory["argument"]
    + memory["output"]
    + memory["temp"]
    + memory["generated_code"]
    - memory["alias"]
  )
  collectives = hlo.collectives(module)
  bound = roofline(
    place.chip, place.sides, facts["cost"]["flops"], hlo.hbm_bytes(module), collectives
  )
  return {
    "case": f"{options.command} step",
    "topology": place.name,
    "chips": count,
    "preset": config.preset,
    "size": config.size,
    "batch": config.batch,
    "batch_per_chip": config.batch // count,
    "dtype": config.model.dtype,
    "remat": options.remat,
    "gflop_per_chip": facts["cost"]["flops"] / 1e9,
    "gflop": facts["cost"]["flops"] * count / 1e9,
    "hbm_gb_per_chip": hlo.hbm_bytes(module) / 1e9,
    "xla_bytes_accessed_gb": facts["cost"]["bytes accessed"] / 1e9,
    "compiler_cycles": hlo.estimated_cycles(module),
    "memory_mib": {key: value / 2**20 for key, value in memory.items()},
    "memory_share": memory["peak"] / place.chip.memory,
    "collectives": collectives,
    "roofline": bound,
    "images_per_second": config.batch / bound["step_seconds"],
    "communication_share": bound["communication_seconds"] / bound["step_seconds"],
    "compile_seconds": facts["seconds"],
  }


def roofline(
  chip: chips.Tpu, sides: tuple[int, ...], flops: float, moved: float, collectives: list[dict]
) -> dict[str, float]:
  """Seconds of a step by the module's formula; flops and moved bytes are one chip's."""
  compute, memory = flops / chip.flops, moved / chip.bandwidth
  communication = sum(
    chips.collective_seconds(chip, sides, collective["kind"], size)
    for collective in collectives
    for size in collective["each"]
  )
  return {
    "compute_seconds": compute,
    "memory_seconds": memory,
    "communication_seconds": communication,
    "step_seconds": max(compute, memory) + communication,
  }


def step_config(options: StepOptions, place: Slice, batch: int) -> TrainConfig:
  """The trainer's config; InputError if its batch doesn't suit the slice."""
  remat = {"remat": True} if options.remat else {}
  if remat and options.command != "transfer":
    raise InputError(f"--remat: found it with {options.command}, expected transfer")
  config = TASKS[options.command].config(
    preset=options.preset, dtype=options.dtype, size=options.size, batch=batch, **remat
  )
  config.check()
  check_batch(batch, group=config.group, devices=place.devices)
  return config


def step_facts(options: StepOptions, config: TrainConfig, place: Slice) -> dict[str, Any]:
  """What the compiler says of the step; raises DoesNotFit if it doesn't fit."""
  lowered = lower_step(config, place.devices)
  return compiled_facts(lowered, place, options.cache)


def step_row(options: StepOptions, place: Slice, batch: int) -> dict:
  """Compiles the step at a batch over the whole slice; raises DoesNotFit if it doesn't fit."""
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

  Memory is nearly linear in the batch, so each next try is where the line through the largest that
  fitted and the smallest that didn't meets the limit; halfway where the compiler gave no figure,
  and half as far for each failure in a row.

  Args:
    needed: (whether a batch fits, its bytes or None).
    tried: a batch that doesn't fit, a multiple of unit.
    used: its bytes, or None.
    unit: chips times examples that must stay together.
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
  """The largest batch below one that didn't fit, by compiling a few."""

  def needed(batch: int):
    try:
      return True, step_row(options, place, batch)["memory_mib"]["peak"] * 2**20
    except DoesNotFit as error:
      return False, error.needed

  unit = len(place.devices) * TASKS[options.command].config().group
  return largest_batch(needed, batch, used, unit, place.chip.memory)


def main(options: Options) -> int:
  """Prints the tables and saves the result."""
  jax.config.update("jax_platforms", "cpu")
  rows = []
  for name in options.topology:
    place = find_slice(name)
    group = TASKS[options.command].config().group
    batch = options.batch or options.per_chip // group * group * len(place.devices)
    try:
      rows.append(step_row(options, place, batch))
    except DoesNotFit as error:
      most = fitting_batch(options, place, batch, error.needed)
      raise InputError(
        f"--batch: found {batch}, which doesn't fit into {name}, expected at most {most}"
        if most
        else f"--topology: found {name}, expected chips with more memory"
      ) from None
  records.report("pod", options, {"rows": rows, "sources": sources(rows)}, show=show)
  return 0


def sources(rows: list[dict]) -> dict[str, dict]:
  """The published figures that the rows rest on, by kind of chip."""
  kinds = {row["topology"].split(":")[0] for row in rows}
  return {kind: dataclasses.asdict(chips.TPUS[kind]) for kind in sorted(kinds)}


def show(result: dict[str, Any]) -> None:
  """Prints each row as a block of lines."""
  for row in result["rows"]:
    chip = chips.TPUS[row["topology"].split(":")[0]]
    memory, bound = row["memory_mib"], row["roofline"]
    print(
      f"{row['topology']}, {row['chips']} chips: {row['case']}, preset {row['preset']}, "
      f"{row['dtype']}, batch {row['batch']} ({row['batch_per_chip']} a chip), "
      f"{row['size']} px; compiled in {row['compile_seconds']:.0f} s"
    )
    print(
      f"  FLOPs            {row['gflop_per_chip']:12,.0f} GFLOP a chip, "
      f"{row['gflop'] / 1e3:,.0f} TFLOP in all"
    )
    print(
      f"  HBM traffic      {row['hbm_gb_per_chip']:12,.2f} GB a chip (XLA's bytes accessed, "
      f"VMEM included: {row['xla_bytes_accessed_gb']:.1f})"
    )
    print(
      f"  memory           {memory['peak']:12,.0f} MiB a chip of {chip.memory / 2**20:,.0f}: "
      f"arguments {memory['argument']:,.0f}, temporaries {memory['temp']:,.0f}, output "
      f"{memory['output']:,.0f}, of it aliased {memory['alias']:,.0f}, code "
      f"{memory['generated_code']:,.0f}"
    )
    for collective in row["collectives"]:
      print(
        f"  {collective['kind']:16} {collective['bytes'] / 1e6:12,.1f} MB "
        f"in {collective['count']}: "
        + ", ".join(f"{size / 1e6:,.1f}" for size in collective["each"])
      )
    print(
      f"  roofline step    {1e3 * bound['step_seconds']:12,.2f} ms: compute "
      f"{1e3 * bound['compute_seconds']:.2f}, or HBM {1e3 * bound['memory_seconds']:.2f}; "
      f"then communication {1e3 * bound['communication_seconds']:.2f} "
      f"({row['communication_share']:.1%})"
    )
    print(f"  images/s         {row['images_per_second']:12,.0f} at that bound")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
