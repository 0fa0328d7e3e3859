"""When frames of an AVI are shown: its chunks follow each other at one rate, also empty ones.

By Microsoft's AVI RIFF File Reference, a chunk has no time, and an empty one repeats the previous
frame.
"""

import struct
from fractions import Fraction

import pytest

from stylejax.images import frames
from tests.images.video.test_reader import steps

RATE = 25


def chunks(data):
  """(name, body) of the chunks of a RIFF list."""
  at = 0
  while at + 8 <= len(data):
    name, size = struct.unpack_from("<4sI", data, at)
    yield name, data[at + 8 : at + 8 + size]
    at += 8 + size + size % 2


def chunk(name, body):
  return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def with_empty_chunks(path, numbers):
  """Removes the bytes of some frames, and the index, which is optional."""
  data = path.read_bytes()
  lists, count = b"", 0
  for name, body in chunks(data[12:]):
    if name == b"LIST" and body[:4] == b"movi":
      movie = b""
      for inner, frame in chunks(body[4:]):
        if inner == b"00dc":
          frame, count = (b"" if count in numbers else frame), count + 1
        movie += chunk(inner, frame)
      body = b"movi" + movie
    if name != b"idx1":
      lists += chunk(name, body)
  assert count > max(numbers)
  path.write_bytes(chunk(b"RIFF", b"AVI " + lists))


def test_avi_h264_with_b_frames_and_sound_starts_at_zero(video_tools, tmp_path):
  path = video_tools.film(
    tmp_path / "a.avi", steps(RATE, 25), clock=Fraction(1, RATE), sound=1, options={"bf": "3"}
  )
  source = frames.Source(path, 10)
  actual = list(source)
  assert [frame.seconds for frame in actual] == steps(RATE, 25)
  assert actual[-1].seconds + actual[-1].length == 1
  levels = [30 + 3 * number for number in range(25)]
  assert [255 * frame.rgb.mean() for frame in actual] == pytest.approx(levels, abs=2)


def test_avi_empty_chunks_hold_the_frame_before_them(video_tools, tmp_path):
  path = video_tools.film(
    tmp_path / "a.avi", steps(RATE, 10), clock=Fraction(1, RATE), codec="mpeg4"
  )
  with_empty_chunks(path, (3, 4, 7, 8, 9))
  actual = list(frames.Source(path, 10))
  assert [frame.seconds * RATE for frame in actual] == [0, 1, 2, 5, 6]
  assert [frame.length * RATE for frame in actual] == [1, 1, 3, 1, 4]
