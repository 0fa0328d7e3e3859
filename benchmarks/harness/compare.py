"""What got slower between two results of the same benchmark, beyond the noise?

    python -m benchmarks compare before.json after.json

A case is slower if its median grew by more than the tolerance and its quartiles don't overlap with
the earlier ones. Exits with 1 if any is slower or gone, with 2 if the two can't be compared.
"""

import dataclasses
import json
import math
from pathlib import Path

import tyro

from benchmarks.harness import command_line, records
from stylejax.errors import InputError

EXPECTED = "expected the JSON file of a timed benchmark"


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

  def check(self) -> None:
    """Raises InputError on a tolerance below 0, or NaN."""
    command_line.at_least("--tolerance", self.tolerance, 0.0)


def read(path: Path) -> dict:
  """Reads a benchmark's result; InputError, naming the file, if it is none with times."""
  try:
    result = json.loads(path.read_text())
  except OSError as error:
    raise InputError(f"{path}: found {error.strerror}, {EXPECTED}") from None
  except ValueError:
    raise InputError(f"{path}: found no JSON, {EXPECTED}") from None
  try:
    for row in result["rows"]:
      records.label(row)
    times = [
      row["seconds"][key]
      for row in result["rows"]
      if "seconds" in row
      for key in ("low", "median", "high")
    ]
    sound = all(math.isfinite(seconds) and seconds > 0 for seconds in times)
  except (KeyError, TypeError):
    raise InputError(f"{path}: found other JSON, {EXPECTED}") from None
  if not times or not sound:
    times_found = "a time that is none" if times else "no times"
    raise InputError(f"{path}: found {times_found}, {EXPECTED}")
  return result


def compare(before: dict, after: dict, *, tolerance: float, relative: bool = False) -> list[dict]:
  """One dict for each case of either: case, ratio of medians, verdict.

  The verdict is "SLOWER", "GONE", "NEW" or ""; the ratio of "GONE" and "NEW" is None.

  Raises:
    InputError: results of two benchmarks, or without the limits that `relative` needs.
  """
  if before.get("benchmark") != after.get("benchmark"):
    raise InputError(
      f"results: found {before.get('benchmark')} and {after.get('benchmark')}, "
      "expected one benchmark twice"
    )
  scales = [1.0, 1.0]
  if relative:
    scales = [
      result.get("limits", {}).get("matrix_product_gflop_per_second") for result in (before, after)
    ]
    if not all(scales):
      raise InputError("--relative: found no time of a matrix product, expected one in both files")
  old, new = (
    {
      records.label(row): {key: scale * row["seconds"][key] for key in ("low", "median", "high")}
      for row in result["rows"]
      if "seconds" in row
    }
    for result, scale in zip((before, after), scales)
  )
  differences = []
  for case, a in old.items():
    if case not in new:
      differences.append({"case": case, "ratio": None, "verdict": "GONE"})
      continue
    ratio, apart = new[case]["median"] / a["median"], new[case]["low"] > a["high"]
    slower = ratio > 1 + tolerance and apart
    differences.append({"case": case, "ratio": ratio, "verdict": "SLOWER" if slower else ""})
  return differences + [
    {"case": case, "ratio": None, "verdict": "NEW"} for case in new if case not in old
  ]


def main(options: Options) -> int:
  """Prints the ratios and returns 1 if anything got slower, or is gone."""
  before, after = read(options.before), read(options.after)
  rows = compare(before, after, tolerance=options.tolerance, relative=options.relative)
  for about in ("machine", "options"):
    if before.get(about) != after.get(about):
      print(
        f"the two were made with other settings in {about!r}"
        + (": think of --relative" if about == "machine" and not options.relative else "")
      )
  for row in rows:
    ratio = f"{row['ratio']:6.2f} ×" if row["ratio"] else " " * 8
    print(f"{ratio} {row['verdict']:6} {row['case']}")
  return int(any(row["verdict"] in ("SLOWER", "GONE") for row in rows))


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
