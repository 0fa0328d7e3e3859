"""Pixels of more than 8 bits: 16-bit gray and colors, 32-bit and floating-point gray.

Pillow has no mode for 16-bit colors and keeps the high byte. Its decoders are asked twice here,
for the high and for the low bytes. What the numbers of a TIFF mean stands in its tags.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images.gray_alpha import GrayAlphaTiff, read_gray_alpha

# Pillow's names of what a decoder puts out: high bytes → low bytes. N is this machine's order.
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
}
_BITS, _PHOTOMETRIC, _PLANAR, _FORMAT = 258, 262, 284, 339  # tags of TIFF 6.0
_MAX_SAMPLE, _S_MAX_SAMPLE = 281, 341
_WHITE_IS_ZERO, _SEPARATE, _SIGNED = 0, 2, 2


def is_wide(image: Image.Image) -> bool:
  """Whether an opened image, not decoded yet, has more than 8 bits a channel."""
  return (
    _is_gray_alpha(image)
    or image.mode.startswith("I")
    or image.mode == "F"
    or _layout(image) is not None
    or _is_planar(image)
  )


def _is_gray_alpha(image: Image.Image) -> bool:
  return isinstance(image, GrayAlphaTiff) and image.gray_alpha


def _layout(image: Image.Image) -> str | None:
  """How a 16-bit color image's decoder puts out its bytes, if both halves can be had."""
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
  """Whether it is a TIFF of 16 bits, not compressed, whose channels lie one after the other.

  Pillow 13.0 reads the bytes of each plane as if they were pixels of 8 bits (TiffImagePlugin,
  `_setup`: the layout of a plane is "R", whatever BitsPerSample says): twice as wide, and cut off.
  """
  return (
    _is_separate(image)
    and bool(image.tile)
    and image.tile[0].codec_name == "raw"
    and set(image.tag_v2.get(_BITS, ())) == {16}
  )


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
    (values, alpha, notes): values [H, W] of gray or [H, W, 3] float32 in [0, 1], in the file's own
    color space; alpha [H, W] float32 in [0, 1] or None; a line for what was cut off.

  Raises:
    InputError: a kind of image that can't be read right.
  """
  if _is_gray_alpha(image):
    return *read_gray_alpha(image, upright), []
  if _is_planar(image):
    return _planes(image, reopen, upright), None, []
  layout = _layout(image)
  if layout is None:
    return _gray(upright(image))
  if layout == "LA;16B":
    _decode_as(image, "RGBA", "RGBA")
    both = np.asarray(upright(image)).astype(np.uint16)
    pair = (both[..., ::2] << 8 | both[..., 1::2]).astype(np.float32) / 65535
    return pair[..., 0], pair[..., 1], []
  with reopen() as other:
    _decode_as(other, other.mode, _LOW_BYTES[layout])
    high, low = (np.asarray(upright(each)).astype(np.uint16) for each in (image, other))
  words = high << 8 | low
  alpha = None
  key = image.info.get("transparency")
  if isinstance(key, tuple):
    alpha = (words != np.array(key)).any(-1).astype(np.float32)
  values = words.astype(np.float32) / 65535
  if layout.startswith("RGBA"):
    values, alpha = values[..., :3], values[..., 3]
  return np.ascontiguousarray(values[..., :3]), alpha, []


def _decode_as(image: Image.Image, mode: str, layout: str) -> None:
  """Has the decoder of an image that isn't decoded yet put out its bytes in another layout."""
  image._mode = mode  # Pillow has no public name for it
  image.tile = [
    tile._replace(args=layout if isinstance(tile.args, str) else (layout, *tile.args[1:]))
    for tile in image.tile
  ]


def _planes(
  image: Image.Image,
  reopen: Callable[[], Image.Image],
  upright: Callable[[Image.Image], Image.Image],
) -> np.ndarray:
  """[H, W, 3] of an uncompressed TIFF of 16 bits that has one plane for each channel."""
  if image.mode != "RGB":
    raise InputError(f"a TIFF of mode {image.mode} with 16 bits in separate planes")
  word = "I;16B" if image.tag_v2.prefix == b"MM" else "I;16"
  planes = []
  for channel in "RGB":
    with reopen() as plane:
      plane.tile = [tile for tile in plane.tile if _raw_mode(tile) == channel]
      _decode_as(plane, "I;16", word)
      planes.append(np.asarray(upright(plane)))
  return np.stack(planes, -1).astype(np.float32) / 65535


def _gray(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
  """Values, alpha and notes of a decoded image of single numbers."""
  numbers, notes = np.asarray(image), []
  key = image.info.get("transparency")
  alpha = (numbers != key).astype(np.float32) if isinstance(key, int) else None
  tags = getattr(image, "tag_v2", {})
  if image.mode == "F":
    values = np.nan_to_num(numbers, posinf=np.finfo(np.float32).max, neginf=0.0)
    if values.max() > 1:
      notes = [f"floating-point values up to {values.max():.4g} are cut off at 1"]
  else:
    if image.mode == "I" and _of(tags, _FORMAT, 1) == 1 and _of(tags, _BITS, 0) == 32:
      numbers = numbers.view(np.uint32)  # Pillow has no mode for them
    values = numbers.astype(np.float64) / _full_scale(numbers, image, tags)
  values = np.clip(values, 0, 1).astype(np.float32)
  if _of(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
    values = 1 - values
  return values, alpha, notes


def _of(tags, tag: int, default: int) -> int:
  """The number of a TIFF's tag, of the first channel."""
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
  # These tags may also hold the largest number that occurs, which is no scale (TIFF 6.0, section
  # 8): only what a number of bits can reach is taken for one, as 4095 of 12.
  if 255 < largest < full and (int(largest) + 1).bit_count() == 1 and numbers.max() <= largest:
    return int(largest)
  # 32-bit files mostly carry 16-bit numbers; as numbers of 32 bits all of these would be black.
  return 65535 if bits == 32 and numbers.max() <= 65535 else full
