"""`python -m benchmarks refine_curve` on two small pairs, with stand-ins for nets and methods."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import tables
from benchmarks.quality import descents, efficientnet, open_nsfw, refine_curve


@pytest.fixture
def pairs(tmp_path, rng):
  for name, size in (("content", (70, 90, 3)), ("style", (64, 80, 3))):
    Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(tmp_path / f"{name}.png")
  path = tmp_path / "pairs.csv"
  path.write_text("a,content.png,style.png\nb,style.png,content.png\n")
  return path


def test_rows_from_the_networks_to_the_full_method(
  pairs, tmp_path, monkeypatch, tiny_params, capsys
):
  monkeypatch.setattr(refine_curve, "load_pretrained", lambda: tiny_params)
  monkeypatch.setattr(efficientnet, "load", lambda: None)
  monkeypatch.setattr(open_nsfw, "load", lambda: None)
  for shapes in ("CONTENT_SHAPES", "STYLE_SHAPES"):
    monkeypatch.setattr(descents, shapes, ((64, 64),))
  monkeypatch.setattr(descents.nearest_shape, "__defaults__", (((64, 64),),))
  counted = []

  def stand_in(share):
    def run(vgg_params, *images, steps):
      counted.append([int(count) for count in steps])
      return (1 - share) * images[-2] + share * images[-1][0]

    return run

  monkeypatch.setattr(refine_curve, "fast_jit", lambda function: stand_in(0.5))
  options = refine_curve.Options(
    pairs, root=tmp_path, parts=(0.5, 1.0), output=tmp_path / "refine_curve.json"
  )
  refine_curve.main(options)
  result = json.loads((tmp_path / "refine_curve.json").read_text())
  assert [row["case"] for row in result["rows"]] == [
    "networks",
    "refine × 0.5",
    "refine × 1",
    "neighbors",
  ]
  assert all("content" in row["columns"] for row in result["rows"])
  # Of 10 steps at the only scale and 20 of the last pass; for 2 pairs, after 0 steps to compile.
  assert counted.count([5, 10]) == 2 and counted.count([10, 20]) == 2
  assert counted.count([0, 0]) == 6
  assert "refine × 0.5" in capsys.readouterr().out
  header, _, networks, *_ = tables.refine_curve_table(result).split("\n")
  assert header.startswith("|  | s of CPU | of neighbors' | content: LPIPS-form VGG ↓ |")
  assert networks.startswith("| networks | 0 | 0.00 | ")
