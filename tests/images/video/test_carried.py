"""What frames and tracks carry besides pixels: one line says what stylized ones lack.

Sources: H.264, annex D (ATSC A/53 captions in SEI), Google's Spherical Video V2, ISO/IEC 14496-12.
"""

import struct
from fractions import Fraction

import numpy as np
import pytest

from stylejax.images import frames

STEPS = [Fraction(n, 25) for n in range(6)]


def box(kind, body):
  return struct.pack(">I4s", 8 + len(body), kind) + body


def inserted(data, path, more):
  """MP4 bytes with boxes appended to the box at a path of (type, bytes before its boxes)."""
  (kind, skipped), *deeper = path
  at, out = 0, b""
  while at < len(data):
    length, actual = struct.unpack_from(">I4s", data, at)
    body = data[at + 8 : at + length]
    if actual == kind:
      inside = inserted(body[skipped:], deeper, more) if deeper else body[skipped:] + more
      body = body[:skipped] + inside
    out += box(actual, body)
    at += length
  return out


SAMPLE_ENTRY = [(kind, 0) for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl")]
SAMPLE_ENTRY += [(b"stsd", 8), (b"avc1", 78)]
PROJECTION = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
MARKS = {
  "360°": box(b"sv3d", box(b"svhd", bytes(5)) + box(b"proj", PROJECTION)),
  "two views": box(b"st3d", bytes(4) + b"\2"),  # left and right
}


@pytest.mark.parametrize("name", MARKS)
def test_mp4_projection_and_views_are_said_to_be_left_out(video_tools, tmp_path, name):
  path = video_tools.film(tmp_path / "a.mp4", STEPS)
  assert not frames.Source(path, 25, output=tmp_path / "o.mp4").notes
  path.write_bytes(inserted(path.read_bytes(), SAMPLE_ENTRY, MARKS[name]))
  source = video_tools.convert(path, tmp_path / "o.mp4")
  assert [name in note and "left out" in note for note in source.notes] == [True]
  assert len(list(frames.Source(tmp_path / "o.mp4", 25))) == len(STEPS)


def with_captions(stream):
  """H.264 (annex B) with two bytes of CEA-608 before each image, by ATSC A/53 part 4."""
  captions = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x94\x2c\xff"
  message = b"\0\0\0\1\x06\x04" + bytes([len(captions)]) + captions + b"\x80"
  units = stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
  images = (1, 5)  # slices
  return b"".join(
    (message if unit[0] & 31 in images else b"") + b"\0\0\0\1" + unit for unit in units
  )


def test_h264_captions_are_said_to_be_left_out(video_tools, tmp_path):
  path = video_tools.film(tmp_path / "a.h264", STEPS, options={"bf": "0", "threads": "1"})
  assert not list_of_notes(path)
  path.write_bytes(with_captions(path.read_bytes()))
  (note,) = list_of_notes(path)
  assert "closed captions" in note and "left out" in note


def list_of_notes(path):
  source = frames.Source(path, 25)
  assert list(source)
  return source.notes


def joined(video_tools, folder, first, second, **options):
  """Two streams of H.264, one after the other, each set up by a function of its codec context."""
  parts = []
  for number, setup in enumerate((first, second)):
    path = video_tools.film(
      folder / f"{number}.h264",
      STEPS,
      setup=lambda file, stream, setup=setup: setup(stream.codec_context),
      options={"bf": "0", "threads": "1"},
      **options,
    )
    parts.append(path.read_bytes())
  (folder / "a.h264").write_bytes(b"".join(parts))
  return folder / "a.h264"


def test_pixels_that_change_their_shape_are_said(video_tools, tmp_path):
  def square(context):
    context.sample_aspect_ratio = Fraction(1)

  def wide(context):
    context.sample_aspect_ratio = Fraction(4, 3)

  assert list_of_notes(joined(video_tools, tmp_path, square, square)) == []
  source = frames.Source(joined(video_tools, tmp_path, square, wide), 25)
  sizes = {frame.rgb.shape[:2] for frame in source}
  (note,) = [note for note in source.notes if "change their shape" in note]
  shown = {(48, 64): "1:1", (48, 85): "4:3"}[sizes.pop()]
  assert f"from 1:1 to 4:3: all are shown as {shown}" in note and not sizes


def test_frames_that_are_interlaced_later_are_said(video_tools, tmp_path):
  def fields(context):
    context.options = {**context.options, "x264-params": "tff=1"}

  assert list_of_notes(joined(video_tools, tmp_path, lambda c: None, lambda c: None)) == []
  (note,) = list_of_notes(joined(video_tools, tmp_path, lambda c: None, fields))
  assert "is interlaced" in note


@pytest.mark.parametrize("rate, said", [(0, True), (1 << 15, True), (1 << 16, False)])
def test_mp4_speeds_of_the_edit_list_are_said(video_tools, tmp_path, rate, said):
  # ISO/IEC 14496-12, 8.6.6: a rate in 16.16 bits; 0 holds a frame. QuickTime has others than 1.
  path = video_tools.film(tmp_path / "a.mp4", STEPS)
  data = bytearray(path.read_bytes())
  struct.pack_into(">I", data, data.index(b"elst") + 20, rate)
  path.write_bytes(data)
  notes = list_of_notes(path)
  assert [("usual speed" in note) for note in notes] == [True] * said


@pytest.mark.parametrize("bits, form", [(8, "gray"), (10, "gray10le")])
@pytest.mark.parametrize("full", [False, True])
def test_mkv_gray_of_either_range(video_tools, tmp_path, bits, form, full):
  # H.273, section 8.3: black and white of limited range are 16 and 235 of 8 bits.
  rgb = np.repeat(np.linspace(0, 1, 6)[:, None], 3, 1)
  path = video_tools.write_patches(
    tmp_path / "a.mkv", rgb, 6, (2, 2, 2, 2 if full else 1), bits=bits, full=full, pixel_format=form
  )
  actual = next(iter(frames.Source(path, 25))).rgb
  np.testing.assert_allclose(actual[32, 32::64], rgb, atol=0.6 / 255)
