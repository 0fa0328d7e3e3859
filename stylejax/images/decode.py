"""Decodes one image file into arrays: every mode Pillow reads, upright, in sRGB, alpha separate.

`read_image` decodes for inference and loses nothing; `decode_rgb` decodes for training and is
quick. Both also take a record of a shard. Folders, shards, crops and writing are not here.
"""

import contextlib
import dataclasses
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageCms

from stylejax.errors import InputError
from stylejax.images.alpha import fill_invisible
from stylejax.images.bmp import alpha_of_16_bits
from stylejax.images.depth import narrowed
from stylejax.images.formats import MAX_PIXELS
from stylejax.images.left_out import left_out
from stylejax.images.opening import EXPECTED, Refused, check_checksums, open_image, tiff_kind
from stylejax.images.profiles import (
  Coded,
  color_space,
  from_coded,
  from_icc,
  space_note,
  wide_from_icc,
)
from stylejax.images.wide import is_wide, read_wide

# EXIF tag 274 says how the camera was held; each value is undone by one transposition.
# ImageOps.exif_transpose is not used because it rewrites the other tags: it raises if one of them
# has an odd value (Pillow 13.0), and copies an image that is already upright.
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

_GRAY_MODES = ("1", "L", "LA", "La")


class Record(Protocol):
  """An image file inside a larger file; str() gives the name that messages use."""

  def read(self) -> bytes:
    """Returns the image file's bytes.

    Raises:
      InputError: the bytes are damaged.
      OSError: the bytes can't be read now; they may still be good.
    """


@dataclasses.dataclass(frozen=True)
class DecodedImage:
  """A decoded image, upright and in sRGB.

  Attributes:
    rgb: [H, W, 3] float32 in [0, 1], or uint8 (`read_image(..., compact=True)`); invisible pixels
      have the colors of their visible neighbors (alpha.py).
    alpha: [H, W] float32 in [0, 1], 1 is opaque; None when the file has no transparency.
    mode: the file's own Pillow mode, for example "RGB", "I;16", "P", "CMYK".
    notes: a line, without the file's name, for everything in the file that was not used.
  """

  rgb: np.ndarray
  alpha: np.ndarray | None
  mode: str
  notes: tuple[str, ...] = ()


def as_float(rgb: np.ndarray) -> np.ndarray:
  """Pixels of a DecodedImage as float32 in [0, 1]; also works on traced arrays."""
  return rgb.astype(np.float32) / 255 if rgb.dtype == np.uint8 else rgb


def read_image(
  path: str | os.PathLike | Record, *, max_pixels: int = MAX_PIXELS, compact: bool = False
) -> DecodedImage:
  """Reads one image file at full precision and size.

  EXIF orientation is applied. Colors are converted to sRGB by the ICC profile or by the format's
  own color tags (PNG, AVIF), and HDR is tone-mapped. 16 bits are kept. For an animation, the first
  frame is read.

  Args:
    path: the file, or a record of a larger one.
    max_pixels: the largest width × height accepted, in pixels.
    compact: keeps 8-bit colors as uint8, in a quarter of the memory.

  Returns:
    The DecodedImage.

  Raises:
    InputError: no such file, a folder, an empty file, not an image, damaged or too large.
  """
  with warnings.catch_warnings():
    # Pillow's warnings (odd EXIF or TIFF tags) don't help whoever passed the file.
    warnings.simplefilter("ignore", UserWarning)
    with opened_image(path, max_pixels) as opened:
      opened.notes += left_out(opened.image)
      return decoded(opened, compact)


def decoded(opened: "OpenedImage", compact: bool) -> DecodedImage:
  """Decodes an opened file, upright and in sRGB, as read_image does."""
  mode, (rgb, alpha) = opened.image.mode, _srgb(opened)
  if isinstance(rgb, Image.Image):
    rgb = np.array(rgb)
    rgb = rgb if compact else as_float(rgb)
  if isinstance(alpha, Image.Image):
    alpha = np.asarray(alpha, np.float32) / 255
  if alpha is not None:
    rgb = fill_invisible(rgb, alpha)
  return DecodedImage(rgb, alpha, mode, tuple(opened.notes))


def decode_rgb(
  image: str | os.PathLike | Record, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Decodes one image file for training: quickly, to 8 bits, with transparency laid on white.

  Args:
    image: the file's path, or a record of a shard.
    min_side: in pixels. A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its
      shorter side stays at least this long; None decodes at full size.
    max_pixels: the largest width × height accepted, in pixels.

  Returns:
    [H, W, 3] uint8 sRGB, upright.

  Raises:
    InputError: as for read_image.
    OSError: a record's bytes can't be read.
  """
  return np.array(decode_image(image, min_side=min_side, max_pixels=max_pixels))


def decode_image(
  source: str | os.PathLike | Record, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
  """Like decode_rgb, but returns a Pillow image of mode RGB.

  Use it to cut out a crop: copying a whole image into an array takes as long as decoding it.
  """
  with opened_image(source, max_pixels) as opened:
    image = opened.image
    shorter = min(image.size)
    if min_side is not None and shorter > min_side:
      image.draft(None, tuple(-(-side * min_side // shorter) for side in image.size))
    rgb, alpha = _srgb(opened)
    rgb, alpha = (
      Image.fromarray(np.rint(part * 255).astype(np.uint8))
      if isinstance(part, np.ndarray)
      else part
      for part in (rgb, alpha)
    )
    if alpha is not None:
      rgb = Image.composite(rgb, Image.new("RGB", rgb.size, (255, 255, 255)), alpha)
    return rgb


def image_size(path: str | os.PathLike) -> tuple[int, int]:
  """(width, height) in pixels, upright, from the file's header; raises like read_image."""
  with opened_image(path, MAX_PIXELS) as opened:
    return upright_size(opened.image)


def upright_size(image: Image.Image) -> tuple[int, int]:
  """(width, height) of an opened but not decoded image, after its orientation is undone."""
  # For a TIFF, Pillow reports the upright size from the start.
  lying = image.format != "TIFF" and _orientation(image) in _LYING
  left, top, right, bottom = image.info.get("cut") or (0, 0, 0, 0)
  size = image.size[0] - left - right, image.size[1] - top - bottom
  return size[::-1] if lying else size


@dataclasses.dataclass
class OpenedImage:
  """An image whose header has been read.

  Attributes:
    image: not decoded yet.
    reopen: opens the same bytes again.
    notes: lines for the user, without the file's name.
  """

  image: Image.Image
  reopen: Callable[[], Image.Image]
  notes: list[str]


@contextlib.contextmanager
def opened_image(path: str | os.PathLike | Record, max_pixels: int) -> Iterator[OpenedImage]:
  """Opens the file lazily; any exception inside the block is raised as an InputError."""
  # Outside the try block: bytes that can't be read don't mean that the image is bad.
  data = None if isinstance(path, str | os.PathLike) else path.read()
  try:
    if (len(data) if data is not None else _file_size(path)) == 0:
      raise InputError(f"{path}: found an empty file (0 bytes), {EXPECTED}")

    def reopen() -> Image.Image:
      return open_image(Path(path) if data is None else io.BytesIO(data))

    with reopen() as image:
      check_pixels(image, path, max_pixels)
      yield OpenedImage(image, reopen, [])
  except Refused as error:
    raise InputError(f"{path}: found {error}, {EXPECTED}") from None
  except InputError:
    raise
  except (FileNotFoundError, NotADirectoryError):
    raise InputError(f"{path}: found no such file, {EXPECTED}") from None
  except PermissionError:
    raise InputError(f"{path}: found no permission to read it, {EXPECTED}") from None
  except Image.UnidentifiedImageError:
    raise InputError(f"{path}: found a file that is not an image, {EXPECTED}") from None
  except Exception as error:  # On hostile bytes, decoders raise nearly every exception type.
    reason = " ".join(str(error).split()) or type(error).__name__
    packed = tiff_kind(Path(path) if data is None else io.BytesIO(data))
    other = f" or one of a kind that can't be read{packed}" if "compressed" in packed else ""
    raise InputError(f"{path}: found a damaged image{other} ({reason}), {EXPECTED}") from error


def check_pixels(image: Image.Image, path: object, max_pixels: int) -> None:
  """Raises InputError if an image's header gives more than `max_pixels`; decodes nothing."""
  width, height = image.size
  if width * height > max_pixels:
    raise InputError(
      f"{path}: found {width}×{height} pixels ({width * height / 1e6:.0f} megapixels), "
      f"expected at most {max_pixels / 1e6:g} megapixels"
    )


def _file_size(path: str | os.PathLike) -> int:
  """The size of a regular file in bytes; raises InputError for anything else."""
  status = os.stat(path)
  if stat.S_ISDIR(status.st_mode):
    raise InputError(f"{path}: found a folder, {EXPECTED}")
  if not stat.S_ISREG(status.st_mode):
    raise InputError(f"{path}: found a special file, {EXPECTED}")
  return status.st_size


def _upright(image: Image.Image) -> Image.Image:
  """Decodes the pixels, crops them as the file asks (AVIF), and undoes the EXIF orientation."""
  image.load()
  orientation = _orientation(image)
  if cut := image.info.get("cut"):
    width, height = image.size
    image = image.crop((cut[0], cut[1], width - cut[2], height - cut[3]))
  return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _orientation(image: Image.Image) -> int:
  try:
    return image.getexif().get(_ORIENTATION_TAG, 1)
  except Exception:  # Broken EXIF says nothing about the pixels.
    return 1


def _srgb(opened: OpenedImage) -> tuple[Image.Image | np.ndarray, Image.Image | np.ndarray | None]:
  """Decodes to (colors in sRGB, alpha or None), each an 8-bit image or a float32 array."""
  image, notes = opened.image, opened.notes
  check_checksums(image)
  space = color_space(image)
  notes += space_note(space)
  if is_wide(image):
    values, alpha, cut = read_wide(image, opened.reopen, _upright)
    notes += cut
    if isinstance(space, bytes):
      values, said = wide_from_icc(values, space)
      notes += said
    if values.ndim == 2:
      values = np.repeat(values[..., None], 3, -1)
    return (from_coded(values, space) if isinstance(space, Coded) else values), alpha
  notes += narrowed(image)
  box, alpha = _gif_box(image), alpha_of_16_bits(image)
  return _split_alpha(_upright(image), space, notes, box, alpha)


def _gif_box(image: Image.Image) -> tuple[int, int, int, int] | None:
  """(left, top, right, bottom) of a GIF's first frame; None if it fills the GIF, or no GIF.

  The image isn't decoded yet. What the frame doesn't cover is invisible, as in browsers; Pillow
  13.0 fills it with the palette's first color.
  """
  if image.format != "GIF" or not image.tile:
    return None
  box = tuple(image.tile[0].extents)
  return None if box == (0, 0, *image.size) else box


def _cut_to(
  box: tuple[int, int, int, int] | None, size: tuple[int, int], alpha: Image.Image | None
) -> Image.Image | None:
  """Sets alpha to 0 outside the box; without a box, returns it unchanged."""
  if box is None:
    return alpha
  cut = Image.new("L", size)
  cut.paste(255 if alpha is None else alpha.crop(box), box)
  return cut


def _split_alpha(
  image: Image.Image,
  space: bytes | Coded | None,
  notes: list[str],
  box: tuple[int, int, int, int] | None = None,
  alpha: Image.Image | None = None,
) -> tuple[Image.Image | np.ndarray, Image.Image | None]:
  """Returns the colors in sRGB, and alpha as an 8-bit image or None; appends to `notes`.

  Nothing is visible outside `box`. `alpha` is transparency that Pillow doesn't read.
  """
  gray, form = image.mode in _GRAY_MODES, image.format
  if image.has_transparency_data:
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    image = image.convert("RGB")
  if form == "BMP" and alpha is not None and alpha.getextrema() == (0, 0):
    alpha = None
    notes.append("it is fully transparent everywhere, which is ignored, as in browsers")
  alpha = _cut_to(box, image.size, alpha)
  if image.mode == "LAB":
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"), alpha
  if isinstance(space, bytes):
    rgb, said = from_icc(image, space, gray)
    notes += said
    return rgb, alpha
  rgb = image if image.mode == "RGB" else image.convert("RGB")
  return (rgb if space is None else from_coded(np.asarray(rgb), space)), alpha
