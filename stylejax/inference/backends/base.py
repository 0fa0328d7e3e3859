"""The interface of all backends; `stylizer` chooses the one for a content."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Band(NamedTuple):
  """Rows of a stylized image.

  Attributes:
    index: which of the backend's contents they belong to.
    row: the first row.
    pixels: [rows, W, 3] float32 in [0, 1].
  """

  index: int  # type: ignore[assignment]  # tuple has a method of that name
  row: int
  pixels: np.ndarray


class Backend(Protocol):
  """Stylizes its contents in one style, uniformly, at full strength.

  Everything that differs between pixels (mixing by maps, blending with the content, colors) is done
  afterwards, in the same way for all backends, by `stylejax.inference.compositing`.

  Attributes:
    contents: [H, W, 3] each, float32 in [0, 1] or uint8.
  """

  @property
  def contents(self) -> Sequence[np.ndarray]:
    """As above; it may also be a plain attribute."""
    ...

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress: Callable[[float], None]
  ) -> Iterator[Band]:
    """Yields bands that make up the stylized images, from top to bottom.

    Args:
      vector: the style vector, [D] float32.
      noise_gain: 1 to 2, from `controls.strength.split`.
      on_progress: called with the fraction of the work that is done, by a backend that works in
        parts.
    """
    ...


def ignore_progress(fraction: float) -> None:
  """Does nothing; the default of `on_progress`."""


def place_in_bucket(content: np.ndarray, bucket: tuple[int, int], stride: int) -> np.ndarray:
  """Mirrors an image to whole cells, as the networks do, and pads it to the bucket with zeros.

  Args:
    content: [H, W, 3] uint8 or float32.
    bucket: (H, W) of the result, multiples of the stride.
    stride: side of a cell in pixels.

  Returns:
    [*bucket, 3] of the content's dtype.
  """
  mirrored = [(0, -side % stride) for side in content.shape[:2]]
  content = np.pad(content, (*mirrored, (0, 0)), mode="reflect")
  rest = [(0, whole - side) for whole, side in zip(bucket, content.shape)]
  return np.pad(content, (*rest, (0, 0)))
