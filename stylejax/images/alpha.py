"""Transparency: gives invisible pixels colors that continue the visible ones.

What a file stores under alpha 0 is arbitrary (black, white, the rest of a photo), but a network
sees it all the same, so it is replaced as soon as a file is read.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

_STRIP = 1_000_000  # pixels that are processed at once


def fill_invisible(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
  """Gives pixels of alpha 0 a smooth continuation of the visible pixels around them.

  A pyramid of alpha-weighted means is pulled up to a single pixel and pushed down again: at each
  level, a pixel blends its own mean, by the fraction that is visible, with the coarser level's.

  Args:
    rgb: [H, W, 3], float32 in [0, 1] or uint8; values under alpha 0 have no influence.
    alpha: [H, W] float32 in [0, 1].

  Returns:
    [H, W, 3] of rgb's dtype, equal to rgb where alpha is above 0. An image without a visible pixel
    becomes white. If nothing is invisible, rgb itself is returned, not a copy.

  Departs from Gortler et al. 1996 ("The Lumigraph", section 3.4), who blend at the finest level
  too: here, visible pixels are kept exactly.
  """
  invisible = alpha <= 0
  if not invisible.any():
    return rgb
  white = 255 if rgb.dtype == np.uint8 else 1
  if invisible.all():
    return np.full_like(rgb, white)
  height, width = alpha.shape
  coarse = _pull(rgb, alpha, white)
  filled = rgb.copy()
  for top, bottom in _strips(height, width):
    hidden = invisible[top:bottom]
    if hidden.any():
      near = _enlarge(coarse, bottom - top, width, (0, top / 2, width / 2, bottom / 2)) * white
      near = np.rint(near) if rgb.dtype == np.uint8 else near
      np.copyto(filled[top:bottom], near.astype(rgb.dtype), where=hidden[..., None])
  return filled


def _pull(rgb: np.ndarray, alpha: np.ndarray, white: float) -> np.ndarray:
  """The filled image at half the size, [⌈H/2⌉, ⌈W/2⌉, 3] in [0, 1]; rgb is divided by white."""
  height, width = alpha.shape
  levels = [
    np.concatenate(
      [
        _halve(
          np.concatenate(
            [
              rgb[top:bottom] / np.float32(white) * alpha[top:bottom, :, None],
              alpha[top:bottom, :, None],
            ],
            -1,
          )
        )
        for top, bottom in _strips(height, width)
      ]
    )
  ]
  while max(levels[-1].shape[:2]) > 1:
    levels.append(_halve(levels[-1]))
  filled: np.ndarray | None = None
  for level in reversed(levels):
    coverage = level[..., 3:]
    colors = level[..., :3] / np.maximum(coverage, 1e-12)
    if filled is None:
      filled = colors
    else:
      rows, columns = coverage.shape[:2]
      coarser = _enlarge(filled, rows, columns, (0, 0, columns / 2, rows / 2))
      filled = coarser + (colors - coarser) * coverage
  assert filled is not None, "there is one level at least"
  return np.clip(filled, 0, 1)


def _halve(weighted: np.ndarray) -> np.ndarray:
  """Averages [H, W, C] over blocks of 2 × 2 pixels, fewer at the edges."""
  return _planes(weighted, lambda plane: plane.reduce(2))


def _enlarge(
  image: np.ndarray, height: int, width: int, box: tuple[float, float, float, float]
) -> np.ndarray:
  """Resizes a box (left, top, right, bottom) of [h, w, 3] to [height, width, 3], bilinear."""
  right, bottom = min(box[2], image.shape[1]), min(box[3], image.shape[0])
  return _planes(
    image,
    lambda plane: plane.resize(
      (width, height), Image.Resampling.BILINEAR, box=(box[0], box[1], right, bottom)
    ),
  )


def _planes(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
  """Applies a Pillow operation to each channel of [H, W, C] float32."""
  return np.stack(
    [
      np.asarray(change(Image.fromarray(np.ascontiguousarray(image[..., c]))))
      for c in range(image.shape[-1])
    ],
    -1,
  )


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
  """Splits rows into strips (top, bottom), each of an even number of rows except the last."""
  rows = max(2, _STRIP // width // 2 * 2)
  return ((top, min(top + rows, height)) for top in range(0, height, rows))
