"""Pixels of more than 8 bits: 16-bit gray and colors, 32-bit and floating-point gray.

Pillow has no mode for 16-bit colors and keeps the high byte. Here its decoders run twice, for the
high and for the low bytes. A TIFF's tags say what its numbers mean.
"""

import io
import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images.gray_alpha import GrayAlphaTiff, read_gray_alpha
from stylejax.images.opening import open_image
from stylejax.images.tiff_directory import plane

# Pillow's names for raw layouts: that of the high bytes → that of the low bytes. N is this
# machine's byte order.
_LOW_BYTES = {
  "RGB;16B": "RGB;16L",
  "RGB;16L": "RGB;16B",
  "RGB;16N": "RGB;16B",
  "RGBA;16B": "RGBA;16L",
  "RGBA;16L": "RGBA;16B",
  "RGBA;16N": "RGBA;16B",
  "RGBX;16B": "RGBX;16L",
  "RGBX;16L": "RGBX;16B",
  "RGBX;16N": "RGBX;16B",
  "RGBa;16B": "RGBA;16L",
  "RGBa;16L": "RGBA;16B",
  "RGBa;16N": "RGBA;16B",
}
_BITS, _PHOTOMETRIC, _PLANAR, _EXTRA, _FORMAT = 258, 262, 284, 338, 339  # tags of TIFF 6.0
_MAX_SAMPLE, _S_MAX_SAMPLE = 281, 341
_WHITE_IS_ZERO, _SEPARATE, _SIGNED, _TIMES_ALPHA = 0, 2, 2, 1


def is_wide(image: Image.Image) -> bool:
  """Whether an opened image, not decoded yet, has more than 8 bits a channel."""
  return (
    _is_gray_alpha(image)
    or image.mode.startswith("I")
    or image.mode == "F"
    or _layout(image) is not None
    or _is_planar(image)
    or _is_signed(image)
    or _is_ppm(image)
  )


def _is_gray_alpha(image: Image.Image) -> bool:
  return isinstance(image, GrayAlphaTiff) and image.gray_alpha


def _layout(image: Image.Image) -> str | None:
  """The raw layout of a 16-bit color image if both bytes can be decoded; None otherwise."""
  if image.format not in ("PNG", "TIFF") or not image.tile or _is_separate(image):
    return None
  layouts = {_raw_mode(tile) for tile in image.tile}
  layout = layouts.pop() if len(layouts) == 1 else None
  return layout if layout in _LOW_BYTES or layout == "LA;16B" else None


def _raw_mode(tile) -> str:
  return tile.args if isinstance(tile.args, str) else tile.args[0]


def _is_separate(image: Image.Image) -> bool:
  return image.format == "TIFF" and image.tag_v2.get(_PLANAR) == _SEPARATE


def _is_planar(image: Image.Image) -> bool:
  """Whether it is a TIFF of 16-bit colors whose channels are stored in separate planes.

  Pillow 13.0 keeps the high bytes of these or, without compression, reads the bytes of each plane
  as 8-bit pixels (TiffImagePlugin, `_setup`: the layout of a plane is "R", whatever BitsPerSample
  says), so the image comes out twice as wide and cut off.
  """
  if not (_is_separate(image) and image.tile and set(image.tag_v2.get(_BITS, ())) == {16}):
    return False
  return image.mode in ("RGB", "RGBA") or image.tile[0].codec_name == "raw"


def _is_signed(image: Image.Image) -> bool:
  """Whether it is 8-bit gray with signed numbers, which Pillow reads as unsigned."""
  return image.format == "TIFF" and image.mode == "L" and _of(image.tag_v2, _FORMAT, 1) == _SIGNED


def _is_ppm(image: Image.Image) -> bool:
  """Whether it is a PPM whose maximum is above 255, which Pillow scales to 8 bits."""
  if image.format != "PPM" or image.mode != "RGB" or not image.tile:
    return False
  codec, arguments = image.tile[0].codec_name, image.tile[0].args
  return codec in ("ppm", "ppm_plain") and arguments[1] > 255


def _ppm(image: Image.Image) -> np.ndarray:
  """Decodes such a PPM to [H, W, 3] (Netpbm's ppm(5)): the number after the size is white."""
  width, height = image.size
  image.fp.seek(image.tile[0].offset)
  if image.tile[0].codec_name == "ppm":
    numbers = np.frombuffer(image.fp.read(width * height * 6), ">u2")
  else:
    words = re.sub(rb"#[^\r\n]*", b"", image.fp.read()).split()[: width * height * 3]
    numbers = np.array(words, int)
  colors = numbers.reshape(height, width, 3).astype(np.float32)
  return np.minimum(colors / image.tile[0].args[1], 1)


def read_wide(
  image: Image.Image,
  reopen: Callable[[], Image.Image],
  upright: Callable[[Image.Image], Image.Image],
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
  """Decodes an image for which `is_wide` holds.

  Args:
    image: opened, not decoded.
    reopen: opens the same file again.
    upright: decodes an image and undoes its orientation.

  Returns:
    (values, alpha, notes): values [H, W] for gray or [H, W, 3], float32 in [0, 1], in the file's
    own color space; alpha [H, W] float32 in [0, 1] or None; lines for what was clipped.

  Raises:
    InputError: the image is of a kind that can't be read correctly.
  """
  if _is_gray_alpha(image):
    return *read_gray_alpha(image, upright), []
  if _is_planar(image):
    values, alpha = _planes(image, reopen, upright)
    return *_divided(values, alpha, image), []
  if _is_ppm(image):
    return _ppm(image), None, []
  layout = _layout(image)
  if layout is None:
    signed = _is_signed(image)
    return _gray(upright(image), signed)
  if layout == "LA;16B":
    _decode_as(image, "RGBA", "RGBA")
    both = np.asarray(upright(image)).astype(np.uint16)
    pair = (both[..., ::2] << 8 | both[..., 1::2]).astype(np.float32) / 65535
    return pair[..., 0], pair[..., 1], []
  with reopen() as other:
    _decode_as(other, other.mode, _LOW_BYTES[layout])
    if layout.startswith("RGBa"):  # divided by alpha below, with all 16 bits
      layout = layout.replace("a", "A")
      _decode_as(image, image.mode, layout)
    high, low = (np.asarray(upright(each)).astype(np.uint16) for each in (image, other))
  words = high << 8 | low
  alpha = None
  key = image.info.get("transparency")
  if isinstance(key, tuple):
    alpha = (words != np.array(key)).any(-1).astype(np.float32)
  values = words.astype(np.float32) / 65535
  if layout.startswith("RGBA"):
    values, alpha = values[..., :3], values[..., 3]
  return *_divided(np.ascontiguousarray(values[..., :3]), alpha, image), []


def _divided(
  values: np.ndarray, alpha: np.ndarray | None, image: Image.Image
) -> tuple[np.ndarray, np.ndarray | None]:
  """Divides colors by alpha if a TIFF stores them multiplied by it (ExtraSamples 1)."""
  if alpha is not None and image.format == "TIFF" and _of(image.tag_v2, _EXTRA, 0) == _TIMES_ALPHA:
    visible = alpha[..., None] > 0
    values = np.divide(values, alpha[..., None], out=np.zeros_like(values), where=visible)
    values = np.minimum(values, 1)
  return values, alpha


def _decode_as(image: Image.Image, mode: str, layout: str) -> None:
  """Makes the decoder of an image that isn't decoded yet return another raw layout."""
  image._mode = mode  # Pillow has no public name for it
  image.tile = [
    tile._replace(args=layout if isinstance(tile.args, str) else (layout, *tile.args[1:]))
    for tile in image.tile
  ]


def _planes(
  image: Image.Image,
  reopen: Callable[[], Image.Image],
  upright: Callable[[Image.Image], Image.Image],
) -> tuple[np.ndarray, np.ndarray | None]:
  """Decodes a 16-bit TIFF with one plane for each channel to [H, W, 3] and alpha or None."""
  if image.mode not in ("RGB", "RGBA"):
    raise InputError(f"a TIFF of mode {image.mode} with 16 bits in separate planes")
  planes = []
  for number, channel in enumerate(image.mode):
    with reopen() as file:
      if file.tile[0].codec_name == "raw":
        file.tile = [tile for tile in file.tile if _raw_mode(tile).upper() == channel]
        _decode_as(file, "I;16", "I;16B" if file.tag_v2.prefix == b"MM" else "I;16")
        planes.append(np.asarray(upright(file)))
      else:
        file.fp.seek(0)
        alone = plane(file.fp.read(), file.tag_v2.offset, number)
        with open_image(io.BytesIO(alone)) as gray:
          planes.append(np.asarray(upright(gray)))
  values = np.stack(planes, -1).astype(np.float32) / 65535
  return np.ascontiguousarray(values[..., :3]), values[..., 3] if image.mode == "RGBA" else None


def _gray(image: Image.Image, signed: bool) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
  """Values, alpha and notes of a decoded image with one channel."""
  numbers, notes = np.asarray(image), []
  if signed:
    numbers = numbers.view(np.int8)
  key = image.info.get("transparency")
  alpha = (numbers != key).astype(np.float32) if isinstance(key, int) else None
  tags = getattr(image, "tag_v2", {})
  if image.mode == "F":
    values = np.nan_to_num(numbers, posinf=np.finfo(np.float32).max, neginf=0.0)
    if values.max() > 1:
      notes = [f"floating-point values up to {values.max():.4g} are clipped to 1"]
  else:
    if image.mode == "I" and _of(tags, _FORMAT, 1) == 1 and _of(tags, _BITS, 0) == 32:
      numbers = numbers.view(np.uint32)  # Pillow has no mode for them
    values = numbers.astype(np.float64) / _full_scale(numbers, image, tags)
  if values.min() < 0:
    notes.append(f"values down to {numbers.min():.4g} are clipped to 0")
  values = np.clip(values, 0, 1).astype(np.float32)
  if _of(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
    values = 1 - values
  return values, alpha, notes


def _of(tags, tag: int, default: int) -> int:
  """The value of a TIFF tag, for the first channel if it has several."""
  value = tags.get(tag, default)
  if isinstance(value, tuple):
    return value[0] if value else default
  return value


def _full_scale(numbers: np.ndarray, image: Image.Image, tags) -> int:
  """The number that is white (or, where white is zero, black)."""
  bits = _of(tags, _BITS, 16 if image.mode != "I" or numbers.max() <= 65535 else 31)
  signed = _of(tags, _FORMAT, 1) == _SIGNED
  full = 2 ** (bits - 1 if signed else bits) - 1
  largest = max(_of(tags, _S_MAX_SAMPLE, 0), _of(tags, _MAX_SAMPLE, 0))
  # These tags may also hold the largest number that occurs, which is not the full scale (TIFF 6.0,
  # section 8): only the maximum of a whole number of bits is accepted, such as 4095 for 12.
  if 255 < largest < full and (int(largest) + 1).bit_count() == 1 and numbers.max() <= largest:
    return int(largest)
  # 32-bit files mostly hold 16-bit numbers, which would all be black at a scale of 32 bits.
  return 65535 if bits == 32 and numbers.max() <= 65535 else full
