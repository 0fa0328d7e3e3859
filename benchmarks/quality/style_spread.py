"""Does quality depend on the style or the photo? Each style with several photos, and the spread.

    python -m benchmarks style_spread --pairs pairs.csv --output style_spread.json

The photos of a style are those of its own pair and of the pairs that follow. Columns are those of
`quality`; the best and worst styles are those by the way to their places at half size. `between` is
the standard deviation of the styles' means, less what the photos add to it by chance; `within` is
that of the photos of one style.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import command_line, records
from benchmarks.harness.tables import QUALITY_COLUMNS
from benchmarks.quality import efficientnet, open_nsfw, patches
from benchmarks.quality.evaluators import Evaluators, evaluate
from benchmarks.quality.methods import IDENTITY, Method, baseline_methods, lite_methods, our_stylize
from benchmarks.quality.pairs import Pair, read, read_pairs
from stylejax.errors import InputError
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_lpips_heads, load_vgg

OURS = "ours"
ENDS = 3
"""How many of the best and of the worst styles are named."""


@dataclasses.dataclass(frozen=True)
class Options:
  """Which styles and photos to combine, and where to write the result."""

  pairs: Path
  """List of pairs, as `quality` takes it."""
  root: Path | None = None
  """Folder that the list's paths are relative to; by default the one above the list's."""
  limit: int = 20
  """Number of pairs whose styles and photos are taken, from the first on."""
  photos: int = 4
  """Photos for each style."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.at_least("--photos", self.photos, 2)
    command_line.at_least("--limit", self.limit, self.photos)


def crossed(pairs: Sequence[Pair], photos: int) -> list[Pair]:
  """Pairs of each style in turn with the photos of its own pair and of those that follow."""
  return [
    Pair(f"{pair.name}+{number}", pairs[(place + number) % len(pairs)].content, pair.style)
    for place, pair in enumerate(pairs)
    for number in range(photos)
  ]


def spread(values: np.ndarray) -> dict[str, float]:
  """The mean of values [styles, photos], and the deviations between and within styles."""
  within = values.var(1, ddof=1).mean()
  between = values.mean(1).var(ddof=1) - within / values.shape[1]
  return {
    "mean": float(values.mean()),
    "between": float(np.sqrt(max(between, 0.0))),
    "within": float(np.sqrt(within)),
  }


def measure(options: Options) -> dict[str, Any]:
  """{"rows": for each method the spread of each column, and its best and worst styles}."""
  pairs = read_pairs(options.pairs, options.root, options.limit)
  if len(pairs) < options.photos:
    raise InputError(f"{options.pairs}: found {len(pairs)} pairs, expected {options.photos}")
  stylize = our_stylize(load_pretrained(options.weights))
  methods = {
    IDENTITY: baseline_methods()[IDENTITY],
    OURS: Method(lambda pair: stylize(pair, read(pair.content), 1.0)),
    **lite_methods()[0],
  }
  evaluators = Evaluators(load_vgg(), load_lpips_heads(), efficientnet.load(), open_nsfw.load())
  rows, _ = evaluate(crossed(pairs, options.photos), methods, evaluators)
  shape = (len(pairs), options.photos)
  names = [pair.name for pair in pairs]
  identity = rows.pop(IDENTITY)
  return {
    "rows": [
      {"case": row, **_described(columns, identity, shape, names)} for row, columns in rows.items()
    ]
  }


def _described(columns, identity, shape: tuple[int, int], names: Sequence[str]) -> dict[str, Any]:
  shown = (*QUALITY_COLUMNS, *patches.ALL_COLUMNS)
  values = {name: x.reshape(shape) for name, x in columns.items() if name in shown}
  about: dict[str, Any] = {"columns": {name: spread(x) for name, x in values.items()}}
  if "cover_half" in columns:
    # Averages before dividing: if a style's halves differ from each other as much as a photo
    # differs from the style, the divisor is 0.
    way = patches.way(
      *(
        x.reshape(shape).mean(1)
        for x in (
          columns["cover_half"],
          identity["cover_half"],
          columns["cover_half" + patches.FLOOR],
        )
      )
    )
    order = np.argsort(way)
    about["worst"], about["best"] = (
      {names[i]: round(float(way[i]), 3) for i in part}
      for part in (order[:ENDS], order[::-1][:ENDS])
    )
  return about


def main(options: Options) -> dict:
  """Measures all methods and returns the result."""
  enable_cache()
  return records.report("style_spread", options, measure(options), show=show)


def show(result: dict) -> None:
  """Prints a line for each method and column."""
  for row in result["rows"]:
    for column, value in row["columns"].items():
      print(
        f"{row['case']:20} {column:24} {value['mean']:7.3f}, between styles "
        f"{value['between']:.3f}, within {value['within']:.3f}"
      )
    for end in ("worst", "best"):
      if end in row:
        print(f"{row['case']:20} {end}: {row[end]}")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
