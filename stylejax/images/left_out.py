"""Notes for the user on what an opened image holds beyond what is used: pages, channels, a video.

Opening is in opening.py, decoding in decode.py; nothing here decodes pixels.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, BinaryIO, cast

from PIL.ImageFile import ImageFile

from stylejax.images.boxes import boxes
from stylejax.images.whole import jpeg_end

_SUBFILE_TYPE, _EXTRA_SAMPLES = 254, 338  # tags of TIFF
_VIDEO_BOX = b"mpvd"  # Android's Motion Photo format 1.0, for HEIC
_BRAND_BYTES = 4096  # the first box of an MP4, `ftyp`, is shorter
_SAME_SHAPE, _MAX_SHAPE = Fraction(1, 100), 10


def left_out(image: ImageFile) -> list[str]:
  """Returns a line for each part of an opened image that isn't used."""
  notes = []
  if image.info.get("profile_ignored"):
    notes.append("its ICC profile can't be read and is ignored")
  if cut := image.info.get("cut"):
    width, height = image.size
    notes.append(
      f"its {width}×{height} pixels are cropped to {width - cut[0] - cut[2]}×"
      f"{height - cut[1] - cut[3]}, as the file asks"
    )
  if shape := image.info.get("pixel_shape") or _pixel_shape(image):
    notes.append(f"its pixels of {shape[0]}:{shape[1]} are treated as square")
  if image.format == "TIFF" and (count := _further_channels(image)):
    notes.append(
      f"it has {count} more {'channel' if count == 1 else 'channels'} besides color and "
      "transparency, left out"
    )
  try:
    if image.format == "TIFF" and _has_more_pages(image):
      notes.append("it has several pages, of which the first is used")
    elif _has_more_images(image):
      notes.append("it has several images, of which the first is used")
    elif image.format in ("GIF", "PNG", "WEBP", "AVIF") and _is_animated(image):
      notes.append("it has several frames, of which the first is used; stylejax sequence uses all")
  except Exception:  # what follows the first image is damaged, but isn't used
    image.filename = ""
  if _has_video(image):
    notes.append("it has a short video besides the image (motion photo), left out")
  return notes


def _pixel_shape(image: ImageFile) -> tuple[int, int] | None:
  """(width, height) of a pixel from the file's pixel densities; None for square pixels.

  Densities are JFIF's (ITU-T T.871, 10.1), PNG's pHYs (third edition, 11.3.4.3) and TIFF's
  resolutions, such as 204 × 98 dots per inch in faxes. Browsers show such pixels as square.
  """
  info = image.info
  density = info.get("aspect") or info.get("dpi") or info.get("jfif_density") or (1, 1)
  try:
    across, down = (Fraction(number).limit_denominator(1000) for number in density)
    shape = down / across
  except (ValueError, TypeError, OverflowError, ZeroDivisionError):  # no usable densities
    return None
  if abs(shape - 1) <= _SAME_SHAPE or not 1 / _MAX_SHAPE <= shape <= _MAX_SHAPE:
    return None
  shape = shape.limit_denominator(30)
  return shape.numerator, shape.denominator


def _tags(image: ImageFile) -> Mapping[int, Any]:
  """The tags of the current page of a TIFF; empty for other formats."""
  return getattr(image, "tag_v2", {})


def _is_animated(image: ImageFile) -> bool:
  return getattr(image, "is_animated", False)


def _further_channels(image: ImageFile) -> int:
  """How many channels of a TIFF are neither color nor alpha, such as spot colors and masks."""
  extra = _tags(image).get(_EXTRA_SAMPLES, ())
  extra = extra if isinstance(extra, tuple) else (extra,)
  return len(extra) - any(kind in (1, 2) for kind in extra[:1])


def _has_more_pages(image: ImageFile) -> bool:
  """Whether a TIFF has a second page that is neither a smaller copy nor a mask."""
  try:
    for page in range(1, getattr(image, "n_frames", 1)):
      image.seek(page)
      if not _tags(image).get(_SUBFILE_TYPE, 0) & 5:
        return True
    return False
  finally:
    image.seek(0)


def _has_more_images(image: ImageFile) -> bool:
  """Whether a HEIC, JPEG or PNM holds a second image."""
  if image.format == "HEIF":
    return _is_animated(image)
  return _has_full_images(image) if image.format == "MPO" else _has_another_behind(image)


def _has_full_images(image: ImageFile) -> bool:
  """Whether an MPO has a second image of the first one's size, as from a stereo camera.

  Phones append smaller ones: previews, depth maps and gain maps (CIPA DC-007).
  """
  size = image.size
  try:
    for number in range(1, getattr(image, "n_frames", 1)):
      image.seek(number)
      if image.size == size:
        return True
    return False
  finally:
    image.seek(0)


def _has_another_behind(image: ImageFile) -> bool:
  """Whether a second image directly follows a JPEG or a binary PNM (Netpbm's ppm(5))."""
  file = image.fp
  if image.format not in ("JPEG", "PPM") or file is None:
    return False
  at = file.tell()
  try:
    if image.format == "JPEG":
      file.seek(0)
      data = file.read()
      end = jpeg_end(data)
      return end is not None and data[end : end + 3] == b"\xff\xd8\xff"
    codec, _, offset, arguments = cast(tuple[str, Any, int, Any], image.tile[0])
    if codec not in ("raw", "ppm"):
      return False
    wide = image.mode == "I" or (codec == "ppm" and arguments[1] > 255)
    width, height = image.size
    row = (width + 7) // 8 if image.mode == "1" else width * len(image.getbands()) * (1 + wide)
    file.seek(offset + row * height)
    behind = file.read(2)
    return behind[:1] == b"P" and behind[1:] in (b"1", b"2", b"3", b"4", b"5", b"6")
  finally:
    file.seek(at)


def _has_video(image: ImageFile) -> bool:
  """Whether a motion photo's video is present: an MP4 after a JPEG, or a box in a HEIC."""
  file = image.fp
  if file is None or image.format not in ("JPEG", "MPO", "HEIF"):
    return False
  at = file.tell()
  try:
    end = file.seek(0, 2)
    if image.format == "HEIF":
      return any(kind == _VIDEO_BOX for kind, _, _ in boxes(cast(BinaryIO, file), 0, end))
    file.seek(0)
    data = file.read()
    place = jpeg_end(data) or end
    while (place := data.find(b"ftyp", place + 4)) >= 0:
      if 16 <= int.from_bytes(data[place - 4 : place], "big") <= _BRAND_BYTES:
        return True
    return False
  finally:
    file.seek(at)
