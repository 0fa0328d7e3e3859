"""Files that may hold several images: counts them, and reads them one after the other.

The images in a GIF or APNG are pieces of frames; animation.py composes them. One image is decoded
in decode.py.
"""

import dataclasses
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction

from PIL import Image

from stylejax.images.decode import (
  DecodedImage,
  OpenedImage,
  check_pixels,
  decoded,
  opened_image,
  upright_size,
)
from stylejax.images.formats import MAX_PIXELS
from stylejax.images.opening import forget_xmp


def read_pages(
  path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[DecodedImage, Fraction | None]]:
  """Decodes every image of a file that may hold several, in Pillow's order.

  Args:
    path: the file.
    max_pixels: the largest width × height accepted, in pixels.

  Yields:
    (DecodedImage as from read_image, seconds for which the file says it is shown, or None).

  Raises:
    InputError: as for read_image.
  """
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    with opened_image(path, max_pixels) as opened:
      image = opened.image

      def reopen_at_page() -> Image.Image:
        other = opened.reopen()
        other.seek(number)
        forget_xmp(other)
        return other

      for number in range(_page_count(image)):
        image.seek(number)
        forget_xmp(image)
        check_pixels(image, path, max_pixels)  # a later page may be larger than the first
        # Pillow sets the duration while decoding.
        page = decoded(OpenedImage(image, reopen_at_page, []), compact=False)
        milliseconds = image.info.get("duration")
        yield page, None if milliseconds is None else Fraction(milliseconds) / 1000


@dataclasses.dataclass(frozen=True)
class Pages:
  """What a file's header says about its images.

  Attributes:
    form: Pillow's name for the format.
    count: how many images there are; for a GIF or PNG this counts pieces of frames and a PNG's
      hidden default image.
    plays: how many times an animation is shown; 0 is forever.
    has_alpha: whether the images have transparency.
    size: (width, height) of the first image in pixels, upright.
  """

  form: str
  count: int
  plays: int
  has_alpha: bool
  size: tuple[int, int]


def describe_pages(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Pages:
  """Reads a file's header without decoding pixels; raises like read_image."""
  with opened_image(path, max_pixels) as opened:
    image = opened.image
    return Pages(
      image.format or "",
      _page_count(image),
      image.info.get("loop", 0),
      image.has_transparency_data,
      upright_size(image),
    )


def _page_count(image: Image.Image) -> int:
  # The other images of a JPEG (MPO) are thumbnails, depth maps and gain maps.
  return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
