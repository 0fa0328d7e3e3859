"""The images of a file that may hold several: how many there are, and one after the other.

GIF and APNG, whose images are pieces of frames, are put together in animation.py; one image is
decoded in decode.py.
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
  """Every image of a file that may hold several, as Pillow finds them.

  Args:
    path: the file.
    max_pixels: the largest width × height accepted, in pixels.

  Yields:
    (DecodedImage as of read_image, seconds for which the file says it is shown or None).

  Raises:
    InputError: as read_image.
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
        # Decoding also reads how long it is shown.
        page = decoded(OpenedImage(image, reopen_at_page, []), compact=False)
        milliseconds = image.info.get("duration")
        yield page, None if milliseconds is None else Fraction(milliseconds) / 1000


@dataclasses.dataclass(frozen=True)
class Pages:
  """What a file's header says of its images.

  Attributes:
    form: Pillow's name of the format.
    count: how many images there are; of a GIF or PNG, pieces of frames and a hidden image too.
    plays: how often an animation is shown; 0 is for ever.
    has_alpha: whether they have transparency.
    size: (width, height) of the first in pixels, upright.
  """

  form: str
  count: int
  plays: int
  has_alpha: bool
  size: tuple[int, int]


def describe_pages(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Pages:
  """Opens a file without decoding it; raises as read_image."""
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
  # The further images of a JPEG (MPO) are thumbnails, depths and gain maps.
  return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
