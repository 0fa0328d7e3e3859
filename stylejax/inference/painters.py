"""What each method without training does with one content: arrays in, an image out.

Their rows, options and ranges are in `method_table`; `optimized` calls them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stylejax.inference import gram_stages, neighbor_stages
from stylejax.inference.descent import OnLook
from stylejax.optimization.colors import PALETTE


@dataclasses.dataclass(frozen=True)
class Work:
  """The input of a method.

  Attributes:
    content: [1, H, W, 3] float32 in [0, 1].
    styles: [1, h, w, 3] each, at the size at which they are read.
    weights: [S] or maps [S, H, W] with sum 1 over S; None for a single style.
    options: options of the method, by name; None leaves the choice to the method.
    keep_color: 0 (the style's colors) to 1 (the content's), for methods that keep colors.
    by_networks: strength → the networks' image in these styles, [H, W, 3].
    bands: as in `neighbor_stages.paint`.
    on_look, saved: as in `descend`.
  """

  content: np.ndarray
  styles: Sequence[np.ndarray]
  weights: jax.Array | None
  options: Mapping[str, Any]
  keep_color: float
  by_networks: Callable[[float], np.ndarray]
  bands: neighbor_stages.Bands
  on_look: OnLook
  saved: Sequence[np.ndarray] | None


def gram(work: Work) -> jax.Array:
  """Runs the method of Gatys et al."""
  return gram_stages.paint(
    work.content,
    work.styles,
    weights=work.weights,
    steps=work.options.get("steps"),
    style_weight=work.options.get("style_weight"),
    method=work.options.get("optimizer"),
    on_look=work.on_look,
    saved=work.saved,
  )


def neighbors(work: Work) -> jax.Array:
  """Runs all stages of neural neighbors (Kolkin et al.), starting from the content."""
  return _by_neighbors(work, None)


def refine(work: Work) -> jax.Array:
  """Runs the last stages of neural neighbors, starting from the networks' image."""
  return _by_neighbors(work, work.by_networks(work.options["start_strength"])[None])


def _by_neighbors(work: Work, start: Any) -> jax.Array:
  palette = PALETTE * (1.0 - work.keep_color)
  image = neighbor_stages.paint(
    work.content,
    work.styles,
    start=start,
    weights=work.weights,
    palette=palette,
    steps=work.options.get("steps"),
    content_share=work.options.get("content_share"),
    content_weight=work.options.get("content_weight"),
    bands=work.bands,
    on_look=work.on_look,
    saved=work.saved,
  )
  # The chroma is a mix of the image's own and the content's; none is mapped to the style's.
  return neighbor_stages.settle_colors(
    image,
    work.content,
    work.styles,
    weights=work.weights,
    keep_color=1.0,
    own_color=1.0 - work.keep_color,
    palette=palette,
  )


PAINTERS: dict[str, Callable[[Work], jax.Array]] = {
  "refine": refine,
  "neighbors": neighbors,
  "gram": gram,
}
"""The functions of the methods of `method_table.METHODS` other than the networks, by name."""
