"""The rows of `benchmarks.quality.quality` that optimize the pixels with neural neighbors.

Content and style are scaled to a longer side of 256 pixels, to the nearest of a few shapes, so that
forty pairs need only a few programs. The networks' own row at that size stands beside them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.quality.methods import Method, our_stylize, params_version
from benchmarks.quality.pairs import Pair, read
from stylejax import transfer
from stylejax.images.decode import DecodedImage
from stylejax.images.encode import resize
from stylejax.inference.keyframed import paint_with

ROWS = ("neighbors", "refine")
"""Methods that `--descend` takes."""

SIDE = 256
NETWORKS = f"ours, {SIDE} px"
"""The row of the networks at that size."""
CONTENT_SHAPES = ((256, 256), (192, 256), (256, 192), (176, 256), (256, 176))
# Both have the same number of pixels, so that styles have the same number of places.
STYLE_SHAPES = ((192, 256), (256, 192))
VERSION = "6"
"""Raise it when a method's images change."""


def nearest_shape(
  height: int, width: int, shapes: Sequence[tuple[int, int]] = CONTENT_SHAPES
) -> tuple[int, int]:
  """The (H, W) whose ratio of sides is nearest to that of an image."""
  return min(shapes, key=lambda shape: abs(np.log(shape[0] / shape[1] * width / height)))


def descended_methods(params: transfer.Params, names: Sequence[str]) -> dict[str, Method]:
  """Rows of the networks and of the named methods, at 256 pixels.

  Args:
    params: parameters of the networks, from whose output refine begins.
    names: some of ROWS, in the order of the rows; empty for no rows at all.
  """
  if not names:
    return {}
  networks, version = our_stylize(params), params_version(params)

  def by_networks(pair: Pair) -> np.ndarray:
    return networks(pair, content_of(pair), 1.0)

  def descend(name: str) -> Callable[[Pair], np.ndarray]:
    def stylize(pair: Pair) -> np.ndarray:
      start = by_networks(pair) if name == "refine" else None
      return np.asarray(paint_with(name, [style_of(pair)], None)(content_of(pair), start, True))

    return stylize

  methods = {NETWORKS: Method(by_networks, lambda pair: f"{version} {VERSION}")}
  for name in names:
    its_own = f"{version} {VERSION}" if name == "refine" else VERSION
    methods[f"{name}, {SIDE} px"] = Method(descend(name), lambda pair, v=its_own: v, slow=True)
  return methods


def content_of(pair: Pair) -> np.ndarray:
  """The pair's content, scaled to the nearest of CONTENT_SHAPES: [H, W, 3]."""
  return _scaled(read(pair.content), CONTENT_SHAPES)


def style_of(pair: Pair) -> np.ndarray:
  """The pair's style, scaled to the nearest of STYLE_SHAPES: [H, W, 3]."""
  return _scaled(read(pair.style), STYLE_SHAPES)


def _scaled(image: np.ndarray, shapes: Sequence[tuple[int, int]]) -> np.ndarray:
  return resize(DecodedImage(image, None, "RGB"), *nearest_shape(*image.shape[:2], shapes)).rgb
