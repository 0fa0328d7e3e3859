"""`stylejax paint --method`: the features of paint, with methods that optimize the pixels."""

import dataclasses
import signal
import subprocess
import sys
import time
import typing

import jax
import numpy as np
import pytest
from PIL import Image

import stylejax
from stylejax.cli import main as command
from stylejax.cli import optimize, paint_options
from stylejax.controls.strength import blend_with_content, split
from stylejax.errors import InputError
from stylejax.inference import batch, descent_budget, method_table, optimized, painters
from stylejax.inference.method_table import DESCENTS, METHODS
from stylejax.inference.request import Source
from stylejax.inference.styles import StyleImageReader
from stylejax.inference.stylizer import Stylizer
from stylejax.optimization import neighbors
from stylejax.weights import style_library

STEPS = {"neighbors": 6, "refine": 6, "gram": 4}
RED, BLUE = (200, 40, 40), (40, 40, 200)


@pytest.fixture
def files(tmp_path, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")
  monkeypatch.chdir(tmp_path)
  rng = np.random.default_rng(0)

  def save(name, size, color=None):
    coarse = rng.integers(0, 256, (8, 8, 3))
    if color is not None:
      coarse = np.clip(0.15 * (coarse - 128) + color, 0, 255)
    Image.fromarray(coarse.astype(np.uint8)).resize(size[::-1]).save(f"{name}.png")

  for name in ("photo", "other"):
    save(name, (64, 72))
  for name, color in (("style", None), ("red", RED), ("blue", BLUE)):
    save(name, (64, 64), color)
  half = np.zeros((64, 72), np.uint8)
  half[:, :36] = 255
  Image.fromarray(half).save("left.png")
  return tmp_path


def run(*words, method="neighbors", steps=None):
  steps = STEPS[method] if steps is None else steps
  words = [*map(str, words), "--method", method, "--steps", str(steps)]
  if method == "gram":
    words += ["--optimizer", "adam"]
  return command.main(["paint", *words])


def pixels(path):
  return np.float32(Image.open(path).convert("RGB")) / 255


def test_every_list_of_methods_has_the_same():
  assert tuple(painters.PAINTERS) == DESCENTS and tuple(METHODS) == ("network", *DESCENTS)
  hints = typing.get_type_hints(paint_options.Options)
  assert set(typing.get_args(hints["method"])) == set(METHODS)
  hints = typing.get_type_hints(optimize.Options)
  assert set(typing.get_args(hints["method"])) == set(DESCENTS)
  assert {name for row in METHODS.values() for name in row.options} == set(method_table.OPTIONS)
  assert set(method_table.OPTIONS) <= set(typing.get_type_hints(paint_options.Options))


def test_folders_of_contents_and_styles_share_their_programs(files, monkeypatch, capsys):
  """Four images, named as usual; nothing is traced again that one image had traced."""
  assert run("photo.png", "style.png", "first.png") == 0
  traced = []
  for name in ("column_loss", "split_loss", "matched_columns"):
    function = getattr(neighbors, name)
    monkeypatch.setattr(
      neighbors, name, lambda *a, f=function, n=name, **k: (traced.append(n), f(*a, **k))[1]
    )
  (files / "photos").mkdir()
  for name in ("photo", "other"):
    (files / f"{name}.png").rename(files / "photos" / f"{name}.png")
  assert run("--content", "photos", "--style", "style.png", "red.png", "--output", "out/") == 0
  assert traced == []
  names = sorted(path.name for path in (files / "out").iterdir())
  assert names == ["other_red.png", "other_style.png", "photo_red.png", "photo_style.png"]
  assert (files / "out/photo_style.png").read_bytes() == (files / "first.png").read_bytes()
  assert len({(files / "out" / name).read_bytes() for name in names}) == 4
  out, err = capsys.readouterr()
  assert "wrote 4 images" in out and "loss" in err

  # Outputs that exist are left alone.
  (files / "out/other_red.png").unlink()
  before = (files / "out/photo_red.png").stat().st_mtime_ns
  words = ("--content", "photos", "--style", "style.png", "red.png", "--output", "out/", "--resume")
  assert run(*words) == 0
  assert "wrote out/other_red.png" in capsys.readouterr().out
  assert (files / "out/photo_red.png").stat().st_mtime_ns == before
  # Another size is traced: the list above isn't empty only because nothing ever writes to it.
  assert run("photos/photo.png", "style.png", "large.png", "--size", 68, steps=3) == 0
  assert traced


@pytest.mark.parametrize("method", DESCENTS)
def test_each_region_has_its_own_style(files, method):
  warm = {}
  for inside, outside in (("red", "blue"), ("blue", "red")):
    words = ("photo.png", f"{outside}.png", f"{inside}.png.png")
    words = (*words, "--mask", f"left.png={inside}.png")
    words += ("--style-weight", 100) if method == "gram" else ()
    assert run(*words, method=method, steps=2 * STEPS[method]) == 0
    image = pixels(f"{inside}.png.png")
    warm[inside] = image[..., 0] - image[..., 2]
  # Not near the border, across which VGG16 sees.
  difference = warm["red"] - warm["blue"]
  assert difference[:, :24].mean() > 0.01 and difference[:, 48:].mean() < -0.01


def test_without_a_style_beside_the_mask_the_rest_is_the_content(files):
  assert run("photo.png", "--output", "o.png", "--mask", "left.png=red.png") == 0
  difference = np.abs(pixels("o.png") - pixels("photo.png"))
  assert difference[:, 40:].max() < 2 / 255 and difference[:, :30].mean() > 0.02


@pytest.mark.parametrize("method", ["neighbors", "gram"])
def test_a_style_of_weight_0_has_no_part(files, method):
  """And one of some weight has."""
  mixtures = {
    "alone": ("red.png",),
    "none": ("red.png:1", "blue.png:0"),
    "half": ("red.png:1", "blue.png:1"),
  }
  for name, styles in mixtures.items():
    words = ("--content", "photo.png", "--output", f"{name}.png", "--style", *styles)
    assert run(*words, method=method) == 0
  alone, none, half = (pixels(f"{name}.png") for name in mixtures)
  assert np.abs(alone - none).mean() < 1 / 255 < np.abs(alone - half).mean()


def test_strength_below_1_is_the_blend_with_the_content(files):
  assert run("photo.png", "style.png", "whole.png") == 0
  assert run("photo.png", "style.png", "half.png", "--strength", 0.5) == 0
  blend, _ = split(np.float32(0.5))
  expected = blend_with_content(pixels("whole.png"), pixels("photo.png"), blend)
  np.testing.assert_allclose(pixels("half.png"), np.asarray(expected), atol=2 / 255)
  assert np.abs(pixels("whole.png") - pixels("half.png")).max() > 0.03


def test_strength_above_1_is_that_of_the_image_from_which_refine_begins(files):
  for name, flags in (("a", ("--strength", 1.6)), ("b", ("--start-strength", 1.6)), ("c", ())):
    assert run("photo.png", "style.png", f"{name}.png", *flags, method="refine") == 0
  a, b, c = (pixels(f"{name}.png") for name in "abc")
  np.testing.assert_array_equal(a, b)
  assert np.abs(a - c).max() > 0.02


def test_pixel_controls(files):
  """In the other mode of color, the colors' mean is the content's."""
  flags = ("--preserve-color", 1, "--color-mode", "moments")
  assert run("photo.png", "red.png", "o.png", *flags, method="gram") == 0
  means = (pixels(name).mean((0, 1)) for name in ("o.png", "photo.png"))
  np.testing.assert_allclose(*means, atol=0.02)


def test_a_seed_is_the_texture_sample(files):
  assert run("photo.png", "--seed", 3, "--output", "o.png", steps=3) == 0
  assert Image.open("o.png").size == (72, 64)
  stylizer = Stylizer()
  image = StyleImageReader(stylizer).read(Source("seed3", seed=3))
  texture = jax.jit(stylejax.sample_texture)(stylizer.params, jax.random.key(3))
  np.testing.assert_allclose(image.rgb, texture, atol=1e-5)


def test_styles_of_the_library(files, capsys):
  """`styles add` stores a small image beside the code; older libraries only have codes."""
  library = ("--library", files / "l.safetensors")
  assert command.main(["styles", "add", "style.png", *map(str, library)]) == 0
  assert run("photo.png", "@style", "--output", "o.png", *library) == 0
  assert run("photo.png", "style.png", "--output", "p.png") == 0
  assert np.abs(pixels("o.png") - pixels("p.png")).mean() < 0.02
  stylizer = Stylizer()
  saved = style_library.read_library(files / "l.safetensors", stylizer.params)
  bare = {"style": dataclasses.replace(saved["style"], image=None)}
  style_library.write_library(files / "l.safetensors", bare, stylizer.params)
  capsys.readouterr()
  assert run("photo.png", "@style", "--output", "q.png", *library) == 2
  out, err = capsys.readouterr()
  assert out == "" and "@style: found its code without an image" in err and err.count("\n") == 1


def test_large_photos_are_scaled_down_unless_a_size_is_given(files, monkeypatch, capsys):
  monkeypatch.setattr(batch, "DESCENT_SIZE", 32)
  assert run("photo.png", "style.png", "o.png", steps=3) == 0
  assert "photo.png: scaled to 36×32 pixels; --size sets another size" in capsys.readouterr().err
  assert Image.open("o.png").size == (36, 32)
  monkeypatch.setattr(batch, "DESCENT_SIZE", 100)
  assert run("photo.png", "style.png", "--output", "o.png", steps=3) == 0
  assert not (files / ".o.png.unfinished").exists()
  assert Image.open("o.png").size == (72, 64) and "scaled" not in capsys.readouterr().err


def test_bands_of_rows_give_the_same_image(files, monkeypatch, capsys):
  assert run("photo.png", "style.png", "whole.png", steps=4) == 0
  assert "bands" not in capsys.readouterr().err
  monkeypatch.setattr(descent_budget, "MIN_BAND_ROWS", 16)
  monkeypatch.setattr(
    descent_budget, "available_bytes", lambda: 50 * 64 * 72 * descent_budget.OPTIMIZED_BYTES
  )
  monkeypatch.setattr(descent_budget, "descent_room", lambda *a, **k: 1000)
  assert run("photo.png", "style.png", "bands.png", steps=4) == 0
  assert "photo.png: optimized in 4 bands of rows" in capsys.readouterr().err
  np.testing.assert_allclose(pixels("whole.png"), pixels("bands.png"), atol=3 / 255)


def test_rooms_and_bands(monkeypatch):
  assert descent_budget.bands((64, 72), 64 * 72 * descent_budget.OPTIMIZED_BYTES) == 1
  # A band of 192 rows has 64 of its own and 64 more on each side.
  assert descent_budget.bands((2048, 1000), 192 * 1000 * descent_budget.OPTIMIZED_BYTES) == 32
  assert descent_budget.bands((2048, 1000), 0) == 32
  assert descent_budget.bands((2048, 1000), 640 * 1000 * descent_budget.OPTIMIZED_BYTES) == 4
  monkeypatch.setattr(descent_budget, "available_bytes", lambda: 10**9)
  with pytest.raises(InputError, match=r"x.png: found 3000×2000 pixels, whose optimization takes"):
    descent_budget.check_descent("x.png", (2000, 3000), [100], banded=True)
  with pytest.raises(InputError, match=r"takes about 4.6 GB"):  # the style alone
    descent_budget.check_descent("x.png", (300, 300), [2000**2], banded=True)
  descent_budget.check_descent("x.png", (300, 300), [300**2], banded=True)
  # In bands, a content and a style of 2,048 × 2,048 pixels each fit into 8 GB.
  monkeypatch.setattr(descent_budget, "available_bytes", lambda: 8 * 10**9)
  side = 2048
  descent_budget.check_descent("x.png", (side, side), [side**2], banded=True)
  count = descent_budget.bands((side, side), descent_budget.descent_room((side, side), [side**2]))
  rows = -(-side // count) + 128
  kept = descent_budget._kept_bytes((side, side), [side**2])
  assert count > 8 and rows * side * descent_budget.OPTIMIZED_BYTES + kept < 0.8 * 8e9


class Stopped(BaseException):
  pass


@pytest.mark.parametrize(
  "method, looks", [("neighbors", 2), ("neighbors", 4), ("refine", 3), ("gram", 3)]
)
def test_stopped_and_gone_on_with_is_never_stopped(files, method, looks, monkeypatch, capsys):
  """The result is equal bit for bit, and the saved state is removed."""
  steps = {"neighbors": 25, "refine": 25, "gram": 16}[method]
  words = ("photo.png", "style.png")
  assert run(*words, "--output", "whole.png", method=method, steps=steps) == 0
  monkeypatch.setattr(optimized, "SAVE_EVERY", 0.0)
  monkeypatch.setattr(optimized, "SAVE_APART", 0.0)
  watch, seen = optimized._Watcher.__call__, []

  def stop(self, look):
    watch(self, look)
    seen.append(look.done)
    if len(seen) == looks:
      raise Stopped

  with monkeypatch.context() as patch:
    patch.setattr(optimized._Watcher, "__call__", stop)
    with pytest.raises(Stopped):
      run(*words, "--output", "o.png", method=method, steps=steps)
  assert not (files / "o.png").exists() and (files / ".o.png.unfinished").exists()
  stopped, seen[:] = seen[-1], []
  assert 0 < stopped < steps

  # With other settings it isn't continued.
  assert run(*words, "--output", "o.png", "--resume", method=method, steps=steps + 1) == 2
  assert "from a run with other settings or files" in capsys.readouterr().err

  def record(self, look):
    watch(self, look)
    seen.append(look.done)

  monkeypatch.setattr(optimized._Watcher, "__call__", record)
  assert run(*words, "--output", "o.png", "--resume", method=method, steps=steps) == 0
  assert seen[0] == stopped and seen[-1] == steps
  assert (files / "o.png").read_bytes() == (files / "whole.png").read_bytes()
  assert not (files / ".o.png.unfinished").exists()


SAVES = (
  "import sys\nfrom stylejax.inference import optimized\nfrom stylejax.cli.main import main\n"
  "optimized.SAVE_EVERY = optimized.SAVE_APART = 0.0\nsys.exit(main(sys.argv[1:]))\n"
)
"""The command, which saves its state as often as it can."""


@pytest.mark.processes
def test_killed_outright_and_gone_on_with_in_another_process(files):
  words = ["paint", "photo.png", "style.png", "--method", "neighbors", "--steps", "60"]

  def start(output):
    flags = ["--output", output, "--resume"]
    return subprocess.Popen([sys.executable, "-c", SAVES, *words, *flags])

  assert start("whole.png").wait() == 0
  process = start("o.png")
  while not (files / ".o.png.unfinished").exists():
    assert process.poll() is None
    time.sleep(0.01)
  process.kill()
  assert process.wait() == -signal.SIGKILL and not (files / "o.png").exists()
  assert start("o.png").wait() == 0
  assert (files / "o.png").read_bytes() == (files / "whole.png").read_bytes()
  assert sorted(path.name for path in files.glob(".*")) == []


def test_two_runs_do_not_go_on_with_one_image(files, monkeypatch, capsys):
  """The second says who works on it, and the first ends as if it were alone."""
  words = ("photo.png", "style.png", "--output")
  assert run(*words, "whole.png") == 0
  watch, said = optimized._Watcher.__call__, []

  def second(self, look):
    if not said:
      said.append("")
      for more in ((), ("--resume",)):
        assert run(*words, "o.png", *more) == 2
        said.append(capsys.readouterr().err)
    watch(self, look)

  monkeypatch.setattr(optimized._Watcher, "__call__", second)
  assert run(*words, "o.png") == 0
  assert len(said) == 3
  for line in said[1:]:
    assert "--output " in line and "found it in use by process" in line
  assert (files / "o.png").read_bytes() == (files / "whole.png").read_bytes()
  assert sorted(path.name for path in files.glob(".*")) == []


def test_without_resume_it_begins_anew(files, monkeypatch, capsys):
  (files / ".o.png.unfinished").write_bytes(b"something")
  assert run("photo.png", "style.png", "--output", "o.png", "--resume", steps=3) == 2
  assert "which no earlier run wrote" in capsys.readouterr().err
  assert run("photo.png", "style.png", "--output", "o.png", steps=3) == 0
  assert not (files / ".o.png.unfinished").exists()


GRAM, NEIGHBORS, REFINE = (("--method", name) for name in ("gram", "neighbors", "refine"))
WRONG = [
  (("--method", "grim"), "--method: found grim"),
  (("--method", "optimise"), "expected gram"),
  (("--steps", 9), "--steps: found it with --method network, expected --method gram or"),
  (("--watch", "w.png"), "--watch: found it with --method network, expected --method refine or"),
  ((*GRAM, "--content-share", 1), "--content-share: found it with --method gram, expected"),
  ((*NEIGHBORS, "--start-strength", 1), "--start-strength: found it with --method neighbors"),
  ((*REFINE, "--start-strength", 3), "--start-strength: found 3"),
  ((*REFINE, "--optimizer", "adam"), "--optimizer: found it with --method refine"),
  ((*GRAM, "--style-weight", -1), "--style-weight: found -1"),
  ((*GRAM, "--steps", 2), "--steps: found 2"),
  ((*GRAM, "--steps", "x"), "--steps: found x"),
  ((*GRAM, "--strength", 1.5), "--strength: found 1.5 with --method gram, expected at most 1"),
  ((*NEIGHBORS, "--strength", 1.5), "--strength: found 1.5 with --method neighbors"),
  ((*REFINE, "--strength", 2.5), "--strength: found 2.5"),
  ((*NEIGHBORS, "--seamless", "x"), "--seamless: found it with --method neighbors, expected"),
  ((*REFINE, "--shard"), "--shard: found it with --method refine, expected --method network"),
  ((*GRAM, "--tile", 1), "--tile: found it with --method gram, expected --method network or"),
  ((*GRAM, "--watch", "w.gif"), "--watch w.gif: found extension '.gif'"),
  ((*GRAM, "--watch", "photo.png"), "--watch photo.png: found the input"),
  ((*GRAM, "--watch", "no/w.png"), "no"),
  ((*GRAM, "--stroke", 9), "--stroke: found 9"),
  ((*GRAM, "--size", 4), "--size: found 4"),
  ((*GRAM, "--resume"), "--output: found none with --resume"),
]


@pytest.mark.parametrize("words, message", WRONG, ids=[" ".join(map(str, w)) for w, _ in WRONG])
def test_a_mistake_is_one_line(files, words, message, capsys):
  before = sorted(path.name for path in files.iterdir())
  assert command.main(["paint", "photo.png", "style.png", *map(str, words)]) == 2
  out, err = capsys.readouterr()
  assert out == "" and err.startswith("error: ") and err.count("\n") == 1
  assert message in err
  assert sorted(path.name for path in files.iterdir()) == before


def test_strokes_too_large_for_the_size(files, monkeypatch, capsys):
  monkeypatch.setattr(optimized, "MAX_STYLE_SIZE", 100)
  assert run("photo.png", "style.png", "--stroke", 4) == 2
  assert "--stroke: found 4 for photo.png of 64 pixels" in capsys.readouterr().err
