"""What would several slices cost, by the program that was compiled for one of them?

    python -m benchmarks pod_slices --topologies v5e:16x16 v6e:16x16 --slices 1 2 4

Takes FLOPs, HBM traffic and the sizes of the sums from results of `python -m benchmarks pod`, and
computes the roofline anew, with the figures that chips have in `benchmarks.tpu.chips` by now: a
device's program depends on its own batch alone, and slices of a kind differ only in what the sums
cost. Nothing is compiled, nothing is measured. Over several slices XLA takes every sum apart into a
reduce-scatter within the slice, a sum of each device's part between slices, and an all-gather:
`python -m benchmarks pod --slices 2` compiles that, and takes as long as compiling does.
"""

import dataclasses
import json
from pathlib import Path

from benchmarks.harness import command_line, records
from benchmarks.tpu import pod, slices, steps
from stylejax.errors import InputError

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


@dataclasses.dataclass(frozen=True)
class Options:
  """Of which programs, for which slices, and where to keep it."""

  programs: tuple[Path, ...] = (RESULTS / "pod.json", RESULTS / "pod_v4_v5p.json")
  """Results of `python -m benchmarks pod`; of each kind of chip the row with the most chips counts.
  """
  topologies: tuple[str, ...] = ("v5e:16x16", "v6e:16x16", "v5p:4x8x8")
  """Slices, as `python -m benchmarks pod` names them."""
  slices: tuple[int, ...] = (1, 2, 4)
  """How many of them, joined by the data center's network."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on a number of slices below 1."""
    for count in self.slices:
      command_line.at_least("--slices", count, 1)


def main(options: Options) -> None:
  """Prints the table and saves the result."""
  results = [json.loads(path.read_text()) for path in options.programs]
  rows, programs = [], {}
  for name in options.topologies:
    program, result = _program_of(name, results)
    programs[name.split(":")[0]] = {
      "topology": program["topology"],
      "date": result["date"],
      "versions": {key: result["versions"][key] for key in ("jax", "libtpu")},
    }
    rows += steps.with_efficiency([row_of(program, name, count) for count in options.slices])
  found = {"rows": rows, "programs": programs, "sources": pod.sources(rows)}
  records.report("pod_slices", options, found, show=show)


def _program_of(name: str, results: list[dict]) -> tuple[dict, dict]:
  """(row, result) of the program that was compiled for the most chips of this kind."""
  kind = name.split(":")[0]
  matching = [
    (row, result)
    for result in results
    for row in result["rows"]
    if row["topology"].split(":")[0] == kind and row.get("slices", 1) == 1
  ]
  if not matching:
    raise InputError(f"--topologies: found {name}, expected a kind of chip that --programs hold")
  return max(matching, key=lambda one: one[0]["chips"])


def row_of(program: dict, name: str, count: int) -> dict:
  """A row as of `pod`, for so many slices of that name; of memory what the program took."""
  chip, sides = slices.parsed(name, slices=count)
  devices = chip.devices * count
  for side in sides:
    devices *= side
  place = slices.Slice(name, chip, sides, [None] * devices, count)
  collectives = over_slices(program["collectives"], place)
  flops, moved = 1e9 * program["gflop_per_chip"], 1e9 * program["hbm_gb_per_chip"]
  bound = steps.roofline(place, flops, moved, collectives)
  batch = program["batch_per_chip"] * place.chips
  kept = ("case", "preset", "size", "dtype", "remat", "batch_per_chip", "gflop_per_chip")
  return {
    **{key: program[key] for key in (*kept, "hbm_gb_per_chip", "memory_mib", "memory_share")},
    "topology": name,
    "slices": count,
    "chips": place.chips,
    "devices": devices,
    "batch": batch,
    "gflop": program["gflop_per_chip"] * place.chips,
    "collectives": collectives,
    "roofline": bound,
    "images_per_second": batch / bound["step_seconds"],
    "peak_share": bound["compute_seconds"] / bound["step_seconds"],
    "communication_share": bound["communication_seconds"] / bound["step_seconds"],
  }


def over_slices(collectives: list[dict], place: slices.Slice) -> list[dict]:
  """The collectives of one slice's program as XLA takes them apart over several.

  Args:
    collectives: as of `hlo.collectives`; those of older results don't say between what.
    place: one slice or several.

  Raises:
    InputError: one is no sum, so that it isn't known what becomes of it.
  """
  if place.slices == 1:
    return [{"between": "devices", **found} for found in collectives]
  apart = []
  for found in collectives:
    if found["kind"] != "all-reduce":
      raise InputError(f"--programs: found a {found['kind']}, expected sums alone")
    part = len(place.devices) // place.slices
    for between, kind, divided in (
      ("devices", "reduce-scatter", 1),
      ("slices", "all-reduce", part),
      ("devices", "all-gather", 1),
    ):
      each = [size / divided for size in found["each"]]
      apart.append(
        {
          "between": between,
          "kind": kind,
          "count": found["count"],
          "bytes": sum(each),
          "each": each,
        }
      )
  return apart


def show(result: dict) -> None:
  """One line a row."""
  for row in result["rows"]:
    name = row["topology"] if row["slices"] == 1 else f"{row['slices']} × {row['topology']}"
    bound = row["roofline"]
    print(
      f"{name:14} {row['chips']:5} chips, batch {row['batch']:6}: "
      f"{row['images_per_second']:10,.0f} images/s, {row['efficiency']:.3f} of one slice's a chip, "
      f"{row['peak_share']:.0%} of the peak; communication {row['communication_share']:.1%} of "
      f"{1e3 * bound['step_seconds']:.2f} ms: within {1e3 * bound['within_slices_seconds']:.2f}, "
      f"between {1e3 * bound['between_slices_seconds']:.2f}"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
