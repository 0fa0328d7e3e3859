"""APNG files: finding their frames, and writing frames one at a time.

Pillow encodes and decodes the pixels. Its own animation reader is not used: version 13.0.0 draws a
default image that is not part of the animation, blends what follows with it, and clears to the
palette's first color. Its writer keeps all frames in memory.
"""

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images.gif import changed_box
from stylejax.images.patches import Layout, Patch

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DISPOSALS = ("keep", "clear", "restore")
# Chunks that describe the whole image or the animation. Every patch gets a copy of all others and
# a header of its own.
_NOT_OF_PATCHES = (b"IHDR", b"acTL", b"eXIf", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"bKGD")


def read_layout(data: bytes, name: str) -> Layout | None:
  """Finds the frames of an APNG; None for a PNG that holds one image.

  An image before the first frame control is for viewers without animation support; it is no frame.

  Args:
    data: the whole file.
    name: what messages call it.

  Raises:
    InputError: the file is truncated, or a frame is out of order or outside the image.
  """
  if data[:8] != _SIGNATURE or not _is_animated(data):
    return None
  reader = _Reader(name)
  for kind, body in _chunks(data, name):
    reader.chunk(kind, body)
  reader.end_frame()
  if not reader.patches:
    return None
  return Layout(
    reader.width,
    reader.height,
    reader.plays,
    tuple(reader.patches),
    reader.has_alpha,
    reader.orientation,
  )


def _is_animated(data: bytes) -> bool:
  """Whether an animation control chunk comes before the first pixels."""
  at = 8
  while at + 12 <= len(data):
    length, kind = struct.unpack_from(">I4s", data, at)
    if kind in (b"acTL", b"IDAT"):
      return kind == b"acTL"
    at += 12 + length
  return False


def _damaged(name: str, reason: str) -> InputError:
  return InputError(f"{name}: found a damaged image ({reason}), expected a whole APNG")


def _chunks(data: bytes, name: str) -> Iterator[tuple[bytes, memoryview]]:
  """Yields (type, body) of each chunk of a PNG, up to IEND."""
  at, view = 8, memoryview(data)
  while True:
    if at + 12 > len(data):
      raise _damaged(name, "the file is truncated")
    length, kind = struct.unpack_from(">I4s", data, at)
    body = view[at + 8 : at + 8 + length]
    if at + 12 + length > len(data):
      raise _damaged(name, "the file is truncated")
    if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(body, zlib.crc32(kind)):
      raise _damaged(name, f"a wrong checksum in {kind.decode('latin-1')}")
    at += 12 + length
    if kind == b"IEND":
      return
    yield kind, body


class _Reader:
  """Collects an APNG's frames from its chunks, given in order."""

  def __init__(self, name: str):
    self._name = name
    self.patches, self.plays, self.orientation = [], 0, 1
    self.width = self.height = 0
    self.has_alpha = False
    self._header, self._shared = b"", []
    self._control, self._bodies, self._next = None, [], 0

  def chunk(self, kind: bytes, body: memoryview) -> None:
    if kind == b"IHDR":
      self._header = bytes(body)
      self.width, self.height, _, color = struct.unpack_from(">IIBB", body)
      self.has_alpha = bool(color & 4)
    elif kind == b"acTL":
      self.plays = struct.unpack_from(">II", body)[1]
    elif kind == b"fcTL":
      self.end_frame()
      self._in_order(body)
      self._control = bytes(body)
    elif kind == b"IDAT":
      if self._control is not None:
        self._bodies.append(body)
    elif kind == b"fdAT":
      self._in_order(body)
      if self._control is None:
        raise _damaged(self._name, "a frame's data without its frame control")
      self._bodies.append(body[4:])
    elif kind == b"eXIf":
      exif = Image.Exif()
      exif.load(bytes(body))
      self.orientation = exif.get(0x0112, 1)
    elif kind not in _NOT_OF_PATCHES and not self._bodies:
      self.has_alpha |= kind == b"tRNS"
      self._shared.append((kind, body))

  def _in_order(self, body: memoryview) -> None:
    if len(body) < 4 or struct.unpack_from(">I", body)[0] != self._next:
      raise _damaged(self._name, f"frames out of order after frame {len(self.patches)}")
    self._next += 1

  def end_frame(self) -> None:
    """Makes a patch of what was collected since the last frame control."""
    if self._control is None:
      return
    number = len(self.patches) + 1
    if len(self._control) < 26 or not self._bodies:
      raise _damaged(self._name, f"frame {number} without pixels")
    width, height, left, top, delay, parts, dispose, blend = struct.unpack_from(
      ">IIIIHHBB", self._control, 4
    )
    if not (width and height) or left + width > self.width or top + height > self.height:
      raise _damaged(
        self._name,
        f"frame {number} of {width}×{height} pixels at ({left}, {top}) in "
        f"an image of {self.width}×{self.height}",
      )
    dispose = _DISPOSALS[dispose] if dispose < 3 else "keep"
    if not self.patches:
      self.has_alpha |= (width, height) != (self.width, self.height)
      dispose = "clear" if dispose == "restore" else dispose
    self.has_alpha |= dispose == "clear"
    header = struct.pack(">II", width, height) + self._header[8:]
    build = functools.partial(_single, header, tuple(self._shared), tuple(self._bodies))
    self.patches.append(
      Patch(
        f"{self._name}, frame {number}",
        build,
        left,
        top,
        Fraction(delay, parts or 100),
        dispose,
        over=blend == 1,
      )
    )
    self._control, self._bodies = None, []


def _single(header: bytes, shared: tuple, bodies: tuple) -> bytes:
  """The bytes of a PNG that holds one frame."""
  chunks = [(b"IHDR", header), *shared, *((b"IDAT", body) for body in bodies), (b"IEND", b"")]
  return _SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def chunk(kind: bytes, body: bytes) -> bytes:
  """The bytes of a PNG chunk, with its length and checksum."""
  checksum = zlib.crc32(body, zlib.crc32(kind))
  return b"".join((struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)))


class ApngFilm:
  """Writes frames as an APNG, each as it comes: the rectangle that changed, losslessly."""

  def __init__(self, file: Path, height: int, width: int, *, alpha: bool, plays: int = 0):
    """Frames may have invisible pixels if `alpha`; they are shown `plays` times, 0 is forever."""
    self._shape, self._channels, self._plays = (height, width), 4 if alpha else 3, plays
    self._before, self._frames, self._sequence = None, 0, 0
    self._file = open(file, "w+b")  # noqa: SIM115 — closed by close()

  def add(self, pixels: np.ndarray, seconds: Fraction) -> None:
    """Adds a frame, [H, W, 3 or 4] uint8 (alpha last); `seconds` is a ratio of 16-bit integers."""
    pixels = with_channels(pixels, self._channels)
    box = (slice(0, self._shape[0]), slice(0, self._shape[1]))
    if self._before is not None:
      box = changed_box((self._before != pixels).any(-1))
    self._before = pixels
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[box])).save(encoded, "PNG", compress_level=4)
    rows, columns = box
    control = struct.pack(
      ">IIIIIHHBB",
      self._number(),
      columns.stop - columns.start,
      rows.stop - rows.start,
      columns.start,
      rows.start,
      seconds.numerator,
      seconds.denominator,
      0,
      0,
    )
    first = self._frames == 0
    for kind, body in _chunks(encoded.getvalue(), "frame"):
      if kind == b"IHDR" and first:
        self._file.write(_SIGNATURE + chunk(kind, body) + self._animation())
      if kind == b"IHDR":
        self._file.write(chunk(b"fcTL", control))
      elif kind == b"IDAT":
        self._file.write(
          chunk(kind, body) if first else chunk(b"fdAT", struct.pack(">I", self._number()) + body)
        )
    self._frames += 1

  def _number(self) -> int:
    self._sequence += 1
    return self._sequence - 1

  def _animation(self) -> bytes:
    return chunk(b"acTL", struct.pack(">II", self._frames, min(self._plays, 0x7FFFFFFF)))

  def finish(self) -> None:
    """Ends the file and writes the number of frames at its start."""
    self._file.write(chunk(b"IEND", b""))
    self._file.seek(len(_SIGNATURE) + 25)
    self._file.write(self._animation())
    self.close()

  def close(self) -> None:
    """Closes the file as it is; does nothing after `finish`."""
    self._file.close()


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
  """Gives pixels [H, W, 3 or 4] uint8 this many channels: an alpha that is added is opaque."""
  if pixels.shape[-1] == channels:
    return pixels
  return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
