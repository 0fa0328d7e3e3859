"""What is done to pixels after painting, for images larger than memory: part by part."""

import jax
import numpy as np

from stylejax import controls
from stylejax.images.decode import as_float
from stylejax.images.encode import as_bytes
from stylejax.runtime.jit import fast_jit

PART_PIXELS = 2_000_000
"""Pixels that are worked on at once, about."""


def fade(painted: np.ndarray, content: np.ndarray, strength: np.ndarray) -> None:
  """`controls.faded` in place.

  Args:
    painted: [H, W, 3] float32 in [0, 1].
    content: [H, W, 3], float32 in [0, 1] or uint8.
    strength: scalar or a map [H, W].
  """
  strength = np.asarray(strength, np.float32)
  if strength.min() >= 1:
    return
  for place in _places(content):
    amount = strength[place][None, ..., None] if strength.ndim else strength
    painted[place] = _faded(painted[place][None], as_float(content[place])[None], amount)[0]


def keep_colors(
  painted: np.ndarray, content: np.ndarray, *, color: float, mode: float | None
) -> None:
  """`stylejax.preserve_color` in place.

  Args:
    painted, content: [H, W, 3], float32 in [0, 1] or uint8.
    color, mode: as `preserve_color` takes them.
  """
  places, moments = _places(content), None
  if mode is not None:
    moments = tuple(_color_moments(image, places) for image in (painted, content))
  for place in places:
    rows = _preserve_color(
      *(as_float(image[place]) for image in (painted, content)), color, mode=mode, moments=moments
    )
    rows = np.asarray(rows)
    painted[place] = as_bytes(rows) if painted.dtype == np.uint8 else rows


def _places(image: np.ndarray) -> list[slice]:
  """So many rows at a time as PART_PIXELS allow."""
  height, width = image.shape[:2]
  step = max(1, PART_PIXELS // width)
  return [slice(row, min(row + step, height)) for row in range(0, height, step)]


def _color_moments(image: np.ndarray, places: list[slice]) -> tuple[np.ndarray, np.ndarray]:
  """`controls.color_moments` of [H, W, 3], part by part."""
  parts = [
    jax.tree.map(np.float64, _part_moments(as_float(image[place])[None])) for place in places
  ]
  share = np.array([place.stop - place.start for place in places]) / image.shape[0]
  means = np.stack([mean[0, 0, 0] for mean, _ in parts])
  mean = share @ means
  apart = means - mean
  covariance = np.tensordot(share, np.stack([found[0] for _, found in parts]), 1)
  covariance = covariance + (share[:, None] * apart).T @ apart
  return np.float32(mean)[None, None, None], np.float32(covariance)[None]


_faded = fast_jit(controls.faded)
_part_moments = fast_jit(controls.color_moments)
_preserve_color = fast_jit(controls.preserve_color)
