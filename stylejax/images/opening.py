"""Opens an image file with Pillow: which decoders are allowed, and which files are refused and why.

Decoding is in decode.py. Only headers are read here, except for checksums and for a PNG with
unreadable text chunks.
"""

import contextlib
import functools
import importlib.util
import io
import mmap
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.depth import stored_bits
from stylejax.images.gray_alpha import open_gray_alpha
from stylejax.images.heif import is_heif, open_heif
from stylejax.images.heif_items import cut_and_pixels
from stylejax.images.profiles import jp2_profile, nclx
from stylejax.images.tiff_directory import describe
from stylejax.runtime.extras import install_command

EXPECTED = f"expected an image ({formats.names(formats.READ_IMAGES)})"

# Decoders are listed so that a file's bytes can't reach one that runs other programs (EPS).
_CODECS = tuple(row.codec for row in formats.READ_IMAGES if row.codec != "HEIF")
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BLOCK = 1 << 20  # bytes read at a time
_REMARKS = (b"tEXt", b"zTXt", b"iTXt")
_DNG_VERSION, _SUBFILE_TYPE = 50706, 254  # tags of TIFF
# By Pillow's name for an unpacker of low-bit gray to 8 bits: the 8-bit step between two levels.
_GRAY_STEPS = {"L;2": 85, "L;4": 17}
_open_lock = threading.Lock()


class Refused(InputError):
  """A recognized kind of image that is refused; the text says what was found."""


def is_image(path: Path) -> bool:
  """Whether a file's first bytes are those of an image, even a damaged one, whatever its name."""
  head = _first_bytes(path, 32)
  Image.init()
  return is_heif(path) or any(Image.OPEN[codec][1](head) is True for codec in _available())


def open_image(file: Path | io.BytesIO) -> Image.Image:
  """Opens an image lazily, recognized by its bytes, without Pillow's own pixel limit.

  Raises:
    Refused: a kind of image that would be decoded wrongly, or that needs another package.
    PIL.UnidentifiedImageError: the file is not an image.
    Exception: whatever a decoder raises for a damaged file.
  """
  try:
    image = _open_unlimited(file)
  except (Image.UnidentifiedImageError, ValueError) as error:
    image = _open_otherwise(file, error)
  forget_xmp(image)
  if image.format == "TIFF":
    # Pillow 13.0 memory-maps uncompressed pixels of a named file with the size after rotation
    # (ImageFile.load), not the stored one: images with EXIF orientation 5 to 8 come out scrambled.
    image.filename = ""
    _refuse_raw(image)
  elif image.format == "AVIF":
    head = _first_bytes(file, 1 << 16)
    image.info.update(nclx=nclx(head), stored_bits=stored_bits("AVIF", head))
    place = image.fp.tell()
    cut, pixels = cut_and_pixels(image.fp, *image.size)
    image.info.update(cut=cut, pixel_shape=pixels)
    image.fp.seek(place)
  elif image.format == "JPEG2000":
    image.info["stored_bits"] = stored_bits("JPEG2000", _first_bytes(file, 1 << 16))
    if profile := jp2_profile(image.fp):
      image.info["icc_profile"] = profile
  elif image.format == "PNG":
    _scale_transparent_gray(image)
    for kind in _REMARKS:  # text chunks after the pixels are met while decoding
      setattr(image.png, f"chunk_{kind.decode()}", _skip(image.png))
  return image


def _scale_transparent_gray(image: Image.Image) -> None:
  """Scales tRNS of 2- and 4-bit gray to the 8 bits of the decoded pixels; Pillow 13.0 doesn't.

  Source: PNG, third edition, 11.3.1.1: the value has as many bits as the stored pixels.
  """
  layout, level = image.tile[0].args if image.tile else None, image.info.get("transparency")
  if layout in _GRAY_STEPS and isinstance(level, int):
    image.info["transparency"] = level * _GRAY_STEPS[layout] & 0xFF


def forget_xmp(image: Image.Image) -> None:
  """Drops an opened page's XMP, from which Pillow 13.0 takes the orientation if EXIF has none.

  Browsers and viewers rotate by EXIF alone (CSS Images 3, image-orientation: from-image).
  """
  for name in ("xmp", "XML:com.adobe.xmp"):
    image.info.pop(name, None)


def _open_otherwise(file: Path | io.BytesIO, error: Exception) -> Image.Image:
  """Opens a file that Pillow alone can't open; raises `error` if nothing else can either."""
  if is_heif(file):
    try:
      return open_heif(file)
    except ImportError:
      raise Refused(
        f"a HEIC image and no package to decode it ({install_command('heif')})"
      ) from None
  head = _first_bytes(file, 8)
  if head[:4] in _TIFF:
    if (image := open_gray_alpha(file)) is not None:
      return image
    raise Refused(f"a damaged TIFF or one of a kind that can't be read{tiff_kind(file)}") from None
  if head == _PNG:
    # Pillow 13.0 refuses a PNG if a text chunk or its profile is too long or broken.
    data = file.getvalue() if isinstance(file, io.BytesIO) else file.read_bytes()
    for dropped in (_REMARKS, (*_REMARKS, b"iCCP")):
      with contextlib.suppress(Image.UnidentifiedImageError, ValueError):
        image = _open_unlimited(io.BytesIO(_without_chunks(data, dropped)))
        image.info["profile_ignored"] = b"iCCP" in dropped
        return image
  raise error


def tiff_kind(file: Path | io.BytesIO) -> str:
  """The kind of a TIFF in parentheses; "" for other files or if its directory can't be read."""
  try:
    if _first_bytes(file, 4) not in _TIFF:
      return ""
    if isinstance(file, io.BytesIO):
      return f" ({describe(file.getvalue())})"
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
      return f" ({describe(data)})"
  except (ValueError, KeyError, IndexError, struct.error, OSError):
    return ""


def _open_unlimited(file: Path | io.BytesIO) -> Image.Image:
  """Image.open without Pillow's own size limit, which is lower than ours and warns on stderr."""
  # Pillow's limit is a global, so it is restored at once; opening only reads the header.
  with _open_lock:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      return Image.open(file, formats=_available())
    finally:
      Image.MAX_IMAGE_PIXELS = limit


@functools.cache
def _available() -> Sequence[str]:
  """The decoders that the installed Pillow has; AVIF came with 11.3."""
  has_avif = importlib.util.find_spec("PIL.AvifImagePlugin") is not None
  return [codec for codec in _CODECS if codec != "AVIF" or has_avif]


def _skip(png: PngImagePlugin.PngStream):
  def skip(pos: int, length: int) -> bytes:
    png.fp.seek(pos + length)
    return b""

  return skip


def check_checksums(image: Image.Image) -> None:
  """Raises ValueError if a critical chunk of an opened, not yet decoded PNG is damaged.

  Pillow 13.0 ignores the checksums of the pixels (PngImagePlugin.load_read), and a wrong byte in
  them usually decodes to wrong colors.
  """
  file = image.fp
  if image.format != "PNG" or file is None:
    return
  at = file.tell()
  try:
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
      length, kind = struct.unpack(">I4s", head)
      if kind[0] & 0x20:  # lower case: an ancillary chunk, which the image doesn't need
        file.seek(length + 4, io.SEEK_CUR)
        continue
      checksum = zlib.crc32(kind)
      while length and (block := file.read(min(length, _BLOCK))):
        checksum, length = zlib.crc32(block, checksum), length - len(block)
      if length or file.read(4) != struct.pack(">I", checksum):
        what = "the file is truncated" if length else "a wrong checksum"
        raise ValueError(f"{what} in {kind.decode('latin-1')}")
      if kind == b"IEND":
        return
  finally:
    file.seek(at)


def _without_chunks(data: bytes, kinds: Sequence[bytes]) -> bytes:
  """The bytes of a PNG file without chunks of these kinds."""
  parts, at = [_PNG], len(_PNG)
  while at + 8 <= len(data):
    length, kind = struct.unpack_from(">I4s", data, at)
    if kind not in kinds:
      parts.append(data[at : at + 12 + length])
    at += 12 + length
  return b"".join(parts)


def _refuse_raw(image: Image.Image) -> None:
  """Refuses a camera's raw file, in which a TIFF reader first finds a small preview."""
  tags = image.tag_v2
  if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
    image.close()
    raise Refused("a camera's raw file (or a TIFF that starts with a preview)")


def _first_bytes(file: Path | io.BytesIO, count: int) -> bytes:
  if isinstance(file, io.BytesIO):
    return file.getvalue()[:count]
  with file.open("rb") as opened:
    return opened.read(count)
