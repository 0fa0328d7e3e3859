"""GIF files: finding their frames, and writing animations with one palette.

Pillow encodes and decodes the pixels. Its own animation reader is not used: version 13.0.0 gives a
frame without a disposal method that of the frame before, and fills what the first frame doesn't
cover with the palette's first color. Its writer truncates delays to hundredths and keeps all frames
in memory.
"""

import functools
import struct
import tempfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image

from stylejax.errors import InputError
from stylejax.images.palette import ColorCounts
from stylejax.images.patches import Layout, Patch

_DISPOSALS = {2: "clear", 3: "restore", 4: "restore"}
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def read_layout(data: bytes, name: str) -> Layout:
  """Finds the frames of a GIF.

  As in browsers, the header's background color and pixel shape are ignored, an image that extends
  beyond the edge is clipped, and anything that is not a block ends the file. A file without a loop
  count is shown once; a count of n means n more times, and 0 forever.

  Args:
    data: the whole file.
    name: what messages call it.

  Raises:
    InputError: the file ends inside a block, or holds no image.
  """
  reader = _Reader(data, name)
  while reader.block():
    pass
  if not reader.patches:
    raise InputError(f"{name}: found a damaged GIF without an image, expected frames")
  return Layout(
    reader.width,
    reader.height,
    reader.plays,
    tuple(reader.patches),
    reader.has_alpha,
    notes=tuple(reader.notes),
  )


class _Reader:
  """Parses a GIF block by block."""

  def __init__(self, data: bytes, name: str):
    self._data, self._name, self._at = data, name, 6
    self.patches, self.notes, self.plays, self.has_alpha = [], [], 1, False
    self._control = bytes(4)
    self.width, self.height, flags, _, _ = struct.unpack("<HHBBB", self._take(7))
    self._table = self._color_table(flags)

  def block(self) -> bool:
    """Reads one block; False at the end."""
    if self._at >= len(self._data):
      return False
    match self._take(1):
      case b"!":
        self._extension()
      case b",":
        self._image()
      case b";":
        return False
      case other:
        self.notes.append(
          f"{self._name}: found the byte {other[0]} after frame "
          f"{len(self.patches)} where a block of a GIF was expected; what follows "
          "is left out, as in browsers"
        )
        return False
    return True

  def _take(self, count: int) -> bytes:
    self._at += count
    if self._at > len(self._data):
      raise InputError(
        f"{self._name}: found a damaged image (the file ends inside frame "
        f"{len(self.patches) + 1}), expected a whole GIF"
      )
    return self._data[self._at - count : self._at]

  def _color_table(self, flags: int) -> bytes:
    return self._take(3 << (flags & 7) + 1) if flags & 0x80 else b""

  def _sub_blocks(self) -> list[bytes]:
    blocks = []
    while count := self._take(1)[0]:
      blocks.append(self._take(count))
    return blocks

  def _extension(self) -> None:
    label = self._take(1)[0]
    blocks = self._sub_blocks()
    if label == 0xF9 and blocks and len(blocks[0]) >= 4:
      self._control = blocks[0]
    elif label == 0xFF and _is_loop(blocks):
      loops = int.from_bytes(blocks[1][1:3], "little")
      self.plays = loops + 1 if loops else 0

  def _image(self) -> None:
    left, top, width, height, flags = struct.unpack("<HHHHB", self._take(9))
    table = self._color_table(flags) or self._table
    start = self._at
    self._take(1)  # LZW minimum code size
    while count := self._take(1)[0]:
      self._take(count)
    packed, delay, transparent = struct.unpack("<BHB", self._control[:4])
    self._control = bytes(4)
    number = len(self.patches) + 1
    if not self.patches:  # Some files have a logical screen smaller than their first frame.
      self.width, self.height = max(self.width, left + width), max(self.height, top + height)
    elif left + width > self.width or top + height > self.height:
      self.notes.append(
        f"{self._name}: frame {number} reaches beyond the edge of "
        f"{self.width}×{self.height} pixels and is cut off there, as in browsers"
      )
    if not self.patches and (width, height) != (self.width, self.height):
      self.has_alpha = True
    dispose = _DISPOSALS.get(packed >> 2 & 7, "keep")
    if packed & 1 or dispose == "clear" or (dispose == "restore" and not self.patches):
      self.has_alpha = True
    build = functools.partial(
      _single,
      (width, height),
      flags & 0x40,
      table,
      transparent if packed & 1 else None,
      memoryview(self._data)[start : self._at],
    )
    self.patches.append(
      Patch(
        f"{self._name}, frame {number}",
        build if width and height else None,
        left,
        top,
        Fraction(delay, 100),
        dispose,
        over=True,
      )
    )


def _single(
  size: tuple[int, int], interlaced: int, table: bytes, transparent: int | None, codes: memoryview
) -> bytes:
  """The bytes of a GIF that one image fills."""
  flags = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
  control = b"" if transparent is None else b"!\xf9\x04\x01\0\0" + bytes([transparent, 0])
  return b"".join(
    (
      b"GIF89a",
      struct.pack("<HHBBB", *size, flags, 0, 0),
      table,
      control,
      b",",
      struct.pack("<HHHHB", 0, 0, *size, interlaced),
      codes,
      b";",
    )
  )


class GifFilm:
  """Writes frames as a GIF with one palette, chosen when all frames have been added.

  Until then, frames are compressed into an unnamed temporary file in the output's folder. Without
  alpha, each frame stores only what changed since the one before; with alpha, all visible pixels.

  Attributes:
    partial: whether any pixel was partly transparent; it is written as visible if its alpha is at
      least half, else as invisible.
  """

  def __init__(self, file: Path, height: int, width: int, *, alpha: bool, plays: int = 0):
    """Frames may have invisible pixels if `alpha`; they are shown `plays` times, 0 is forever."""
    self.partial = False
    self._file, self._shape, self._alpha, self._plays = file, (height, width), alpha, plays
    # Closed by close().
    self._spool = tempfile.TemporaryFile(dir=file.parent)  # noqa: SIM115
    self._counts, self._frames = ColorCounts(), []

  def add(self, pixels: np.ndarray, seconds: Fraction) -> None:
    """Adds a frame, [H, W, 3 or 4] uint8 (alpha last), shown for a whole number of hundredths."""
    if self._alpha and pixels.shape[-1] == 4:
      alpha = pixels[..., 3]
      self.partial |= bool(((alpha > 0) & (alpha < 255)).any())
      self._counts.add(pixels[alpha >= 128][:, :3])
    else:
      self._counts.add(pixels.reshape(-1, pixels.shape[-1])[:, :3])
    packed = zlib.compress(np.ascontiguousarray(pixels), 1)
    self._frames.append((len(packed), pixels.shape, round(seconds * 100)))
    self._spool.write(packed)

  def finish(self) -> None:
    """Writes the file."""
    palette = self._counts.palette(256 if self._counts.distinct == 256 and not self._alpha else 255)
    free = len(palette.colors)  # the transparent index, which shows the frame below
    numbers = None
    with open(self._file, "wb") as file:
      self._write_header(file, palette.colors)
      for pixels, hundredths in self._waiting():
        before, numbers = numbers, palette.numbers(pixels[..., :3], before=numbers)
        if self._alpha:
          shown = numbers
          if pixels.shape[-1] == 4:
            shown = np.where(pixels[..., 3] >= 128, numbers, free).astype(np.uint8)
          _write_image(file, shown, (0, 0), hundredths, 2, free)
        else:
          patch, corner = _changed(before, numbers, free if free < 256 else None)
          _write_image(file, patch, corner, hundredths, 1, free if free < 256 else None)
      file.write(b";")
    self.close()

  def close(self) -> None:
    """Deletes the waiting frames; does nothing after `finish`."""
    self._spool.close()

  def _waiting(self):
    self._spool.seek(0)
    for size, shape, hundredths in self._frames:
      data = zlib.decompress(self._spool.read(size))
      yield np.frombuffer(data, np.uint8).reshape(shape), hundredths

  def _write_header(self, file: BinaryIO, colors: np.ndarray) -> None:
    height, width = self._shape
    bits = max(1, len(colors).bit_length() if len(colors) < 256 else 8)
    file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0 | bits - 1, 0, 0))
    file.write(colors.tobytes().ljust(3 << bits, b"\0"))
    if self._plays != 1:
      loops = max(self._plays - 1, 0)
      file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", min(loops, 0xFFFF), 0))


def _changed(
  before: np.ndarray | None, numbers: np.ndarray, free: int | None
) -> tuple[np.ndarray, tuple[int, int]]:
  """The rectangle of a frame that differs from the one before, and its (left, top).

  Unchanged pixels inside it become `free`, which compresses well; None keeps them.
  """
  if before is None:
    return numbers, (0, 0)
  differs = before != numbers
  box = changed_box(differs)
  patch = numbers[box]
  if free is not None:
    patch = np.where(differs[box], patch, free).astype(np.uint8)
  return patch, (box[1].start, box[0].start)


def changed_box(differs: np.ndarray) -> tuple[slice, slice]:
  """(rows, columns) of the smallest rectangle around what is True in [H, W]; never empty."""
  spans = []
  for axis in (1, 0):
    places = np.flatnonzero(differs.any(axis)).tolist()
    spans.append(slice(places[0], places[-1] + 1) if places else slice(0, 1))
  return tuple(spans)


def _write_image(
  file: BinaryIO,
  numbers: np.ndarray,
  corner: tuple[int, int],
  hundredths: int,
  disposal: int,
  transparent: int | None,
) -> None:
  image = Image.frombytes("P", numbers.shape[::-1], np.ascontiguousarray(numbers).tobytes())
  settings = {} if transparent is None else {"transparency": transparent}
  file.writelines(
    GifImagePlugin.getdata(image, corner, duration=hundredths * 10, disposal=disposal, **settings)
  )


def _is_loop(blocks: list[bytes]) -> bool:
  """Whether the blocks of an application extension give a loop count."""
  return len(blocks) > 1 and blocks[0] in _LOOPS and len(blocks[1]) >= 3 and blocks[1][0] & 7 == 1
