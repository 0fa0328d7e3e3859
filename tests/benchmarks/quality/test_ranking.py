"""A column against a ranking by eye: the key is separate, and counts equal SciPy's."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from benchmarks.quality import ranking
from benchmarks.quality.pairs import Pair
from stylejax.errors import InputError

METHODS = ("network", "neighbors", "gram")


@pytest.fixture
def pairs(tmp_path):
  rng = np.random.default_rng(0)
  paths = [tmp_path / name for name in ("content.png", "style.png")]
  for path, size in zip(paths, ((60, 40, 3), (30, 50, 3)), strict=True):
    Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(path)
  return [Pair(f"p{number:02}", *paths) for number in range(12)]


def _shade(level):
  return lambda pair: np.full((30, 20, 3), level, np.uint8)


def test_sheets_show_each_method_under_the_letter_of_the_key(pairs, tmp_path):
  levels = dict(zip(METHODS, (10, 120, 230), strict=True))
  folder = tmp_path / "sheets"
  ranking.write_sheets(folder, pairs, {name: _shade(level) for name, level in levels.items()})
  key = json.loads((folder / "key.json").read_text())
  assert {tuple(letters.values()) for letters in key.values()} != {METHODS}  # shuffled
  for pair in pairs:
    assert sorted(key[pair.name].values()) == sorted(METHODS)
    sheet = np.asarray(Image.open(folder / f"{pair.name}.png"))
    # The content fits 400 pixels; content, style and A above, B and C below.
    width, height = 267, 400
    shown = []
    for row, column in ((0, 2), (1, 0), (1, 1)):
      top = row * (26 + height + 6) + 26 + height // 2
      shown.append(int(sheet[top, 6 + column * (width + 6) + width // 2, 0]))
    assert shown == [levels[key[pair.name][letter]] for letter in "ABC"]


def _write(folder, rows):
  folder.mkdir()
  (folder / "key.json").write_text(json.dumps({"p00": dict(zip("ABC", METHODS, strict=True))}))
  (folder / "ranking.csv").write_text("\n".join(rows) + "\n")


def test_rankings_are_read_by_the_key(tmp_path):
  _write(tmp_path / "sheets", ["p00,C,A,B"])
  assert ranking.read_rankings(tmp_path / "sheets") == {"p00": ["gram", "network", "neighbors"]}


@pytest.mark.parametrize("line", ["p01,A,B,C", "p00,A,B", "p00,A,B,D", "p00,A,A,B,C"])
def test_wrong_lines_are_named(tmp_path, line):
  _write(tmp_path / "sheets", ["p00,C,A,B", line])
  with pytest.raises(InputError, match="line 2: found " + line):
    ranking.read_rankings(tmp_path / "sheets")


def test_agreement_is_kendalls_tau_between_0_and_1():
  rng = np.random.default_rng(1)
  rankings = {f"p{n}": rng.permutation(["a", "b", "c", "d", "e"]).tolist() for n in range(9)}
  values = {name: {pair: rng.random() for pair in rankings} for name in "abcde"}
  expected = np.mean(
    [
      (1 + stats.kendalltau(range(5), [values[name][pair] for name in order]).statistic) / 2
      for pair, order in rankings.items()
    ]
  )
  share = ranking.agreement(rankings, values)
  np.testing.assert_allclose(share["mean"], expected, atol=1e-12)
  assert share["low"] < share["mean"] < share["high"]
  perfect = {
    name: {p: float(order.index(name)) for p, order in rankings.items()} for name in "abcde"
  }
  assert ranking.agreement(rankings, perfect)["mean"] == 1.0
  equal = {name: dict.fromkeys(rankings, 1.0) for name in "abcde"}
  assert ranking.agreement(rankings, equal)["mean"] == 0.5


def test_preferences_count_the_pairs():
  rankings = {"p0": ["a", "b", "c"], "p1": ["b", "a", "c"], "p2": ["a", "c", "b"]}
  counts = {(row["method"], row["before"]): row["pairs"] for row in ranking.preferences(rankings)}
  assert counts["a", "b"] == 2 and counts["b", "a"] == 1
  assert counts["c", "a"] == 0 and counts["b", "c"] == 2


def test_the_command_writes_rankings_and_agreement(tmp_path, capsys):
  folder, results, output = tmp_path / "sheets", tmp_path / "quality.json", tmp_path / "r.json"
  _write(folder, ["p00,C,A,B"])
  columns = {"gram": 0.1, "network": 0.3, "neighbors": 0.2}
  rows = {
    name: {"values": {"style": [value], "patch": [-value]}} for name, value in columns.items()
  }
  results.write_text(json.dumps({"pairs": [{"name": "p00"}], "rows": rows}))
  options = ranking.Options(sheets=folder, results=results, output=output)
  options.check()
  ranking.main(options)
  saved = json.loads(output.read_text())
  assert saved["rankings"] == {"p00": ["gram", "network", "neighbors"]}
  np.testing.assert_allclose(saved["agreement"]["style"]["mean"], 2 / 3)
  np.testing.assert_allclose(saved["agreement"]["patch"]["mean"], 1 / 3)
  assert "agrees with the eye" in capsys.readouterr().out
  with pytest.raises(InputError, match="key.json: found no such file"):
    ranking.Options(sheets=tmp_path, results=results).check()
