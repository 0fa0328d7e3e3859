"""Composes an animation's frames from the rectangles that its file holds.

gif.py and apng.py find the rectangles; each becomes an image file of its own, decoded like any
other. Nothing is written here.
"""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

import numpy as np

from stylejax.images.decode import DecodedImage, as_float


@dataclasses.dataclass(frozen=True)
class Patch:
  """The rectangle that one frame draws: a Record that decodes to its pixels.

  Attributes:
    name: what messages call it.
    build: returns the bytes of an image file that holds only this patch; None if it is empty.
    left, top: the position of its top left pixel.
    seconds: how long it is shown, according to the file.
    dispose: what happens to its rectangle before the next frame: it stays ("keep"), becomes
      invisible ("clear"), or returns to what it was before ("restore").
    over: whether it is blended over what is there; otherwise it replaces it, including alpha.
  """

  name: str
  build: Callable[[], bytes] | None
  left: int
  top: int
  seconds: Fraction
  dispose: Literal["keep", "clear", "restore"]
  over: bool

  def read(self) -> bytes:
    assert self.build is not None, "an empty patch has no bytes"
    return self.build()

  def __str__(self) -> str:
    return self.name


@dataclasses.dataclass(frozen=True)
class Layout:
  """An animation as its file describes it.

  Attributes:
    width, height: the size of a frame, in pixels.
    plays: how many times it is shown; 0 is forever.
    patches: one for each frame.
    has_alpha: whether pixels may be invisible.
    orientation: the EXIF orientation; 1 is upright.
    notes: lines for the user.
  """

  width: int
  height: int
  plays: int
  patches: tuple[Patch, ...]
  has_alpha: bool
  orientation: int = 1
  notes: tuple[str, ...] = ()


def compose(layout: Layout, decode: Callable[[Patch], DecodedImage]) -> Iterator[np.ndarray]:
  """Draws the patches of an animation one after the other, starting from a transparent frame.

  The file's background color is ignored, as in browsers.

  Args:
    layout: the animation.
    decode: returns a patch's pixels.

  Yields:
    Each frame, [H, W, 4] float32 in [0, 1], alpha last; invisible pixels are 0.
  """
  screen = np.zeros((layout.height, layout.width, 4), np.float32)
  for patch in layout.patches:
    if patch.build is None:
      yield screen.copy()
      continue
    image = decode(patch)
    region = screen[patch.top :, patch.left :][: image.rgb.shape[0], : image.rgb.shape[1]]
    rgb = as_float(image.rgb)[: region.shape[0], : region.shape[1]]
    alpha = (
      np.ones(region.shape[:2], np.float32)
      if image.alpha is None
      else (image.alpha[: region.shape[0], : region.shape[1]])
    )
    before = region.copy() if patch.dispose == "restore" else None
    _draw(region, rgb, alpha[..., None], over=patch.over and image.alpha is not None)
    yield screen.copy()
    if patch.dispose == "clear":
      region[...] = 0
    elif before is not None:
      region[...] = before


def _draw(region: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, *, over: bool) -> None:
  """Draws onto region [h, w, 4] in place; blends in sRGB values, as browsers do."""
  if over:
    below = region[..., 3:] * (1 - alpha)
    total = alpha + below
    mixed = (rgb * alpha + region[..., :3] * below) / np.maximum(total, 1e-6)
    rgb, alpha = np.where(below > 0, mixed, rgb), total
  region[..., :3] = np.where(alpha > 0, rgb, 0)
  region[..., 3:] = alpha


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
  """Turns [H, W, ...] upright by its EXIF orientation, 1 to 8; other values change nothing."""
  match orientation:
    case 2:
      return array[:, ::-1]
    case 3:
      return array[::-1, ::-1]
    case 4:
      return array[::-1]
    case 5:
      return array.swapaxes(0, 1)
    case 6:
      return np.rot90(array, -1)
    case 7:
      return array[::-1, ::-1].swapaxes(0, 1)
    case 8:
      return np.rot90(array)
  return array
