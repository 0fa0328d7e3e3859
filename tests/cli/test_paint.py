"""`stylejax paint` with positional files: what infer.py does with flags (tests/infer_command)."""

import numpy as np
import pytest
from PIL import Image

from stylejax.cli import main as command


@pytest.fixture
def files(tmp_path, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")
  monkeypatch.chdir(tmp_path)
  rng = np.random.default_rng(0)
  for name in ("photo", "wave", "irises"):
    Image.fromarray(rng.integers(0, 256, (32, 40, 3)).astype(np.uint8)).save(f"{name}.png")
  return tmp_path


def run(*words):
  return command.main(["paint", *words])


def outputs(folder):
  inputs = {"photo.png", "wave.png", "irises.png"}
  return sorted(path.name for path in folder.iterdir() if path.name not in inputs)


def test_places_are_flags(files, capsys):
  assert run("photo.png", "wave.png") == 0
  assert capsys.readouterr().out.startswith("wrote photo_wave.png")
  flags = ("--content", "photo.png", "--style", "wave.png", "--output", "o.png")
  assert run(*flags) == 0
  assert run("photo.png", "wave.png", "third.png") == 0
  first, second, third = (
    np.asarray(Image.open(name)) for name in ("photo_wave.png", "o.png", "third.png")
  )
  np.testing.assert_array_equal(first, second)
  np.testing.assert_array_equal(first, third)
  # An output that nobody named replaces no file.
  before = (files / "photo_wave.png").read_bytes()
  assert run("photo.png", "wave.png", "--strength", "0.5") == 0
  assert (files / "photo_wave.png").read_bytes() == before
  assert outputs(files) == ["o.png", "photo_wave.png", "photo_wave_2.png", "third.png"]


def test_several_styles_and_a_folder(files):
  assert run("photo.png", "wave.png", "irises.png", "--output", "out/") == 0
  assert sorted(path.name for path in (files / "out").iterdir()) == [
    "photo_irises.png",
    "photo_wave.png",
  ]


def test_a_third_file_that_is_there_is_not_overwritten(files, capsys):
  before = (files / "irises.png").read_bytes()
  assert run("photo.png", "wave.png", "irises.png") == 2
  assert "irises.png: found an existing file" in capsys.readouterr().err
  assert (files / "irises.png").read_bytes() == before and outputs(files) == []


def test_format_and_seed_name_the_output(files):
  assert run("photo.png", "--seed", "7", "--format", "webp") == 0
  assert outputs(files) == ["photo_seed7.webp"]


@pytest.mark.parametrize("flags", [("--resume",), ("--interpolate", "3")])
def test_what_needs_an_output(files, flags, capsys):
  assert run("photo.png", "wave.png", *flags) == 2
  assert f"--output: found none with {flags[0]}" in capsys.readouterr().err
