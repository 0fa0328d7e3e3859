"""Would images gain if more of the code than its moments were moved to the style's?

    python -m benchmarks transport --pairs pairs.csv --output transport.json --sheet transport.jpg

The generator moves the mean and the standard deviation of each channel. Here, the whole covariance
or the histograms along the axes of random rotations are moved too, to those of the style image in
the content encoder or the decoder: all at 256×256, in one forward pass. Columns are those of
`quality` by EfficientNet-lite0, which no loss uses; each row is compared with the generator's own.
"""

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import command_line, records
from benchmarks.harness.tables import transport_table
from benchmarks.quality import efficientnet, patches, ranking
from benchmarks.quality.evaluators import Cache, bootstrap, interval
from benchmarks.quality.methods import IDENTITY, draw_sheet, params_version
from benchmarks.quality.pairs import Pair, eight_bits, read, read_pairs, sha256
from benchmarks.quality.transport_rows import OURS, ROWS, stylize
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.images.encode import STYLE_SIZE, style_pixels
from stylejax.metrics.content import feature_distance
from stylejax.metrics.style import moment_distance_from_features, resize_area, sliced_color_distance
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained

SIDE = 256
VERSION = "1"
"""Part of every cache key: raise it when a row's images or a column's numbers change."""
# Rows on the sheet, and titles that fit there.
ON_SHEET = {
  OURS: OURS,
  "code: covariance": "code: covariance",
  "code: 4 rotations": "code: 4 rotations",
  "maps before AdaIN: covariance": "maps: covariance",
  "decoder alone: covariance": "decoder alone",
  "code of the output, decoded: covariance": "code of the output",
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Which pairs to stylize, and where to write the result."""

  pairs: Path
  """List of pairs, as `quality` takes it."""
  root: Path | None = None
  """Folder that the list's paths are relative to; by default the one above the list's."""
  every: int = 4
  """Take every N-th pair, beginning with the first."""
  rows: tuple[str, ...] = tuple(ROWS)
  """Names of the rows, the generator's own among them."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  sheet: Path | None = None
  """Image file to write, with what some of the rows make of the first pairs."""
  sheet_pairs: int = 4
  """Pairs on the sheet."""
  shuffled: Path | None = None
  """Folder for sheets that show each of the same rows under a letter, to be ranked by eye: see
  `python -m benchmarks ranking --help`."""
  cache: Path | None = None
  """Folder for images and measurements, from which the next or an interrupted run continues."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError for a number that is too small, or an unknown row."""
    command_line.at_least("--every", self.every, 1)
    command_line.at_least("--sheet-pairs", self.sheet_pairs, 1)
    if OURS not in self.rows or not set(self.rows) <= ROWS.keys():
      raise InputError(
        f"--rows: found {', '.join(self.rows)}, expected {OURS!r} and others of {', '.join(ROWS)}"
      )


class Stylized:
  """What the rows make of pairs and the processor seconds that it takes, or took if it is cached.

  Args:
    params: parameters of the nets.
    cache: where images and seconds are kept.
  """

  def __init__(self, params: transfer.Params, cache: Cache):
    self.params, self.cache = params, cache
    self.version = f"{VERSION} {params_version(params)}"
    self._encode_style = fast_jit(transfer.encode_style)
    self._inputs = functools.cache(self._read)

  def key(self, pair: Pair, name: str) -> str:
    """Text that changes with all that the image of a row depends on."""
    return f"{self.version} {ROWS.get(name, name)} {sha256(pair.content)} {sha256(pair.style)}"

  def image(self, pair: Pair, name: str) -> np.ndarray:
    """What a row makes of a pair: [256, 256, 3] uint8."""

    row = ROWS[name]

    def stylize_and_time() -> np.ndarray:
      arguments = jax.block_until_ready(self._inputs(pair))
      started = time.process_time()
      image = stylize(
        self.params, *arguments, jax.random.key(0), where=row.where, how=row.map, share=row.share
      )
      image = np.asarray(image[0])
      seconds = {"cpu_seconds": np.asarray(time.process_time() - started)}
      self.cache.numbers("seconds " + self.key(pair, name), lambda: seconds)
      return image

    return self.cache.image(self.key(pair, name), stylize_and_time)

  def seconds(self, pair: Pair, name: str) -> float:
    """Processor seconds of `image`, which include compilation if it was the row's first."""
    numbers = self.cache.numbers("seconds " + self.key(pair, name), dict)
    return float(numbers["cpu_seconds"])

  def _read(self, pair: Pair) -> tuple[jax.Array, ...]:
    vector = self._encode_style(self.params, style_pixels(read_image(pair.style), STYLE_SIZE))
    return *(_square(path)[None] for path in (pair.content, pair.style)), vector.vector[None]


def _square(path: Path) -> np.ndarray:
  """The whole image at 256×256, as `quality` compares it."""
  return np.asarray(resize_area(read(path)[None], SIDE, SIDE)[0])


class Measure:
  """The columns of `quality` that need EfficientNet-lite0 alone, for images of one pair.

  Args:
    net: as `efficientnet.load` returns it.
    pair: its two images, in 8 bits at 256×256, are what others are compared with.
  """

  def __init__(self, net: Callable[[np.ndarray], dict[str, np.ndarray]], pair: Pair):
    self._net, self._style_path = net, pair.style
    self.content_image = eight_bits(_square(pair.content))
    self._content = self._features(self.content_image)[0]
    self._style_image = eight_bits(_square(pair.style))
    self._style, self._style_half = self._features(self._style_image)

  def columns(self, image: np.ndarray) -> dict[str, np.ndarray]:
    """{column: value} of an image [256, 256, 3] uint8."""
    features, half = self._features(image)
    content, style = _distances(
      *({name: f[name] for name in efficientnet.NAMES} for f in (features, self._content)),
      {name: self._style[name] for name in efficientnet.NAMES},
    )
    colors = (jnp.asarray(x[None], jnp.float32) / 255 for x in (image, self._style_image))
    patch, cover = patches.patch_distances(half, self._style_half, efficientnet.PATCH_NAMES)
    values = {
      "content_lite0": content,
      "style_lite0": style,
      "patch_half": patch,
      "cover_half": cover,
      "color": _color_distance(*colors)[0],
    }
    return {column: np.asarray(value) for column, value in values.items()}

  def floors(self) -> dict[str, np.ndarray]:
    """The columns of patches of the style's left half against its right half."""
    style = eight_bits(read(self._style_path))
    middle = style.shape[1] // 2
    halves = []
    for part in (style[:, :middle], style[:, -middle:]):
      small = resize_area(jnp.asarray(part[None], jnp.float32) / 255, SIDE // 2, SIDE // 2)
      halves.append(self._net(np.asarray(small)))
    values = patches.patch_distances(*halves, efficientnet.PATCH_NAMES)
    names = (name + patches.FLOOR for name in ("patch_half", "cover_half"))
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}

  def _features(self, image: np.ndarray) -> list[dict[str, np.ndarray]]:
    whole = jnp.asarray(image[None], jnp.float32) / 255
    half = resize_area(whole, SIDE // 2, SIDE // 2)
    return [self._net(np.asarray(x)) for x in (whole, half)]


_color_distance = jax.jit(sliced_color_distance)


@jax.jit
def _distances(features, content, style) -> tuple[jax.Array, jax.Array]:
  """(content_lite0, style_lite0)."""
  names = efficientnet.NAMES
  return (
    feature_distance(features, content, names)[0],
    moment_distance_from_features(features, style, layers=names)[0],
  )


def measured(
  pairs: Sequence[Pair],
  names: Sequence[str],
  stylized: Stylized,
  net: Callable[[np.ndarray], dict[str, np.ndarray]],
) -> dict[str, dict[str, np.ndarray]]:
  """{row: {column: [pairs]}} for the rows, and for the identity copy with the floors of patches."""
  rows: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in (IDENTITY, *names)}
  for pair in pairs:
    measure = functools.cache(functools.partial(Measure, net, pair))
    for name in rows:
      if name == IDENTITY:
        work = lambda m=measure: m().columns(m().content_image) | m().floors()  # noqa: E731
      else:
        image = stylized.image(pair, name)
        work = lambda m=measure, i=image: m().columns(i)  # noqa: E731
      key = f"{efficientnet.version()} {stylized.key(pair, name)}"
      rows[name].append(stylized.cache.numbers(key, work))
  return {
    name: {column: np.array([n[column] for n in numbers], np.float64) for column in numbers[0]}
    for name, numbers in rows.items()
  }


def compare(rows: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
  """Means over the pairs, and by how much they differ from the generator's own.

  Args:
    rows: as `measured` returns them.

  Returns:
    {row: {column: {"mean", "difference": {"mean", "low", "high"}}}} without the identity copy.
    Intervals are from resampling the pairs; columns of patches become the share of the way from
    the identity copy to the floor.
  """
  count = len(rows[OURS]["content_lite0"])
  draws = np.concatenate([np.arange(count)[None], bootstrap(count)])
  identity = rows[IDENTITY]
  means: dict[str, dict[str, np.ndarray]] = {}
  for name in rows.keys() - {IDENTITY}:
    means[name] = {}
    for column, values in rows[name].items():
      mean = values[draws].mean(1)
      if column in patches.ALL_COLUMNS:
        ends = (identity[key][draws].mean(1) for key in (column, column + patches.FLOOR))
        mean, column = patches.way(mean, *ends), column + "_way"
      means[name][column] = mean
  return {
    name: {
      column: {"mean": float(mean[0]), "difference": interval(mean - means[OURS][column])}
      for column, mean in means[name].items()
    }
    for name in rows
    if name != IDENTITY
  }


def main(options: Options) -> None:
  """Stylizes, measures and reports."""
  net = efficientnet.load()
  if net is None:
    raise InputError(efficientnet.MISSING)
  enable_cache()
  pairs = read_pairs(options.pairs, options.root)[:: options.every]
  with tempfile.TemporaryDirectory() as temporary:
    cache = Cache(Path(temporary) if options.cache is None else options.cache)
    stylized = Stylized(load_pretrained(options.weights), cache)
    shown: dict[str, Callable[[Pair], np.ndarray]] = {
      name: functools.partial(stylized.image, name=name)
      for name in options.rows
      if name in ON_SHEET
    }
    if options.shuffled is not None:
      ranking.write_sheets(options.shuffled, pairs, shown)
    columns = compare(measured(pairs, options.rows, stylized, net))
    if options.sheet is not None:
      titled = {ON_SHEET[name]: image for name, image in shown.items()}
      sheet = draw_sheet(pairs[: options.sheet_pairs], titled, height=144)
      encode.write_image(options.sheet, sheet, quality=75)
    # The median disregards the image whose time includes compilation.
    rows = {
      name: {
        "columns": columns[name],
        "cpu_seconds": float(np.median([stylized.seconds(pair, name) for pair in pairs])),
      }
      for name in options.rows
    }
  records.report(
    "transport",
    options,
    {"pairs": [pair.name for pair in pairs], "rows": rows},
    show=lambda result: print(transport_table(result)),
  )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
