"""A folder appears whole or stays as it was, and other people's files are never touched."""

import os

import pytest

from stylejax.errors import InputError
from stylejax.runtime import folders
from stylejax.runtime.folders import LIST_NAME, check_folder, filling


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  return tmp_path


def fill(path, count, text="new", replaces=True):
  with filling(path, "output", replaces=replaces) as folder:
    for number in range(1, count + 1):
      (folder / f"{number:06d}.png").write_text(f"{text} {number}")


def content(path):
  return {name: (path / name).read_text() for name in sorted(os.listdir(path)) if name != LIST_NAME}


def frames(count, text="new"):
  return {f"{n:06d}.png": f"{text} {n}" for n in range(1, count + 1)}


@pytest.mark.parametrize("there", ["missing", "empty", "link", "litter"])
def test_a_new_folder(tmp_path, there):
  path = tmp_path / "out"
  if there != "missing":
    (tmp_path / "real").mkdir()
    path.symlink_to("real") if there == "link" else (tmp_path / "real").rename(path)
  if there == "litter":  # what file managers leave is nobody's
    (path / ".DS_Store").write_text("")
  assert check_folder(path, "output", replaces=True) == 0
  fill(path, 3)
  actual = content(path)
  actual.pop(".DS_Store", None)
  assert actual == frames(3)
  assert path.is_symlink() == (there == "link")
  assert not [name for name in os.listdir() if name.startswith(".stylejax")]


def test_a_shorter_run_leaves_no_frame_of_the_longer_one(tmp_path):
  path = tmp_path / "out"
  fill(path, 5, "old")
  assert check_folder(path, "output", replaces=True) == 5
  fill(path, 3)
  assert content(path) == frames(3)
  fill(path, 6, "third")
  assert content(path) == frames(6, "third")


@pytest.mark.parametrize("case", ["no list", "one more", "one changed", "a folder", "a link"])
def test_files_that_no_run_wrote_are_never_touched(tmp_path, case):
  path = tmp_path / "out"
  fill(path, 3, "old")
  if case == "no list":
    (path / LIST_NAME).unlink()
  elif case == "one more":  # of a name that a longer run would write
    (path / "000004.png").write_text("mine")
  elif case == "one changed":
    (path / "000002.png").write_text("retouched by hand")
  elif case == "a folder":
    (path / "000002.png").unlink()
    (path / "000002.png").mkdir()
  else:
    (tmp_path / "mine").write_text("old 2")
    (path / "000002.png").unlink()
    (path / "000002.png").symlink_to("../mine")
  before = sorted(os.listdir(path))
  with pytest.raises(InputError, match="that no earlier run wrote .*, expected a new or empty"):
    check_folder(path, "output", replaces=True)
  # Also if they appear during the run.
  with pytest.raises(InputError, match="that no earlier run wrote"):
    fill(path, 6)
  assert sorted(os.listdir(path)) == before
  assert (path / "000001.png").read_text() == "old 1"


def test_where_nothing_is_replaced_a_folder_must_be_empty(tmp_path):
  path = tmp_path / "out"
  fill(path, 2, replaces=False)
  assert sorted(os.listdir(path)) == ["000001.png", "000002.png"]
  with pytest.raises(InputError, match=r"found 2 files in it \(000001.png, 000002.png\), expected"):
    check_folder(path, "output", replaces=False)


@pytest.mark.parametrize("there", [0, 4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_what_fails_half_way_leaves_the_folder_as_it_was(tmp_path, there, error):
  path = tmp_path / "out"
  if there:
    fill(path, there, "old")
  before = content(path) if there else None
  with pytest.raises(error), filling(path, "output", replaces=True) as folder:
    (folder / "000001.png").write_text("half")
    raise error
  assert os.listdir() == (["out"] if there else [])
  assert not there or content(path) == before


def test_a_run_that_dies_among_the_moves_can_be_run_again(tmp_path, monkeypatch):
  path = tmp_path / "out"
  fill(path, 5, "old")
  moves, replace = [], os.replace

  def dies(source, target):
    if str(target).endswith(".png"):
      moves.append(target)
      if len(moves) == 3:
        raise KeyboardInterrupt
    replace(source, target)

  with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
    patched.setattr(os, "replace", dies)
    fill(path, 4)
  # Each file is whole, old or new, and all are known as ours.
  assert content(path) == frames(5, "old") | frames(2)
  assert check_folder(path, "output", replaces=True) == 5
  fill(path, 2, "third")
  assert content(path) == frames(2, "third")


def test_of_two_at_once_the_later_is_there_whole(tmp_path):
  path = tmp_path / "out"
  with filling(path, "output", replaces=True) as first:
    (first / "000001.png").write_text("first")
    fill(path, 3, "second")
    assert content(path) == frames(3, "second")
  assert content(path) == {"000001.png": "first"}
  with (
    pytest.raises(InputError, match="found 1 file in it"),
    filling(tmp_path / "shards", "--output-dir", replaces=False) as first,
  ):
    (first / "a.tar").write_text("first")
    fill(tmp_path / "shards", 1, replaces=False)
  assert content(tmp_path / "shards") == frames(1)
  assert sorted(os.listdir()) == ["out", "shards"]


def test_a_volume_of_its_own_is_filled_from_inside(tmp_path, monkeypatch):
  """Such a folder can't be replaced by renaming, and no other folder may be beside it."""
  path = tmp_path / "out"
  path.mkdir()
  monkeypatch.setattr(os, "rename", lambda *_: pytest.fail("a mount point can't be replaced"))
  fill(path, 2)
  assert content(path) == frames(2)
  assert os.listdir() == ["out"]


def test_a_list_that_says_too_much_is_not_believed(tmp_path):
  path = tmp_path / "out"
  path.mkdir()
  (path / "mine.png").write_text("mine")
  (path / LIST_NAME).write_text('{"files": [["../x", 1, 1], ["mine.png", 9, 0], 7]}')
  with pytest.raises(InputError, match="mine.png"):
    check_folder(path, "output", replaces=True)
  assert folders._read_list(path) == []
