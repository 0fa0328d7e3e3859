"""Augmentation of one training image: random square crops and flips, on uint8 arrays.

Pure functions of the image and an explicit NumPy generator, with the same result on any machine.
Decoding is in images/decode.py; pipeline.py seeds each example's generator.
"""

import numpy as np
from PIL import Image

# A crop is first shrunk by averaging to at least this many times the final size, then by Lanczos:
# several times faster on photos of many megapixels, and equal to Lanczos alone up to rounding.
_REDUCING_GAP = 3.0


def random_resized_crop(
  rgb: np.ndarray | Image.Image,
  rng: np.random.Generator,
  *,
  size: int,
  scale: tuple[float, float] = (1.0, 1.75),
  shorter_side: int | None = None,
) -> np.ndarray:
  """Cuts a random square and resizes it to size × size with antialiasing.

  The square's side is uniform in [size · scale_lo, size · scale_hi], measured as if an image whose
  shorter side exceeds `shorter_side` had been scaled down to it, so that `scale` means the same for
  photos of any resolution. The side never exceeds the image. Only an image smaller than `size` is
  enlarged, from a square with its whole shorter side. Everything happens in one resampling; a
  square of exactly `size` pixels is copied.

  Args:
    rgb: [H, W, 3] uint8, or the same as a Pillow image of mode RGB.
    rng: draws side, top and left, in this order.
    size: side of the result, in pixels.
    scale: the range of the square's side in units of `size`, 1 ≤ lo ≤ hi.
    shorter_side: reference shorter side of the image, in pixels; None is 2.5 · size.

  Returns:
    [size, size, 3] uint8.

  Raises:
    ValueError: rgb is not [H, W, 3] uint8, or size or scale is out of range.
  """
  image = rgb if isinstance(rgb, Image.Image) else _to_image(rgb)
  if image.mode != "RGB":
    raise ValueError(f"rgb: found a Pillow image of mode {image.mode}, expected mode RGB")
  lo, hi = scale
  if not 1 <= lo <= hi:
    raise ValueError(f"scale: found {scale}, expected 1 ≤ lo ≤ hi")
  if size < 1:
    raise ValueError(f"size: found {size}, expected at least 1 pixel")
  if shorter_side is None:
    shorter_side = round(2.5 * size)

  width, height = image.size
  shorter = min(height, width)
  unit = max(1.0, shorter / max(shorter_side, size))
  most = min(int(size * hi * unit), shorter)
  least = min(int(np.ceil(size * lo * unit)), most)
  side = int(rng.integers(least, most, endpoint=True))
  top = int(rng.integers(0, height - side, endpoint=True))
  left = int(rng.integers(0, width - side, endpoint=True))
  box = (left, top, left + side, top + side)
  if side == size:
    return np.array(image.crop(box))
  resized = image.resize(
    (size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=_REDUCING_GAP
  )
  return np.array(resized)


def _to_image(rgb: np.ndarray) -> Image.Image:
  if rgb.ndim != 3 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
    raise ValueError(f"rgb: found {rgb.dtype} {rgb.shape}, expected uint8 [H, W, 3]")
  return Image.fromarray(rgb)


def random_flip(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Mirrors an image left to right with probability 1/2.

  Args:
    rgb: [H, W, C], any dtype.
    rng: used for one draw.

  Returns:
    An array of the same shape and dtype, contiguous.
  """
  return np.ascontiguousarray(rgb[:, ::-1]) if rng.random() < 0.5 else rgb
