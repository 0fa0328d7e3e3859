"""What every backend promises; which one a content takes is decided in `stylizer`."""

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

  Everything that is different in different pixels (mixing by maps, the blend with the content,
  colors) is done afterwards, once for all backends, by `stylejax.inference.compositing`.

  Attributes:
    contents: [H, W, 3] each, float32 in [0, 1] or uint8.
  """

  @property
  def contents(self) -> Sequence[np.ndarray]:
    """As above; a backend may have it as a plain attribute."""
    ...

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress: Callable[[float], None]
  ) -> Iterator[Band]:
    """Yields bands that make up the stylized images, from top to bottom.

    Args:
      vector: the style's, [D] float32.
      noise_gain: 1 to 2, from `controls.strength.split`.
      on_progress: called with the fraction of the work that is done, by a backend that works in
        parts.
    """
    ...


def ignore_progress(fraction: float) -> None:
  """Does nothing with the fraction of the work that is done."""


def place_in_bucket(content: np.ndarray, bucket: tuple[int, int], stride: int) -> np.ndarray:
  """Mirrors an image to whole cells, as the networks do, and fills the bucket up with zeros.

  Args:
    content: [H, W, 3] uint8 or float32.
    bucket: (H, W) of the result, multiples of the stride.
    stride: pixels of a cell.

  Returns:
    [*bucket, 3] of content's dtype.
  """
  mirrored = [(0, -side % stride) for side in content.shape[:2]]
  content = np.pad(content, (*mirrored, (0, 0)), mode="reflect")
  rest = [(0, whole - side) for whole, side in zip(bucket, content.shape)]
  return np.pad(content, (*rest, (0, 0)))
