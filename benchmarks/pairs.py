"""Methods run on pairs of pictures and measured: the rows and columns of `benchmarks.quality`.

Reads pairs, knows the baselines and how to run a model; prints and writes nothing.
"""

import csv
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylejax import transfer
from stylejax.compiler import compiler_options
from stylejax.data.perceptual import load_lpips_heads, load_vgg
from stylejax.data.pictures import read_picture
from stylejax.errors import InputError
from stylejax.inference.pictures import on_white, style_pixels
from stylejax.metrics.content import LPIPS_LAYERS, lpips_from_features, psnr, ssim
from stylejax.metrics.style import (
  gram_distance_from_features,
  moment_distance_from_features,
  resize_area,
  sliced_color_distance,
)
from stylejax.models.vgg import STYLE_LAYERS, vgg16_features

SIDE = 256
IDENTITY = "identity copy"
Method = Callable[["Pair"], np.ndarray]
Rows = dict[str, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Pair:
  """A content and a style picture, read when asked for.

  Attributes:
    name: of the pair; reference outputs are called NAME.jpg or NAME.png.
    content: file of the content picture.
    style: file of the style picture.
  """

  name: str
  content: Path
  style: Path


def read_pairs(
  path: str | os.PathLike, root: str | os.PathLike | None = None, limit: int | None = None
) -> list[Pair]:
  """Read a CSV of `name,content,style`, without a header.

  Args:
    path: the CSV file.
    root: folder that the paths in it are relative to; default: the folder above the CSV's.
    limit: take only that many, from the first on.

  Raises:
    InputError: no such file, no pair in it, a line without three fields, a name given twice.
  """
  path = Path(path)
  if not path.is_file():
    raise InputError(f"pairs {path}: found no such file, expected a CSV of name,content,style")
  root = path.resolve().parent.parent if root is None else Path(root)
  pairs = {}
  try:
    with path.open(newline="", encoding="utf-8") as file:
      for line, row in enumerate(csv.reader(file), start=1):
        if len(row) < 3 or row[0] in pairs:
          found = "a name given before" if len(row) >= 3 else f"{len(row)} fields"
          raise InputError(f"pairs {path}, line {line}: found {found}, expected name,content,style")
        pairs[row[0]] = Pair(row[0], root / row[1], root / row[2])
  except (UnicodeDecodeError, csv.Error) as error:
    raise InputError(f"pairs {path}: found {error}, expected a CSV of name,content,style") from None
  if not pairs:
    raise InputError(f"pairs {path}: found no line, expected name,content,style")
  return list(pairs.values())[:limit]


def color_moments(content: np.ndarray, style: np.ndarray) -> np.ndarray:
  """Move the colours of a picture linearly so that their mean and covariance become the style's.

  T = C_c^-½ (C_c^½ C_s C_c^½)^½ C_c^-½,  x ↦ T (x − mean_c) + mean_s

  Args:
    content: [H, W, 3] in [0, 1].
    style: [H', W', 3] in [0, 1].

  Returns:
    [H, W, 3] float64, not clipped to [0, 1].

  Source: Pitié & Kokaram 2007, doi:10.1049/cp:20070055, the linear Monge–Kantorovich map.
  """
  x, y = (picture.reshape(-1, 3).astype(np.float64) for picture in (content, style))
  # A grey picture has a singular covariance; the addition is far below one level of 8 bits.
  content_cov = np.cov(x.T) + 1e-8 * np.eye(3)
  root = _matrix_root(content_cov)
  inverse = np.linalg.inv(root)
  transport = inverse @ _matrix_root(root @ np.cov(y.T) @ root) @ inverse
  return ((x - x.mean(0)) @ transport.T + y.mean(0)).reshape(content.shape)


def baseline_methods(reference: str | os.PathLike | None = None) -> dict[str, Method]:
  """The rows that need no model; with a folder of reference outputs, a row called after it."""
  methods = {
    IDENTITY: lambda pair: _read(pair.content),
    "style picture itself": lambda pair: _read(pair.style),
    "colour moments only": lambda pair: color_moments(_read(pair.content), _read(pair.style)),
  }
  if reference is not None:
    folder = Path(reference)
    methods[f"reference: {folder.resolve().name}"] = lambda pair: _read(_output(folder, pair))
  return methods


def our_methods(
  params: transfer.Params, strengths: Sequence[float], *, style_size: int = 256
) -> dict[str, Method]:
  """A row for each strength: content at its own size, style with a shorter side of style_size."""
  # Two functions: contents and styles each come in few shapes, their combinations in many.
  encode_style = jax.jit(transfer.encode_style, compiler_options=compiler_options())
  generate = jax.jit(
    lambda params, content, code, strength: transfer.generate(
      params, transfer.encode_content(params, content), code, strength=strength
    ), compiler_options=compiler_options()
  )

  def paint(pair: Pair, strength: float) -> np.ndarray:
    code = encode_style(params, style_pixels(read_picture(pair.style), style_size))
    return np.asarray(generate(params, _read(pair.content), code, np.float32(strength)))

  return {
    f"ours, strength {strength:g}": functools.partial(paint, strength=strength)
    for strength in strengths
  }


def evaluate_pairs(
  params: transfer.Params,
  pairs: Sequence[Pair],
  *,
  strengths: Sequence[float] = (1.0,),
  vgg_params: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, float]]:
  """Measure a model by itself, for use during development.

  Args:
    params: the model; needs its content encoder, style encoder and generator.
    pairs: as `read_pairs` returns them.
    strengths: each in 0 to 2.
    vgg_params: default: those of the package.

  Returns:
    {row: {column: mean over pairs}} for the identity copy and every strength, with the columns
    of `evaluate` and "style_ratio".
  """
  identity = {IDENTITY: baseline_methods()[IDENTITY]}
  rows = evaluate(pairs, identity | our_methods(params, strengths), vgg_params=vgg_params)
  summary = summarize(rows)
  return {row: {k: v["mean"] for k, v in columns.items()} for row, columns in summary.items()}


def evaluate(
  pairs: Sequence[Pair],
  methods: Mapping[str, Method],
  *,
  vgg_params: Mapping[str, Any] | None = None,
  heads: Mapping[str, jax.Array] | None = None,
  own_size: bool = False,
  cache: dict[str, dict[str, float]] | None = None,
  cache_key: Callable[[str, Pair], str | None] = lambda row, pair: None,
  on_progress: Callable[[], None] = lambda: None,
) -> Rows:
  """Run every method on every pair and measure what comes out.

  Args:
    pairs: what to run on.
    methods: {row: function of a pair that returns [H, W, 3]}, rounded to 8 bits here.
    vgg_params: default: those of the package.
    heads: default: those of the package.
    own_size: measure the content columns at the content's own size instead of at 256×256;
      a compilation for every size.
    cache: results by key; read first, and filled.
    cache_key: (row, pair) → key, or None for what must not be cached.
    on_progress: called after every picture.

  Returns:
    {row: {column: [number of pairs]}}, columns "content" (LPIPS-form VGG), "ssim", "psnr" (dB, at
    most 100), "style" (VGG moments), "gram", "color" (sliced Wasserstein).
  """
  vgg_params = load_vgg() if vgg_params is None else vgg_params
  heads = load_lpips_heads() if heads is None else heads
  cache = {} if cache is None else cache
  found = {row: [] for row in methods}
  for pair in pairs:
    judge = functools.cache(functools.partial(_judge, vgg_params, heads, pair, own_size))
    for row, method in methods.items():
      key = cache_key(row, pair)
      numbers = None if key is None else cache.get(key)
      if numbers is None:
        numbers = judge()(method(pair))
        if key is not None:
          cache[key] = numbers
      found[row].append(numbers)
      on_progress()
  return {
    row: {column: np.array([n[column] for n in numbers]) for column in numbers[0]}
    for row, numbers in found.items()
  }


def summarize(rows: Rows, *, resamples: int = 2000) -> dict[str, dict[str, dict[str, float]]]:
  """Means over the pairs, each with its 95 % interval from resampling the pairs.

  Args:
    rows: as `evaluate` returns them.
    resamples: number of bootstrap samples, drawn with a fixed seed and the same for all rows.

  Returns:
    {row: {column: {"mean", "low", "high"}}}; "style_ratio", the mean style distance over the
    identity copy's, is there if that row is.
  """
  count = len(next(iter(next(iter(rows.values())).values())))
  draws = np.random.default_rng(0).integers(0, count, (resamples, count))
  everything = np.arange(count)[None]
  identity = rows.get(IDENTITY)
  summary = {}
  for row, columns in rows.items():
    means = {column: lambda i, v=values: v[i].mean(1) for column, values in columns.items()}
    if identity is not None:
      means["style_ratio"] = (
        lambda i, v=columns["style"]: v[i].mean(1) / identity["style"][i].mean(1)
      )
    summary[row] = {
      column: {
        "mean": float(mean(everything)[0]),
        **dict(zip(("low", "high"), map(float, np.percentile(mean(draws), (2.5, 97.5))))),
      }
      for column, mean in means.items()
    }
  return summary


def draw_sheet(
  pairs: Sequence[Pair], methods: Mapping[str, Method], *, height: int = 200
) -> Image.Image:
  """A picture with a line for each pair: content, style, then what each method made of them."""
  heads = ["content", "style", *methods]
  lines = []
  for pair in pairs:
    pictures = [_read(pair.content), _read(pair.style), *(m(pair) for m in methods.values())]
    images = [Image.fromarray(_eight_bits(picture)) for picture in pictures]
    lines.append(
      [i.resize((max(1, round(i.width * height / i.height)), height), Image.LANCZOS)
       for i in images]
    )
  gap, title = 6, 26
  widths = [max(line[column].width for line in lines) for column in range(len(heads))]
  size = (sum(widths) + gap * (len(widths) + 1), title + len(lines) * (height + gap) + gap)
  sheet = Image.new("RGB", size, "white")
  draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
  left = gap
  for column, head in enumerate(heads):
    draw.text((left, 4), head, fill="black", font=font)
    for index, line in enumerate(lines):
      sheet.paste(line[column], (left, title + index * (height + gap)))
    left += widths[column] + gap
  return sheet


def _judge(
  vgg_params: Mapping[str, Any], heads: Mapping[str, jax.Array], pair: Pair, own_size: bool
) -> Callable[[np.ndarray], dict[str, float]]:
  """The function that measures one output for this pair; its two pictures are described once."""
  layers = tuple(sorted({*LPIPS_LAYERS, *STYLE_LAYERS}))
  inputs = [_eight_bits(_read(path)) for path in (pair.content, pair.style)]
  height, width = inputs[0].shape[:2]

  def describe(picture: np.ndarray) -> tuple:
    picture = jnp.asarray(picture[None], jnp.float32) / 255
    small = resize_area(picture, SIDE, SIDE)
    features = _features(vgg_params, small, layers)
    if not own_size:
      return small, features, small, features
    if picture.shape[1:3] != (height, width):  # only the row "style picture itself"
      picture = resize_area(picture, height, width)
    return small, features, picture, _features(vgg_params, picture, LPIPS_LAYERS)

  content, style = descriptions = [describe(picture) for picture in inputs]

  def measure(output: np.ndarray) -> dict[str, float]:
    output = _eight_bits(output)
    # Two of the baselines return an input; the net has seen it already.
    same = [np.array_equal(output, picture) for picture in inputs]
    described = descriptions[same.index(True)] if any(same) else describe(output)
    numbers = _compare(heads, described, content[2:], style[:2])
    return {column: float(value) for column, value in numbers.items()}

  return measure


_features = jax.jit(vgg16_features, static_argnums=2)


@jax.jit
def _compare(heads, output, content, style) -> dict[str, jax.Array]:
  small, features, picture, content_features = output
  return {
    "content": lpips_from_features(content_features, content[1], heads)[0],
    "ssim": ssim(picture, content[0])[0],
    "psnr": jnp.minimum(psnr(picture, content[0])[0], 100.0),  # equal pictures: JSON has no inf
    "style": moment_distance_from_features(features, style[1])[0],
    "gram": gram_distance_from_features(features, style[1])[0],
    "color": sliced_color_distance(small, style[0])[0],
  }


def _read(path: Path) -> np.ndarray:
  return on_white(read_picture(path))


def _output(folder: Path, pair: Pair) -> Path:
  for suffix in (".jpg", ".png"):
    if (folder / (pair.name + suffix)).is_file():
      return folder / (pair.name + suffix)
  raise InputError(
    f"reference {folder}: found no {pair.name}.jpg, expected an output of every pair")


def _eight_bits(picture: np.ndarray) -> np.ndarray:
  return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _matrix_root(matrix: np.ndarray) -> np.ndarray:
  values, vectors = np.linalg.eigh(matrix)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
