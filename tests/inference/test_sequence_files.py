"""infer.py --sequence: folders, animations and videos, in and out, whole or not at all."""

import inspect
import os
import shutil
import sys
from fractions import Fraction

import av
import jax
import numpy as np
import pytest
from PIL import Image

import infer
import stylejax
from stylejax.cli import common_options
from stylejax.controls.color import preserve_color
from stylejax.images import animation, encode, frame_folders, frames, video
from stylejax.inference import sequence
from stylejax.runtime import folders
from stylejax.runtime.extras import install_command

SHAPE = (33, 48)  # An odd height: color of a video is stored for 2×2 pixels.


@pytest.fixture(scope="module")
def weights(tiny_params, tmp_path_factory):
  return stylejax.save_weights(tmp_path_factory.mktemp("weights") / "w.safetensors", tiny_params)


@pytest.fixture(scope="module")
def pixels():
  """Five frames in which a square moves over a ramp."""
  ramp = np.linspace(40, 200, SHAPE[1])[None, :, None] * np.ones((*SHAPE, 3))
  actual = np.repeat(ramp[None], 5, 0).astype(np.uint8)
  for number, frame in enumerate(actual):
    frame[4:14, 5 * number : 5 * number + 10] = (250, 20, 20)
  return actual


@pytest.fixture(scope="module")
def sources(pixels, tmp_path_factory):
  """A folder, a GIF and a video with sound, of the same frames, and a style."""
  root = tmp_path_factory.mktemp("sources")
  (root / "frames").mkdir()
  images = [Image.fromarray(frame) for frame in pixels]
  for number, image in enumerate(images):
    image.save(root / "frames" / f"{number}.png")
  images[0].save(
    root / "a.gif", save_all=True, append_images=images[1:], duration=[100, 50, 200, 80, 60]
  )
  images[2].transpose(Image.Transpose.ROTATE_90).save(root / "style.png")
  with av.open(str(root / "a.mp4"), "w") as file:
    video = file.add_stream("libx264", rate=10, options={"crf": "1"})
    video.width, video.height, video.pix_fmt = SHAPE[1], SHAPE[0] + 1, "yuv420p"
    sound = file.add_stream("aac", rate=8000, layout="mono")
    for frame in pixels:
      padded = np.pad(frame, ((0, 1), (0, 0), (0, 0)), mode="edge")
      file.mux(video.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
    wave = np.sin(np.arange(4000) / 5).astype(np.float32)[None]
    samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    samples.sample_rate = 8000
    file.mux(sound.encode(samples))
    file.mux(video.encode(None))
    file.mux(sound.encode(None))
  return root


def run(sources, weights, content, output, *more):
  return infer.main(
    [
      "--sequence",
      "--content",
      str(sources / content),
      "--style",
      str(sources / "style.png"),
      "--output",
      str(output),
      "--style-size",
      "32",
      "--weights",
      str(weights),
      *more,
    ]
  )


def packets(path):
  with av.open(str(path)) as file:
    return [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]


def test_folder_to_folder_prints_its_flicker(sources, weights, tmp_path, capsys):
  assert run(sources, weights, "frames", tmp_path / "out") == 0
  assert sorted(os.listdir(tmp_path / "out")) == [
    folders.LIST_NAME,
    *(f"{n:06d}.png" for n in range(1, 6)),
  ]
  assert Image.open(tmp_path / "out" / "000003.png").size == SHAPE[::-1]
  out = capsys.readouterr().out
  assert "5 frames" in out and "flicker 0.0" in out and "stand still" in out
  alone = tmp_path / "alone"
  assert run(sources, weights, "frames", alone, "--smoothing", "0") == 0
  numbers = [float(line.split("flicker ")[1].split()[0]) for line in (out, capsys.readouterr().out)]
  assert numbers[0] < numbers[1]


def test_colors_are_kept_frame_by_frame(sources, weights, tmp_path, capsys):
  """As in images: in mode luminance, every pixel has the hue of its frame's pixel."""
  assert run(sources, weights, "frames", tmp_path / "plain") == 0
  more = ("--preserve-color", "1")
  assert run(sources, weights, "frames", tmp_path / "colors", *more) == 0
  contents, plain, actual = (
    frames_of(folder).astype(np.float32) / 255
    for folder in (sources / "frames", tmp_path / "plain", tmp_path / "colors")
  )
  expected = jax.jit(preserve_color)(plain, contents)
  np.testing.assert_allclose(actual, expected, atol=0.02)
  assert np.abs(actual - plain).max() > 0.1
  capsys.readouterr()
  assert run(sources, weights, "frames", tmp_path / "no", "--preserve-color", "2") == 2
  assert "--preserve-color: found 2.0, expected a number from 0 to 1" in capsys.readouterr().err


def test_gif_to_gif_keeps_its_times(sources, weights, tmp_path):
  assert run(sources, weights, "a.gif", tmp_path / "o.gif") == 0
  actual = [frame.length for frame in frames.Source(tmp_path / "o.gif", 25)]
  assert actual == [Fraction(n, 1000) for n in (100, 50, 200, 80, 60)]


def test_video_to_video_keeps_sound_and_times(sources, weights, tmp_path):
  assert run(sources, weights, "a.mp4", tmp_path / "o.mp4") == 0
  assert packets(tmp_path / "o.mp4") == packets(sources / "a.mp4") != []
  before, after = (
    [frame.seconds for frame in frames.Source(path, 25)]
    for path in (sources / "a.mp4", tmp_path / "o.mp4")
  )
  assert before == after and len(after) == 5


def test_video_reads_the_pixels_and_odd_sides_grow_by_one(sources, weights, pixels, tmp_path):
  read = np.stack([frame.rgb for frame in frames.Source(sources / "a.mp4", 25)])
  assert np.abs(read[:, :-1] * 255 - pixels).mean() < 4
  assert run(sources, weights, "frames", tmp_path / "o.mkv", "--rate", "12.5") == 0
  actual = list(frames.Source(tmp_path / "o.mkv", 25))
  assert actual[0].rgb.shape == (SHAPE[0] + 1, SHAPE[1], 3)
  assert float(actual[2].seconds) == pytest.approx(2 / 12.5, abs=1e-3)


@pytest.mark.parametrize("output", ["o.mp4", "o.gif"])
@pytest.mark.parametrize("where", ["write", "finish"])
def test_interrupted_runs_leave_no_half_file(
  sources, weights, tmp_path, monkeypatch, output, where
):
  """Interrupted at the third frame, or when all is on disk but not yet under its name."""
  kind = animation.AnimationWriter if output.endswith("gif") else video.VideoWriter
  call, calls = getattr(kind, where), []

  def stop(self, *frame):
    calls.append(frame)
    call(self, *frame)
    if where == "finish" or len(calls) == 3:
      raise KeyboardInterrupt

  monkeypatch.setattr(kind, where, stop)
  (tmp_path / output).write_bytes(b"old")
  assert run(sources, weights, "frames", tmp_path / output) == 130
  assert os.listdir(tmp_path) == [output] and (tmp_path / output).read_bytes() == b"old"


@pytest.mark.parametrize(
  "content, output, more, message",
  [
    ("no", "o.gif", [], "found no file"),
    ("frames", "o.avi", [], "found extension '.avi'"),
    ("frames", "no/o.gif", [], "no such folder"),
    ("a.gif", "a.gif", [], "found the input"),
    ("style.txt", "o.gif", [], "can't be read as a video"),
    ("cut.mp4", "o.mp4", [], "can't be read as a video"),
    ("mixed", "o.mp4", [], "frame 2 (1.png): found 20×20 pixels, expected 48×33"),
    ("a.gif", "o.gif", ["--smoothing", "1"], "--smoothing: found 1.0"),
    ("a.gif", "o.gif", ["--strength", "nan"], "--strength: found nan"),
    ("a.gif", "o.gif", ["--rate", "0"], "--rate: found 0.0"),
  ],
)
def test_mistakes_are_one_line_and_leave_nothing(
  sources, weights, tmp_path, capsys, content, output, more, message
):
  for name in ("a.gif", "style.png", "a.mp4"):
    (tmp_path / name).write_bytes((sources / name).read_bytes())
  (tmp_path / "cut.mp4").write_bytes((sources / "a.mp4").read_bytes()[:700])
  (tmp_path / "style.txt").write_text("hello")
  (tmp_path / "frames").symlink_to(sources / "frames")
  (tmp_path / "mixed").mkdir()
  Image.new("RGB", SHAPE[::-1]).save(tmp_path / "mixed" / "0.png")
  Image.new("RGB", (20, 20)).save(tmp_path / "mixed" / "1.png")
  before = sorted(tmp_path.rglob("*"))
  assert run(tmp_path, weights, content, tmp_path / output, *more) == 2
  error = capsys.readouterr().err
  lines = [line for line in error.splitlines() if line.startswith("error: ")]
  assert len(lines) == 1 and message in lines[0] and "Traceback" not in error
  assert sorted(tmp_path.rglob("*")) == before


def test_without_pyav_videos_are_refused(sources, weights, monkeypatch, tmp_path, capsys):
  monkeypatch.setitem(sys.modules, "av", None)
  assert run(sources, weights, "a.mp4", tmp_path / "o.mp4") == 2
  assert install_command("video") in capsys.readouterr().err


def test_the_report_counts(sources, weights, tmp_path):
  progress = []
  report = sequence.stylize_sequence(
    sequence.SequenceRequest(
      content=sources / "frames",
      style=[sources / "style.png"],
      output=tmp_path / "o.gif",
      weights=weights,
      style_size=32,
    ),
    on_progress=lambda done, total: progress.append((done, total)),
  )
  assert report.frames == 5 and progress == [(n, 5) for n in range(6)]
  assert 0 < report.still < 1


def test_the_command_reads_styles_at_the_default_scale():
  """Its options repeat the number, so that --help needn't load the nets."""
  assert f"(default: {encode.STYLE_SIZE};" in inspect.getsource(common_options)


def frames_of(folder):
  return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def test_styles_are_mixed_saved_and_invented_as_for_one_image(
  sources, weights, tmp_path, tiny_params, capsys
):
  """Three ways to name the same two styles; frames of the mixture lie between none of them."""
  style, library = str(sources / "style.png"), str(tmp_path / "l.safetensors")
  add = ("styles", "add", "--library", library, "--weights", str(weights))
  assert infer.main([*add, style, "--name", "one"]) == 0
  assert infer.main([*add, "--seed", "3", "--name", "three"]) == 0

  def stylize(name, *styles):
    return infer.main(
      [
        "--sequence",
        "--content",
        str(sources / "frames"),
        *styles,
        "--output",
        str(tmp_path / name),
        "--weights",
        str(weights),
        "--library",
        library,
      ]
    )

  assert stylize("image", "--style", style) == stylize("saved", "--style", "@one") == 0
  assert stylize("seed", "--seed", "3") == stylize("named", "--style", "@three") == 0
  assert stylize("mixed", "--style", f"{style}:1", "@three:1") == 0
  image, saved, seed, named, mixed = (
    frames_of(tmp_path / name) for name in ("image", "saved", "seed", "named", "mixed")
  )
  np.testing.assert_array_equal(image, saved)
  np.testing.assert_array_equal(seed, named)
  assert np.abs(image.astype(int) - seed).max() > 2
  assert np.abs(mixed.astype(int) - image).max() > 1 < np.abs(mixed.astype(int) - seed).max()
  capsys.readouterr()
  assert stylize("two", "--style", style, "@three") == 2
  assert "--style: found 2 styles, expected one, or a weight after each" in capsys.readouterr().err


def place(sources, tmp_path):
  """Frames, an animation and a style that tests may destroy."""
  for name in ("frames", "a.gif", "style.png"):
    copy = shutil.copytree if name == "frames" else shutil.copy
    copy(sources / name, tmp_path / name)
  (tmp_path / "linked.gif").symlink_to("a.gif")
  os.link(tmp_path / "a.gif", tmp_path / "hard.gif")
  (tmp_path / "also").symlink_to("frames")


def tree(folder):
  return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
  "content, style, output, message",
  [
    ("a.gif", "style.png", "a.gif", "found the input"),
    ("a.gif", "style.png", "linked.gif", "found the input"),
    ("a.gif", "style.png", "hard.gif", "found the input"),
    ("frames", "a.gif", "a.gif", "found the input"),
    ("frames", "a.gif", "hard.gif", "found the input"),
    ("frames", "style.png", "frames", "in it, expected another folder"),
    ("frames", "style.png", "also", "in it, expected another folder"),
    ("a.gif", "frames/0.png", "frames", "in it, expected another folder"),
    ("frames", "style.png", "frames/out", "inside the input folder"),
    ("frames", "style.png", "also/out", "inside the input folder"),
    ("frames", "style.png", "frames/out.gif", "inside the input folder"),
    ("a.gif", "style.png", "frames", "that no earlier run wrote (0.png, 1.png, 2.png, ...)"),
  ],
)
def test_inputs_are_never_written_over_nor_outputs_read(
  sources, weights, tmp_path, capsys, content, style, output, message
):
  place(sources, tmp_path)
  before = tree(tmp_path)
  status = infer.main(
    [
      "--sequence",
      "--content",
      str(tmp_path / content),
      "--style",
      str(tmp_path / style),
      "--output",
      str(tmp_path / output),
      "--weights",
      str(weights),
    ]
  )
  error = capsys.readouterr().err
  assert status == 2 and error.startswith("error: output ") and error.count("\n") == 1
  assert message in error
  assert tree(tmp_path) == before


def test_a_shorter_run_replaces_the_frames_of_a_longer_one_and_says_so(
  sources, weights, tmp_path, capsys
):
  place(sources, tmp_path)
  assert run(sources, weights, "frames", tmp_path / "out") == 0
  for name in ("3.png", "4.png"):
    (tmp_path / "frames" / name).unlink()
  assert run(sources, weights, "style.png", tmp_path / "out") == 0
  assert "out: the 5 frames of an earlier run are replaced" in capsys.readouterr().err
  assert sorted(os.listdir(tmp_path / "out")) == [folders.LIST_NAME, "000001.png"]


def test_an_interrupted_run_leaves_the_folder_as_it_was(sources, weights, tmp_path, monkeypatch):
  assert run(sources, weights, "frames", tmp_path / "out") == 0
  before, count = tree(tmp_path), 0

  def interrupt(self, frame):
    nonlocal count
    count += 1
    if count == 3:
      raise KeyboardInterrupt
    write(self, frame)

  write = frame_folders.FolderWriter.write
  monkeypatch.setattr(frame_folders.FolderWriter, "write", interrupt)
  assert run(sources, weights, "a.gif", tmp_path / "out") == 130
  assert tree(tmp_path) == before


def test_a_video_keeps_its_colors_at_strength_0_and_notes_are_printed(
  sources, weights, tmp_path, capsys
):
  """BT.709 by definition (Kr 0.2126, Kb 0.0722), applied to the decoded planes."""
  color, luma = np.array([40, 180, 60]), np.array([0.2126, 0.7152, 0.0722])
  y = color @ luma
  cb, cr = (60 - y) / 1.8556, (40 - y) / 1.5748
  planes = np.rint([16 + 219 / 255 * y, 128 + 224 / 255 * cb, 128 + 224 / 255 * cr])
  with av.open(str(tmp_path / "a.mkv"), "w") as file:
    stream = file.add_stream("ffv1", rate=10)
    stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    sound = file.add_stream("aac", rate=8000, layout="mono")
    for _ in range(3):
      frame = av.VideoFrame(48, 32, "yuv420p")
      for plane, value in zip(frame.planes, planes):
        plane.update(bytes([int(value)]) * plane.buffer_size)
      frame.colorspace = frame.color_range = 1
      file.mux(stream.encode(frame))
    samples = av.AudioFrame.from_ndarray(np.zeros((1, 2400), np.float32), "fltp", "mono")
    samples.sample_rate = 8000
    file.mux([*sound.encode(samples), *sound.encode(None), *stream.encode(None)])
  for output in ("o.mp4", "o.webm"):
    assert run(sources, weights, tmp_path / "a.mkv", tmp_path / output, "--strength", "0") == 0
    with av.open(str(tmp_path / output)) as file:
      frame = next(file.decode(video=0))
      assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
      y, cb, cr = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[8, 8].astype(float)
        for plane in frame.planes
      )
    y, cb, cr = (y - 16) / 219 * 255, (cb - 128) / 224 * 255, (cr - 128) / 224 * 255
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    actual = np.array([red, (y - 0.2126 * red - 0.0722 * blue) / 0.7152, blue])
    assert np.abs(actual - color).max() <= 2
  assert "note: sound track 1 (aac) is left out: .webm can't hold it" in capsys.readouterr().err
