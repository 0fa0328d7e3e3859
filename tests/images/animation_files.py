"""Animations written byte by byte, and readers of written files, for the tests of this folder.

Expected values come from FFmpeg through PyAV for GIF and APNG, from libwebp through Pillow for
WebP.
"""

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import GifImagePlugin, Image

from stylejax.images.frame import Frame
from stylejax.images.frames import Source, writer

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE = (RED, GREEN, BLUE, WHITE)
NONE = (0, 0, 0, 0)
FORMATS = (".gif", ".webp", ".png")
NTSC = Fraction(1001, 24_000)
LENGTHS = {
  "1 fps": [1] * 5,
  "23.976 fps": [NTSC] * 48,
  "25 fps": [Fraction(1, 25)] * 10,
  "30 fps": [Fraction(1, 30)] * 60,
  "60 fps": [Fraction(1, 60)] * 60,
  "120 fps": [Fraction(1, 120)] * 120,
  "1000 fps": [Fraction(1, 1000)] * 500,
  "varying": [Fraction(n, 1000) for n in (17, 33, 250, 17, 1, 1, 1, 480, 21, 3)],
  "long last": [Fraction(1, 10)] * 3 + [3],
  "one frame": [Fraction(7, 4)],
  "12 minutes": [Fraction(1, 10), 720, Fraction(1, 10)],
}


def gif_codes(numbers):
  """The pixels' codes, as Pillow's encoder makes them for a still image."""
  image = Image.frombytes("P", numbers.shape[::-1], numbers.tobytes())
  data = b"".join(GifImagePlugin.getdata(image))
  return data[data.index(b",") + 10 :]


def gif(size, images, *, palette=PALETTE, background=3, loops=None, end=b";"):
  """A GIF of (left, top, numbers, hundredths, disposal, transparent or None)."""
  table = np.array(palette, np.uint8).tobytes()
  out = [
    b"GIF89a",
    struct.pack("<HHBBB", *size, 0x80 | (len(palette).bit_length() - 2), background, 0),
    table,
  ]
  if loops is not None:
    out.append(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loops, 0))
  for left, top, numbers, hundredths, disposal, transparent in images:
    flags = disposal << 2 | (transparent is not None)
    out.append(b"!\xf9\x04" + struct.pack("<BHBB", flags, hundredths, transparent or 0, 0))
    out.append(b"," + struct.pack("<HHHHB", left, top, *numbers.shape[::-1], 0))
    out.append(gif_codes(numbers))
  return b"".join(out) + end


def png_chunk(kind, body):
  return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_rows(pixels):
  """A PNG's compressed pixels, each row without a filter."""
  if pixels.dtype == np.uint16:
    pixels = pixels.astype(">u2")
  return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def apng_file(size, frames, *, color=6, depth=8, plays=0, hidden=None, extra=b""):
  """An APNG of (left, top, pixels, (delay, parts), dispose, blend)."""
  out = [
    b"\x89PNG\r\n\x1a\n",
    png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)),
    extra,
    png_chunk(b"acTL", struct.pack(">II", len(frames), plays)),
  ]
  if hidden is not None:
    out.append(png_chunk(b"IDAT", png_rows(hidden)))
  number = 0
  for left, top, pixels, delay, dispose, blend in frames:
    height, width = pixels.shape[:2]
    out.append(
      png_chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, left, top, *delay, dispose, blend)
      )
    )
    number += 1
    if number == 1 and hidden is None:
      out.append(png_chunk(b"IDAT", png_rows(pixels)))
    else:
      out.append(png_chunk(b"fdAT", struct.pack(">I", number) + png_rows(pixels)))
      number += 1
  return b"".join(out) + png_chunk(b"IEND", b"")


def plain(value, side=4):
  return np.full((side, side), value, np.uint8)


def rgba(color, side=4):
  return np.full((side, side, 4), (*color, 255)[:4] if len(color) == 3 else color, np.uint8)


def patched(base, *patches):
  """[4, 4, 4] of one color with 2×2 squares of others at (left, top)."""
  image = rgba(base)
  for (left, top), color in patches:
    image[top : top + 2, left : left + 2] = rgba(color, 2)
  return image


def read(path, rate=25):
  notes = []
  source = Source(path, rate, on_note=notes.append)
  return source, list(source), notes


def as_rgba(frame):
  """[H, W, 4] uint8, the color of invisible pixels 0."""
  alpha = np.ones(frame.rgb.shape[:2]) if frame.alpha is None else frame.alpha
  pixels = np.concatenate([frame.rgb, alpha[..., None]], -1)
  return np.where(alpha[..., None] > 0, np.rint(pixels * 255), 0).astype(np.uint8)


def by_ffmpeg(path):
  with av.open(str(path)) as file:
    actual = [frame.to_ndarray(format="rgba") for frame in file.decode(video=0)]
  return [np.where(frame[..., 3:] > 0, frame, 0) for frame in actual]


def film(lengths, side=16, seed=0):
  """Frames of noise, each shown for the given seconds."""
  rng, seconds, frames = np.random.default_rng(seed), Fraction(0), []
  for length in lengths:
    frames.append(Frame(rng.random((side, side, 3), np.float32), seconds, Fraction(length)))
    seconds += Fraction(length)
  return frames


class FakeSource:
  """The attributes of a source that `writer` reads."""

  def __init__(self, *, has_alpha=False, plays=0, timed=True):
    self.has_alpha, self.plays, self.timed = has_alpha, plays, timed
    self.notes, self.video = [], None

  def note(self, line):
    self.notes.append(line)


def write(path, frames, **settings):
  source = FakeSource(**settings)
  with writer(path, source, frames[0].rgb.shape) as target:
    for frame in frames:
      target.write(frame)
  return source.notes


def written_lengths(path):
  """Seconds of each frame, by FFmpeg; of a WebP by its ANMF chunks (WebP container, "ANMF")."""
  if path.suffix != ".webp":
    with av.open(str(path)) as file:
      return [packet.duration * packet.time_base for packet in file.demux(video=0) if packet.size]
  data, at, actual = path.read_bytes(), 12, []
  while at < len(data):
    kind, length = struct.unpack_from("<4sI", data, at)
    if kind == b"ANMF":
      actual.append(Fraction(int.from_bytes(data[at + 20 : at + 23], "little"), 1000))
    at += 8 + length + length % 2
  return actual


def decoded(path):
  """All frames, by a decoder other than ours."""
  if path.suffix != ".webp":
    return by_ffmpeg(path)
  image, actual = Image.open(path), []
  for number in range(image.n_frames):
    image.seek(number)
    actual.append(np.asarray(image.convert("RGBA")))
  return actual


def moving(count=6, side=(24, 31)):
  """Noise in which only a square moves, back and forth; the fourth frame repeats the third."""
  rng = np.random.default_rng(1)
  base, frames = rng.integers(0, 256, (*side, 3)).astype(np.uint8), []
  for number in range(count):
    pixels = base.copy()
    at = (0, 3, 1, 1, 5, 2)[number]
    pixels[3 + at : 8 + at, 2 * at : 2 * at + 5] = (250, 20 * at, 5)
    frames.append(pixels)
  return frames
