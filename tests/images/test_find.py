"""Which files of a folder are images; the others are named."""

import os
from pathlib import Path

import pytest

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.find import find_images, list_images


def make(folder: Path, *names: str) -> None:
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")


def test_folder_takes_every_format_that_a_single_file_may_have(tmp_path):
  make(tmp_path, *(f"a{suffix}" for row in formats.IMAGES for suffix in row.suffixes))
  notes = []
  actual = find_images([tmp_path], "--content", on_note=notes.append)
  assert {path.suffix for path in actual} == {
    suffix for row in formats.IMAGES if row.reads for suffix in row.suffixes
  }
  assert {".jpg", ".tif", ".bmp", ".gif", ".png", ".webp"} <= {path.suffix for path in actual}
  assert not notes


def test_folder_names_what_it_leaves_out(tmp_path):
  make(tmp_path, "a.jpg", "b.mov", "c/d.txt", "e.xyz", "notes.md", ".hidden")
  notes = []
  find_images([tmp_path], "--content", on_note=notes.append)
  (note,) = notes
  assert note.startswith("--content: 4 of 5 files left out, which are not JPEG, PNG,")
  assert note.endswith(f" ({tmp_path}/b.mov, {tmp_path}/c/d.txt, {tmp_path}/e.xyz, …)")


def test_folder_of_training_takes_its_own_formats(tmp_path):
  make(tmp_path, "a.jpg", "b.tif")
  notes = []
  actual = list_images(tmp_path, rows=formats.TRAINING_IMAGES, on_note=notes.append)
  assert [path.name for path in actual] == ["a.jpg"]
  assert notes == [
    f"folder: 1 of 2 files left out, which are not JPEG, PNG or WebP ({tmp_path}/b.tif)"
  ]


def test_folder_without_an_image_says_what_it_holds(tmp_path):
  make(tmp_path, "a.txt")
  with pytest.raises(
    InputError, match=r"--content: found no image in .* among 1 files \(.*/a.txt\)"
  ):
    find_images([tmp_path], "--content")


def test_folder_reached_by_two_links_counts_once(tmp_path):
  make(tmp_path, "a/b.png")
  os.symlink(tmp_path / "a", tmp_path / "c")
  os.symlink(tmp_path, tmp_path / "a" / "up")
  assert [path.relative_to(tmp_path) for path in find_images([tmp_path], "--x")] == [
    Path("a/b.png")
  ]


def test_folders_a_thousand_deep_are_searched(tmp_path):
  """os.walk of Python 3.11 recurses once per level, and fails at the limit of 1,000."""
  depth, place, names = 1100, tmp_path, []
  for number in range(depth):
    place = place / "d"
    os.mkdir(place)
    if number % 100 == 0:
      names.append(place / "a.png")
      names[-1].touch()
  try:
    # Sorted by the parts of their paths; "a.png" comes before "d".
    assert list_images(tmp_path) == names
    assert find_images([tmp_path], "--content") == names
  finally:  # pytest's own removal is recursive, too
    for path in names:
      path.unlink()
    for _ in range(depth):
      os.rmdir(place)
      place = place.parent
