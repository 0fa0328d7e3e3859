"""What share of neural neighbors' gain does refining reach, in what share of its time?

    python -m benchmarks refine_curve --pairs pairs.csv --output refine_curve.json

The networks' images, refined with fractions and multiples of the default number of steps, are
compared with neural neighbors from the content, all at 256 pixels. Columns are those of `quality`;
seconds are processor seconds per image, without compilation. `gain` is how much further than the
networks a row gets on the way to the style's places, as a share of how much neural neighbors does.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import command_line, records
from benchmarks.quality import descents, efficientnet, open_nsfw, patches
from benchmarks.quality.evaluators import Evaluators, Rows, evaluate, summarize
from benchmarks.quality.methods import IDENTITY, Method, baseline_methods, our_stylize
from benchmarks.quality.pairs import Pair, read_pairs
from stylejax.optimization import neighbors, refine
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_lpips_heads, load_vgg

COLUMNS = ("content", "style_lite0_half", *(f"{column}_way" for column in patches.ALL_COLUMNS))
FULL = "neighbors"


@dataclasses.dataclass(frozen=True)
class Options:
  """Which pairs to stylize, and with how many steps."""

  pairs: Path
  """List of pairs, as `quality` takes it."""
  root: Path | None = None
  """Folder that the list's paths are relative to; by default the one above the list's."""
  limit: int = 8
  """Number of pairs to take, from the first on."""
  parts: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
  """Steps of refine, as multiples of the default."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.at_least("--limit", self.limit, 1)
    command_line.all_at_least("--parts", self.parts, 0)


class _Timed:
  """Methods whose images take long, and the processor seconds of each image."""

  def __init__(self, vgg_params: dict, networks: Callable[[Pair], np.ndarray]):
    self._vgg_params, self._networks = vgg_params, networks
    self._refine, self._neighbors = map(
      fast_jit, (refine.refine_neighbors, neighbors.optimize_neighbors)
    )
    self.seconds: dict[str, list[float]] = {}

  def method(self, part: float | None, name: str) -> Callable[[Pair], np.ndarray]:
    """Refines with `part` times the default steps; None: neural neighbors from the content."""

    def stylize(pair: Pair) -> np.ndarray:
      content, style = (x[None] for x in (descents.content_of(pair), descents.style_of(pair)))
      sizes = content.shape[1:3], [style.shape[1:3]]
      if part is None:
        steps = neighbors.default_steps(neighbors.stages(*sizes))
        run = functools.partial(self._neighbors, self._vgg_params, content, [style])
      else:
        plan = refine.refine_stages(*sizes)
        steps = tuple(round(part * count) for count in refine.default_steps(plan))
        start = self._networks(pair)[None]
        run = functools.partial(self._refine, self._vgg_params, start, content, [style])
      # Compiles, if these shapes are new.
      jax.block_until_ready(run(steps=[jnp.int32(0) for _ in steps]))
      begun = time.process_time()
      image = np.asarray(run(steps=[jnp.int32(count) for count in steps]))[0]
      self.seconds.setdefault(name, []).append(time.process_time() - begun)
      return image

    return stylize


def measure(options: Options) -> list[dict]:
  """A row for the networks, each number of steps, and neural neighbors."""
  pairs = read_pairs(options.pairs, options.root, options.limit)
  params, vgg_params = load_pretrained(), load_vgg()
  stylize = our_stylize(params)

  def networks(pair: Pair) -> np.ndarray:
    return stylize(pair, descents.content_of(pair), 1.0)

  timed = _Timed(vgg_params, networks)
  methods = {IDENTITY: baseline_methods()[IDENTITY], "networks": Method(networks)}
  parts = {f"refine × {part:g}": part for part in options.parts} | {FULL: None}
  for name, part in parts.items():
    methods[name] = Method(timed.method(part, name))
  evaluators = Evaluators(vgg_params, load_lpips_heads(), efficientnet.load(), open_nsfw.load())
  rows, _ = evaluate(pairs, methods, evaluators)
  return _rows(rows, timed.seconds)


def _rows(rows: Rows, seconds: dict[str, list[float]]) -> list[dict]:
  summary = summarize(rows)
  result = [
    {
      "case": name,
      "cpu_seconds": statistics.median(seconds[name]) if name in seconds else 0.0,
      "columns": {column: values[column] for column in COLUMNS if column in values},
    }
    for name, values in summary.items()
    if name != IDENTITY
  ]
  first, full = result[0]["columns"], result[-1]["columns"]
  for row in result:
    row["gain"] = {
      column: (row["columns"][column]["mean"] - first[column]["mean"])
      / (full[column]["mean"] - first[column]["mean"])
      for column in first
      if column.endswith("_way")
    }
    row["share_of_time"] = row["cpu_seconds"] / max(result[-1]["cpu_seconds"], 1e-9)
  return result


def main(options: Options) -> dict:
  """Measures all rows and returns the result."""
  enable_cache()
  return records.report("refine_curve", options, {"rows": measure(options)}, show=show)


def show(result: dict) -> None:
  """Prints a line for each row."""
  for row in result["rows"]:
    columns = ", ".join(f"{name} {value['mean']:.3f}" for name, value in row["columns"].items())
    print(f"{row['case']:16} {row['cpu_seconds']:7.1f} s of CPU; {columns}")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
