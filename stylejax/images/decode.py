"""One picture file into arrays: every mode Pillow reads, turned upright, in sRGB, alpha apart.

Lives here: decoding one file, for inference (`read_picture`, nothing lost) and for training
(`decode_rgb`, quick; also a record of a shard). Not here: folders, shards, crops, writing files.
"""

import contextlib
import dataclasses
import functools
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageCms

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.formats import MAX_PIXELS

# Decoders are named, so that a file's bytes can't reach one that runs other programs (EPS).
_CODECS = tuple(row.codec for row in formats.READ_IMAGES)
_EXPECTED = f"expected an image ({formats.names(formats.READ_IMAGES)})"

# EXIF tag 274 says how the camera was held; each value is undone by one transposition.
_ORIENTATION_TAG = 274
_UPRIGHT = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}

_LYING = (5, 6, 7, 8)

_GREY_MODES = ("1", "L", "LA", "La")
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_open_lock = threading.Lock()


class Record(Protocol):
  """A picture file inside a larger file; str() is the name that messages call it by."""

  def read(self) -> bytes:
    """The picture file's bytes.

    Raises:
      InputError: these bytes are damaged.
      OSError: they can't be had now, which says nothing about them.
    """


@dataclasses.dataclass(frozen=True)
class Picture:
  """A decoded picture, upright and in sRGB.

  Attributes:
    rgb: [H, W, 3] float32 in [0, 1], or uint8 (`read_picture(..., compact=True)`); the colour under
      transparent pixels is as stored.
    alpha: [H, W] float32 in [0, 1], 1 is opaque; None when the file has no transparency.
    mode: the file's own Pillow mode, for example "RGB", "I;16", "P", "CMYK".
  """

  rgb: np.ndarray
  alpha: np.ndarray | None
  mode: str


def as_float(rgb: np.ndarray) -> np.ndarray:
  """Pixels of a Picture, also traced ones, as float32 in [0, 1]."""
  return rgb.astype(np.float32) / 255 if rgb.dtype == np.uint8 else rgb


def read_picture(path: str | os.PathLike | Record, *, max_pixels: int = MAX_PIXELS,
                 compact: bool = False) -> Picture:
  """Reads one picture file at full precision and size.

  EXIF orientation is applied, an ICC profile is converted to sRGB (a broken one is ignored),
  16-bit grey keeps its 16 bits, of an animation the first frame is taken. Pillow itself reduces
  16-bit colour to 8 bits a channel.

  Args:
    path: the file, or a record of a larger one.
    max_pixels: the largest width × height accepted, in pixels.
    compact: leaves 8-bit colours as uint8, a quarter of the memory.

  Returns:
    The Picture.

  Raises:
    InputError: no such file, a folder, an empty file, not a picture, damaged or too large.
  """
  with warnings.catch_warnings():
    # What Pillow warns of (odd EXIF or TIFF tags) is no help to the one who passed the file.
    warnings.simplefilter("ignore", UserWarning)
    with _opened(path, max_pixels) as image:
      return _picture(image, compact)


def _picture(image: Image.Image, compact: bool) -> Picture:
  """The pixels of an open file, upright."""
  mode = image.mode
  image = _upright(image)
  if _is_wide(image):
    grey, alpha = _wide_grey(image)
    return Picture(np.repeat(grey[..., None], 3, axis=-1), alpha, mode)
  colour, alpha_image = _split_alpha(image)
  alpha = None if alpha_image is None else np.asarray(alpha_image, np.float32) / 255
  rgb = np.array(colour)
  return Picture(rgb if compact else as_float(rgb), alpha, mode)


def decode_rgb(
  picture: str | os.PathLike | Record, *, min_side: int | None = None,
  max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Decodes one picture file for training: quick, 8 bits, transparency laid on white.

  Args:
    picture: the file's path, or a record of a shard.
    min_side: in pixels; a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its
      shorter side stays at least this long. None decodes at full size.
    max_pixels: the largest width × height accepted, in pixels.

  Returns:
    [H, W, 3] uint8 sRGB, upright.

  Raises:
    InputError: as read_picture.
    OSError: a record's bytes can't be had.
  """
  return np.array(decode_image(picture, min_side=min_side, max_pixels=max_pixels))


def decode_image(
  picture: str | os.PathLike | Record, *, min_side: int | None = None,
  max_pixels: int = MAX_PIXELS
) -> Image.Image:
  """As decode_rgb, but returns a Pillow image of mode RGB.

  For a caller that cuts a crop out of it: copying a whole picture into an array takes as long
  as decoding it.
  """
  with _opened(picture, max_pixels) as image:
    shorter = min(image.size)
    if min_side is not None and shorter > min_side:
      image.draft(None, tuple(-(-side * min_side // shorter) for side in image.size))
    image = _upright(image)
    if _is_wide(image):
      grey, alpha = _wide_grey(image)
      if alpha is not None:
        grey = grey * alpha + (1 - alpha)
      return Image.fromarray(np.rint(grey * 255).astype(np.uint8)).convert("RGB")
    colour, alpha_image = _split_alpha(image)
    if alpha_image is not None:
      white = Image.new("RGB", colour.size, (255, 255, 255))
      colour = Image.composite(colour, white, alpha_image)
    return colour


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
  """(width, height) in pixels, upright, from the file's header; raises as read_picture."""
  with _opened(path, MAX_PIXELS) as image:
    return image.size[::-1] if _orientation(image) in _LYING else image.size


def read_pages(
  path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Picture, Fraction | None]]:
  """Every image of a file that may hold several, as Pillow finds them.

  GIF and APNG, whose images are pieces of frames, are read by `stylejax.images.animation`.

  Args:
    path: the file.
    max_pixels: the largest width × height accepted, in pixels.

  Yields:
    (Picture as of read_picture, seconds for which the file says it is shown or None).

  Raises:
    InputError: as read_picture.
  """
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    with _opened(path, max_pixels) as image:
      for number in range(_page_count(image)):
        image.seek(number)
        _check_pixels(image, path, max_pixels)  # a later page may be larger than the first
        picture = _picture(image, compact=False)  # also reads how long it is shown
        milliseconds = image.info.get("duration")
        yield picture, None if milliseconds is None else Fraction(milliseconds) / 1000


@dataclasses.dataclass(frozen=True)
class Pages:
  """What a file's header says of its images.

  Attributes:
    form: Pillow's name of the format.
    count: how many images there are; of a GIF or PNG, pieces of frames and a hidden image too.
    plays: how often an animation is shown; 0 is for ever.
    has_alpha: whether they have transparency.
  """

  form: str
  count: int
  plays: int
  has_alpha: bool


def describe_pages(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Pages:
  """Opens a file without decoding it; raises as read_picture."""
  with _opened(path, max_pixels) as image:
    return Pages(image.format, _page_count(image), image.info.get("loop", 0),
                 image.has_transparency_data)


def _page_count(image: Image.Image) -> int:
  # The further images of a JPEG (MPO) are thumbnails, depths and gain maps.
  return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


@contextlib.contextmanager
def _opened(path: str | os.PathLike | Record, max_pixels: int) -> Iterator[Image.Image]:
  """Opens the file lazily; whatever goes wrong inside the block leaves as an InputError."""
  # Outside of the block: bytes that can't be had are no fault of the picture's.
  data = None if isinstance(path, str | os.PathLike) else path.read()
  try:
    if (len(data) if data is not None else _file_size(path)) == 0:
      raise InputError(f"{path}: found an empty file (0 bytes), {_EXPECTED}")
    with _open_unlimited(Path(path) if data is None else io.BytesIO(data)) as image:
      _check_pixels(image, path, max_pixels)
      yield image
  except InputError:
    raise
  except (FileNotFoundError, NotADirectoryError):
    raise InputError(f"{path}: found no such file, {_EXPECTED}") from None
  except PermissionError:
    raise InputError(f"{path}: found a file that may not be read, {_EXPECTED}") from None
  except Image.UnidentifiedImageError:
    raise InputError(f"{path}: found a file that is not a picture, {_EXPECTED}") from None
  except Exception as error:  # Decoders meet hostile bytes with nearly every exception type.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"{path}: found a damaged picture ({reason}), {_EXPECTED}") from error


def _check_pixels(image: Image.Image, path: object, max_pixels: int) -> None:
  """InputError for a picture of more pixels, as its header says; nothing is decoded."""
  width, height = image.size
  if width * height > max_pixels:
    raise InputError(
      f"{path}: found {width}×{height} pixels ({width * height / 1e6:.0f} megapixels), "
      f"expected at most {max_pixels / 1e6:g} megapixels"
    )


def _file_size(path: str | os.PathLike) -> int:
  """Bytes of an ordinary file; InputError for anything else."""
  status = os.stat(path)
  if stat.S_ISDIR(status.st_mode):
    raise InputError(f"{path}: found a folder, {_EXPECTED}")
  if not stat.S_ISREG(status.st_mode):
    raise InputError(f"{path}: found a special file, {_EXPECTED}")
  return status.st_size


def _open_unlimited(file: Path | io.BytesIO) -> Image.Image:
  """Image.open without Pillow's own size limit, which is lower than ours and warns on stderr."""
  # The limit is a global of Pillow, so it is put back at once; opening reads the header only.
  with _open_lock:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      return Image.open(file, formats=_CODECS)
    finally:
      Image.MAX_IMAGE_PIXELS = limit


def _upright(image: Image.Image) -> Image.Image:
  """Decodes the pixels and undoes the EXIF orientation."""
  image.load()
  orientation = _orientation(image)
  return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _orientation(image: Image.Image) -> int:
  try:
    return image.getexif().get(_ORIENTATION_TAG, 1)
  except Exception:  # Broken EXIF says nothing about the pixels.
    return 1


def _is_wide(image: Image.Image) -> bool:
  """Whether the pixels are single numbers of more than 8 bits."""
  return image.mode.startswith("I") or image.mode == "F"


def _wide_grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
  """Grey [H, W] float32 in [0, 1] of a picture of wide numbers, and its alpha or None."""
  values = np.asarray(image)
  alpha = None
  transparent = image.info.get("transparency")
  if isinstance(transparent, int):
    alpha = (values != transparent).astype(np.float32)
  values = values.astype(np.float64)
  if image.mode == "F":
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    full = max(1.0, values.max())
  else:
    # Mode I (32 bits) mostly carries 16-bit data; larger numbers mean that all bits are used.
    full = 65535 if values.max() <= 65535 else 2**31 - 1
  return np.clip(values / full, 0, 1).astype(np.float32), alpha


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
  """The colour as an 8-bit sRGB image, and alpha as an 8-bit image or None."""
  grey = image.mode in _GREY_MODES
  profile = image.info.get("icc_profile")
  alpha = None
  if image.has_transparency_data:
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    image = image.convert("RGB")
  if image.mode == "LAB":
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"), alpha
  if profile:
    # A profile must fit the kind of numbers: grey data takes a grey or an RGB profile.
    wanted = "CMYK" if image.mode == "CMYK" else "L" if grey else "RGB"
    for mode in dict.fromkeys((wanted, "RGB" if grey else wanted)):
      transform = _to_srgb(bytes(profile), mode)
      if transform is not None:
        return transform.apply(image.convert(mode)), alpha
  return (image if image.mode == "RGB" else image.convert("RGB")), alpha


@functools.lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
  """The transform from a profile to sRGB; None when there is nothing to do or it can't be done."""
  try:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if _PROFILE_MODES.get(source.profile.xcolor_space.strip()) != mode:
      return None
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB")
    if mode == "CMYK":
      return transform
    # Most profiles are sRGB under some name: on these the transform would only add rounding.
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    image = Image.fromarray(probe).convert(mode)
    before = np.asarray(image.convert("RGB"), np.int16)
    after = np.asarray(transform.apply(image), np.int16)
    return None if np.abs(after - before).max() <= 2 else transform
  except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
    return None
