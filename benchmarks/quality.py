"""How much content is kept and how much style is reached, on pairs that training never saw?

Rows: identity copy, style picture itself, colour moments only, reference outputs from a folder,
ours at some strengths. Outputs are compared as 8-bit pictures, resampled by area to 256×256.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import rich.console
import rich.progress
import rich.table

from benchmarks.pairs import (
  Method,
  Pair,
  Rows,
  baseline_methods,
  draw_sheet,
  evaluate,
  our_methods,
  read_pairs,
  summarize,
)
from stylejax.data.perceptual import load_vgg
from stylejax.errors import InputError
from stylejax.inference.compilation import enable_cache
from stylejax.inference.files import check_writable, printable, replacing
from stylejax.inference.weights import load_pretrained
from stylejax.transfer import MAX_STRENGTH

# Key in the results and heading in the table.
COLUMNS = {
  "content": "content:\nLPIPS-form VGG ↓",
  "ssim": "content:\nSSIM ↑",
  "style": "style:\nVGG moments ↓",
  "style_ratio": "style ÷\nidentity copy's ↓",
  "gram": "style:\nVGG Gram ↓",
  "color": "colours:\nsliced W1 ↓",
}
NOTE = (
  "LPIPS-form VGG: LPIPS's formula and heads on another VGG16, not comparable with published "
  "LPIPS. Style: over the style's own features. Mean [95 % bootstrap interval over the pairs]."
)
# Part of every cache key: raise it when a metric or a baseline changes its numbers.
CACHE_VERSION = "1"
EPILOG = """examples:
  python -m benchmarks.quality --pairs data/pairs.csv --reference outputs/microast
  python -m benchmarks.quality --pairs data/pairs.csv --weights runs/mine.safetensors \\
      --strengths 0.5,1,1.5 --output quality.json --sheet quality.png --cache baselines.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  options = _parser().parse_args(arguments)
  enable_cache()
  try:
    _run(options, ["python", "-m", "benchmarks.quality", *arguments])
  except (InputError, OSError) as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    return 2
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.quality",
    description=__doc__,
    epilog=EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  option = parser.add_argument
  option("--pairs", type=Path, required=True, metavar="CSV", help="lines of name,content,style")
  option("--root", type=Path, metavar="DIR",
         help="folder that the paths in the CSV start from (default: the one above the CSV's)")
  option("--reference", type=Path, metavar="DIR", help="outputs to compare with: NAME.jpg or .png")
  option("--weights", default="base", metavar="NAME|FILE",
         help="base, or a file of train.py export")
  option("--strengths", type=_strengths, default=(1.0,), metavar="LIST",
         help="of ours, 0 to 2, separated by commas (default: 1)")
  option("--baselines-only", action="store_true", help="leave ours out; needs no weights")
  option("--vgg", type=Path, metavar="FILE",
         help="perceptual net: a torchvision VGG16 state dict (default: the package's)")
  option("--own-size", action="store_true",
         help="content columns at the content's own size; a compilation for each size")
  option("--limit", type=_positive, metavar="N", help="only the first N pairs")
  option("--output", type=Path, metavar="JSON", help="results, with machine, versions, command")
  option("--sheet", type=Path, metavar="PNG", help="a picture of content, style and outputs")
  option("--sheet-pairs", type=_positive, default=8, metavar="N", help="lines on it (default: 8)")
  option("--cache", type=Path, metavar="JSON",
         help="keep the numbers of baselines and reference here for the next run")
  return parser


def _run(options: argparse.Namespace, command: list[str]) -> None:
  started = time.time()
  for flag in ("output", "sheet", "cache"):
    path = getattr(options, flag)
    if path is not None:
      check_writable(path, flag)
  if options.sheet is not None and options.sheet.suffix.lower() != ".png":
    raise InputError(f"sheet {options.sheet}: found {options.sheet.suffix!r}, expected .png")
  pairs = read_pairs(options.pairs, options.root, options.limit)
  methods = baseline_methods(options.reference)
  cached_rows = set(methods)
  if not options.baselines_only:
    methods |= our_methods(load_pretrained(options.weights), options.strengths)
  cache = _read_cache(options.cache)
  key = _cache_key(cached_rows, options)
  try:
    rows = _evaluate_with_bar(pairs, methods, options, cache, key)
  finally:  # an interrupted run has measured something too
    if options.cache is not None:
      _write_json(options.cache, cache)
  summary = summarize(rows)
  if options.output is not None:
    results = {
      "question": "content kept and style reached on pairs that training never saw",
      "note": NOTE,
      "command": command,
      **environment(),
      "seconds": round(time.time() - started, 1),
      "content_columns_at": "own size" if options.own_size else "256×256",
      "perceptual": _sha256(options.vgg) if options.vgg else "package",
      "weights": None if options.baselines_only else str(options.weights),
      "pairs": [
        {"name": pair.name, "content_sha256": _sha256(pair.content),
         "style_sha256": _sha256(pair.style)}
        for pair in pairs
      ],
      "rows": {
        row: {"summary": summary[row], "values": {k: v.tolist() for k, v in columns.items()}}
        for row, columns in rows.items()
      },
    }
    _write_json(options.output, results)
  if options.sheet is not None:
    shown = {row: methods[row] for row in list(methods)[2:]}  # the first two repeat the inputs
    sheet = draw_sheet(pairs[: options.sheet_pairs], shown)
    with replacing(options.sheet) as temporary:
      sheet.save(temporary, format="PNG")
  # Into a file or a pipe the table goes at its full width: 80 columns would break every cell.
  console = rich.console.Console(width=None if sys.stdout.isatty() else 130)
  console.print(_table(summary, len(pairs)))
  console.print(NOTE, highlight=False)


def _evaluate_with_bar(
  pairs: list[Pair],
  methods: dict[str, Method],
  options: argparse.Namespace,
  cache: dict[str, dict[str, float]],
  key: Callable[[str, Pair], str | None],
) -> Rows:
  console = rich.console.Console(stderr=True)
  columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
  with rich.progress.Progress(*columns, console=console) as bar:
    task = bar.add_task("pictures", total=len(pairs) * len(methods))
    return evaluate(
      pairs,
      methods,
      vgg_params=load_vgg(options.vgg),
      own_size=options.own_size,
      cache=cache,
      cache_key=key,
      on_progress=lambda: bar.advance(task),
    )


def environment() -> dict[str, Any]:
  """Where and with what a result was made: machine, versions, git revision."""
  packages = ("jax", "jaxlib", "flax", "numpy", "pillow")
  device = jax.devices()[0]
  return {
    "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "machine": {
      "processor": _processor(),
      "cpus": os.cpu_count(),
      "system": platform.platform(),
      "device": f"{jax.device_count()} × {device.device_kind} ({device.platform})",
    },
    "versions": {
      "python": platform.python_version(),
      **{name: importlib.metadata.version(name) for name in packages},
    },
    "revision": _revision(),
  }


def _table(summary: dict[str, dict[str, dict[str, float]]], count: int) -> rich.table.Table:
  table = rich.table.Table(title=f"{count} pairs")
  table.add_column("", no_wrap=True)
  for heading in COLUMNS.values():
    table.add_column(heading, justify="right")
  for row, columns in summary.items():
    cells = (columns[column] for column in COLUMNS)
    table.add_row(row, *(f"{c['mean']:.3f}\n[{c['low']:.2f}, {c['high']:.2f}]" for c in cells))
  return table


def _cache_key(rows: set[str], options: argparse.Namespace) -> Callable[[str, Pair], str | None]:
  """Keys by the bytes of all files that a number depends on; None for rows that aren't cached."""
  vgg = _sha256(options.vgg) if options.vgg else "package"

  def key(row: str, pair: Pair) -> str | None:
    if options.cache is None or row not in rows:
      return None
    parts = [CACHE_VERSION, vgg, str(options.own_size), row, _sha256(pair.content),
             _sha256(pair.style)]
    if row.startswith("reference: "):
      outputs = sorted(options.reference.glob(f"{pair.name}.*"))
      parts += [_sha256(path) for path in outputs]
    return " ".join(parts)

  return key


@functools.cache
def _sha256(path: Path) -> str:
  if not path.is_file():
    raise InputError(f"{path}: found no such file, expected one to read")
  return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_cache(path: Path | None) -> dict[str, dict[str, float]]:
  if path is None or not path.exists():
    return {}
  try:
    cache = json.loads(path.read_text(encoding="utf-8"))
  except ValueError:
    cache = None
  if not isinstance(cache, dict):
    raise InputError(f"cache {path}: found no JSON object, expected a file that --cache wrote")
  return cache


def _write_json(path: Path, value: Any) -> None:
  with replacing(path) as temporary:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


def _revision() -> str | None:
  """The checkout's commit, marked if files differ from it; None outside a checkout."""
  root = Path(__file__).resolve().parent.parent
  try:
    git = functools.partial(
      subprocess.run, cwd=root, capture_output=True, text=True, check=True, timeout=10
    )
    commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
    changed = git(["git", "status", "--porcelain"]).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return None
  return commit + (" with changes" if changed else "")


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
