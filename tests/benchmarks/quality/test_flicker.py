"""The figures of films: other averages do what they say, and motion of real films is estimated."""

import json
import sys

import jax
import numpy as np
import pytest

import stylejax
from benchmarks.harness import command_line
from benchmarks.harness.tables import flicker_table
from benchmarks.quality import averages, clips
from benchmarks.quality import flicker as benchmark
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images import encode

encode_style = jax.jit(transfer.encode_style)


@pytest.fixture
def filmed():
  """The module of films whose motion OpenCV estimates; only OpenCV may be missing."""
  pytest.importorskip("cv2", reason="OpenCV: not installed (pip install '.[reference]')")
  from benchmarks.quality import filmed

  return filmed


@pytest.mark.parametrize("way", averages.AVERAGES)
def test_of_a_first_frame_nothing_is_averaged(tiny_params, way):
  clip = clips.zoom(benchmark.SETTLED + 2, 48)
  code = encode_style(tiny_params, clip.frames[0][::-1])
  alone = benchmark.stylize(tiny_params, clip, code, benchmark.WAYS[0])
  film = benchmark.stylize(tiny_params, clip, code, way)
  np.testing.assert_allclose(film.frames[0], alone.frames[0], atol=1e-5)
  assert np.abs(film.frames[-1] - alone.frames[-1]).max() > 1e-3


@pytest.mark.parametrize("way", ["content code", "pixels, noise map"])
def test_each_average_steadies_what_stands_still(tiny_params, way):
  clip = clips.static_noise(8, 40)
  code = encode_style(tiny_params, clip.frames[0][::-1])
  alone, film = (
    benchmark.stylize(tiny_params, clip, code, name) for name in (benchmark.WAYS[0], way)
  )
  assert film.flicker < 0.5 * alone.flicker
  assert film.warping_error < 0.5 * alone.warping_error


def test_where_nothing_moves_pixels_and_the_noise_map_are_all_that_is_averaged(tiny_params):
  """Detail is restored only where there is motion."""
  clip = clips.static_noise(6, 40)
  code = encode_style(tiny_params, clip.frames[0][::-1])
  shipped, film = (
    benchmark.stylize(tiny_params, clip, code, name).frames[-1]
    for name in (benchmark.WAYS[2], "pixels, noise map")
  )
  # The noise in the clip moves a few pixels by fractions of a pixel.
  assert np.abs(shipped - film).mean() < 2e-3


def test_opencv_finds_a_shift_and_what_came_into_view(rng, filmed):
  photo = np.uint8(255 * clips.photo("coffee.jpg", 120)[:, :150].mean(-1))
  before, frame = photo[:, :-9], photo[:, 9:]
  flow = filmed.estimated_flow(np.ascontiguousarray(frame), np.ascontiguousarray(before))
  seen = flow.visible[..., 0] > 0
  assert np.abs(flow.vectors[seen] - [9, 0]).mean() < 0.2
  assert seen[:, :-12].mean() > 0.9 and not seen[:, -9:].any()


def test_of_a_film_the_middle_counts(tmp_path, filmed):
  for number, frame in enumerate(clips.pan(9, 40).frames):
    encode.write_image(tmp_path / f"{number}.png", frame)
  clip = filmed.middle(tmp_path, 5, 32)
  assert len(clip.frames) == 5 and len(clip.flows) == 4
  assert clip.frames[0].shape == (32, 48, 3)
  small = clips.pan(3, 40).frames[2]
  assert np.abs(clip.frames[0].mean((0, 1)) - small.mean((0, 1))).max() < 0.01
  assert clip.flows[0].vectors[..., 0].mean() == pytest.approx(2.3 * 32 / 40, abs=0.3)


@pytest.mark.usefixtures("filmed")
def test_the_command_takes_a_film_and_the_table_shows_it(
  tiny_params, tmp_path, monkeypatch, capsys
):
  (tmp_path / "film").mkdir()
  for number, frame in enumerate(clips.pan(6, 40).frames):
    encode.write_image(tmp_path / "film" / f"{number}.png", frame)
  weights = stylejax.save_weights(tmp_path / "tiny.safetensors", tiny_params)
  words = ["--films", tmp_path / "film", "--frames", 5, "--size", 40, "--weights", weights]
  output = tmp_path / "flicker.json"
  monkeypatch.setattr(sys, "argv", ["flicker", *map(str, [*words, "--output", output])])
  with pytest.raises(SystemExit) as left:
    command_line.command(benchmark.main, benchmark.Options, "", alone=False)
  assert left.value.code == 0
  result = json.loads(output.read_text())
  assert [row["way"] for row in result["flicker"]] == list(benchmark.WAYS)
  assert all(0 < row["warping_error"] < 1 and row["visible"] > 0.8 for row in result["flicker"])
  assert "along the motion" in capsys.readouterr().out
  assert len(flicker_table(result).splitlines()) == 2 + 3 + 2


def test_a_film_that_is_too_short_is_named(tmp_path, filmed):
  encode.write_image(tmp_path / "0.png", clips.photo("cat.jpg", 40))
  with pytest.raises(InputError, match=f"--films: found 1 frames in {tmp_path}"):
    filmed.middle(tmp_path, 5, 32)
