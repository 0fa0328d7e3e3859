"""Videos made from raw planes, and a player independent of the package.

The player is NumPy on a decoder's output, without conversion by FFmpeg."""

import itertools
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stylejax.images import frames

av = pytest.importorskip("av", reason="videos need PyAV")

# H.273, table 4: Kr and Kb.
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def encode_patches(rgb, matrix, bits, full):
  """R'G'B' [N, 3] in [0, 1] as Y, Cb and Cr, by the formulas of H.273, section 8.3."""
  red, blue = LUMA[matrix]
  luma = rgb @ np.array([red, 1 - red - blue, blue])
  cb, cr = (rgb[:, 2] - luma) / (2 - 2 * blue), (rgb[:, 0] - luma) / (2 - 2 * red)
  if full:
    top = 2**bits - 1
    values = luma * top, cb * top + 2 ** (bits - 1), cr * top + 2 ** (bits - 1)
  else:
    scale = 2 ** (bits - 8)
    values = (16 + 219 * luma) * scale, (128 + 224 * cb) * scale, (128 + 224 * cr) * scale
  return [np.clip(np.rint(value), 0, 2**bits - 1) for value in values]


def decode_patches(frame, count):
  """Colors of `count` equal columns of an 8-bit 4:2:0 frame, as a BT.709 player shows them."""
  assert frame.format.name == "yuv420p"
  values = []
  for plane in frame.planes:
    line = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[plane.height // 2]
    values.append(line[[int((n + 0.5) * plane.width / count) for n in range(count)]].astype(float))
  luma, cb, cr = (values[0] - 16) / 219, (values[1] - 128) / 224, (values[2] - 128) / 224
  red, blue = LUMA[1]
  r, b = luma + (2 - 2 * red) * cr, luma + (2 - 2 * blue) * cb
  g = (luma - red * r - blue * b) / (1 - red - blue)
  return np.clip(np.stack([r, g, b], -1), 0, 1) * 255


def write_patches(
  path,
  rgb,
  matrix,
  tags,
  *,
  bits=8,
  full=False,
  height=64,
  width=64,
  codec="ffv1",
  options=None,
  count=2,
  pixel_format=None,
):
  """A video of columns of flat color, `width` pixels each; tags are (matrix, primaries, transfer,
  range) in H.273's numbers."""
  with av.open(str(path), "w") as file:
    stream = file.add_stream(codec, rate=10, options=options or {})
    stream.width, stream.height = width * len(rgb), height
    stream.pix_fmt = pixel_format or ("yuv420p" if bits == 8 else "yuv420p10le")
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
    for number in range(count):
      frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
      for plane, values in zip(frame.planes, encode_patches(rgb, matrix, bits, full)):
        kind = np.uint8 if bits == 8 else np.dtype("<u2")
        row = np.repeat(values, plane.width // len(rgb)).astype(kind)
        lines = np.zeros((plane.height, plane.line_size // row.itemsize), kind)
        lines[:, : len(row)] = row
        plane.update(lines.tobytes())
      frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = tags
      frame.pts, frame.time_base = number, Fraction(1, 10)
      file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
  return path


def film(
  path,
  times,
  *,
  rate=25,
  length=None,
  codec="libx264",
  options=None,
  size=(64, 48),
  setup=lambda file, stream: None,
  sound=0,
  clock=Fraction(1, 90_000),
):
  """A gray video whose n-th frame is shown at times[n] seconds; brighter by 3 levels each.

  Args:
    length: seconds of the last frame; None is 1 / rate.
    sound: seconds of an added 440 Hz tone, AAC at 48 kHz.
    setup: called before anything is written.
  """
  options = {"crf": "10", "bf": "2"} if options is None and codec == "libx264" else options or {}
  with av.open(str(path), "w") as file:
    stream = file.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = clock
    setup(file, stream)
    if sound:
      track = file.add_stream("aac", rate=48_000, layout="mono")
      wave = np.sin(2 * np.pi * 440 * np.arange(int(48_000 * sound)) / 48_000)
      samples = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None] / 4, "fltp", "mono")
      samples.sample_rate, samples.pts = 48_000, 0
      file.mux(track.encode(samples))
    lengths = {}
    ticks = [round(Fraction(time) / clock) for time in times]
    last = round(Fraction(length or Fraction(1, rate)) / clock)
    steps = [later - tick for tick, later in itertools.pairwise(ticks)] + [last]
    packets = []
    for number, (tick, step) in enumerate(zip(ticks, steps)):
      pixels = np.full((size[1], size[0], 3), 30 + 3 * number % 200, np.uint8)
      frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
      frame.pts, frame.time_base, lengths[tick] = tick, clock, step
      packets += stream.encode(frame)
    for packet in packets + list(stream.encode(None)):
      packet.duration = lengths[packet.pts]
      file.mux(packet)
    if sound:
      file.mux(track.encode(None))
  return path


def convert(content, output, rate=25):
  """What a sequence at strength 0 does: reads all frames and writes them. Returns the Source."""
  source = frames.Source(Path(content), rate, output=Path(output))
  ahead = iter(source)
  first = next(ahead)
  with frames.writer(Path(output), source, first.rgb.shape) as target:
    target.write(first)
    for frame in ahead:
      target.write(frame)
  return source


def shown(path):
  """(seconds at which frames are shown, seconds at which the last one ends), by FFmpeg."""
  with av.open(str(path)) as file:
    stream = file.streams.video[0]
    actual = [
      (frame.pts * frame.time_base, frame.duration * frame.time_base)
      for frame in file.decode(stream)
    ]
  return [time for time, _ in actual], actual[-1][0] + actual[-1][1]


def sound_of(path, track=0):
  """Decoded sound from the file's time 0 on, [samples] float; 48 kHz, mono."""
  with av.open(str(path)) as file:
    resample = av.AudioResampler("fltp", "mono", 48_000)
    pieces, start = [], None
    for frame in file.decode(file.streams.audio[track]):
      start = frame.pts * frame.time_base if start is None else start
      pieces += [piece.to_ndarray()[0] for piece in resample.resample(frame)]
    pieces += [piece.to_ndarray()[0] for piece in resample.resample(None)]
  samples, offset = np.concatenate(pieces), round(start * 48_000)
  return np.pad(samples, (offset, 0)) if offset > 0 else samples[-offset:]


@pytest.fixture(scope="session")
def video_tools():
  """The functions above, for the tests of this folder."""
  return SimpleNamespace(
    write_patches=write_patches,
    decode_patches=decode_patches,
    film=film,
    convert=convert,
    shown=shown,
    sound_of=sound_of,
  )
