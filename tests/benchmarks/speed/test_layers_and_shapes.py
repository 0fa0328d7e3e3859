"""`python -m benchmarks layers` and `shapes` with the smallest nets."""

import pytest

from benchmarks.speed import layers, shapes


@pytest.mark.parametrize(
  "model_sizes", [(), ("fold=4", "content_blocks=1,0", "decoder_blocks=2", "noisy_levels=1")]
)
def test_every_layer_stands_beside_the_whole(capsys, model_sizes):
  options = layers.Options(preset="tiny", model_sizes=model_sizes, sizes=(128,), repeats=1)
  result = layers.main(options)
  whole, *rows = result["rows"]
  assert whole["case"] == layers.WHOLE and whole["ratio"] == 1
  for row in rows:
    expected = row["count"] * row["seconds"]["median"] / whole["seconds"]["median"]
    assert row["ratio"] == pytest.approx(expected)
  # No layer is missing but the dense layers, which run on vectors.
  work = sum(row["count"] * row["gflop"] for row in rows)
  assert work == pytest.approx(whole["gflop"], rel=0.05)
  assert "image: unfold" in capsys.readouterr().out
  noisy = sum(row["case"].endswith("add noise") for row in rows)
  assert noisy == (1 if "noisy_levels=1" in model_sizes else 2)


def test_shapes_stand_beside_the_preset(capsys):
  options = shapes.Options(("fold=4 decoder_blocks=0",), preset="tiny", sizes=(64,), repeats=1)
  first, second = shapes.main(options)["rows"]
  assert first["ratio"] == 1
  assert second["ratio"] == pytest.approx(second["seconds"]["median"] / first["seconds"]["median"])
  assert "fold=4 decoder_blocks=0" in capsys.readouterr().out
