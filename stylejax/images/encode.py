"""Prepares images for the networks and writes their results: scaling, encoding.

Decoding one file is in `stylejax.images.decode`; nothing here touches a device.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.decode import DecodedImage, as_float, read_image
from stylejax.images.formats import OUTPUT_FORMATS
from stylejax.runtime.files import replacing

MIN_SIDE = 16
"""Shortest image side that the networks can process, in pixels."""

STYLE_SIZE = 320
"""Default shorter side of a style, in pixels."""

_AROUND = 32  # pixels of wrap-around padding for the resize filter
_STYLE_STEP = 32
_STYLE_MAX_ASPECT = 4


def read(
  path: Path, *, compact: bool = False, on_note: Callable[[str], None] = lambda note: None
) -> DecodedImage:
  """Reads an image with `read_image` and checks that it is large enough for the networks.

  Calls on_note with a line for everything in the file that was not used. Raises InputError.
  """
  image = read_image(path, compact=compact)
  check_side(image, path)
  for note in image.notes:
    on_note(f"{path}: {note}")
  return image


def check_side(image: DecodedImage, path: Path) -> None:
  """Raises InputError if a side is shorter than MIN_SIDE pixels."""
  height, width = image.rgb.shape[:2]
  if min(height, width) < MIN_SIDE:
    raise InputError(
      f"{path}: found {width}×{height} pixels, expected at least {MIN_SIDE}×{MIN_SIDE}"
    )


def check_output_size(path: Path, height: int, width: int, *, frames: int = 1) -> None:
  """Raises InputError if a side exceeds the limit of path's format, or the area MAX_PIXELS."""
  row = formats.written_as(path.suffix, rows=(*formats.WRITTEN_IMAGES, *formats.ANIMATIONS))
  if row is not None and row.kind == "image":
    width *= frames
  check_pixels(f"output {path}", height, width)
  limit = row.max_side if row is not None else None
  if limit is not None and max(height, width) > limit:
    raise InputError(
      f"output {path}: found {width}×{height} pixels, expected at most {limit} a "
      "side in this format; write a .png or use --size"
    )


def check_pixels(what: str, height: int, width: int) -> None:
  """Raises InputError for an image of more than MAX_PIXELS, before memory is allocated for it."""
  if height * width > formats.MAX_PIXELS:
    raise InputError(
      f"{what}: found {width}×{height} pixels, expected at most "
      f"{formats.MAX_PIXELS // 1_000_000} megapixels; use a smaller --size"
    )


def fit_shorter_side(height: int, width: int, shorter: int) -> tuple[int, int]:
  """(height, width) scaled so that the shorter side is `shorter`, keeping the aspect ratio."""
  scale = shorter / min(height, width)
  return max(shorter, round(height * scale)), max(shorter, round(width * scale))


def resize(image: DecodedImage, height: int, width: int) -> DecodedImage:
  """Resizes an image to height × width pixels with a Lanczos filter, widened for downscaling.

  Colors are weighted by alpha, so that colors under transparent pixels don't bleed out.
  """
  if image.rgb.shape[:2] == (height, width):
    return image
  rgb, alpha = as_float(image.rgb), image.alpha
  if alpha is None:
    return DecodedImage(_resize(rgb, height, width), None, image.mode)
  small_alpha = _resize(alpha[..., None], height, width)
  weighted = _resize(rgb * alpha[..., None], height, width) / np.maximum(small_alpha, 1 / 255)
  hidden = _resize(rgb, height, width)
  small = np.where(small_alpha > 1 / 255, np.clip(weighted, 0, 1), hidden)
  return DecodedImage(small.astype(np.float32), small_alpha[..., 0], image.mode)


def resize_around(rgb: np.ndarray, height: int, width: int, axes: str) -> np.ndarray:
  """Like `resize`, for pixels [H, W, 3] that wrap around along `axes`: "x", "y" or "xy"."""
  margins = [_AROUND if axis in axes else 0 for axis in "yx"]
  margins = [min(margin, side) for margin, side in zip(margins, rgb.shape)]
  rgb = as_float(rgb)
  (top, left), (rows, columns) = margins, rgb.shape[:2]
  around = np.pad(rgb, ((top, top), (left, left), (0, 0)), mode="wrap")
  return _resize(around, height, width, (left, top, left + columns, top + rows))


def style_pixels(image: DecodedImage, shorter: int) -> np.ndarray:
  """Scales and crops a style image for the style encoder.

  Transparency plays no part: invisible pixels have the colors of their visible neighbors, as
  `read_image` gives them. The image is cropped at the center so that its longer side is at most 4
  times the shorter one and, after scaling, a multiple of 32 pixels. This hardly changes its
  statistics, and lets many styles share few compilations.

  Args:
    image: the style.
    shorter: the shorter side after scaling up or down, in pixels; a larger one gives larger
      strokes.

  Returns:
    [h, w, 3] float32 in [0, 1], min(h, w) = shorter.
  """
  rgb = as_float(image.rgb)
  limit = _STYLE_MAX_ASPECT * min(rgb.shape[:2])
  rgb = cut_middle(rgb, min(rgb.shape[0], limit), min(rgb.shape[1], limit))
  height, width = fit_shorter_side(rgb.shape[0], rgb.shape[1], shorter)
  rgb = resize(DecodedImage(rgb, None, image.mode), height, width).rgb
  step = {side: max(shorter, side // _STYLE_STEP * _STYLE_STEP) for side in (height, width)}
  return cut_middle(rgb, step[height], step[width])


def on_white(image: DecodedImage) -> np.ndarray:
  """The image's colors, [H, W, 3], with transparency laid on white."""
  rgb = as_float(image.rgb)
  if image.alpha is None:
    return rgb
  alpha = image.alpha[..., None]
  return rgb * alpha + (1 - alpha)


def alpha_note(alpha: np.ndarray | None, path: str | os.PathLike) -> str | None:
  """A note if the image has transparency but the output's format doesn't support it; else None."""
  form = formats.written_as(Path(path).suffix)
  if alpha is None or form is None or form.codec != "JPEG" or alpha.min() == 1:
    return None
  return f"its transparency is laid on white: {form.name} has none"


def write_image(
  path: str | os.PathLike, rgb: np.ndarray, *, alpha: np.ndarray | None = None, quality: int = 95
) -> Path:
  """Writes one image atomically, in sRGB with 8 bits a channel.

  Args:
    path: the file; its extension chooses PNG, JPEG or WebP. An existing file is replaced.
    rgb: [H, W, 3] float in [0, 1], values outside are clipped; or uint8.
    alpha: [H, W] float in [0, 1] or None. JPEG has no alpha: the image is laid on white.
    quality: 1 to 100 for JPEG and WebP; WebP at 100 is lossless. PNG is always lossless.

  Returns:
    The path.

  Raises:
    InputError: the extension isn't supported, the image has too many pixels for the format, or it
      contains NaN or infinity.
    OSError: the folder is missing or can't be written to.
  """
  path = Path(path)
  if path.suffix.lower() not in OUTPUT_FORMATS:
    raise InputError(
      f"output {path}: found extension {path.suffix!r}, expected " + ", ".join(OUTPUT_FORMATS)
    )
  form = OUTPUT_FORMATS[path.suffix.lower()]
  check_output_size(path, *rgb.shape[:2])
  check_finite(path, rgb)
  if alpha is not None and form == "JPEG":
    rgb, alpha = on_white(DecodedImage(rgb, alpha, "")), None
  pixels = as_bytes(rgb)
  if alpha is not None:
    pixels = np.concatenate([pixels, as_bytes(alpha)[..., None]], -1)
  settings = {
    "PNG": {"compress_level": 4},
    # Full chroma resolution: subsampling smears the edges of saturated strokes.
    "JPEG": {"quality": quality, "subsampling": 0},
    # `exact` keeps the colors under transparent pixels, as PNG does.
    "WEBP": {"quality": quality, "lossless": quality == 100, "exact": True},
  }.get(form, {})
  encoded = io.BytesIO()
  Image.fromarray(pixels).save(encoded, form, **settings)
  with replacing(path) as temporary:
    temporary.write_bytes(encoded.getbuffer())
  return path


def as_bytes(values: np.ndarray) -> np.ndarray:
  """Converts floats in [0, 1] to uint8, clipping values outside; returns uint8 unchanged."""
  if values.dtype == np.uint8:
    return values
  return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def check_finite(path: Path, rgb: np.ndarray) -> None:
  """Raises InputError if the image to be written to `path` contains NaN or infinity."""
  if rgb.dtype != np.uint8 and not np.isfinite(rgb).all():
    raise InputError(
      f"output {path}: found NaN or infinity in the image, expected numbers in "
      "[0, 1]; the weights may be damaged"
    )


def resize_plane(plane: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes [H, W] float32 in [0, 1] like `resize`."""
  if plane.shape == (height, width):
    return plane
  return _resize(plane[..., None], height, width)[..., 0]


def _resize(
  array: np.ndarray, height: int, width: int, box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
  """Resizes [H, W, C] float32 in [0, 1], or a box of it, to [height, width, C] in [0, 1]."""
  channels = [
    np.asarray(
      Image.fromarray(np.ascontiguousarray(array[..., c], np.float32)).resize(
        (width, height), Image.Resampling.LANCZOS, box=box
      )
    )
    for c in range(array.shape[-1])
  ]
  # Lanczos overshoots [0, 1] at hard edges.
  return np.clip(np.stack(channels, -1), 0, 1)


def cut_middle(array: np.ndarray, height: int, width: int) -> np.ndarray:
  """Crops [H, W, ...] to its center height × width pixels."""
  top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
  return array[top : top + height, left : left + width]
