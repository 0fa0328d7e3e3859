"""The color space that a file declares, and the conversion from it to sRGB.

LittleCMS applies ICC profiles at 8 bits; for deeper images, a profile's curves and matrix are
evaluated here. PNG's cICP, sRGB, gAMA and cHRM chunks and AVIF's and HEIF's nclx use color.py.
"""

import dataclasses
import functools
import io
import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms

from stylejax.images import color
from stylejax.images.boxes import descend

_LCMS_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_UNSPECIFIED = 2
# BT.709 and similar values are taken as sRGB, as players and screens do with SDR video.
_LIKE_SRGB = ("srgb", "bt709")
_GAMMA_TOLERANCE = 0.05  # as in libpng: a gAMA of 1/2.2 stands for sRGB's curve
_STRIP = 2_000_000  # pixels that are converted at once
_SAME_LEVELS = 2  # a profile that changes no level by more counts as sRGB
_COLOR_SPACE, _EXIF, _INTEROPERABILITY, _INDEX = 40961, 34665, 40965, 1  # tags of EXIF
_NOT_READ = "its ICC profile can't be read and is ignored"


@dataclasses.dataclass(frozen=True)
class Coded:
  """A color space given by primaries and transfer function instead of an ICC profile.

  Attributes:
    primaries: a name in color.PRIMARIES, or (x, y) of red, green, blue and white.
    transfer: a name in color.TO_LINEAR, or the exponent that gives linear light.
    full_range: whether 0 and 1 are black and white; otherwise 16/255 and 235/255 are.
  """

  primaries: str | tuple[tuple[float, float], ...]
  transfer: str | float
  full_range: bool = True

  @property
  def is_srgb(self) -> bool:
    """Whether there is nothing to convert."""
    return self.primaries == "bt709" and self.transfer == "srgb" and self.full_range


# Adobe RGB (1998) Color Image Encoding, 4.3.1 and 4.3.4: red, green, blue, white, the exponent.
_ADOBE_RGB = Coded(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290)), 563 / 256)


def coded_by_cicp(primaries: int, transfer: int, *, full_range: bool = True) -> Coded | None:
  """The color space of ITU-T H.273 code points; None if both are unknown or unspecified."""
  if primaries not in color.CICP_PRIMARIES and transfer not in color.CICP_TRANSFERS:
    return None
  curve = color.CICP_TRANSFERS.get(transfer, "srgb")
  return Coded(
    color.CICP_PRIMARIES.get(primaries, "bt709"),
    "srgb" if curve in _LIKE_SRGB else curve,
    full_range,
  )


def color_space(image: Image.Image) -> bytes | Coded | None:
  """The color space that an opened image declares: an ICC profile, a Coded, or None (sRGB).

  The first one present counts: cICP, the ICC profile, PNG's sRGB, gAMA with cHRM (PNG, third
  edition, section 4.3). An ICC profile takes precedence over nclx (ISO/IEC 23000-22).
  """
  info = image.info
  coded = None
  if image.format == "PNG":
    coded = _cicp_chunk(image)
    if coded is not None:
      return coded
    coded = None if "srgb" in info else _gamma_chunks(info)
  elif image.format in ("AVIF", "HEIF"):
    coded = info.get("nclx")
  elif image.format in ("JPEG", "MPO") and image.mode == "RGB" and _is_adobe_rgb(image):
    coded = _ADOBE_RGB
  profile = info.get("icc_profile")
  if profile:
    return bytes(profile)
  return None if coded is None or coded.is_srgb else coded


def _is_adobe_rgb(image: Image.Image) -> bool:
  """Whether EXIF says "Adobe RGB" without a profile, as with Canon's and other cameras.

  Source: DCF 2.0 (CIPA DC-009), 4: the interoperability index is R03 and ColorSpace isn't sRGB.
  """
  try:
    tags = image.getexif()
    index = tags.get_ifd(_INTEROPERABILITY).get(_INDEX, "")
    return str(index).strip("\0 ") == "R03" and tags.get_ifd(_EXIF).get(_COLOR_SPACE) != 1
  except Exception:  # broken EXIF says nothing
    return False


def _cicp_chunk(image: Image.Image) -> Coded | None:
  """The cICP chunk of a PNG, which Pillow ignores."""
  file = image.fp
  if file is None:
    return None
  at = file.tell()
  try:
    file.seek(8)
    while len(head := file.read(8)) == 8:
      length, kind = struct.unpack(">I4s", head)
      if kind in (b"IDAT", b"IEND"):
        return None
      if kind == b"cICP" and length == 4:
        primaries, transfer, matrix, full = file.read(4)
        return coded_by_cicp(primaries, transfer, full_range=bool(full)) if matrix == 0 else None
      file.seek(length + 4, io.SEEK_CUR)
    return None
  finally:
    file.seek(at)


def _gamma_chunks(info: dict) -> Coded | None:
  """The color space that gAMA and cHRM describe; None without gAMA."""
  gamma = info.get("gamma")
  if not gamma or not 0.01 < gamma < 10:
    return None
  primaries = "bt709"
  if chromaticity := info.get("chromaticity"):
    white, *points = zip(chromaticity[::2], chromaticity[1::2], strict=True)
    points = (*points, white)
    if np.abs(np.subtract(points, color.PRIMARIES["bt709"])).max() > 0.002:
      primaries = points
      try:
        color.to_bt709_matrix(points)
      except ValueError:
        return None
  like_srgb = abs(gamma * 2.2 - 1) < _GAMMA_TOLERANCE and primaries == "bt709"
  return Coded(primaries, "srgb" if like_srgb else 1 / gamma)


def nclx(head: bytes) -> Coded | None:
  """The color space in the first bytes of an AVIF file (its first colr box of type nclx)."""
  at = head.find(b"colrnclx")
  if at < 0 or len(head) < at + 15:
    return None
  primaries, transfer = struct.unpack(">HH", head[at + 8 : at + 12])
  return coded_by_cicp(primaries, transfer)  # decoders return full range


def jp2_profile(file: BinaryIO) -> bytes | None:
  """The ICC profile in the first colr box of an opened JPEG 2000 file; None if there is none.

  Pillow 13.0 doesn't read it. Source: ISO/IEC 15444-1, I.5.3.3; 15444-2, M.11.7.3 for method 3.
  """
  at = file.tell()
  try:
    end = file.seek(0, io.SEEK_END)
    for start, stop in descend(file, (b"jp2h", b"colr"), 0, end):
      file.seek(start)
      body = file.read(stop - start)
      return body[3:] if body[:1] in (b"\2", b"\3") else None
    return None
  finally:
    file.seek(at)


def from_coded(values: np.ndarray, space: Coded) -> np.ndarray:
  """Converts values [H, W, 3], uint8 or float32 in [0, 1], to sRGB float32, tone-mapping HDR."""
  transfer = space.transfer
  if not isinstance(transfer, str):
    exponent = transfer
    transfer = lambda x: np.maximum(x, 0) ** np.float32(exponent)  # noqa: E731

  def numbers(strip: np.ndarray) -> np.ndarray:
    floats = strip.astype(np.float32) / 255 if strip.dtype == np.uint8 else strip
    return floats if space.full_range else np.clip((floats * 255 - 16) / 219, 0, 1)

  rows = max(1, _STRIP // values.shape[1])
  strips = [values[top : top + rows] for top in range(0, values.shape[0], rows)]
  peak = None
  if transfer in color.HDR_TRANSFERS:
    matrix = color.to_bt709_matrix(color.PRIMARIES[space.primaries])
    peak = max(
      float((color.TO_LINEAR[transfer](numbers(strip)) @ matrix.T).max()) for strip in strips
    )
  return np.concatenate(
    [
      color.to_srgb(numbers(strip), primaries=space.primaries, transfer=transfer, peak=peak)
      for strip in strips
    ]
  )


def space_note(space: object) -> list[str]:
  """A note, in a list, on tone mapping or on colors that many programs show differently."""
  if isinstance(space, Coded) and space.transfer in color.HDR_TRANSFERS:
    return [f"HDR ({space.transfer.upper()}) is tone-mapped to sRGB"]
  if space is _ADOBE_RGB:
    return ["its colors are Adobe RGB, as its EXIF says, and are converted to sRGB"]
  return []


def from_icc(
  image: Image.Image, profile: bytes, gray: bool
) -> tuple[Image.Image | np.ndarray, list[str]]:
  """Converts an 8-bit image without alpha to sRGB; also returns notes on its profile.

  A gray image with a gray profile becomes [H, W, 3] float32 in [0, 1], because LittleCMS at 8 bits
  is up to ten levels off in the shadows of a linear profile.
  """
  if gray and (table := _gray_table(profile)) is not None:
    levels = table[np.asarray(image.convert("L"))]
    return np.repeat(levels[..., None], 3, -1), []
  # A profile must match the image's mode: gray images take a gray or an RGB profile.
  wanted = "CMYK" if image.mode == "CMYK" else "L" if gray else "RGB"
  modes = tuple(dict.fromkeys((wanted, "RGB" if gray else wanted)))
  mode, transform = _lcms_transform(profile, modes)
  if transform is not None:
    return transform.apply(image.convert(mode)), []
  return image.convert("RGB"), [] if mode else [_NOT_READ]


@functools.lru_cache(maxsize=16)
def _gray_table(profile: bytes) -> np.ndarray | None:
  """The sRGB values [256] float32 of a gray profile's levels; None if not needed or unusable."""
  levels = np.linspace(0, 1, 256, dtype=np.float32)
  try:
    curves, matrix = _curves_and_matrix(profile)
    table = _numbers(curves[0](levels))
  except (ValueError, IndexError, KeyError, struct.error):
    return None
  near = np.abs(table - levels).max() * 255 <= _SAME_LEVELS
  return None if matrix is not None or near else table


@functools.lru_cache(maxsize=16)
def _lcms_transform(
  profile: bytes, modes: tuple[str, ...]
) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
  """(mode, transform to sRGB): the transform is None for sRGB, both are None if it's unusable."""
  try:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _LCMS_MODES.get(source.profile.xcolor_space.strip())
    if mode not in modes:
      return None, None
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB")
    if mode == "CMYK":
      return mode, transform
    # Most profiles are sRGB under some name; for these, a transform would only add rounding.
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    image = Image.fromarray(probe).convert(mode)
    before = np.asarray(image.convert("RGB"), np.int16)
    after = np.asarray(transform.apply(image), np.int16)
    return mode, None if np.abs(after - before).max() <= _SAME_LEVELS else transform
  except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
    return None, None


def wide_from_icc(values: np.ndarray, profile: bytes) -> tuple[np.ndarray, list[str]]:
  """Converts [H, W] gray or [H, W, 3] RGB of more than 8 bits to sRGB; also returns notes.

  The profile's curves and matrix are evaluated in floating point. A profile with lookup tables
  (rare for screens and cameras) is applied by LittleCMS at 8 bits.
  """
  gray = values.ndim == 2
  try:
    curves, matrix = _curves_and_matrix(profile)
  except (ValueError, IndexError, KeyError, struct.error):
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    mode, transform = _lcms_transform(profile, ("L", "RGB") if gray else ("RGB",))
    if transform is None:
      return values, [] if mode else [_NOT_READ]
    return np.asarray(transform.apply(image.convert(mode)), np.float32) / 255, []
  if gray and matrix is None:
    return _numbers(curves[0](values)), []
  if matrix is None:  # a gray profile on a color image
    return values, [_NOT_READ]
  if gray:
    values = np.repeat(values[..., None], 3, -1)
  light = np.stack([curve(values[..., c]) for c, curve in enumerate(curves)], -1)
  return _numbers(light @ matrix.T), []


def _numbers(light: np.ndarray) -> np.ndarray:
  """Converts linear light to sRGB values; a profile's curves may give NaN or any other number."""
  return color.linear_to_srgb(np.clip(np.nan_to_num(light), 0, 1))


def _curves_and_matrix(profile: bytes) -> tuple[list[Callable], np.ndarray | None]:
  """An ICC profile's curves to linear light and its matrix to linear sRGB (None for gray).

  Raises:
    ValueError, KeyError, IndexError, struct.error: the profile is of another kind or damaged.
  """
  kind, space = profile[36:40], profile[16:20]
  if kind != b"acsp" or space not in (b"RGB ", b"GRAY"):
    raise ValueError(space)
  (count,) = struct.unpack_from(">I", profile, 128)
  tags = {}
  for number in range(min(count, 200)):
    name, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * number)
    tags[name] = profile[start : start + length]
  if b"A2B0" in tags:
    raise ValueError("tables")
  if space == b"GRAY":
    return [_curve(tags[b"kTRC"])], None
  columns = [
    np.array(struct.unpack_from(">3i", tags[name], 8)) / 65536
    for name in (b"rXYZ", b"gXYZ", b"bXYZ")
  ]
  d50 = color.rgb_to_d50(color.PRIMARIES["bt709"])
  matrix = np.linalg.solve(d50, np.stack(columns, -1)).astype(np.float32)
  return [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")], matrix


def _curve(tag: bytes) -> Callable[[np.ndarray], np.ndarray]:
  """A curve of an ICC profile (ICC.1:2022, 10.6 and 10.18) as a function to linear light."""
  if tag[:4] == b"curv":
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
      return np.float32
    points = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
      return lambda x: (np.maximum(x, 0) ** (points[0] / 256)).astype(np.float32)
    grid = np.linspace(0, 1, count)
    return lambda x: np.interp(x, grid, points / 65535).astype(np.float32)
  if tag[:4] != b"para":
    raise ValueError(tag[:4])
  (form,) = struct.unpack_from(">H", tag, 8)
  values = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[form]}i", tag, 12)) / 65536
  g, a, b, c, d, e, f = _parameters(form, values)

  def function(x: np.ndarray) -> np.ndarray:
    return np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f).astype(np.float32)

  return function


def _parameters(form: int, v: np.ndarray) -> tuple[float, ...]:
  """(g, a, b, c, d, e, f) of a parametric curve: (aX + b)^g + e for X ≥ d, and cX + f below."""
  if form == 0:
    return v[0], 1, 0, 0, 0, 0, 0
  if form in (1, 2):
    if v[1] == 0:
      raise ValueError("a curve without a slope")
    offset = v[3] if form == 2 else 0
    return v[0], v[1], v[2], 0, -v[2] / v[1], offset, offset
  if form == 3:
    return *v, 0, 0
  return tuple(v)
