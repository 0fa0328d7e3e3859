"""The names of outputs, and the checks before any work. Mistakes: test_infer_command.py."""

import os
from pathlib import Path

import pytest

from stylejax.errors import InputError
from stylejax.images.find import find_images
from stylejax.inference.outputs import check_number, plan_outputs


def names(jobs):
  return [[str(path) for path in job.outputs] for job in jobs]


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "there").mkdir()


@pytest.mark.parametrize(
  "contents, styles, output, expected",
  [
    (["a.jpg"], ["s"], "o.png", [["o.png"]]),
    (["a.jpg"], ["s"], "o.JPG", [["o.JPG"]]),
    (["a.jpg"], ["s"], "there", [["there/a_s.png"]]),
    (["a.jpg"], ["s"], "new/", [["new/a_s.png"]]),
    (["a.jpg"], ["s", "t"], "new", [["new/a_s.png", "new/a_t.png"]]),
    (["d/a.b.jpg", "b.png"], ["s"], "there", [["there/a.b_s.png"], ["there/b_s.png"]]),
  ],
)
def test_names(contents, styles, output, expected):
  assert names(plan_outputs([Path(c) for c in contents], styles, output)) == expected
  assert os.listdir(".") == ["there"] and os.listdir("there") == []


def test_a_folder_with_one_image_goes_to_a_folder():
  jobs = plan_outputs([Path("d/a.jpg")], ["s"], "new", prefer_folder=True, extension="webp")
  assert names(jobs) == [["new/a_s.webp"]]
  jobs = plan_outputs([Path("d/a.jpg")], ["s"], "o.png", prefer_folder=True)
  assert names(jobs) == [["o.png"]]


@pytest.mark.parametrize(
  "contents, expected",
  [
    # Camera folders, as a folder, as several folders or as files, give the same paths.
    (["DCIM/100/IMG_1.jpg", "DCIM/101/IMG_1.jpg"], ["100/IMG_1_s.png", "101/IMG_1_s.png"]),
    (["a/x.jpg", "a/b/x.jpg", "a/y.jpg"], ["x_s.png", "b/x_s.png", "y_s.png"]),
    (["a/x.jpg", "x.png"], ["a/x_s.png", "x_s.png"]),
    (["./a/../a/x.jpg", "b/x.jpg"], ["a/x_s.png", "b/x_s.png"]),
    # No name repeats: folders are left out, as before.
    (["a/x.jpg", "a/b/y.jpg"], ["x_s.png", "y_s.png"]),
  ],
)
def test_repeated_names_lie_in_folders_as_the_contents_do(contents, expected):
  jobs = plan_outputs([Path(c) for c in contents], ["s"], "there")
  assert names(jobs) == [[f"there/{path}"] for path in expected]
  assert os.listdir("there") == []


def test_two_formats_of_one_name_keep_their_extensions(tmp_path):
  # Phones write IMG_1.HEIC beside IMG_1.JPG.
  contents = [tmp_path / name for name in ("IMG_1.HEIC", "IMG_1.JPG", "IMG_2.JPG")]
  jobs = plan_outputs(contents, ["s"], tmp_path / "o")
  assert [job.outputs[0].name for job in jobs] == [
    "IMG_1_heic_s.png",
    "IMG_1_jpg_s.png",
    "IMG_2_s.png",
  ]


def test_two_names_of_one_file_are_found_out():
  Path("a.png").write_bytes(b"x")
  os.link("a.png", "hard.png")
  Path("soft.png").symlink_to("a.png")
  for output in ("hard.png", "soft.png", "there/../a.png"):
    with pytest.raises(InputError, match="found the input a.png"):
      plan_outputs([Path("a.png")], ["s"], output, inputs=[Path("a.png")])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 2.1, True, "1"])
def test_numbers_that_are_refused(value):
  with pytest.raises(InputError, match="--x: found .*, expected a number from 0 to 2"):
    check_number("--x", value, 0, 2, whole=False)


def test_whole_numbers():
  for value in (None, 0, 2, 2.0):
    check_number("--x", value, 0, 2)
  with pytest.raises(InputError, match="found 1.5, expected a whole number from 0 to 2"):
    check_number("--x", 1.5, 0, 2)


def test_find_images_keeps_the_order_and_drops_repeats():
  for name in ("b.png", "a.jpg", "there/c.webp", "there/notes.txt"):
    Path(name).write_bytes(b"x")
  actual = find_images(["b.png", "there", "a.jpg", "./b.png", "there/c.webp"], "--x")
  assert list(map(str, actual)) == ["b.png", "there/c.webp", "a.jpg"]
