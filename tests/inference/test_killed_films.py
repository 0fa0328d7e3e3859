"""Films that are killed anywhere, twice, or while another run works on them."""

import contextlib
import dataclasses
import shutil

import jax
import numpy as np
import pytest
from small_films import CUT, FRAMES, make_film, run, stop_at

import stylejax
from stylejax.errors import InputError
from stylejax.images import frame_folders
from stylejax.inference import keyframed, sequence, unfinished
from stylejax.weights import style_library


@pytest.fixture(scope="module")
def film(tiny_params, tmp_path_factory):
  return make_film(tmp_path_factory.mktemp("film"), tiny_params)


@pytest.fixture
def kills(monkeypatch):
  """Runs something until the frame after so many is written; nothing is cleaned up then."""

  def kill(at, work):
    with monkeypatch.context() as patch:
      patch.setattr(unfinished.Unfinished, "remove", lambda self: None)
      stop_at(patch, at)
      with pytest.raises(KeyboardInterrupt):
        work()

  return kill


@pytest.fixture
def starts(monkeypatch):
  """How many finished frames each run found."""
  found, init = [], unfinished.Unfinished.__init__

  def note(self, *arguments):
    init(self, *arguments)
    found.append(self.done)

  monkeypatch.setattr(unfinished.Unfinished, "__init__", note)
  return found


def continued(method, styles, weights):
  """Keyframes that show what they started from: the content, or the previous keyframe."""
  del method, styles, weights
  return lambda content, start, begins: 1 - content if begins else 0.5 * start + 0.5 * content


@pytest.mark.parametrize(
  "method, keyframes, expected",
  [
    # Every state is saved; the last is that after the whole film.
    ("network", None, [0, 1, 3, 4, 6, 7, FRAMES]),
    # States are saved at keyframes 3 and 5, the scene's end (5, where the next begins), and 8.
    ("refine", 2, [0, 0, 2, 4, 5, 7, FRAMES]),
    ("refine", 24, [0, 0, 0, 0, 5, 5, FRAMES]),
  ],
)
def test_films_killed_again_and_again(
  film, tmp_path, monkeypatch, kills, starts, method, keyframes, expected
):
  monkeypatch.setattr(sequence, "SAVE_EVERY", 1)
  monkeypatch.setattr(keyframed, "paint_with", continued)
  settings = {"method": method, "keyframes": keyframes, "resume": True}
  whole_report, whole = run(film, tmp_path / "whole", **settings)
  del starts[:]
  for at in (2, 4, 5, 7, 8):
    kills(at - 1, lambda: run(film, tmp_path / "out", **settings))
  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(frame_folders.FolderWriter, "finish", lambda self: stop())
    patch.setattr(unfinished.Unfinished, "remove", lambda self: None)
    run(film, tmp_path / "out", **settings)
  report, actual = run(film, tmp_path / "out", **settings)
  assert starts == expected and (whole_report.kept, report.kept) == (0, FRAMES)
  np.testing.assert_array_equal(actual, whole)
  for name in ("frames", "flicker", "still", "warping_error", "held", "cuts"):
    assert getattr(report, name) == pytest.approx(getattr(whole_report, name)), name
  assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def stop():
  raise KeyboardInterrupt


def test_two_runs_do_not_go_on_with_one_film(film, tmp_path, monkeypatch):
  """The second says who works on it, and the first ends as if it were alone."""
  _, whole = run(film, tmp_path / "whole", resume=True)
  said, write = [], frame_folders.FolderWriter.write

  def second(self, frame):
    if not said:
      with pytest.raises(InputError) as error:
        run(film, tmp_path / "out", resume=True)
      said.append(str(error.value))
    write(self, frame)

  monkeypatch.setattr(frame_folders.FolderWriter, "write", second)
  _, actual = run(film, tmp_path / "out", resume=True)
  assert said[0].startswith("--resume ") and "found it in use by process" in said[0]
  np.testing.assert_array_equal(actual, whole)


def test_a_kill_while_the_folder_is_made_or_removed_leaves_none(film, tmp_path, monkeypatch):
  """A partial folder would stop every later run."""
  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(unfinished, "replacing", lambda path: stop())
    run(film, tmp_path / "out", resume=True)
  assert list(tmp_path.iterdir()) == []
  with monkeypatch.context() as patch:
    patch.setattr(shutil, "rmtree", lambda *_, **__: None)
    run(film, tmp_path / "out", resume=True)
  assert not (tmp_path / "out.unfinished").exists()
  run(film, tmp_path / "out", resume=True)


def test_a_damaged_state_is_one_line(film, tmp_path, kills, monkeypatch):
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  kills(5, lambda: run(film, tmp_path / "out", resume=True))
  state = tmp_path / "out.unfinished" / "state.npz"
  whole = state.read_bytes()
  for damaged in (b"", whole[: len(whole) // 2], b"PK\x03\x04" + bytes(100)):
    state.write_bytes(damaged)
    with pytest.raises(InputError, match="state.npz damaged, expected .* the film starts over"):
      run(film, tmp_path / "out", resume=True)


def test_a_film_goes_on_from_another_folder(film, tmp_path, kills, monkeypatch, starts):
  """Files are recognized by any name."""
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  kills(5, lambda: run(film, tmp_path / "out", resume=True))
  monkeypatch.chdir(film.content)
  away = dataclasses.replace(film, content=".", style=["../style.png"])
  run(away, tmp_path / "out", resume=True)
  assert starts == [0, 4]


def test_a_style_of_the_library_is_the_one_that_it_was(film, tmp_path, kills, monkeypatch, starts):
  """Other styles may be added meanwhile, but a film has one style from start to end."""
  monkeypatch.setattr(sequence, "SAVE_EVERY", 2)
  monkeypatch.setattr(style_library, "default_path", lambda: tmp_path / "styles.safetensors")
  stylizer = stylejax.Stylizer(film.weights)
  vector = jax.tree.map(np.asarray, stylizer.invent_style(1))
  saved = style_library.SavedStyle(vector, "")
  other = dataclasses.replace(saved, code=jax.tree.map(lambda x: x + 1, vector))
  library = tmp_path / "styles.safetensors"
  style_library.write_library(library, {"a": saved}, stylizer.params)
  named = dataclasses.replace(film, style=["@a"])
  kills(5, lambda: run(named, tmp_path / "out", resume=True))
  style_library.write_library(library, {"a": other}, stylizer.params)
  with pytest.raises(InputError, match="from a run with other settings or files"):
    run(named, tmp_path / "out", resume=True)
  style_library.write_library(library, {"a": saved, "b": other}, stylizer.params)
  run(named, tmp_path / "out", resume=True)
  assert starts == [0, 4]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("method", ["network", "refine"])
def test_films_of_one_and_two_frames(film, tmp_path, monkeypatch, method, count):
  monkeypatch.setattr(keyframed, "paint_with", continued)
  (tmp_path / "frames").mkdir()
  # Two scenes of a frame each.
  for number in (CUT - 2, CUT - 1)[:count]:
    shutil.copy(film.content / f"{number}.png", tmp_path / "frames")
  short = dataclasses.replace(film, content=tmp_path / "frames", method=method, resume=True)
  report, actual = run(short, tmp_path / "out")
  assert report.frames == len(actual) == count
  assert report.cuts == (2,)[: count - 1] and report.held == 0
  for number in range(count):
    with contextlib.suppress(FileNotFoundError):
      shutil.rmtree(tmp_path / "one")
    (tmp_path / "one").mkdir()
    shutil.copy(film.content / f"{CUT - 2 + number}.png", tmp_path / "one")
    _, alone = run(dataclasses.replace(short, content=tmp_path / "one"), tmp_path / f"{number}")
    np.testing.assert_array_equal(actual[number], alone[0])


@pytest.mark.parametrize("keyframes", [1, 4, 5, 6])
def test_cuts_beside_keyframes(film, tmp_path, monkeypatch, keyframes):
  """Intervals that end at the last frame before a cut, or one or two later; and of one frame."""
  monkeypatch.setattr(keyframed, "paint_with", continued)
  settings = {"method": "refine", "keyframes": keyframes}
  report, actual = run(film, tmp_path / "out", **settings)
  assert report.cuts == (CUT,) and len(actual) == FRAMES
  (tmp_path / "second").mkdir()
  for number in range(CUT - 1, FRAMES):
    shutil.copy(film.content / f"{number}.png", tmp_path / "second")
  second = dataclasses.replace(film, content=tmp_path / "second")
  _, alone = run(second, tmp_path / "alone", **settings)
  np.testing.assert_allclose(actual[CUT - 1].astype(int), alone[0], atol=1)


def test_frames_that_wait_for_a_keyframe_have_the_size_of_the_output(film, tmp_path, monkeypatch):
  """Otherwise a 4K film with a small output would take gigabytes."""
  shapes, stylize = [], keyframed.ByKeyframes.stylize

  def look(self, moved):
    def each():
      for one in moved:
        shapes.append((one.frame.rgb.shape, one.rgb.shape))
        yield one

    return stylize(self, each())

  monkeypatch.setattr(keyframed.ByKeyframes, "stylize", look)
  monkeypatch.setattr(keyframed, "paint_with", continued)
  run(film, tmp_path / "out", method="refine", size=16)
  assert set(shapes) == {((16, 23, 3), (16, 23, 3))}
