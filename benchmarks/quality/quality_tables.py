"""The tables that `benchmarks.quality.quality` prints; harness/tables.py has those of the docs."""

import sys
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.progress
import rich.table

from benchmarks.harness.tables import QUALITY_COLUMNS
from benchmarks.quality.evaluators import ARTIFACTS

# {key in the results: heading in the table}. Only the docs have room for the columns of patches;
# they leave out the Gram distance.
COLUMNS = {key: heading for key, heading in QUALITY_COLUMNS.items() if not key.endswith("_way")} | {
  "gram": "style: VGG Gram ↓"
}
NOTE = (
  "LPIPS-form VGG: LPIPS's formula and heads on another VGG16, not comparable with published "
  "LPIPS. EffNet-lite0: EfficientNet-lite0, which no loss uses; content in LPIPS's form without "
  "heads. ResNet: that of open_nsfw, trained on other images for another task. Style: over the "
  "style's own features. Kernel distance: KID's estimator on crops of the outputs "
  "and of the style images, not comparable with published KID. Artifacts: images with a "
  "border, a grid, a blotch. Mean [95 % bootstrap interval over the pairs]."
)


def print_tables(results: dict[str, Any]) -> None:
  # A file or a pipe gets the tables at their full width: 80 columns would break every cell.
  console = rich.console.Console(width=None if sys.stdout.isatty() else 180)
  console.print(_table(results["rows"], len(results["pairs"])))
  console.print(NOTE, highlight=False)
  for text in results["skipped"]:
    console.print(f"left out: {text}", highlight=False, markup=False)
  if "goals" in results:
    table = rich.table.Table(
      "at the content of",
      "by",
      "content",
      "their style",
      "our style",
      "ours ÷ theirs",
      title="our curve at other methods' content",
    )
    for other, backbones in results["at_their_content"].items():
      for backbone, numbers in backbones.items():
        ratio = numbers["ratio"]
        table.add_row(
          other,
          backbone,
          f"{numbers['content']:.3f}",
          f"{numbers['theirs']:.3f}",
          *(
            (f"{numbers['ours']:.3f}", "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**ratio))
            if ratio
            else ("", "not reached")
          ),
        )
    console.print(table)
    table = rich.table.Table("goal", "found", "holds", title="goals")
    for goal in results["goals"]:
      table.add_row(goal["goal"], goal["found"], "yes" if goal["holds"] else "no")
    console.print(table)


def _table(rows: Mapping[str, Mapping], count: int) -> rich.table.Table:
  first = next(iter(rows.values()))["summary"]
  columns = {key: heading for key, heading in COLUMNS.items() if key in first}
  table = rich.table.Table(title=f"{count} pairs")
  table.add_column("", no_wrap=True)
  for heading in (*columns.values(), f"artifacts:\n{', '.join(ARTIFACTS)}"):
    table.add_column(heading, justify="right")
  for row, values in rows.items():
    cells = (values["summary"][column] for column in columns)
    table.add_row(
      row,
      *(f"{c['mean']:.3f}\n[{c['low']:.2f}, {c['high']:.2f}]" for c in cells),
      ", ".join(str(values["artifacts"][artifact]) for artifact in ARTIFACTS),
    )
  return table
