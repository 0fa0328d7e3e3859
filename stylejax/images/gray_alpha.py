"""16-bit gray TIFFs with transparency, which Pillow 13.0 doesn't open.

Other images with more than 8 bits are in wide.py.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 258, 262, 277, 284, 338, 339
_WHITE_IS_ZERO, _TIMES_ALPHA, _ALPHA = 0, 1, 2


class GrayAlphaTiff(TiffImagePlugin.TiffImageFile):
  """A 16-bit gray TIFF with alpha; Pillow decodes its four bytes a pixel as 8-bit RGBA.

  Attributes:
    gray_alpha: whether the current page is of this kind; Pillow reads other pages as usual.
    extra: what the second channel is: 1 is alpha that the gray was multiplied by, 2 is alpha, and
      anything else is not transparency.
    white_is_zero: whether 0 is white.
  """

  def _setup(self) -> None:
    tags = self.tag_v2
    self.white_is_zero = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    extra = tags.get(_EXTRA, ())
    self.extra = extra[0] if isinstance(extra, tuple) and extra else extra or 0
    self.gray_alpha = _is_gray_alpha(tags)
    if not self.gray_alpha:
      super()._setup()
      return
    as_rgba = {_BITS: (8,) * 4, _PHOTOMETRIC: 2, _SAMPLES: 4, _EXTRA: (2,), _FORMAT: (1,)}
    originals = {tag: tags[tag] for tag in as_rgba if tag in tags}
    try:
      for tag, value in as_rgba.items():
        tags[tag] = value
      super()._setup()
    finally:
      for tag in as_rgba:
        del tags[tag]
      for tag, value in originals.items():
        tags[tag] = value


def _is_gray_alpha(tags) -> bool:
  bits, formats = tags.get(_BITS, ()), tags.get(_FORMAT, (1,))
  return (
    tags.get(_PHOTOMETRIC) in (0, 1)
    and tags.get(_SAMPLES) == 2
    and set(bits if isinstance(bits, tuple) else (bits,)) == {16}
    and set(formats if isinstance(formats, tuple) else (formats,)) == {1}
    and tags.get(_PLANAR, 1) == 1
  )


def open_gray_alpha(file: Path | io.BytesIO) -> Image.Image | None:
  """Opens a TIFF lazily if it is 16-bit gray with a second channel; None otherwise."""
  with contextlib.suppress(SyntaxError, OSError, ValueError, TypeError):
    image = GrayAlphaTiff(file)
    if image.gray_alpha:
      return image
    image.close()
  return None


def read_gray_alpha(
  image: GrayAlphaTiff, upright: Callable[[Image.Image], Image.Image]
) -> tuple[np.ndarray, np.ndarray | None]:
  """Decodes the image.

  Args:
    image: opened, not decoded.
    upright: decodes an image and undoes its orientation.

  Returns:
    (values [H, W] float32 in [0, 1], alpha likewise, or None if the second channel isn't alpha).
  """
  # libtiff returns the machine's byte order, Pillow's own decoder the file's.
  native = image.tile[0].codec_name == "libtiff"
  big = sys.byteorder == "big" if native else image.tag_v2.prefix == b"MM"
  stored = np.ascontiguousarray(np.asarray(upright(image)))
  pair = stored.view(">u2" if big else "<u2").astype(np.float32) / 65535
  values, alpha = pair[..., 0], pair[..., 1]
  if image.extra == _TIMES_ALPHA:
    values = np.divide(values, alpha, out=np.zeros_like(values), where=alpha > 0).clip(0, 1)
  if image.white_is_zero:
    values = 1 - values
  return values, alpha if image.extra in (_TIMES_ALPHA, _ALPHA) else None
