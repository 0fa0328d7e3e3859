"""Images that Pillow encodes for the tests of this folder."""

import io

import numpy as np
from PIL import Image


def smooth(height: int, width: int) -> np.ndarray:
  """An image that JPEG changes by few levels only: red grows rightwards, green downwards."""
  y, x = np.mgrid[:height, :width]
  red, green = 255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1)
  return np.stack([red, green, np.full_like(red, 90)], -1).round().astype(np.uint8)


def encoded(array: np.ndarray, fmt: str = "JPEG", **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, fmt, **options)
  return buffer.getvalue()
