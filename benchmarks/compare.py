"""What got slower between two results of the same benchmark, beyond the noise?

    python -m benchmarks compare before.json after.json

A case is slower when its median grew by more than the tolerance and its quartiles don't overlap
with those before. Exits 1 if any is.
"""

import dataclasses
import json
import sys
from pathlib import Path

import tyro

from benchmarks import timing


@dataclasses.dataclass(frozen=True)
class Options:
  """Which results, and how much is too much."""

  before: tyro.conf.Positional[Path]
  """JSON file of the benchmark before a change."""
  after: tyro.conf.Positional[Path]
  """JSON file of the same benchmark after it."""
  tolerance: float = 0.1
  """Growth of a median that is not worth a word, as a fraction."""
  relative: bool = False
  """Compare multiples of the matrix product's time instead of seconds: for two machines, or one
  that is not idle."""


def compare(before: dict, after: dict, *, tolerance: float, relative: bool = False) -> list[dict]:
  """One dict for each case of before: case, ratio of medians or None if it is gone, slower.

  Raises:
    ValueError: results of two benchmarks.
  """
  if before.get("benchmark") != after.get("benchmark"):
    raise ValueError(f"{before.get('benchmark')} and {after.get('benchmark')}")
  scale_before, scale_after = (
    result["limits"]["matrix_product_gflop_per_second"] if relative else 1.0
    for result in (before, after))
  new = {timing.label(row): row["seconds"] for row in after["rows"] if "seconds" in row}
  found = []
  for row in before["rows"]:
    if "seconds" not in row:
      continue
    case, a = timing.label(row), row["seconds"]
    b = new.get(case)
    if b is None:
      found.append({"case": case, "ratio": None, "slower": False})
      continue
    ratio = b["median"] * scale_after / (a["median"] * scale_before)
    apart = b["low"] * scale_after > a["high"] * scale_before
    found.append({"case": case, "ratio": ratio, "slower": ratio > 1 + tolerance and apart})
  return found


def main(options: Options) -> int:
  """Prints the ratios and returns 1 if anything got slower."""
  try:
    before, after = (json.loads(path.read_text()) for path in (options.before, options.after))
    rows = compare(before, after, tolerance=options.tolerance, relative=options.relative)
  except (OSError, ValueError, KeyError, TypeError) as error:
    print(f"error: results: found {error!r}, expected two JSON files of one benchmark",
          file=sys.stderr)
    return 2
  if all(row["ratio"] is None for row in rows):
    print("error: results: found no case that both hold, expected the same benchmark twice",
          file=sys.stderr)
    return 2
  for row in rows:
    if row["ratio"] is None:
      print(f"         GONE   {row['case']}")
    else:
      print(f"{row['ratio']:6.2f} × {'SLOWER ' if row['slower'] else '       '}{row['case']}")
  return int(any(row["slower"] for row in rows))


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
