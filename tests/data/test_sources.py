"""Listing folders, the check at startup, and the replacement of unreadable files."""

import numpy as np
import pytest
from PIL import Image

from stylejax.data.sources import ImageSource, find_images, require_readable
from stylejax.errors import InputError


def write(path, level: int = 0):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new("RGB", (20, 16), (level, level, level)).save(path, "PNG")
  return path


def bad(path):
  path.write_bytes(b"not an image")
  return path


def test_finds_nested_images_in_order(tmp_path):
  names = ["b.JPG", "a.png", "c/a.webp", "c/d/e.jpeg", "a-b/x.png", "a/z.png"]
  for name in names:
    write(tmp_path / name)
  for name in ("notes.txt", "a.gif", ".hidden.jpg", ".cache/a.jpg", "c/.b.png", "jpg"):
    write(tmp_path / name)
  actual = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]
  assert actual == ["a/z.png", "a-b/x.png", "a.png", "b.JPG", "c/a.webp", "c/d/e.jpeg"]


def test_links_are_followed_and_circles_end(tmp_path):
  write(tmp_path / "outside" / "o.png")
  folder = tmp_path / "folder"
  write(folder / "a.png")
  (folder / "link").symlink_to(tmp_path / "outside")
  (folder / "self").symlink_to(folder)
  (folder / "up").symlink_to(tmp_path)
  names = [path.name for path in find_images(folder)]
  assert sorted(names) == ["a.png", "o.png"]


def test_folders_without_images_are_named(tmp_path):
  empty = tmp_path / "empty"
  empty.mkdir()
  file = write(tmp_path / "a.png")
  for folder, words in (
    (tmp_path / "none", "found no folder"),
    (file, "found the file"),
    (empty, "found no image in"),
  ):
    with pytest.raises(InputError, match=words) as caught:
      find_images(folder, flag="--content-dir")
    message = str(caught.value)
    assert message.startswith("--content-dir: ") and str(folder) in message
    assert "expected" in message and "\n" not in message


def test_require_readable_stops_at_the_first_that_decodes(tmp_path, monkeypatch):
  paths = [bad(tmp_path / "0.png"), write(tmp_path / "1.png"), tmp_path / "never.png"]
  opened = []
  original = Image.open
  monkeypatch.setattr(Image, "open", lambda p, **k: opened.append(p) or original(p, **k))
  require_readable(paths, "--style-dir")
  assert opened == paths[:2]
  with pytest.raises(InputError, match="--style-dir: found 2 files and none readable"):
    require_readable([paths[0], paths[2]], "--style-dir")


def test_a_bad_file_is_replaced_by_the_next_and_reported(tmp_path, monkeypatch):
  paths = [write(tmp_path / f"{i}.png", i * 10) for i in range(5)]
  for i in (1, 2, 4):
    bad(paths[i])
  opened = []
  original = Image.open
  monkeypatch.setattr(Image, "open", lambda p, **k: opened.append(p) or original(p, **k))
  source = ImageSource(paths)
  assert len(source) == 5
  for _ in range(2):  # The second time from memory, with the same answer.
    got = [source[i] for i in range(5)]
    assert [example.index for example in got] == [0, 3, 3, 3, 0]
    assert [np.asarray(example.image)[0, 0, 0] for example in got] == [0, 30, 30, 30, 0]
    skipped = [[item.path for item in example.skipped] for example in got]
    assert skipped == [[], [str(paths[1]), str(paths[2])], [str(paths[2])], [], [str(paths[4])]]
    assert "not an image" in got[1].skipped[0].reason
    assert str(paths[1]) not in got[1].skipped[0].reason
  assert all(opened.count(paths[i]) == 1 for i in (1, 2, 4))


def test_a_file_deleted_later_is_replaced_too(tmp_path):
  paths = [write(tmp_path / f"{i}.png") for i in range(2)]
  source = ImageSource(paths)
  assert source[0].index == 0
  paths[0].unlink()
  assert source[0].index == 1


def test_no_readable_file_is_an_error(tmp_path):
  source = ImageSource([bad(tmp_path / "0.png"), bad(tmp_path / "1.png")])
  with pytest.raises(InputError, match="found no readable image"):
    source[1]
  with pytest.raises(InputError, match="empty list"):
    ImageSource([])
