"""Thumbnails as WebP bytes, which the style library embeds in its file."""

import io

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images.decode import DecodedImage
from stylejax.images.encode import as_bytes, style_pixels

SIDE = 512
"""Longest allowed shorter side, in pixels."""

_MAX_SIDE = 4 * SIDE
_QUALITY = 90


def to_thumbnail(image: DecodedImage) -> bytes:
  """Encodes an image, its shorter side at most SIDE, the longer one cropped to 4 times that."""
  rgb = as_bytes(style_pixels(image, min(SIDE, *image.rgb.shape[:2])))
  encoded = io.BytesIO()
  Image.fromarray(rgb).save(encoded, "WEBP", quality=_QUALITY, method=4)
  return encoded.getvalue()


def from_thumbnail(data: bytes, what: str) -> DecodedImage:
  """Decodes the bytes of `to_thumbnail` to [H, W, 3] float32 in [0, 1].

  Raises:
    InputError: these are other bytes; the message names `what` as their source.
  """
  try:
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
      if max(image.size) > _MAX_SIDE:
        raise ValueError
      rgb = np.asarray(image.convert("RGB"), np.float32) / 255
  except MemoryError:
    raise
  # Pillow raises many types for bytes that are no image.
  except Exception:
    raise InputError(f"{what}: found a damaged image, expected WebP") from None
  return DecodedImage(rgb, None, "RGB")
