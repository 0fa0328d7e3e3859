"""Recordings whose timestamps restart in the middle, as in joined files and broadcasts.

Expected times are those with which the parts were made, one part after the other.
"""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from stylejax.images import frames
from stylejax.images.video.clock import Stamp, find_clock
from tests.images.video.test_reader import steps

RATE, COUNT = 25, 25


def part(tools, path, start, *, sound=0):
  """A film of COUNT frames whose clock begins at `start` seconds. Returns its bytes."""
  program = path.suffix == ".mpg"
  tools.film(
    path,
    steps(RATE, COUNT),
    sound=sound,
    codec="mpeg2video" if program else "libx264",
    clock=Fraction(1, RATE) if program else Fraction(1, 90_000),
  )
  moved = path.with_stem("moved")
  with av.open(str(path)) as source, av.open(str(moved), "w") as target:
    copies = [target.add_stream_from_template(stream) for stream in source.streams]
    for packet in source.demux():
      if packet.size:
        shift = round(start / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
  return moved.read_bytes()


# name: start of each part's clock, in seconds.
JOINED = {
  "twice-the-same": (0, 0),
  "clock-that-falls": (100, 0),
  "clock-that-leaps": (0, 100),
  "three-parts": (50, 0, 1000),
  "across-the-end-of-33-bits": (95_440, 30),
}


# FFmpeg's muxer of program streams takes no times near the end of 33 bits.
TOO_LATE = ("a.mpg", "across-the-end-of-33-bits")


@pytest.mark.parametrize(
  ("name", "case"), sorted({*itertools.product(["a.ts", "a.m2ts", "a.mpg"], JOINED)} - {TOO_LATE})
)
def test_joined_recordings_go_on_without_a_gap(video_tools, tmp_path, name, case):
  starts = JOINED[case]
  data = [part(video_tools, tmp_path / name, start) for start in starts]
  (tmp_path / name).write_bytes(b"".join(data))
  source = frames.Source(tmp_path / name, 25)
  actual = list(source)
  count = COUNT * len(starts)
  assert source.total == len(actual) == count
  assert [float(frame.seconds) for frame in actual] == pytest.approx(
    [float(time) for time in steps(RATE, count)], abs=1e-3
  )
  levels = [30 + 3 * number for number in range(COUNT)] * len(starts)
  assert [255 * frame.rgb.mean() for frame in actual] == pytest.approx(levels, abs=2)
  (note,) = [note for note in source.notes if "restart" in note]
  assert f"{len(starts) - 1} time" in note and "(at 1.00" in note


@pytest.mark.parametrize("output", ["o.mp4", "o.mkv"])
def test_sound_of_joined_recordings_goes_on_with_the_film(video_tools, tmp_path, output):
  data = [part(video_tools, tmp_path / "a.ts", start, sound=1) for start in (500, 0, 77)]
  (tmp_path / "a.ts").write_bytes(b"".join(data))
  source = video_tools.convert(tmp_path / "a.ts", tmp_path / output)
  with av.open(str(tmp_path / output)) as file:
    packets = list(file.demux(file.streams.audio[0]))
    times = [float(packet.pts * packet.time_base) for packet in packets if packet.size]
  assert np.diff(times).min() > 0.01 and np.diff(times).max() < 0.1
  assert times[-1] == pytest.approx(3, abs=0.1)
  _, end = video_tools.shown(tmp_path / output)
  assert float(end) == pytest.approx(3, abs=0.06)
  assert any("restart 2 times" in note for note in source.notes)


def test_a_still_image_beside_sound_is_no_leap():
  """A slide of 30 s while sound goes on, and 30 s without either."""
  second = Fraction(1)
  slides = [Stamp(1000 * n, 0, n * second, second, Fraction(0)) for n in (0, 30, 60)]
  sound = [Stamp(1000 * n + 1, 1, n * second, second, Fraction(0)) for n in range(60)]
  assert not find_clock([*slides, *sound]).breaks
  assert len(find_clock(slides).breaks) == 2
