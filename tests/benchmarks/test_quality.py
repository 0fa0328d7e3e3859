"""The quality benchmark: its statistics and baselines, and the command on two small pairs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylejax import InputError, save_weights

# Last, so that an installed stylejax stays in front of the checkout's.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks import pairs, quality  # noqa: E402


@pytest.fixture
def folder(tmp_path, rng):
  """lists/pairs.csv with two pairs of pictures, and reference/ with an output of each."""
  for name in ("lists", "pictures", "reference"):
    (tmp_path / name).mkdir()
  ramp = np.linspace(40, 200, 48)[None, :, None] * np.array([1.0, 0.7, 0.4])
  for index in (1, 2):
    content = np.broadcast_to(ramp, (40, 48, 3)) + rng.normal(0, 8, (40, 48, 3))
    style = rng.integers(0, 256, (9, 11, 3)).repeat(6, 0).repeat(5, 1)
    for file, pixels in ((f"pictures/c{index}.png", content), (f"pictures/s{index}.png", style),
                         (f"reference/p{index}.png", content[:, ::-1])):
      Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(tmp_path / file)
  lines = "p1,pictures/c1.png,pictures/s1.png\np2,pictures/c2.png,pictures/s2.png\n"
  (tmp_path / "lists/pairs.csv").write_text(lines)
  return tmp_path


def test_command(folder, tiny_params, capsys):
  """Every row and column, the JSON, the sheet; a second run from the cache says the same."""
  weights = save_weights(folder / "tiny.safetensors", tiny_params)
  arguments = [
    "--pairs", folder / "lists/pairs.csv", "--reference", folder / "reference",
    "--weights", weights, "--strengths", "0,1", "--output", folder / "results.json",
    "--sheet", folder / "sheet.png", "--cache", folder / "cache.json"]
  assert quality.main(list(map(str, arguments))) == 0
  table = capsys.readouterr().out
  results = json.loads((folder / "results.json").read_text())
  rows = results["rows"]
  assert list(rows) == [
    "identity copy", "style picture itself", "colour moments only", "reference: reference",
    "ours, strength 0", "ours, strength 1"]
  assert "LPIPS-form VGG" in table and "2 pairs" in table
  mean = {row: {k: v["mean"] for k, v in entry["summary"].items()} for row, entry in rows.items()}
  assert all(set(quality.COLUMNS) <= set(columns) for columns in mean.values())
  identity, style = mean["identity copy"], mean["style picture itself"]
  assert identity["content"] == pytest.approx(0, abs=1e-9) and identity["style_ratio"] == 1
  np.testing.assert_allclose(identity["ssim"], 1, atol=1e-6)
  assert [style[k] for k in ("style", "gram", "color")] == pytest.approx([0, 0, 0], abs=1e-9)
  assert style["content"] > 0.1
  assert mean["colour moments only"]["color"] < 0.5 * identity["color"]
  assert mean["ours, strength 1"]["content"] > 0
  assert set(results) >= {"command", "revision", "machine", "versions", "pairs", "note"}
  assert results["command"][:3] == ["python", "-m", "benchmarks.quality"]
  sheet = Image.open(folder / "sheet.png")
  assert sheet.height > 2 * 200 and sheet.width > 6 * 200

  again = folder / "again.json"
  arguments[arguments.index(folder / "results.json")] = again
  assert quality.main([*map(str, arguments), "--baselines-only"]) == 0
  cached = json.loads(again.read_text())["rows"]
  assert {row: rows[row]["values"] for row in cached} == {
    row: entry["values"] for row, entry in cached.items()}
  assert len(cached) == 4 and len(json.loads((folder / "cache.json").read_text())) == 8


def test_cache_notices_another_output(folder):
  """A key holds the bytes of everything a number depends on."""
  options = quality._parser().parse_args(
    ["--pairs", "x", "--reference", str(folder / "reference"), "--cache", "x"])
  row = "reference: reference"
  key = quality._cache_key({row}, options)
  first, second = pairs.read_pairs(folder / "lists/pairs.csv")
  before = key(row, first)
  assert before != key(row, second) and key("ours, strength 1", first) is None
  (folder / "reference/p1.png").write_bytes((folder / "reference/p2.png").read_bytes())
  quality._sha256.cache_clear()
  assert key(row, first) != before


def test_color_moments_moves_mean_and_covariance(rng):
  content = rng.uniform(size=(20, 24, 3)) @ rng.uniform(size=(3, 3))
  style = rng.uniform(size=(15, 18, 3)) @ rng.uniform(size=(3, 3)) + 0.2
  found, want = (x.reshape(-1, 3) for x in (pairs.color_moments(content, style), style))
  np.testing.assert_allclose(found.mean(0), want.mean(0), rtol=1e-6)
  np.testing.assert_allclose(np.cov(found.T), np.cov(want.T), rtol=1e-3, atol=1e-6)


def test_color_moments_of_grey_is_finite(rng):
  grey = np.repeat(rng.uniform(size=(8, 8, 1)), 3, axis=2)
  assert np.isfinite(pairs.color_moments(grey, rng.uniform(size=(8, 8, 3)))).all()


def test_color_moments_is_symmetric_transport(rng):
  """The optimal map between Gaussians has a symmetric positive matrix; ZCA-to-ZCA hasn't."""
  content, style = rng.uniform(size=(2, 30, 30, 3)) @ rng.uniform(size=(2, 1, 3, 3))
  moved = pairs.color_moments(content, style)
  x, y = (p.reshape(-1, 3) - p.reshape(-1, 3).mean(0) for p in (content, moved))
  transport = np.linalg.lstsq(x, y)[0]
  np.testing.assert_allclose(transport, transport.T, atol=1e-6)
  assert (np.linalg.eigvalsh(transport) > 0).all()


def test_summary():
  """Means, the ratio of means, and an interval that holds 95 % of the resampled means."""
  values = np.arange(40.0)
  rows = {pairs.IDENTITY: {"style": values + 10}, "half": {"style": (values + 10) / 2}}
  summary = pairs.summarize(rows)
  assert summary["half"]["style"]["mean"] == pytest.approx(29.5 / 2)
  ratio = summary["half"]["style_ratio"]
  assert (ratio["mean"], ratio["low"], ratio["high"]) == pytest.approx((0.5, 0.5, 0.5))
  style = summary[pairs.IDENTITY]["style"]
  # The mean of 40 numbers with standard deviation 11.54: ±1.96 · 11.54 / √40 = ±3.58.
  assert style["low"] == pytest.approx(29.5 - 3.58, abs=0.4)
  assert style["high"] == pytest.approx(29.5 + 3.58, abs=0.4)


@pytest.mark.parametrize("text, words", [
  ("", "found no line"),
  ("p1,a.png\n", "line 1: found 2 fields"),
  ("p1,a.png,b.png\np1,a.png,b.png\n", "line 2: found a name given before"),
  (b"\xff\xfe\x00", "expected a CSV of name,content,style"),
])
def test_wrong_lists(tmp_path, text, words):
  path = tmp_path / "pairs.csv"
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(InputError) as error:
    pairs.read_pairs(path)
  assert words in str(error.value)


@pytest.mark.parametrize("changes, words", [
  ({"--pairs": "no.csv"}, "no.csv: found no such file"),
  ({"--root": "nowhere"}, "c1.png: found no such file"),
  ({"--reference": "lists"}, "found no p1.jpg"),
  ({"--weights": "no.safetensors"}, "no.safetensors"),
  ({"--vgg": "no.pth"}, "no.pth"),
  ({"--sheet": "sheet.jpg"}, "found '.jpg', expected .png"),
  ({"--output": "nowhere/results.json"}, "found no such folder"),
  ({"--cache": "lists/pairs.csv"}, "expected a file that --cache wrote"),
])
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


@pytest.mark.parametrize("flag, value", [
  ("--strengths", "2.5"), ("--strengths", "a"), ("--strengths", ""), ("--limit", "0")])
def test_wrong_values_of_flags(capsys, flag, value):
  with pytest.raises(SystemExit) as error:
    quality.main(["--pairs", "x", flag, value])
  assert error.value.code == 2
  assert f"argument {flag}: found {value!r}, expected" in capsys.readouterr().err
