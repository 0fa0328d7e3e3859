"""Which batch, rematerialization and accumulation give the most images a second on a slice of TPUs?

    python -m benchmarks pod_search --topology v6e:4x4 --per-chip 8 16 32 64 --cache runs/pod

Compiles the trainer's step for every combination, and ranks those that fit by the roofline of
`benchmarks.tpu.pod`: computed, not measured. Where a batch doesn't fit, larger ones of the same
combination aren't tried. `--cache` keeps what was compiled, so that a search can be continued.
"""

import dataclasses

import jax

from benchmarks.harness import command_line, records
from benchmarks.tpu import pod, programs, slices, steps
from stylejax.errors import InputError
from stylejax.training.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class Options(steps.StepOptions):
  """What to try, and where to save the result. --remat and --accumulate are ignored here."""

  topology: str = "v5e:16x16"
  """A slice, as in `python -m benchmarks pod`."""
  slices: int = 1
  """Number of such slices."""
  per_chip: tuple[int, ...] = (8, 16, 32, 64)
  """Images of each kind per step on a chip."""
  remats: tuple[bool, ...] = (False, True)
  """Whether the perceptual net's features are computed twice instead of kept."""
  accumulates: tuple[int, ...] = (1, 2)
  """Number of parts in which a device computes its images of a step."""

  def check(self) -> None:
    """Raises InputError on numbers below 1."""
    for flag, numbers in (("--per-chip", self.per_chip), ("--accumulates", self.accumulates)):
      for number in numbers:
        command_line.at_least(flag, number, 1)


def search(options: Options, place: slices.Slice) -> list[dict]:
  """Rows of what was tried, the most images/s first; at the end what doesn't fit, with its size."""
  rows = []
  for remat in options.remats if options.command == "transfer" else (False,):
    for accumulate in options.accumulates:
      case = dataclasses.replace(options, remat=remat, accumulate=accumulate)
      for per_chip in sorted(options.per_chip):
        unit = TASKS[options.command].config().group * accumulate * place.chip.devices
        if per_chip % unit:
          continue
        try:
          rows.append(steps.step_row(case, place, per_chip * place.chips))
        except programs.DoesNotFit as error:
          rows.append(_too_large(case, place, per_chip, error.needed))
          break
  return sorted(rows, key=lambda row: -row.get("images_per_second", 0))


def _too_large(options: Options, place: slices.Slice, per_chip: int, needed: float | None) -> dict:
  return {
    "case": f"{options.command} step",
    "topology": place.name,
    "slices": place.slices,
    "batch_per_chip": per_chip,
    "remat": options.remat,
    "accumulate": options.accumulate,
    "needed_mib": needed and needed / 2**20,
    "memory_limit_mib": slices.memory_limit(place) / 2**20,
  }


def main(options: Options) -> None:
  """Prints the table and saves the result."""
  jax.config.update("jax_platforms", "cpu")
  place = slices.find_slice(options.topology, slices=options.slices)
  rows = search(options, place)
  if not any("images_per_second" in row for row in rows):
    raise InputError(f"--per-chip: found none that fits into {place.title}, expected smaller ones")
  result = {"rows": rows, "sources": pod.sources(rows)}
  records.report("pod_search", options, result, show=show)


def show(result: dict) -> None:
  """Prints one line for each combination, the best first."""
  for row in result["rows"]:
    name = (
      f"{row['batch_per_chip']:4} a chip, accumulate {row['accumulate']}, "
      f"{'remat' if row['remat'] else 'all kept':8}"
    )
    if "images_per_second" not in row:
      needed = row["needed_mib"]
      print(
        f"{name}: doesn't fit into {row['memory_limit_mib']:,.0f} MiB a device"
        + (f", takes {needed:,.0f}" if needed else "")
      )
      continue
    print(
      f"{name}: {row['images_per_second']:10,.0f} images/s, {row['peak_share']:.0%} of the peak, "
      f"{row['memory_mib']['peak']:,.0f} MiB a device ({row['memory_share']:.0%}), communication "
      f"{row['communication_share']:.1%}"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
