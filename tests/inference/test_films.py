"""Films that are killed and resumed, whose settings change, or whose keyframes are optimized."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from small_films import CUT, FRAMES, frames_of, inverted, make_film, run, stop_at

from stylejax.errors import InputError
from stylejax.images import frames
from stylejax.inference import keyframed, over_time, sequence, unfinished


@pytest.fixture(scope="module")
def film(tiny_params, tmp_path_factory):
  return make_film(tmp_path_factory.mktemp("film"), tiny_params)


@pytest.mark.parametrize("method", ["network", "refine"])
def test_a_film_that_goes_on_is_the_one_that_was_never_stopped(film, tmp_path, monkeypatch, method):
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  monkeypatch.setattr(keyframed, "paint_with", inverted)
  settings = {"method": method, "keyframes": 2 if method == "refine" else None, "resume": True}
  whole_report, whole = run(film, tmp_path / "whole", **settings)
  with monkeypatch.context() as stopping:
    stop_at(stopping, 5)
    with pytest.raises(KeyboardInterrupt):
      run(film, tmp_path / "out", **settings)
  assert os.listdir(tmp_path) != ["whole"] and not (tmp_path / "out").exists()
  kept = unfinished.Unfinished.__init__
  done = []

  def note(self, *arguments):
    kept(self, *arguments)
    done.append(self.done)

  monkeypatch.setattr(unfinished.Unfinished, "__init__", note)
  report, actual = run(film, tmp_path / "out", **settings)
  # Keyframes take minutes, so the end of a scene is saved, too.
  assert done == [4 if method == "network" else CUT - 1]
  np.testing.assert_array_equal(actual, whole)
  for name in ("frames", "flicker", "still", "warping_error", "held", "cuts"):
    assert getattr(report, name) == pytest.approx(getattr(whole_report, name)), name
  assert sorted(os.listdir(tmp_path)) == ["out", "whole"]


def test_what_is_kept_is_for_the_same_film_only(film, tmp_path, monkeypatch):
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  with monkeypatch.context() as stopping:
    stop_at(stopping, 5)
    with pytest.raises(KeyboardInterrupt):
      run(film, tmp_path / "out", resume=True)
  with pytest.raises(
    InputError, match="--resume: found .*out.unfinished from a run with other settings"
  ):
    run(film, tmp_path / "out", resume=True, strength=0.5)
  (tmp_path / "mine.unfinished").mkdir()
  with pytest.raises(InputError, match="mine.unfinished, which no earlier run wrote"):
    run(film, tmp_path / "mine", resume=True)
  assert (tmp_path / "mine.unfinished").is_dir()


def test_frames_before_a_damaged_one_are_kept(film, tmp_path, monkeypatch):
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  damaged = tmp_path / "frames"
  shutil.copytree(film.content, damaged)
  data = bytearray((damaged / "4.png").read_bytes())
  data[len(data) // 2] ^= 0xFF
  (damaged / "4.png").write_bytes(data)
  done, notes = [], []
  with pytest.raises(InputError, match="4.png"):
    sequence.stylize_sequence(
      dataclasses.replace(film, content=damaged, output=tmp_path / "out", resume=True),
      on_progress=lambda count, total: done.append(count),
      on_note=notes.append,
    )
  assert done[-1] == 4
  assert any("4 frames are kept" in note for note in notes), notes


def test_keyframes_are_carried_to_the_frames_between(film, tmp_path, monkeypatch):
  """All frames look like their keyframes, up to the cut and after it."""
  monkeypatch.setattr(keyframed, "paint_with", inverted)
  report, actual = run(film, tmp_path / "out", method="neighbors", keyframes=3)
  assert report.cuts == (CUT,)
  expected = 255 - frames_of(film.content)
  keys = [0, 3, 4, CUT - 1, FRAMES - 1]  # the last of a scene is one, too
  np.testing.assert_allclose(actual[keys], expected[keys], atol=1)
  difference = np.abs(actual.astype(int) - expected)[:, 4:-4, 4:-4]
  assert difference.mean() < 6


@pytest.mark.parametrize("motion", ["followed", "ignored"])
@pytest.mark.parametrize(
  "name, cuts", [("black", ()), ("flash", (4, 5)), ("out of black", (4,)), ("noise", (2, 3, 4))]
)
def test_films_of_nothing_and_of_light(film, tmp_path, name, cuts, motion):
  """A flash is a scene of its own, whose first frame is stylized as if alone, as in any scene."""
  scene = np.stack([frames_of(film.content)[0]] * 4)
  black, white = np.zeros_like(scene), np.full_like(scene, 255)
  made = {
    "black": black,
    "flash": [*scene[:3], white[0], *scene[2:]],
    "out of black": [*black[:3], *scene],
    "noise": np.random.default_rng(0).integers(0, 256, scene.shape, np.uint8),
  }[name]
  (tmp_path / "frames").mkdir()
  for number, frame in enumerate(made):
    Image.fromarray(frame).save(tmp_path / "frames" / f"{number}.png")
  whole = dataclasses.replace(film, content=tmp_path / "frames", motion=motion)
  report, actual = run(whole, tmp_path / "out")
  assert report.cuts == cuts and len(actual) == len(made)
  assert all(np.isfinite(x) for x in (report.flicker, report.still, report.held) if x is not None)
  for cut in cuts:
    (tmp_path / f"{cut}").mkdir()
    Image.fromarray(made[cut - 1]).save(tmp_path / f"{cut}" / "1.png")
    _, alone = run(dataclasses.replace(whole, content=tmp_path / f"{cut}"), tmp_path / f"o{cut}")
    assert np.abs(actual[cut - 1].astype(int) - alone[0]).max() <= 2


def test_settings_follow_their_curves(film, tmp_path):
  """Strength 0 at the start gives the film itself; after the last point, strength stays."""
  curves = over_time.parse_curves(["strength=1:0,4:1", "preserve-color=2:1,3:0"])
  _, actual = run(film, tmp_path / "out", over_time=curves)
  contents = frames_of(film.content).astype(int)
  differences = np.abs(actual - contents).mean((1, 2, 3))
  assert differences[0] < 0.6 < differences[1] < differences[3]
  settings = over_time.Settings({"strength": 1, "memory": 0.9}, {}, curves)
  at = [settings.at(number) for number in (1, 2, 3, 4, 99)]
  np.testing.assert_allclose([values["strength"] for values in at], [0, 1 / 3, 2 / 3, 1, 1])
  np.testing.assert_allclose([values["color"] for values in at], [1, 1, 0, 0, 0])
  assert all(values.keys() == at[0].keys() for values in at)
  assert all(value.dtype == np.float32 for values in at for value in values.values())


@pytest.mark.parametrize(
  "text, message",
  [
    ("strength", "found strength, expected NAME=FRAME:NUMBER"),
    ("speed=1:0", "found the name speed, expected strength or smoothing or preserve-color"),
    ("strength=1:0,x:1", "expected NAME=FRAME:NUMBER"),
    ("strength=1:0,9:3", "--over-time strength: found 3.0, expected a number from 0 to 2"),
    ("smoothing=5:0,5:0.5", "found the frames 5, 5, expected each later"),
    ("strength=10:1,2:0", "found the frames 10, 2, expected each later"),
    ("strength=0:1", "--over-time strength, frame: found 0, expected a whole number from 1"),
    ("strength=1:nan", "--over-time strength: found nan, expected a number from 0 to 2"),
    (f"strength=1:0,1{'0' * 400}:1", "--over-time strength, frame: found 10+, expected a whole"),
  ],
)
def test_wrong_curves_are_named(text, message):
  with pytest.raises(InputError, match=message):
    over_time.parse_curves([text])


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"keyframes": 9}, "--keyframes: found it with --method network"),
    ({"method": "refine", "motion": "ignored"}, "--motion: found ignored with --method refine"),
    ({"method": "refine", "stroke": 2.0}, "--stroke: found it with --method refine"),
    ({"method": "refine", "keyframes": 0}, "--keyframes: found 0"),
    ({"over_time": {"strength": ((1, 5.0),)}}, "--over-time strength: found 5.0"),
    ({"over_time": {"memory": ((9, 0.5), (3, 0.5))}}, "--over-time smoothing: found the frames 9"),
    ({"over_time": {"memory": ()}}, "--over-time smoothing: found the frames none"),
    ({"over_time": {"speed": ((1, 0.5),)}}, "--over-time: found the name speed"),
  ],
)
def test_what_methods_do_not_take_is_refused(film, tmp_path, changes, message):
  with pytest.raises(InputError, match=message):
    run(film, tmp_path / "out", **changes)


@pytest.mark.processes
def test_60_frames_in_two_processes_are_those_of_one(film, tmp_path):
  """The first is killed outright once it has saved some frames; the second only has its folder.

  Compared as images: on a busy machine libx264 (in PyAV 18.1.0) doesn't encode the same images of
  64×48 pixels to the same bytes in each run; with 128×96 and more it does. They have a cache of
  their own: which of the available padded programs encodes a style depends on what other runs have
  left, and two of them round differently.
  """
  (tmp_path / "frames").mkdir()
  environment = os.environ | {"STYLEJAX_CACHE": str(tmp_path / "cache")}
  photo = np.asarray(
    Image.open(film.content / "0.png").resize((240, 120), Image.Resampling.BICUBIC)
  )
  for number in range(60):
    window = photo[number // 2 : number // 2 + 48, 2 * number : 2 * number + 64]
    Image.fromarray(window).save(tmp_path / "frames" / f"{number}.png")

  def start(output):
    words = [tmp_path / "frames", *film.style, tmp_path / output, "--weights", film.weights]
    words += ["--style-size", "32", "--resume"]
    command = [sys.executable, "-m", "stylejax", "sequence", *map(str, words)]
    return subprocess.Popen(command, env=environment)

  assert start("one").wait() == 0
  first = start("two")
  while not (tmp_path / "two.unfinished" / "state.npz").exists():
    assert first.poll() is None
    time.sleep(0.002)
  first.kill()
  assert first.wait() == -signal.SIGKILL and not (tmp_path / "two").exists()
  assert start("two").wait() == 0
  one, two = (
    np.stack([frame.rgb for frame in frames.Source(tmp_path / name, 25)]) for name in ("one", "two")
  )
  assert len(one) == 60
  np.testing.assert_array_equal(two, one)
  assert not (tmp_path / "two.unfinished").exists()
