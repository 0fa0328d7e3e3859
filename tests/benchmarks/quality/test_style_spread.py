"""`python -m benchmarks style_spread`: which photos it takes, and known deviations."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import efficientnet, open_nsfw, style_spread
from benchmarks.quality.pairs import Pair
from stylejax.errors import InputError


def test_each_style_meets_its_own_photo_and_those_that_follow():
  pairs = [Pair(f"p{i}", Path(f"c{i}"), Path(f"s{i}")) for i in range(3)]
  crossed = style_spread.crossed(pairs, 2)
  assert [(str(pair.content), str(pair.style)) for pair in crossed] == [
    ("c0", "s0"),
    ("c1", "s0"),
    ("c1", "s1"),
    ("c2", "s1"),
    ("c2", "s2"),
    ("c0", "s2"),
  ]
  assert len({pair.name for pair in crossed}) == 6


def test_deviations_of_styles_and_photos(rng):
  styles, photos = rng.normal(0, 3, (5000, 1)), rng.normal(0, 2, (5000, 4))
  found = style_spread.spread(1 + styles + photos)
  assert found["mean"] == pytest.approx(1, abs=0.2)
  assert found["between"] == pytest.approx(3, rel=0.05)
  assert found["within"] == pytest.approx(2, rel=0.05)
  # Random differences between photos don't count as differences between styles.
  assert style_spread.spread(photos)["between"] < 0.5
  assert style_spread.spread(np.ones((3, 2))) == {"mean": 1, "between": 0, "within": 0}


def test_a_row_for_each_method(tmp_path, monkeypatch, tiny_params, rng, capsys):
  for name in "abcd":
    Image.fromarray(rng.integers(0, 256, (70, 66, 3), np.uint8)).save(tmp_path / f"{name}.png")
  (tmp_path / "pairs.csv").write_text("p,a.png,b.png\nq,c.png,d.png\n")
  monkeypatch.setattr(style_spread, "load_pretrained", lambda weights: tiny_params)
  monkeypatch.setattr(style_spread, "lite_methods", lambda: ({}, "not installed"))
  monkeypatch.setattr(efficientnet, "load", lambda: None)
  monkeypatch.setattr(open_nsfw, "load", lambda: None)
  options = style_spread.Options(tmp_path / "pairs.csv", root=tmp_path, limit=2, photos=2)
  (row,) = style_spread.main(options)["rows"]
  assert row["case"] == "ours" and row["columns"]["content"]["mean"] > 0
  assert "between styles" in capsys.readouterr().out


def test_too_few_photos():
  with pytest.raises(InputError, match="--photos: found 1"):
    style_spread.Options(Path("x"), photos=1).check()
