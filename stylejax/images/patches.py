"""An animation's frames from the rectangles that its file holds.

Which rectangles there are is read by gif.py and apng.py; each is an image file of its own, decoded
as any other. Nothing is written here.
"""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

import numpy as np

from stylejax.images.decode import DecodedImage, as_float


@dataclasses.dataclass(frozen=True)
class Patch:
  """What one frame draws: a Record that decodes to its pixels.

  Attributes:
    name: what messages call it.
    build: makes the bytes of an image file that holds it alone; None where it is empty.
    left, top: where its first pixel lies.
    seconds: how long it is shown, as the file says.
    dispose: what happens to its rectangle before the next frame: nothing, it becomes invisible, or
      it becomes what it was before.
    over: whether it is laid over what is there, or takes its place, invisible pixels included.
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
    width, height: in pixels.
    plays: how often it is shown; 0 is for ever.
    patches: one for each frame.
    has_alpha: whether something may be invisible.
    orientation: EXIF's number; 1 is upright.
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
  """Draws the patches of an animation one after the other on what is invisible at first.

  A background color that the file names is left out, as browsers do.

  Args:
    layout: the animation.
    decode: gives a patch's pixels.

  Yields:
    Each frame, [H, W, 4] float32 in [0, 1], alpha last; the color of what is invisible is 0.
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
  """Changes region [h, w, 4]; the sum of both is weighted by alpha, in sRGB as browsers do it."""
  if over:
    below = region[..., 3:] * (1 - alpha)
    total = alpha + below
    mixed = (rgb * alpha + region[..., :3] * below) / np.maximum(total, 1e-6)
    rgb, alpha = np.where(below > 0, mixed, rgb), total
  region[..., :3] = np.where(alpha > 0, rgb, 0)
  region[..., 3:] = alpha


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
  """[H, W, ...] turned as EXIF's orientation, 1 to 8, asks for; others are left as they are."""
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
