"""How often does each column of the quality benchmark agree with a ranking by eye?

    python -m benchmarks quality --pairs pairs.csv --descend neighbors,refine --shuffled sheets ...
    python -m benchmarks ranking --sheets sheets --results quality.json --output ranking.json

The first writes a sheet for each pair, which shows each method's image under a letter, and writes
which letter is which method to sheets/key.json. Look at the sheets before you see the key or any
figure, and write sheets/ranking.csv with a line for each pair, best first: p01,C,A,B,D.
"""

import csv
import dataclasses
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.table
from PIL import Image

from benchmarks.harness import command_line, records
from benchmarks.quality import patches
from benchmarks.quality.evaluators import bootstrap, interval
from benchmarks.quality.pairs import Pair, eight_bits, read
from stylejax.errors import InputError
from stylejax.images.contact_sheet import contact_sheet
from stylejax.runtime.files import replacing

COLUMNS = (
  "style",
  "gram",
  "style_lite0",
  "style_resnet",
  *patches.ALL_COLUMNS,
  "color",
  "content",
  "content_lite0",
)
"""Columns of the results that are compared with the eye; less is better in all of them."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
KEY, RANKING = "key.json", "ranking.csv"
SIDE = 400  # longer side of the images on a sheet, in pixels


@dataclasses.dataclass(frozen=True)
class Options:
  """Which ranking to compare with which figures."""

  sheets: Path
  """Folder of `quality --shuffled`, with ranking.csv in it."""
  results: Path
  """JSON file of `quality`, for the same pairs."""
  output: Path | None = None
  """JSON file for the rankings and the result; it is printed as tables either way."""

  def check(self) -> None:
    """Raises InputError for a file that isn't there."""
    for path in (self.sheets / KEY, self.sheets / RANKING, self.results):
      if not path.is_file():
        raise InputError(f"{path}: found no such file, expected one; see the help")


def write_sheets(
  folder: Path, pairs: Sequence[Pair], stylize: Mapping[str, Callable[[Pair], np.ndarray]]
) -> None:
  """Writes a sheet NAME.png for each pair, with the methods in random order, and the key.

  Args:
    folder: created if it isn't there.
    pairs: what to show.
    stylize: {method: function that returns [H, W, 3] uint8, shown in the content's shape}.
  """
  folder.mkdir(parents=True, exist_ok=True)
  key, draw = {}, random.SystemRandom()
  for pair in pairs:
    names = draw.sample(sorted(stylize), len(stylize))
    key[pair.name] = dict(zip(LETTERS, names))
    content, style = (
      Image.fromarray(eight_bits(read(path))) for path in (pair.content, pair.style)
    )
    scale = SIDE / max(content.size)
    size = (round(content.width * scale), round(content.height * scale))
    shown = [content.resize(size), _inside(style, size)]
    shown += [Image.fromarray(stylize[name](pair)).resize(size, Image.LANCZOS) for name in names]
    titles = ["content", "style", *key[pair.name]]
    middle = -(-len(shown) // 2)
    sheet = [
      contact_sheet([[np.asarray(image) for image in shown[part]]], titles=titles[part], gap=6)
      for part in (slice(middle), slice(middle, None))
    ]
    _write_sheet(folder / f"{pair.name}.png", sheet)
  with replacing(folder / KEY) as temporary:
    temporary.write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def read_rankings(folder: Path) -> dict[str, list[str]]:
  """{pair: methods, best first} from a folder with key.json and ranking.csv.

  Raises:
    InputError: a line whose pair or letters aren't those of the key.
  """
  key = json.loads((folder / KEY).read_text(encoding="utf-8"))
  rankings = {}
  with (folder / RANKING).open(newline="", encoding="utf-8") as file:
    for number, (pair, *letters) in enumerate(csv.reader(file), start=1):
      if pair not in key or sorted(letters) != sorted(key[pair]):
        raise InputError(
          f"{folder / RANKING}, line {number}: found {','.join([pair, *letters])}, expected a pair "
          "of key.json and each of its letters once"
        )
      rankings[pair] = [key[pair][letter] for letter in letters]
  return rankings


def agreement(
  rankings: Mapping[str, Sequence[str]], values: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
  """How often a column puts two methods in the order of the eye: {"mean", "low", "high"}.

  A coin would reach 0.5. For every pair of images, all pairs of methods count; equal values count
  half. The 95 % interval is from resampling the pairs of images.

  Args:
    rankings: {pair: methods, best first}.
    values: {method: {pair: value}}, less is better.
  """
  shares = []
  for pair, methods in rankings.items():
    differences = np.array(
      [
        values[worse][pair] - values[better][pair]
        for better, worse in itertools.combinations(methods, 2)
      ]
    )
    shares.append(((differences > 0) + 0.5 * (differences == 0)).mean())
  shares = np.array(shares)
  draws = np.concatenate([np.arange(len(shares))[None], bootstrap(len(shares))])
  return interval(shares[draws].mean(1))


def preferences(rankings: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
  """For every two methods, on how many pairs the first was ranked before the second."""
  methods = sorted(next(iter(rankings.values())))
  return [
    {
      "method": first,
      "before": second,
      "pairs": sum(order.index(first) < order.index(second) for order in rankings.values()),
      "of": len(rankings),
    }
    for first, second in itertools.permutations(methods, 2)
  ]


def main(options: Options) -> dict:
  """Prints the tables and returns the result."""
  rankings = read_rankings(options.sheets)
  results = json.loads(options.results.read_text(encoding="utf-8"))
  names = [pair["name"] for pair in results["pairs"]]
  if missing := rankings.keys() - set(names):
    raise InputError(f"{options.results}: found no pair {min(missing)}, expected those ranked")
  rows = results["rows"]
  if missing := set(next(iter(rankings.values()))) - rows.keys():
    raise InputError(f"{options.results}: found no row {min(missing)!r}, expected those ranked")
  agreements = {
    column: agreement(
      rankings,
      {row: dict(zip(names, rows[row]["values"][column])) for row in next(iter(rankings.values()))},
    )
    for column in COLUMNS
    if column in next(iter(rows.values()))["values"]
  }
  found = {"rankings": rankings, "agreement": agreements, "preferences": preferences(rankings)}
  return records.report("ranking", options, found, show=_print)


def _inside(image: Image.Image, size: tuple[int, int]) -> Image.Image:
  """The whole image, scaled to fit on a white background of that size."""
  scale = min(size[0] / image.width, size[1] / image.height)
  small = image.resize((round(image.width * scale), round(image.height * scale)))
  ground = Image.new("RGB", size, "white")
  ground.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
  return ground


def _write_sheet(path: Path, rows: Sequence[np.ndarray]) -> None:
  width = max(row.shape[1] for row in rows)
  padded = [
    np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=1) for row in rows
  ]
  with replacing(path) as temporary:
    Image.fromarray(eight_bits(np.concatenate(padded))).save(temporary, format="PNG")


def _print(result: Mapping[str, Any]) -> None:
  console = rich.console.Console()
  table = rich.table.Table("column", "agrees with the eye")
  for column, share in sorted(result["agreement"].items(), key=lambda item: -item[1]["mean"]):
    table.add_row(column, f"{share['mean']:.2f} [{share['low']:.2f}, {share['high']:.2f}]")
  console.print(table)
  table = rich.table.Table("method", "before", "on pairs")
  for count in result["preferences"]:
    table.add_row(count["method"], count["before"], f"{count['pairs']} of {count['of']}")
  console.print(table)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
