"""Messages about a video say nothing untrue. Also packets without bytes."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stylejax.errors import InputError
from stylejax.images import frames
from stylejax.images.video import container
from tests.images.video.test_reader import steps


def test_theora_packets_without_bytes_repeat_the_frame(tmp_path):
  """Theora I specification, section 7.11: such a packet is a frame without changes. The file is of
  libtheora, 5 frames at 10 a second of which 3 are repeats."""
  shutil.copy(Path(__file__).parent / "theora_of_repeats.ogv", tmp_path / "a.ogv")
  actual = list(frames.Source(tmp_path / "a.ogv", 25))
  assert [frame.seconds for frame in actual] == [0, Fraction(1, 10)]
  assert [frame.length for frame in actual] == [Fraction(1, 10), Fraction(4, 10)]


@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
def test_transparency_that_is_read_is_not_said_to_be_left_out(tmp_path, name):
  """FFmpeg's Matroska muxer sets AlphaMode of every track of a format with alpha."""
  pixels = np.full((64, 64, 4), (200, 30, 30, 255), np.uint8)
  pixels[:, :32, 3] = 0
  codec, form = ("ffv1", "yuva420p") if name == "a.mkv" else ("qtrle", "argb")
  with av.open(str(tmp_path / name), "w") as file:
    stream = file.add_stream(codec, rate=10)
    stream.height, stream.width, stream.pix_fmt = 64, 64, form
    if name == "a.mkv":
      stream.metadata["alpha_mode"] = "1"
    file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
    file.mux(stream.encode(None))
  source = frames.Source(tmp_path / name, 10)
  frame = next(iter(source))
  assert frame.alpha[32, 8] < 0.01 and frame.alpha[32, 56] > 0.99
  assert source.notes == []


def test_second_video_track_is_said_not_to_be_stylized(video_tools, tmp_path):
  for name in ("1.mkv", "2.mkv"):
    video_tools.film(tmp_path / name, steps(10, 5), options={"bf": "0"})
  with av.open(str(tmp_path / "a.mkv"), "w") as target:
    sources = [av.open(str(tmp_path / name)) for name in ("1.mkv", "2.mkv")]
    copies = [target.add_stream_from_template(source.streams.video[0]) for source in sources]
    for source, copy in zip(sources, copies):
      for packet in source.demux(video=0):
        if packet.size:
          packet.dts = packet.pts
          packet.stream = copy
          target.mux(packet)
      source.close()
  source = video_tools.convert(tmp_path / "a.mkv", tmp_path / "o.mkv")
  (note,) = source.notes
  assert note == "video track 2 (h264) is left out: the first one is stylized"


def test_sound_that_nobody_hears_is_not_said_to_be_left_out(video_tools, tmp_path):
  """A packet that ends 0.2 ms after the start of the first frame, which is inaudible."""
  path = video_tools.film(tmp_path / "b.mp4", steps(25, 25), sound=1, options={"bf": "0"})
  with av.open(str(path)) as source, av.open(str(tmp_path / "a.mov"), "w") as target:
    copies = [target.add_stream_from_template(stream) for stream in source.streams]
    for packet in source.demux():
      if packet.size:
        if packet.stream_index == 1:
          packet.pts -= 1024 - 10  # of 48,000 a second
          packet.dts = packet.pts
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
  source = video_tools.convert(tmp_path / "a.mov", tmp_path / "o.mkv")
  assert not [note for note in source.notes if "sound" in note], source.notes


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
def test_a_title_that_is_not_utf_8_is_no_reason_to_refuse_a_film(video_tools, tmp_path, name):
  """Windows programs write titles in its code page: 0xE9 is é there, but not UTF-8."""
  codec = "mpeg4" if name == "a.avi" else "libx264"
  clock = Fraction(1, 25) if codec == "mpeg4" else Fraction(1, 90_000)

  def title(file, stream):
    file.metadata["title"] = stream.metadata["title"] = "caffee"

  path = video_tools.film(
    tmp_path / name, steps(25, 5), codec=codec, clock=clock, setup=title, options={"bf": "0"}
  )
  data = path.read_bytes()
  assert b"caffee" in data
  path.write_bytes(data.replace(b"caffee", b"caff\xe9e"[:5] + b"e"))
  assert len(list(frames.Source(path, 25))) == 5
  assert len(list(frames.Source(video_tools.convert(path, tmp_path / "o.mkv").path, 25))) == 5


def test_a_codec_that_nobody_knows_is_named(video_tools, tmp_path):
  path = video_tools.film(tmp_path / "a.mp4", steps(25, 5), options={"bf": "0"})
  data = path.read_bytes()
  at = data.index(b"avc1", data.index(b"stsd"))
  path.write_bytes(data[:at] + b"zzzz" + data[at + 4 :])
  with pytest.raises(InputError, match="a video codec that FFmpeg doesn't know"):
    frames.Source(path, 25)


def test_a_sound_track_of_such_a_title_is_carried_over(video_tools, tmp_path):
  path = video_tools.film(tmp_path / "b.mkv", steps(25, 25), sound=1, options={"bf": "0"})
  with av.open(str(path)) as source, av.open(str(tmp_path / "a.mkv"), "w") as target:
    copies = [target.add_stream_from_template(stream) for stream in source.streams]
    copies[1].metadata["title"] = "caffee"
    for packet in source.demux():
      if packet.size:
        packet.dts = packet.pts
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
  data = (tmp_path / "a.mkv").read_bytes()
  assert data.count(b"caffee") == 1
  (tmp_path / "a.mkv").write_bytes(data.replace(b"caffee", b"caff\xe9e"))
  source = video_tools.convert(tmp_path / "a.mkv", tmp_path / "o.mkv")
  with av.open(str(tmp_path / "o.mkv"), **container._lenient(av)) as file:
    assert file.streams.audio[0].metadata["title"].startswith("caff")
  assert not [note for note in source.notes if "left out" in note]
