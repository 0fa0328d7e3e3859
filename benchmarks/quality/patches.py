"""Shapes, not statistics: how near the places of an output and of its style are to each other.

Moments of features can't tell strokes from noise. These distances look each place up in the other
image, by features that no loss uses. Arrays in, numbers out; `evaluators.py` chooses the nets.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

COLUMNS = ("patch", "cover", "patch_half", "cover_half")
"""Distances from the output's places to the style's, and back; then the same at half size."""

RESNET = "_resnet"
"""Added to a column's name: by the ResNet of open_nsfw instead of EfficientNet-lite0."""

FLOOR = "_floor"
"""Added to a column's name: the style's left half against its right, each scaled to its size."""


ALL_COLUMNS = (*COLUMNS, *(column + RESNET for column in COLUMNS))


@jax.jit
def _distances(features: jax.Array, style: jax.Array) -> tuple[jax.Array, jax.Array]:
  """(patch, cover) of one layer's maps [1, h, w, C]."""
  style = style.reshape(-1, style.shape[-1]).astype(jnp.float32)
  features = features.reshape(-1, features.shape[-1]).astype(jnp.float32)
  mean = style.mean(0, keepdims=True)
  output, style = (
    x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    for x in (features - mean, style - mean)
  )
  cosine = jnp.matmul(output, style.T, precision="highest")
  return 1.0 - cosine.max(1).mean(), 1.0 - cosine.max(0).mean()


def patch_distances(
  features: Mapping[str, np.ndarray], style: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[float, float]:
  """Mean over layers and places of the cosine distance to the nearest place of the other image.

  patch = mean_p min_q (1 − cos(f_p − μ, s_q − μ)), cover = mean_q min_p of the same; μ is the mean
  of the style's features.

  Args:
    features: of the output, {layer: [1, h, w, C]}.
    style: of the style, of any h and w.
    names: layers to average over.

  Returns:
    (patch, cover), 0 for equal images, at most 2.
  """
  distances = [_distances(features[name], style[name]) for name in names]
  return tuple(float(np.mean(values)) for values in zip(*distances, strict=True))


def way(values: np.ndarray, identity: np.ndarray, floor: np.ndarray) -> np.ndarray:
  """How far means [...] have come from the identity copy's (0) to the floor (1)."""
  return (identity - values) / (identity - floor)
