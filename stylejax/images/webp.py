"""Animated WebP files: reading frame lengths, and writing frames losslessly one at a time.

Pillow encodes the pixels, and reads such files with libwebp. Its own animation writer is not used:
with Pillow 13.0.0 and libwebp 1.6.0, identical frames become one image without a length, lossy
frames flicker twice as much as before, and all frames are kept in memory.
"""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images.apng import with_channels
from stylejax.images.gif import changed_box

_ALPHA, _ANIMATED, _NO_BLENDING = 0x10, 0x02, 0x02


def read_lengths(data: bytes) -> list[Fraction]:
  """The length of each frame in seconds, according to the file; empty for a still image."""
  return [
    Fraction(int.from_bytes(body[12:15], "little"), 1000)
    for kind, body in _chunks(data)
    if kind == b"ANMF"
  ]


class WebpFilm:
  """Writes frames as a WebP, each as it comes: the rectangle that changed, losslessly."""

  def __init__(self, file: Path, height: int, width: int, *, alpha: bool, plays: int = 0):
    """Frames may have invisible pixels if `alpha`; they are shown `plays` times, 0 is forever."""
    self._channels = 4 if alpha else 3
    self._before: np.ndarray | None = None
    self._file = open(file, "w+b")  # noqa: SIM115 — closed by close()
    extended = struct.pack(
      "<BxxxHBHB", _ANIMATED | (_ALPHA if alpha else 0), *_u24(width - 1), *_u24(height - 1)
    )
    control = struct.pack("<IH", 0, min(plays, 0xFFFF))
    self._file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", extended) + _chunk(b"ANIM", control))

  def add(self, pixels: np.ndarray, seconds: Fraction) -> None:
    """Adds a frame, [H, W, 3 or 4] uint8 (alpha last), shown for a whole number of milliseconds."""
    pixels = with_channels(pixels, self._channels)
    rows, columns = slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
    if self._before is not None:
      rows, columns = changed_box((self._before != pixels).any(-1))
    # Offsets are stored in units of two pixels.
    rows, columns = (slice(span.start // 2 * 2, span.stop) for span in (rows, columns))
    self._before = pixels
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[rows, columns])).save(
      encoded, "WEBP", lossless=True, exact=True
    )
    frame = struct.pack(
      "<HBHBHBHBHBB",
      *_u24(columns.start // 2),
      *_u24(rows.start // 2),
      *_u24(columns.stop - columns.start - 1),
      *_u24(rows.stop - rows.start - 1),
      *_u24(round(seconds * 1000)),
      _NO_BLENDING,
    )
    self._file.write(_chunk(b"ANMF", frame + _image_chunks(encoded.getvalue())))

  def finish(self) -> None:
    """Writes the file's size into its header, and closes it."""
    size = self._file.tell() - 8
    if size > 0xFFFFFFFE:
      raise InputError(
        f"output: found {size / 2**30:.1f} GiB of frames, expected at most 4 GiB in "
        "a WebP; write a video or a .png"
      )
    self._file.seek(4)
    self._file.write(struct.pack("<I", size))
    self.close()

  def close(self) -> None:
    """Closes the file as it is; does nothing after `finish`."""
    self._file.close()


def _u24(number: int) -> tuple[int, int]:
  return number & 0xFFFF, number >> 16


def _chunk(kind: bytes, body: bytes) -> bytes:
  return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
  """Yields (kind, body) of each chunk."""
  at, view = 12, memoryview(data)
  while at + 8 <= len(data):
    kind, length = struct.unpack_from("<4sI", data, at)
    yield kind, view[at + 8 : at + 8 + length]
    at += 8 + length + length % 2


def _image_chunks(file: bytes) -> bytes:
  """The pixel chunks of a WebP with one image, without its header and metadata."""
  return b"".join(
    _chunk(kind, bytes(body)) for kind, body in _chunks(file) if kind in (b"ALPH", b"VP8 ", b"VP8L")
  )
