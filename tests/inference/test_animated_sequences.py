"""infer.py --sequence on animations and folders: the output keeps what the input has, or says so.

At strength 0 the output is the content itself, so its pixels are known.
"""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import infer
import stylejax
from stylejax.images.frames import Source

SHAPE = (20, 24)
LENGTHS = [Fraction(n, 100) for n in (10, 5, 300)]


@pytest.fixture(scope="module")
def weights(tiny_params, tmp_path_factory):
  return stylejax.save_weights(tmp_path_factory.mktemp("weights") / "w.safetensors", tiny_params)


@pytest.fixture(scope="module")
def pixels():
  """Three frames in which a red square moves over a transparent ground, from left to right."""
  frames = np.zeros((3, *SHAPE, 4), np.uint8)
  frames[:, 14:] = (40, 180, 60, 255)
  for number, frame in enumerate(frames):
    frame[2:12, 6 * number : 6 * number + 10] = (200, 30, 10, 255)
  return frames


@pytest.fixture(scope="module")
def inputs(pixels, tmp_path_factory):
  """The same frames as a GIF, WebP and APNG that are shown twice, and as a folder; and a style."""
  root = tmp_path_factory.mktemp("inputs")
  images = [Image.fromarray(frame) for frame in pixels]
  for name, loop, more in (
    ("a.gif", 1, {"disposal": 2}),
    ("a.webp", 2, {"lossless": True}),
    ("a.png", 2, {}),
  ):
    images[0].save(
      root / name,
      save_all=True,
      append_images=images[1:],
      loop=loop,
      duration=[int(1000 * length) for length in LENGTHS],
      **more,
    )
  (root / "frames").mkdir()
  for number, image in zip((8, 9, 10), images, strict=True):
    image.save(root / "frames" / f"{number}.png")
  Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(
    root / "style.png"
  )
  return root


def run(inputs, weights, content, output, capsys, *more):
  status = infer.main(
    [
      "--sequence",
      "--content",
      str(inputs / content),
      "--style",
      str(inputs / "style.png"),
      "--output",
      str(output),
      "--style-size",
      "32",
      "--weights",
      str(weights),
      "--strength",
      "0",
      *more,
    ]
  )
  lines = capsys.readouterr().err.splitlines()
  return status, [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]


def visible_colors(frames):
  return [np.where(frame[..., 3:] > 0, frame, 0) for frame in frames]


def decoded(output):
  """[H, W, 4] uint8 of each frame, by FFmpeg or, for WebP, libwebp."""
  if output.suffix == ".webp":
    image = Image.open(output)
    return [np.asarray((image.seek(n), image.convert("RGBA"))[1]) for n in range(image.n_frames)]
  if output.is_dir():
    return [np.asarray(Image.open(file).convert("RGBA")) for file in sorted(output.glob("*.png"))]
  with av.open(str(output)) as file:
    return [frame.to_ndarray(format="rgba") for frame in file.decode(video=0)]


@pytest.mark.parametrize("content", ["a.gif", "a.webp", "a.png"])
@pytest.mark.parametrize("name", ["o.gif", "o.webp", "o.png", "out"])
def test_animations_keep_pixels_times_alpha_and_loops(
  inputs, weights, pixels, tmp_path, capsys, content, name
):
  output = tmp_path / name
  status, notes = run(inputs, weights, content, output, capsys)
  assert status == 0
  np.testing.assert_array_equal(visible_colors(decoded(output)), visible_colors(pixels))
  source = Source(output, 25)
  lengths = [frame.length for frame in source]
  np.testing.assert_allclose([float(n) for n in lengths], [float(n) for n in LENGTHS], atol=1e-6)
  assert source.plays == (0 if name == "out" else 2)
  assert notes == (
    ["a folder holds no times: frames.ffconcat beside the frames says how long each is shown"]
    if name == "out"
    else []
  )


@pytest.mark.parametrize("name", ["o.gif", "o.webp", "o.png", "out"])
def test_folders_keep_alpha_and_order(inputs, weights, pixels, tmp_path, capsys, name):
  """8.png comes before 10.png; three frames at a rate of 1 are three seconds."""
  output = tmp_path / name
  status, notes = run(inputs, weights, "frames", output, capsys, "--rate", "1")
  assert status == 0 and notes == []
  np.testing.assert_array_equal(visible_colors(decoded(output)), visible_colors(pixels))
  if name != "out":
    assert sum(frame.length for frame in Source(output, 25)) == 3


def test_alpha_that_a_video_cant_hold_is_laid_on_white_and_said(
  inputs, weights, pixels, tmp_path, capsys
):
  status, notes = run(inputs, weights, "a.gif", tmp_path / "o.mp4", capsys)
  assert status == 0 and len(notes) == 1 and "white" in notes[0]
  frames = decoded(tmp_path / "o.mp4")
  assert frames[0][:, :, :3][13, 20].min() > 245  # nothing is there
  np.testing.assert_allclose(frames[0][18, 12, :3], (40, 180, 60), atol=6)


def test_a_gif_is_as_steady_as_its_frames_as_png(inputs, weights, tmp_path, capsys):
  """The command's message about flicker is true: still pixels change no more in the GIF than in
  the same frames as PNG."""
  rng = np.random.default_rng(5)
  (tmp_path / "frames").mkdir()
  scene = rng.integers(60, 200, (5, 6, 3)).repeat(4, 0).repeat(4, 1)
  for number in range(8):
    noisy = np.clip(scene + rng.normal(0, 4, scene.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "frames" / f"{number}.png")
  actual = {}
  for name in ("o.gif", "out"):
    status = infer.main(
      [
        "--sequence",
        "--content",
        str(tmp_path / "frames"),
        "--style",
        str(inputs / "style.png"),
        "--output",
        str(tmp_path / name),
        "--style-size",
        "32",
        "--weights",
        str(weights),
      ]
    )
    assert status == 0
    frames = np.array(decoded(tmp_path / name), float)[2:, ..., :3]
    actual[name] = np.abs(np.diff(frames, axis=0)).mean()
  assert 0 < actual["o.gif"] <= actual["out"]
