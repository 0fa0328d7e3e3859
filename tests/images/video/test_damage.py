"""Cut or damaged files, of which FFmpeg itself says nothing.

They are recognized by the formats' own lengths and checksums: EBML (RFC 8794), Matroska (RFC 9559),
RIFF.
"""

import io
from fractions import Fraction

import av
import pytest

from stylejax.errors import InputError
from stylejax.images import frames
from stylejax.images.video.damage import find_damage
from tests.images.video.test_reader import steps


@pytest.fixture
def whole(video_tools, tmp_path):
  def make(name):
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name.split(".")[1], "libx264")
    clock = Fraction(1, 25) if codec == "mpeg4" else Fraction(1, 90_000)
    video_tools.film(
      tmp_path / name,
      steps(25, 75),
      codec=codec,
      clock=clock,
      options={"g": "5", "bf": "0"} if codec == "libx264" else {"g": "5"},
    )
    assert find_damage(tmp_path / name) is None
    return tmp_path / name

  return make


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.avi"])
@pytest.mark.parametrize("fraction", [0.6, 0.8])
def test_cut_video_says_so_and_does_not_freeze(whole, name, fraction):
  path = whole(name)
  data = path.read_bytes()
  left = int(len(data) * fraction)
  path.write_bytes(data[:left])
  source = frames.Source(path, 25)
  actual = list(source)
  assert 0 < len(actual) < 75
  assert max(frame.length for frame in actual) < Fraction(1, 20)
  (note,) = [note for note in source.notes if "is truncated" in note]
  assert f"{left:,} of its {len(data):,} bytes" in note


# FFmpeg's WebM has no checksums: only damage to the nesting of elements is noticed there.
@pytest.mark.parametrize("name, size", [("a.mkv", 1), ("a.mkv", 300), ("a.webm", 300)])
def test_damaged_matroska_says_so(whole, name, size):
  path = whole(name)
  data = bytearray(path.read_bytes())
  middle = len(data) // 2
  for place in range(middle, middle + size):
    data[place] ^= 0xA5
  path.write_bytes(data)
  source = frames.Source(path, 25)
  list(source)
  assert any("a." in note and "is damaged" in note for note in source.notes), source.notes


def test_live_matroska_of_unknown_sizes_is_whole(video_tools, tmp_path):
  """A muxer that can't seek back, as in a live stream, writes sizes that say "unknown"."""
  path = video_tools.film(tmp_path / "a.mkv", steps(25, 75), options={"g": "5", "bf": "0"})

  class Stream(io.RawIOBase):
    def __init__(self):
      self.data = b""

    def writable(self):
      return True

    def write(self, data):
      self.data += bytes(data)
      return len(data)

  stream = Stream()
  with (
    av.open(str(path)) as source,
    av.open(stream, "w", format="matroska", options={"live": "1"}) as live,
  ):
    copy = live.add_stream_from_template(source.streams.video[0])
    for packet in source.demux(video=0):
      if packet.size:
        packet.dts = packet.pts
        packet.stream = copy
        live.mux(packet)
  (tmp_path / "live.mkv").write_bytes(stream.data)
  assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in stream.data
  assert find_damage(tmp_path / "live.mkv") is None
  (tmp_path / "live.mkv").write_bytes(stream.data[:-5])
  assert "truncated at byte" in find_damage(tmp_path / "live.mkv")


def test_a_decoder_that_cannot_start_is_one_line(video_tools, tmp_path):
  """The decoder's settings (Matroska's CodecPrivate, 63A2) are damaged from their first byte on."""
  path = video_tools.film(
    tmp_path / "a.mkv", steps(25, 5), codec="libx265", options={"x265-params": "log-level=none"}
  )
  data = bytearray(path.read_bytes())
  at = data.index(b"\x63\xa2") + 5
  data[at + 20 : at + 90] = bytes(b ^ 0x5A for b in data[at + 20 : at + 90])
  path.write_bytes(data)
  try:
    assert list(frames.Source(path, 25))
  except InputError as error:
    assert "\n" not in str(error)
