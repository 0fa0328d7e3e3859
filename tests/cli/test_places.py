"""Files without flags: which is the content, the style and the output."""

import pytest

from stylejax.cli.places import Places, assign
from stylejax.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  return tmp_path


def place(*files, content=(), style=(), output=None, **settings):
  return assign(files, content, style, output, suffix=".png", **settings)


@pytest.mark.parametrize(
  "files, flags, expected",
  [
    (("a.jpg", "b.jpg"), {}, (("a.jpg",), ("b.jpg",), "a_b.png")),
    (("x/a.jpg", "y/b.c.jpg"), {}, (("x/a.jpg",), ("y/b.c.jpg",), "a_b.c.png")),
    (("a.jpg", "@wave"), {}, (("a.jpg",), ("@wave",), "a_wave.png")),
    (("a.jpg", "b.jpg:0.7"), {}, (("a.jpg",), ("b.jpg:0.7",), "a_b.png")),
    (("a.jpg", "b.jpg", "o.webp"), {}, (("a.jpg",), ("b.jpg",), "o.webp")),
    (("a.jpg", "b.jpg"), {"output": "o.png"}, (("a.jpg",), ("b.jpg",), "o.png")),
    (("a.jpg", "b.jpg", "c.jpg"), {"output": "o/"}, (("a.jpg",), ("b.jpg", "c.jpg"), "o/")),
    (("a.jpg",), {"style": ("b.jpg",)}, (("a.jpg",), ("b.jpg",), "a_b.png")),
    (
      ("a.jpg", "b.jpg"),
      {"style": ("c.jpg",), "output": "o/"},
      (("a.jpg", "b.jpg"), ("c.jpg",), "o/"),
    ),
    (("a.jpg",), {"other_style": "seed7"}, (("a.jpg",), (), "a_seed7.png")),
    (("a.jpg", "b.jpg"), {"other_style": "seed7"}, (("a.jpg",), ("b.jpg",), "a_b.png")),
    (
      ("a.jpg", "b.jpg", "c.jpg"),
      {"other_style": "regions", "output": "o/"},
      (("a.jpg",), ("b.jpg", "c.jpg"), "o/"),
    ),
    (("a.jpg",), {"other_style": "regions", "output": "o.png"}, (("a.jpg",), (), "o.png")),
    ((), {"content": ("a.jpg",), "style": ("b.jpg",)}, (("a.jpg",), ("b.jpg",), "a_b.png")),
    ((), {"content": ("a",), "style": (), "output": "o.png"}, (("a",), (), "o.png")),
  ],
)
def test_assign(files, flags, expected):
  assert place(*files, **flags) == Places(*expected)


def test_a_name_that_is_there_is_not_taken(folder):
  (folder / "a_b.png").touch()
  (folder / "a_b_2.png").symlink_to("nowhere")
  assert place("a.jpg", "b.jpg").output == "a_b_3.png"


def test_a_folder_of_frames(folder):
  (folder / "frames").mkdir()
  assert place("frames", "b.jpg", folders=True).output == "frames_b"
  with pytest.raises(InputError, match="--output: found none for several images"):
    place("frames", "b.jpg")


@pytest.mark.parametrize(
  "files, flags, message",
  [
    ((), {}, "--content: found nothing"),
    (("a.jpg",), {}, "--style: found no style for a.jpg"),
    (("a.jpg",), {"content": ("b.jpg",)}, "a.jpg: found it without a flag although --content"),
    (("a.jpg", "b.jpg", "c.png", "d.png"), {}, "found 4 files"),
    (("a.jpg", "b.jpg"), {"style": ("c.jpg",)}, "--style: found it with 2 files"),
    (("a.jpg", "b.jpg", "there.jpg"), {}, "there.jpg: found an existing file"),
    ((), {"content": ("a", "b"), "style": ("c",)}, "--output: found none for several"),
  ],
)
def test_what_is_refused(folder, files, flags, message):
  (folder / "there.jpg").touch()
  with pytest.raises(InputError, match=message):
    place(*files, **flags)
