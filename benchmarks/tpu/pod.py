"""What will a train step cost on a slice of TPUs, before anybody pays for one?

    python -m benchmarks pod --topology v5e:16x16 --preset large --batch 2048
    python -m benchmarks pod --topology v6e:16x16 --slices 1 2 4 --per-chip 16
    python -m benchmarks pod --topology h100:8 --preset large --per-chip 16

Plans the trainer's own step for the slice, without a TPU (it needs the extra `tpu`), and adds up
what the compiler reports: FLOPs, memory, collectives. Machine code is made only with --code, which
takes minutes (see `benchmarks.tpu.programs`). The time is a roofline from published figures,
a bound that no run will reach:

    step = max(FLOPs / peak, HBM bytes / bandwidth) + Σ collectives,

with nothing overlapped, and with collectives, within slices and between them, costed by
`benchmarks.tpu.chips`. Nothing is measured. Figures are per chip, except memory, which is per
device: TPU7x has two in a chip. If a batch doesn't fit, the largest that does is named, and the
exit status is 2.

A box of GPUs (the extra `gpu-compile`) has a report of its own: `benchmarks.tpu.gpus`.
"""

import dataclasses
from typing import Any

import jax

from benchmarks.harness import command_line, records
from benchmarks.tpu import chips, gpus, slices, steps
from benchmarks.tpu.programs import DoesNotFit
from benchmarks.tpu.steps import StepOptions
from stylejax.errors import InputError
from stylejax.training.tasks import TASKS

PER_CHIP = 8


@dataclasses.dataclass(frozen=True)
class Options(StepOptions):
  """What to compile, and where to save the result."""

  topology: tuple[str, ...] = ("v5e:16x16",)
  """Slices: v4, v5e, v5p, v6e or tpu7x and its sides in chips, as in v5e:4x4 or tpu7x:2x2x1. Or
  boxes of GPUs: h100:8."""
  slices: tuple[int, ...] = (1,)
  """Numbers of such slices, joined by the data center's network; each number makes a row."""
  batch: int | None = None
  """Images of each kind per step, over all chips. Default: --per-chip on each."""
  per_chip: int = PER_CHIP
  """Images of each kind per step on a chip, rounded down to whole groups that stay together."""

  def check(self) -> None:
    """Raises InputError on a batch that no slice could take."""
    command_line.at_least("--batch", 1 if self.batch is None else self.batch, 1)
    for count in self.slices:
      command_line.at_least("--slices", count, 1)
    command_line.at_least("--per-chip", self.per_chip, TASKS[self.command].config().group)


def main(options: Options) -> int:
  """Prints the tables and saves the result."""
  jax.config.update("jax_platforms", "cpu")
  boxes = [name for name in options.topology if gpus.is_box(name)]
  if boxes:
    return _report_boxes(options, boxes)
  rows = []
  for name in options.topology:
    places = [slices.find_slice(name, slices=count) for count in options.slices]
    rows += steps.with_efficiency([_row(options, place) for place in places])
  records.report("pod", options, {"rows": rows, "sources": sources(rows)}, show=show)
  return 0


def _report_boxes(options: Options, names: list[str]) -> int:
  if len(names) < len(options.topology) or options.slices != (1,):
    raise InputError(f"--topology: found {names[0]} beside slices of TPUs, expected boxes alone")
  rows, unit = [], TASKS[options.command].config().group * options.accumulate
  for name in names:
    box = gpus.find_box(name)
    batch = options.batch or max(options.per_chip // unit, 1) * unit * len(box.devices)
    rows.append(gpus.step_row(options, box, batch))
  kinds = {name.split(":")[0]: gpus.GPUS[name.split(":")[0]] for name in names}
  published = {kind: dataclasses.asdict(gpu) for kind, gpu in kinds.items()}
  found = {"rows": rows, "sources": published}
  records.report("pod_gpu", options, found, show=gpus.show, command="pod")
  return 0


def _row(options: Options, place: slices.Slice) -> dict:
  unit = TASKS[options.command].config().group * options.accumulate * place.chip.devices
  batch = options.batch or max(options.per_chip // unit, 1) * unit * place.chips
  try:
    return steps.step_row(options, place, batch)
  except DoesNotFit as error:
    most = steps.fitting_batch(options, place, batch, error.needed)
    raise InputError(
      f"--batch: found {batch}, which doesn't fit into {place.title}, expected at most {most}"
      if most
      else f"--topology: found {place.title}, expected chips with more memory"
    ) from None


def sources(rows: list[dict]) -> dict[str, dict]:
  """The published figures that the rows are based on, by kind of chip."""
  kinds = {row["topology"].split(":")[0] for row in rows}
  return {kind: dataclasses.asdict(chips.TPUS[kind]) for kind in sorted(kinds)}


def show(result: dict[str, Any]) -> None:
  """Prints each row as a block of lines."""
  for row in result["rows"]:
    memory, bound = row["memory_mib"], row["roofline"]
    code = memory.get("generated_code")
    name = row["topology"] if row["slices"] == 1 else f"{row['slices']} × {row['topology']}"
    print(
      f"{name}, {row['chips']} chips: {row['case']}, preset {row['preset']}, "
      f"{row['dtype']}, batch {row['batch']} ({row['batch_per_chip']} a chip), "
      f"{row['size']} px; compiled in {row['compile_seconds']:.0f} s"
    )
    print(
      f"  FLOPs            {row['gflop_per_chip']:12,.0f} GFLOP a chip, "
      f"{row['gflop'] / 1e3:,.0f} TFLOP in all"
    )
    print(f"  HBM traffic      {row['hbm_gb_per_chip']:12,.2f} GB a chip")
    print(
      f"  memory           {memory['peak']:12,.0f} MiB a device of "
      f"{row['memory_limit_mib']:,.0f}: "
      f"arguments {memory['argument']:,.0f}, temporaries {memory['temp']:,.0f}, output "
      f"{memory['output']:,.0f}, of it aliased {memory['alias']:,.0f}, code "
      + ("not made" if code is None else f"{code:,.0f}")
    )
    for collective in row["collectives"]:
      print(
        f"  {collective['kind']:16} {collective['bytes'] / 1e6:12,.1f} MB in "
        f"{collective['count']} between {collective['between']}: "
        + ", ".join(f"{size / 1e6:,.1f}" for size in collective["each"])
      )
    print(
      f"  roofline step    {1e3 * bound['step_seconds']:12,.2f} ms: compute "
      f"{1e3 * bound['compute_seconds']:.2f}, or HBM {1e3 * bound['memory_seconds']:.2f}; then "
      f"communication within slices {1e3 * bound['within_slices_seconds']:.2f}, between them "
      f"{1e3 * bound['between_slices_seconds']:.2f} ({row['communication_share']:.1%}); "
      f"{row['overlapped_share']:.0%} of its bytes scheduled beside convolutions"
    )
    print(
      f"  images/s         {row['images_per_second']:12,.0f} at that bound, "
      f"{row['peak_share']:.0%} of the peak"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
