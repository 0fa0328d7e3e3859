"""Draws the tables and plots of README, docs/benchmarks.md and the model card from docs/results.

    python -m benchmarks report

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`; it is never edited by hand.
"""

import dataclasses
import json
import re
from pathlib import Path

from benchmarks.harness import command_line
from benchmarks.harness.plots import PLOTS, draw
from benchmarks.harness.pod_tables import recommended_table
from benchmarks.harness.tables import TABLES, goals_table, quality_table, speed_table, timed_table
from stylejax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
PAGES = (
  "README.md",
  "docs/benchmarks.md",
  "docs/film.md",
  "docs/pod.md",
  "docs/quality.md",
  "docs/sizes.md",
  "docs/without_training.md",
  "stylejax/assets/MODEL_CARD.md",
)

# Results from which docs/pod.md recommends batches.
RECOMMENDED = {"pod_slices_32", "pod_slices_64", "pod_slices_128"}


def _read(path: Path) -> dict:
  """Reads a result; InputError, naming the file, if it is none or another benchmark's."""
  try:
    result = json.loads(path.read_text())
    name = result.setdefault("benchmark", path.stem)
  except (ValueError, AttributeError):
    raise InputError(f"{path}: found no result, expected a benchmark's JSON") from None
  if not path.stem.startswith(name):
    raise InputError(f"{path}: found the result of {name}, expected that of {path.stem}")
  return result


@dataclasses.dataclass(frozen=True)
class Options:
  """There are none: results and pages have fixed places."""


def main(options: Options) -> None:
  """Rewrites each table, and draws each plot, whose result file exists."""
  del options
  results = {path.stem: _read(path) for path in sorted(RESULTS.glob("*.json"))}
  texts = {page: (ROOT / page).read_text() for page in PAGES}
  asked = {name for text in texts.values() for name in re.findall("<!-- ([a-z0-9_]+) -->", text)}
  tables = {
    name: TABLES.get(result["benchmark"], timed_table)(result)
    for name, result in results.items()
    if name in asked
  }
  if results.keys() >= RECOMMENDED:
    tables["pod_recommended"] = recommended_table([results[name] for name in sorted(RECOMMENDED)])
  if "peers" in results:
    tables["speed"] = speed_table(results["peers"])
  if "quality" in results:
    tables["quality_short"] = quality_table(results["quality"], short=True)
  if "goals" in results.get("quality", {}):
    tables["goals"] = goals_table(results["quality"])
  for page in PAGES:
    text = texts[page]
    for name, table in tables.items():
      text = re.sub(
        f"<!-- {name} -->.*?<!-- /{name} -->",
        lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- /{name} -->",
        text,
        flags=re.DOTALL,
      )
    (ROOT / page).write_text(text)
  for name in sorted(asked - tables.keys()):
    print(f"no result for the table {name}: it stays as it is")
  for name in PLOTS.keys() & results.keys():
    draw(name, results[name], ROOT / "docs")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
