"""Sound, subtitles and chapters: what is copied, what is named; sound is compared as heard."""

from fractions import Fraction

import av
import numpy as np
import pytest

STEPS = [Fraction(n, 25) for n in range(50)]


def packets(path, kind="audio", track=0):
  with av.open(str(path)) as file:
    stream = getattr(file.streams, kind)[track]
    return [bytes(packet) for packet in file.demux(stream) if packet.size]


def level(samples, start, stop):
  return float(np.abs(samples[int(48_000 * start) : int(48_000 * stop)]).max())


@pytest.mark.parametrize("output", ["o.mp4", "o.mov", "o.mkv"])
def test_mp4_aac_is_copied_and_heard_at_the_same_time(video_tools, tmp_path, output):
  path = video_tools.film(tmp_path / "a.mp4", STEPS, sound=2)
  video_tools.convert(path, tmp_path / output)
  before, after = video_tools.sound_of(path), video_tools.sound_of(tmp_path / output)
  count = min(len(before), len(after))
  assert abs(len(before) - len(after)) <= 1024
  # The decoder needs a run-up of 1,024 samples, and in Matroska these are heard.
  start = 1024 if output == "o.mkv" else 0
  shift = min(
    range(-60, 61),
    key=lambda n: np.abs(np.roll(after[:count], n) - before[:count])[2048:-2048].max(),
  )
  assert abs(shift) <= 48  # Matroska's milliseconds
  difference = np.abs(np.roll(after[:count], shift) - before[:count])[start + 60 : -60]
  assert difference.max() < 0.01


@pytest.mark.parametrize("output", ["o.mp4", "o.mov", "o.mkv"])
def test_mp4_sound_before_the_edit_list_is_not_heard(video_tools, tmp_path, output):
  """Two seconds, of which the first is loud and cut off, as by FFmpeg's -ss with -c copy: all
  packets are in the file, but times of the first second are below zero."""
  path = tmp_path / "a.mp4"
  with av.open(str(path), "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    track = file.add_stream("aac", rate=48_000, layout="mono")
    wave = np.sin(2 * np.pi * 440 * np.arange(96_000) / 48_000)
    wave[:48_000] *= 0.5
    wave[48_000:] *= 0.02
    samples = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
    samples.sample_rate, samples.pts = 48_000, -48_000
    sound = [*track.encode(samples), *track.encode(None)]
    image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
    images = []
    for number in range(25):
      image.pts, image.time_base = number, Fraction(1, 25)
      images += stream.encode(image)
    for packet in sorted(
      [*sound, *images, *stream.encode(None)], key=lambda packet: packet.dts * packet.time_base
    ):
      file.mux(packet)
  assert level(video_tools.sound_of(path), 0.05, 0.9) < 0.05  # the input itself is silent
  assert len(packets(path)) > 90  # though the loud part is in the file
  video_tools.convert(path, tmp_path / output)
  heard = video_tools.sound_of(tmp_path / output)
  assert level(heard, 0.05, 0.9) < 0.05 and 0.9 < len(heard) / 48_000 < 1.1
  assert len(packets(tmp_path / output)) < 52


@pytest.mark.parametrize("output, lost", [("o.mkv", True), ("o.mp4", False), ("o.mov", False)])
def test_mov_sound_cut_inside_a_packet_is_said_where_it_is_lost(
  video_tools, tmp_path, output, lost
):
  """Apple's AAC starts with 2,112 samples to leave out (QuickTime File Format, "Audio Priming"):
  two packets of 1,024 and 64 samples of a third, of which 960 are heard."""
  with (
    av.open(str(video_tools.film(tmp_path / "a.mov", STEPS, sound=2))) as source,
    av.open(str(tmp_path / "b.mov"), "w") as target,
  ):
    copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
    for packet in source.demux():
      if packet.size:
        if packet.stream.type == "audio":
          packet.pts, packet.dts = packet.pts - 1088, packet.dts - 1088
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
  source = video_tools.convert(tmp_path / "b.mov", tmp_path / output)
  assert source.notes == (
    ["the first 0.020 s of sound track 1 (aac) are left out: .mkv can't begin inside a packet"]
    if lost
    else []
  )


@pytest.mark.parametrize("output", ["o.gif", "o.webp", "o.png", "frames"])
def test_mkv_tracks_are_named_where_images_are_written(video_tools, tmp_path, output):
  path = with_subtitles(tmp_path / "b.mkv", with_tracks(tmp_path / "a.mkv"))
  source = video_tools.convert(path, tmp_path / output)
  (note,) = [note for note in source.notes if "sound" in note]
  assert note in [
    f"sound track 1 (aac), sound track 2 (aac), subtitles 1 ({name}) are left out: images can't "
    "hold them"
    for name in ("subrip", "srt")
  ]


@pytest.mark.parametrize("output", ["o.mp4", "o.mkv"])
def test_ts_sound_starts_with_the_film(video_tools, tmp_path, output):
  """A clock that starts at 10 hours, as in broadcasts and camcorders."""
  video_tools.film(tmp_path / "a.mkv", STEPS, sound=2, options={"bf": "0"})
  with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "a.ts"), "w") as target:
    copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
    for packet in source.demux():
      if packet.size:
        shift = round(36_000 / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
  video_tools.convert(tmp_path / "a.ts", tmp_path / output)
  with av.open(str(tmp_path / output)) as file:
    first = {
      packet.stream.type: float(packet.pts * packet.time_base)
      for packet in reversed([p for p in file.demux() if p.size])
    }
    assert abs(first["video"]) < 0.05 and abs(first["audio"]) < 0.05
    assert 1.9 < file.duration / 1e6 < 2.1


def with_tracks(path):
  """A Matroska film with two AAC tracks, SubRip subtitles, ASS subtitles and two chapters."""
  with av.open(str(path), "w") as file:
    stream = file.add_stream("libx264", rate=25, options={"bf": "0"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    tracks = [file.add_stream("aac", rate=48_000, layout="mono") for _ in range(2)]
    for track, language in zip(tracks, ("eng", "ger")):
      track.metadata["language"] = language
    if hasattr(file, "set_chapters"):
      file.set_chapters(
        [
          {
            "id": n,
            "start": 500 * n,
            "end": 500 * n + 500,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": f"part {n}"},
          }
          for n in range(2)
        ]
      )
    actual = []
    for number, track in enumerate(tracks):
      wave = np.sin(np.arange(48_000) / (20 + 40 * number)).astype(np.float32)[None] / 4
      samples = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
      samples.sample_rate, samples.pts = 48_000, 0
      actual += [*track.encode(samples), *track.encode(None)]
    image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
    for number in range(25):
      image.pts, image.time_base = number, Fraction(1, 25)
      actual += stream.encode(image)
    actual += stream.encode(None)
    for packet in sorted(actual, key=lambda packet: packet.dts * packet.time_base):
      file.mux(packet)
  return path


@pytest.mark.parametrize("output", ["o.mkv", "o.mp4", "o.mov"])
def test_mkv_second_sound_track_and_languages_are_kept(video_tools, tmp_path, output):
  path = with_tracks(tmp_path / "a.mkv")
  source = video_tools.convert(path, tmp_path / output)
  with av.open(str(tmp_path / output)) as file:
    assert [stream.metadata.get("language") for stream in file.streams.audio] == ["eng", "ger"]
    if hasattr(file, "chapters"):
      assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["part 0", "part 1"]
  sounds = [set(packets(file, track=n)) for file in (path, tmp_path / output) for n in range(2)]
  assert sounds[2] <= sounds[0] and sounds[3] <= sounds[1]
  assert min(len(sounds[2]), len(sounds[3])) > 40
  assert not source.notes


def test_webm_names_the_sound_that_it_cannot_hold(video_tools, tmp_path):
  """WebM only takes Opus and Vorbis (webmproject.org/docs/container)."""
  source = video_tools.convert(with_tracks(tmp_path / "a.mkv"), tmp_path / "o.webm")
  assert [note for note in source.notes if "sound track" in note] == [
    "sound track 1 (aac) is left out: .webm can't hold it",
    "sound track 2 (aac) is left out: .webm can't hold it",
  ]


def with_subtitles(path, source):
  """The film with SubRip subtitles, written as in Matroska: text with a duration."""
  subtitles = path.with_suffix(".srt")
  subtitles.write_text(
    "1\n00:00:00,200 --> 00:00:00,600\nHello\n\n2\n00:00:00,700 --> 00:00:00,900\nagain\n"
  )
  with (
    av.open(str(source)) as film,
    av.open(str(subtitles)) as text,
    av.open(str(path), "w") as target,
  ):
    copies = {}
    for number, file in enumerate((film, text)):
      for stream in file.streams:
        copies[number, stream.index] = target.add_stream_from_template(stream)
    actual = []
    for number, file in enumerate((film, text)):
      for packet in file.demux():
        if packet.size:
          actual.append((packet.pts * packet.time_base, number, packet.stream_index, packet))
    for _, number, index, packet in sorted(actual, key=lambda item: item[0]):
      packet.stream = copies[number, index]
      target.mux(packet)
  return path


def test_mkv_subtitles_are_kept_or_named(video_tools, tmp_path):
  path = with_subtitles(tmp_path / "b.mkv", with_tracks(tmp_path / "a.mkv"))
  video_tools.convert(path, tmp_path / "o.mkv")
  assert packets(tmp_path / "o.mkv", "subtitles") == [b"Hello", b"again"]
  with av.open(str(tmp_path / "o.mkv")) as file:
    times = [
      (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base))
      for packet in file.demux(subtitles=0)
      if packet.size
    ]
  assert times == [(0.2, 0.4), (0.7, 0.2)]
  source = video_tools.convert(path, tmp_path / "o.mp4")
  assert (
    "subtitles 1 (subrip) is left out: .mp4 can't hold it" in source.notes
    or "subtitles 1 (srt) is left out: .mp4 can't hold it" in source.notes
  )


def test_mp4_cover_image_is_no_frame_and_is_named(video_tools, tmp_path):
  path = tmp_path / "a.mp4"
  with av.open(str(path), "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    cover = file.add_stream("mjpeg", rate=1)
    cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
    cover.disposition = av.stream.Disposition.attached_pic.value
    small = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, np.uint8), format="rgb24")
    small.pts = 0
    actual = [*cover.encode(small), *cover.encode(None)]
    image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
    for number in range(3):
      image.pts, image.time_base = number, Fraction(1, 25)
      actual += stream.encode(image)
    for packet in [*actual, *stream.encode(None)]:
      file.mux(packet)
  with av.open(str(path)) as file:
    assert file.streams[1].disposition == av.stream.Disposition.attached_pic
  source = video_tools.convert(path, tmp_path / "o.mkv")
  assert source.total == 3 and len(video_tools.shown(tmp_path / "o.mkv")[0]) == 3
  assert any("cover image 1 (mjpeg)" in note for note in source.notes), source.notes
