"""When frames of videos are shown, and how they are rotated, in every container that is written.

Expected times are those with which each file was made; written files are read by FFmpeg's decoder,
with its times and durations.
"""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from stylejax.images import frames

CONTAINERS = ["o.mp4", "o.mkv", "o.mov", "o.webm"]
UNEVEN = [Fraction(n, 1000) for n in (0, 40, 75, 200, 240, 700, 733)]


def steps(rate, count):
  return [Fraction(n, rate) for n in range(count)]


# {container, codec and what is special: (file, times of frames, header's rate, last duration)}
FILMS = {
  "mp4-h264-b-frames-30": ("a.mp4", steps(30, 12), 30, None),
  "mkv-h264-60": ("a.mkv", steps(60, 60), 60, None),
  "mov-h264-29.97": (
    "a.mov",
    [Fraction(1001 * n, 30_000) for n in range(12)],
    Fraction(30_000, 1001),
    None,
  ),
  "webm-vp9-24": ("a.webm", steps(24, 8), 24, None),
  "ts-h264-from-10-hours": ("a.ts", [36_000 + time for time in steps(25, 12)], 25, None),
  "m2ts-h264-from-10-hours": ("a.m2ts", [36_000 + time for time in steps(25, 12)], 25, None),
  "mp4-h264-variable": ("a.mp4", UNEVEN, 30, Fraction(1, 2)),
  "mkv-h264-variable": ("a.mkv", UNEVEN, 30, Fraction(1, 2)),
  "mkv-ffv1-last-frame-stands-3-s": ("a.mkv", steps(10, 3), 10, Fraction(3)),
  "mov-h264-last-frame-stands-3-s": ("a.mov", steps(10, 3), 10, Fraction(3)),
  "avi-mpeg4-25": ("a.avi", steps(25, 12), 25, None),
}


def make(tools, folder, name, times, rate, length):
  codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name.split(".")[1], "libx264")
  options = {"bf": "0"} if length else None  # MP4 has lengths of packets, not of frames
  clock = Fraction(1, 25) if codec == "mpeg4" else Fraction(1, 90_000)
  return tools.film(
    folder / name, times, rate=rate, length=length, codec=codec, options=options, clock=clock
  )


@pytest.mark.parametrize("name, times, rate, length", FILMS.values(), ids=FILMS)
def test_frames_come_at_their_times(video_tools, tmp_path, name, times, rate, length):
  path = make(video_tools, tmp_path, name, times, rate, length)
  source = frames.Source(path, 25)
  actual = list(source)
  assert source.total == len(actual) == len(times)
  tick = 0.0011  # Matroska counts milliseconds
  expected = [float(time - times[0]) for time in times]
  assert [float(frame.seconds) for frame in actual] == pytest.approx(expected, abs=tick)
  assert float(actual[-1].length) == pytest.approx(
    float(length or 1 / Fraction(rate)), abs=2 * tick
  )
  levels = [30 + 3 * number for number in range(len(times))]
  assert [255 * frame.rgb.mean() for frame in actual] == pytest.approx(levels, abs=2)


@pytest.mark.parametrize("output", CONTAINERS)
@pytest.mark.parametrize("name, times, rate, length", FILMS.values(), ids=FILMS)
def test_films_are_as_long_as_they_were(video_tools, tmp_path, name, times, rate, length, output):
  path = make(video_tools, tmp_path, name, times, rate, length)
  video_tools.convert(path, tmp_path / output)
  actual, end = video_tools.shown(tmp_path / output)
  expected = [float(time - times[0]) for time in times]
  assert [float(time) for time in actual] == pytest.approx(expected, abs=0.0011)
  length = length or 1 / Fraction(rate)
  assert float(end) == pytest.approx(float(times[-1] - times[0] + length), abs=0.0022)
  with av.open(str(tmp_path / output)) as file:
    stream = file.streams.video[0]
    assert abs(file.duration / 1e6 - float(end)) < 0.002
    # A tool that writes frames at the rate in the header keeps all of them.
    if output in ("o.mp4", "o.mov") and len({*steps_of(actual)}) > 1:
      return  # these name no rate: FFmpeg takes the mean
    closest = min(later - time for time, later in zip(actual, [*actual[1:], end]))
    assert 1 / stream.guessed_rate <= closest + Fraction(15, 10_000)


def steps_of(times):
  return [round(later - time, 3) for time, later in itertools.pairwise(times)]


@pytest.mark.parametrize("output", CONTAINERS)
def test_folder_at_one_frame_a_second_is_five_seconds(video_tools, tmp_path, output):
  (tmp_path / "frames").mkdir()
  for number in range(5):
    Image.new("RGB", (64, 48), (40 * number,) * 3).save(tmp_path / "frames" / f"{number}.png")
  video_tools.convert(tmp_path / "frames", tmp_path / output, rate=1)
  times, end = video_tools.shown(tmp_path / output)
  assert times == [0, 1, 2, 3, 4] and end == 5
  with av.open(str(tmp_path / output)) as file:
    assert file.duration == 5_000_000


@pytest.mark.parametrize("output", CONTAINERS)
def test_gif_whose_last_frame_stands_three_seconds(video_tools, tmp_path, output):
  images = [Image.new("L", (64, 48), 60 * number) for number in range(4)]
  images[0].save(
    tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 100, 100, 3000]
  )
  video_tools.convert(tmp_path / "a.gif", tmp_path / output)
  times, end = video_tools.shown(tmp_path / output)
  assert times == [0, Fraction(1, 10), Fraction(2, 10), Fraction(3, 10)]
  assert end == Fraction(33, 10)
  with av.open(str(tmp_path / output)) as file:
    assert file.duration == 3_300_000
    assert file.streams.video[0].guessed_rate == 10


def test_mp4_edit_list_cuts_images(video_tools, tmp_path):
  """FFmpeg's muxer writes an edit list where times begin below zero (ISO 14496-12, 8.6.6)."""
  times = [Fraction(n - 3, 10) for n in range(10)]
  path = video_tools.film(tmp_path / "a.mp4", times, rate=10)
  with av.open(str(path)) as file:
    expected = sum(1 for _ in file.decode(video=0))
  source = frames.Source(path, 25)
  assert expected == 7 and source.total == len(list(source)) == 7
  assert not source.notes  # what the file itself cuts off is no loss


def write_times(path, times, sound=None):
  """A video of one flat frame at each of the times, in seconds, and silence from `sound` on."""
  with av.open(str(path), "w") as file:
    stream = file.add_stream("ffv1", rate=10)
    stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000)
    if sound is not None:
      track = file.add_stream("pcm_s16le", rate=8000, layout="mono")
      silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
      silence.sample_rate, silence.pts = 8000, round(sound * 8000)
      file.mux(track.encode(silence))
    for number, time in enumerate(times):
      frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 40 * number, np.uint8), "rgb24")
      frame.pts, frame.time_base = number, Fraction(1, 10)
      for packet in stream.encode(frame):
        packet.pts = packet.dts = round(time / packet.time_base)
        file.mux(packet)
    for packet in stream.encode(None):
      file.mux(packet)
  return path


@pytest.mark.parametrize("late, said", [("0.5", True), ("0.03", False)])
def test_mkv_gap_before_the_first_frame_is_said_where_it_is_lost(tmp_path, late, said):
  late = Fraction(late)
  path = write_times(tmp_path / "a.mkv", [late, late + Fraction(1, 10)], sound=Fraction(0))
  source = frames.Source(path, 25, output=tmp_path / "o.gif")
  assert [frame.seconds for frame in source] == [late, late + Fraction(1, 10)]
  lines = [line for line in source.notes if "after its sound" in line]
  assert lines == (
    ["the frames of a.mkv begin 0.5 s after its sound: without sound they begin at once"]
    if said
    else []
  )
  # A video keeps the gap.
  assert not [
    line for line in frames.Source(path, 25, output=tmp_path / "o.mkv").notes if "after its" in line
  ]


def test_mkv_frames_of_one_time_follow_each_other_and_are_counted(tmp_path):
  times = [Fraction(time) for time in ("0", "0.1", "0.1", "0.1", "0.5")]
  source = frames.Source(write_times(tmp_path / "a.mkv", times), 25)
  actual = [frame.seconds for frame in source]
  assert actual == [Fraction(tenths, 10) for tenths in (0, 1, 2, 3, 5)]
  assert [line for line in source.notes if "no later" in line] == [
    "2 frames of a.mkv should be shown no later than the one before: each is shown 0.1 s after it"
  ]


def test_h264_without_a_container_counts_from_zero(video_tools, tmp_path):
  """A bare stream has no times: 25 frames/s, FFmpeg's default if the stream names no rate."""
  video_tools.film(tmp_path / "a.mp4", steps(25, 8), rate=25)
  with (
    av.open(str(tmp_path / "a.mp4")) as source,
    av.open(str(tmp_path / "a.h264"), "w", format="h264") as target,
  ):
    stream = target.add_stream_from_template(source.streams.video[0])
    annexb = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
    for packet in source.demux(video=0):
      for part in annexb.filter(packet if packet.size else None):
        part.stream = stream
        target.mux(part)
  actual = list(frames.Source(tmp_path / "a.h264", 25))
  assert [frame.seconds * 25 for frame in actual] == list(range(8))


def quadrants(size):
  """Four colors: red, green, blue and white from left to right, from top to bottom."""
  height, width = size[1] // 2, size[0] // 2
  pixels = np.zeros((2 * height, 2 * width, 3), np.uint8)
  pixels[:height, :width], pixels[:height, width:] = (200, 30, 30), (30, 160, 40)
  pixels[height:, :width], pixels[height:, width:] = (30, 40, 200), (220, 220, 220)
  return pixels


# Matrices of ISO 14496-12, 8.5.3 (tkhd): a, b, c, d in x' = a x + c y, y' = b x + d y; and what
# becomes of the four corners, the top two first.
MATRICES = {
  "as-it-is": ((1, 0, 0, 1), "RG BW"),
  "quarter-right": ((0, 1, -1, 0), "BR WG"),
  "half": ((-1, 0, 0, -1), "WB GR"),
  "quarter-left": ((0, -1, 1, 0), "GW RB"),
  "mirrored": ((-1, 0, 0, 1), "GR WB"),
  "upside-down": ((1, 0, 0, -1), "BW RG"),
  "transposed": ((0, 1, 1, 0), "RB GW"),
  "transversed": ((0, -1, -1, 0), "WG BR"),
}


def with_matrix(path, matrix, aspect=None):
  """An MP4 of one frame with a display matrix, written into its tkhd box."""
  with av.open(str(path), "w") as file:
    stream = file.add_stream("libx264", rate=10, options={"crf": "4"})
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    if aspect is not None:
      stream.codec_context.sample_aspect_ratio = aspect
    frame = av.VideoFrame.from_ndarray(quadrants((96, 64)), format="rgb24")
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
  data = bytearray(path.read_bytes())
  place = data.index(b"tkhd") + 4 + 40
  a, b, c, d = matrix
  numbers = [a * 65_536, b * 65_536, 0, c * 65_536, d * 65_536, 0, 0, 0, 1 << 30]
  data[place : place + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
  path.write_bytes(data)
  return path


def corners(rgb):
  height, width = rgb.shape[0] // 4, rgb.shape[1] // 4
  names = {
    (True, False, False): "R",
    (False, True, False): "G",
    (False, False, True): "B",
    (True, True, True): "W",
  }
  actual = [
    "".join(names[tuple(bool(v > 0.5) for v in rgb[y * height, x * width])] for x in (1, 3))
    for y in (1, 3)
  ]
  return " ".join(actual)


@pytest.mark.parametrize("matrix, expected", MATRICES.values(), ids=MATRICES)
def test_mp4_display_matrix(tmp_path, matrix, expected):
  frame = next(iter(frames.Source(with_matrix(tmp_path / "a.mp4", matrix), 25)))
  assert frame.rgb.shape[:2] == ((96, 64) if matrix[0] == 0 else (64, 96))
  assert corners(frame.rgb) == expected


def test_mp4_pixel_aspect_is_kept_and_turned(video_tools, tmp_path):
  """4:3 pixels of a 96×64 video; after a quarter turn they are 3:4."""
  for name, matrix, aspect in (
    ("a.mp4", (1, 0, 0, 1), Fraction(4, 3)),
    ("b.mp4", (0, 1, -1, 0), Fraction(3, 4)),
  ):
    path = with_matrix(tmp_path / name, matrix, Fraction(4, 3))
    for output in ("o.mp4", "o.mkv", "o.mov"):
      source = video_tools.convert(path, tmp_path / output)
      assert not source.notes
      with av.open(str(tmp_path / output)) as file:
        assert file.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize("aspect, shape", [(Fraction(4, 3), (64, 128)), (Fraction(2, 3), (96, 96))])
def test_mp4_pixels_are_made_square_for_images(video_tools, tmp_path, aspect, shape):
  path = with_matrix(tmp_path / "a.mp4", (1, 0, 0, 1), aspect)
  source = video_tools.convert(path, tmp_path / "o.webm")
  with av.open(str(tmp_path / "o.webm")) as file:
    assert (file.streams.video[0].height, file.streams.video[0].width) == shape
  source = video_tools.convert(path, tmp_path / "o.gif")
  assert Image.open(tmp_path / "o.gif").size == shape[::-1]
  frame = next(iter(frames.Source(path, 25)))
  assert frame.rgb.shape[:2] == shape and corners(frame.rgb) == "RG BW"
  assert any(
    f"{aspect.numerator}:{aspect.denominator} are made square" in note for note in source.notes
  )


def test_mp4_absurd_pixel_aspect_is_named(tmp_path):
  path = with_matrix(tmp_path / "a.mp4", (1, 0, 0, 1), Fraction(1, 20))
  source = frames.Source(path, 25)
  assert next(iter(source)).rgb.shape[:2] == (64, 96)
  assert any("1:20" in note for note in source.notes), (source.notes, source.video.pixel_aspect)


def test_mp4_cut_short_says_how_many_frames_are_left(video_tools, tmp_path):
  path = video_tools.film(tmp_path / "a.mp4", steps(25, 40), options={"bf": "0", "g": "4"})
  whole = path.read_bytes()
  start = whole.index(b"mdat")
  boxes = whole[whole.index(b"moov") - 4 :]
  # moov comes first, so that the end of the file can be missing.
  with (
    av.open(str(path)) as source,
    av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as target,
  ):
    stream = target.add_stream_from_template(source.streams.video[0])
    for packet in source.demux(video=0):
      if packet.size:
        packet.stream = stream
        target.mux(packet)
  assert start and boxes
  data = (tmp_path / "b.mp4").read_bytes()
  (tmp_path / "b.mp4").write_bytes(data[: len(data) - (len(data) - data.index(b"mdat")) // 2])
  source = frames.Source(tmp_path / "b.mp4", 25)
  actual = len(list(source))
  assert 0 < actual < 40
  assert any("declares 40 frames" in note for note in source.notes)


def test_ts_with_damaged_bytes_goes_on_and_says_so(video_tools, tmp_path):
  path = video_tools.film(tmp_path / "a.ts", steps(25, 40), options={"bf": "0", "g": "4"})
  data = bytearray(path.read_bytes())
  middle = len(data) // 2
  data[middle : middle + 3000] = bytes(3000)
  path.write_bytes(data)
  source = frames.Source(path, 25)
  actual = list(source)
  assert 20 < len(actual) < 40
  assert any("of a.ts is marked as damaged" in note for note in source.notes), source.notes


@pytest.mark.parametrize(
  "name, text",
  [
    ("a.m3u8", "#EXTM3U\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"),
    ("a.ffconcat", "ffconcat version 1.0\nfile secret.ts\n"),
    ("a.sdp", "v=0\nm=video 5004 RTP/AVP 96\n"),
  ],
)
def test_lists_of_other_files_are_refused(video_tools, tmp_path, name, text):
  """FFmpeg recognizes playlists by their content, and opens the files that they name."""
  video_tools.film(tmp_path / "secret.ts", steps(25, 4))
  for suffix in (name, "a.mp4"):
    (tmp_path / suffix).write_text(text)
    with pytest.raises(ValueError, match="can't be read as a video"):
      frames.Source(tmp_path / suffix, 25)


def test_mp4_with_a_colon_in_its_name(video_tools, tmp_path, monkeypatch):
  """FFmpeg takes what is before a colon for a protocol."""
  monkeypatch.chdir(tmp_path)
  (video_tools.film(tmp_path / "a.mp4", steps(25, 3))).rename("10:15.mp4")
  source = video_tools.convert("10:15.mp4", "at:o.mp4")
  assert source.total == 3 and len(video_tools.shown("file:at:o.mp4")[0]) == 3


def test_mp4_with_odd_sides_says_that_it_grew(video_tools, tmp_path):
  (tmp_path / "frames").mkdir()
  Image.new("RGB", (63, 48)).save(tmp_path / "frames" / "0.png")
  source = video_tools.convert(tmp_path / "frames", tmp_path / "o.mp4")
  assert any("63×48 pixels become 64×48" in note for note in source.notes)
