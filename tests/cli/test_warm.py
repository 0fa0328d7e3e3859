"""`stylejax warm` compiles the programs that `stylejax paint` and `sequence` need."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from stylejax.cli import main as command
from stylejax.cli.warm import SIZES
from stylejax.inference import buckets


def start(*arguments, cache):
  environment = os.environ | {"STYLEJAX_CACHE": str(cache)}
  return subprocess.run(
    [sys.executable, "-m", "stylejax", *map(str, arguments)],
    check=False,
    capture_output=True,
    text=True,
    env=environment,
  )


def run(*arguments, cache):
  done = start(*arguments, cache=cache)
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_an_image_of_another_size_finds_every_program(tmp_path):
  cache = tmp_path / "cache"
  assert "64×48: ready" in run("warm", "--sizes", "64x48", cache=cache)
  kept = {path.name for path in cache.rglob("*") if path.is_file()}
  assert {name.split("-")[0] for name in kept} >= {
    "encode_styles_padded",
    "encode_padded",
    "generate_padded",
  }
  rng = np.random.default_rng(0)
  for name, size in (
    ("photo.png", (40, 59)),
    ("square.png", (300, 290)),
    ("upright.png", (320, 180)),
  ):
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / name)
  for strength, style in ((1, "square.png"), (0.7, "upright.png")):
    output = tmp_path / f"stylized-{strength}.png"
    run(
      "paint", tmp_path / "photo.png", tmp_path / style, "--output", output,
      "--strength", strength, cache=cache,
    )  # fmt: skip
    assert Image.open(output).size == (59, 40)
  assert {path.name for path in cache.rglob("*") if path.is_file()} == kept
  # Nothing is traced, so modules for tracing are not even imported.
  code = "import sys; from stylejax.cli import main; main.main(sys.argv[1:]); print(*sys.modules)"
  words = ("paint", tmp_path / "photo.png", tmp_path / "upright.png", "--output", output)
  done = subprocess.run(
    [sys.executable, "-c", code, *map(str, words)],
    check=True,
    capture_output=True,
    text=True,
    env=os.environ | {"STYLEJAX_CACHE": str(cache)},
  )
  assert not {"flax", "optax", "scipy", "typeguard"} & set(done.stdout.split())


def test_the_default_sizes_serve_every_image_of_up_to_a_megapixel():
  known = {tuple(map(int, size.split("x")))[::-1] for size in SIZES}
  sides = range(16, 1025, 16)  # the stride of the networks
  unserved = [(h, w) for h in sides for w in sides if buckets.choose_known((h, w), known) is None]
  assert not unserved


def test_a_film_and_an_invented_style_find_every_program(tmp_path):
  cache = tmp_path / "cache"
  said = run("warm", "--sizes", "64x48", "--film-sizes", "80x64", cache=cache)
  assert "film of 80×64: ready" in said
  kept = {path.name for path in cache.rglob("*") if path.is_file()}
  assert {name.split("-")[0] for name in kept} >= {"next_frame", "optical_flow", "sample_style"}
  rng = np.random.default_rng(0)
  frames = [Image.fromarray(rng.integers(0, 256, (64, 80, 3), np.uint8)) for _ in range(4)]
  film, output = tmp_path / "film.gif", tmp_path / "stylized.webp"
  frames[0].save(film, save_all=True, append_images=frames[1:], duration=40)
  run("sequence", film, "--seed", "7", "--strength", "0.7", "--output", output, cache=cache)
  with Image.open(output) as written:
    assert (written.size, written.n_frames) == ((80, 64), 4)
  assert {path.name for path in cache.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("flag", ["--sizes", "--film-sizes"])
@pytest.mark.parametrize("size", ["64", "64x", "15x64", "64x4097", "64×-1", "x\n"])
def test_wrong_sizes(capsys, size, flag):
  assert command.main(["warm", flag, size]) == 2
  output, error = capsys.readouterr()
  assert output == "" and error.count("\n") == 1
  assert error.startswith(f"error: {flag}: found") and "expected WIDTHxHEIGHT" in error


def test_a_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("")
  done = start("warm", "--sizes", "64x48", cache=tmp_path / "file" / "below")
  assert done.returncode == 2 and done.stdout == ""
  assert (
    "STYLEJAX_CACHE: found a cache folder that can't be written to, expected a writable one"
    in done.stderr
  )


def test_the_library_finds_the_programs_of_an_earlier_process(tmp_path):
  code = """
import numpy as np, stylejax
stylejax.enable_cache()
image = np.zeros((40, 59, 3), np.uint8)
print(stylejax.Stylizer()(image, image).shape)
"""
  environment = os.environ | {"STYLEJAX_CACHE": str(tmp_path)}
  kept = []
  for _ in range(2):
    done = subprocess.run(
      [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout == "(40, 59, 3)\n"
    kept.append({path.name for path in tmp_path.rglob("*") if path.is_file()})
  assert kept[0] == kept[1]
  names = {path.name.split("-")[0] for path in tmp_path.glob("programs/*.key")}
  assert names == {"encode_styles_padded", "encode_padded", "generate_padded"}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_person_at_a_terminal_gets_quick_programs_first(tmp_path):
  """The image comes sooner, and the programs of later starts are compiled after it."""
  cache, photo = tmp_path / "cache", tmp_path / "photo.png"
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 256, (40, 59, 3), np.uint8)).save(photo)
  images = []
  for number in range(2):
    output = tmp_path / f"{number}.png"
    words = ("paint", photo, photo, "--output", output)
    ours, theirs = os.openpty()
    done = subprocess.run(
      [sys.executable, "-m", "stylejax", *map(str, words)],
      check=False,
      stdout=subprocess.PIPE,
      stderr=theirs,
      text=True,
      env=os.environ | {"STYLEJAX_CACHE": str(cache)},
    )
    os.close(theirs)
    said = os.read(ours, 10_000).decode() if number == 0 else ""
    os.close(ours)
    assert done.returncode == 0 and f"wrote {output}" in done.stdout
    images.append(np.asarray(Image.open(output)).astype(int))
    if number == 0:
      assert "compiled in the background" in said
      end = time.monotonic() + 300
      while [*cache.glob("programs/*.pending")]:
        assert time.monotonic() < end
        time.sleep(0.2)
  names = {path.name.split("-")[0] for path in cache.glob("programs/*.key")}
  assert names == {"encode_styles_padded", "encode_padded", "generate_padded"}
  assert not [*cache.glob("programs/*.quick")]
  assert np.abs(images[0] - images[1]).max() <= 1
