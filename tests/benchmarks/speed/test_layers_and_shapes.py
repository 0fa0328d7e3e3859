"""`python -m benchmarks layers` and `shapes` with the smallest nets."""

import pytest

from benchmarks.speed import layers, shapes
from stylejax.models.config import PRESETS, ModelConfig


def test_layers_add_up_to_the_work_that_the_config_counts():
  for config in (PRESETS["base"], ModelConfig(fold=4, content_widths=(48, 96, 128))):
    convs = [layer for layer in layers.layers_of(config) if "conv" in layer.kind]
    taps = {"1×1 conv": 1}
    work = 0.0
    for layer in convs:
      side = layer.side * (2 if layer.kind == "halving conv" else 1)
      products = taps.get(layer.kind, 9) * layer.channels * layer.features
      work += layer.count * products / side**2
    # `work` counts both discriminators besides, and no image layer and 1×1 convolutions as 3×3.
    assert 0.5 * config.work < work < 1.2 * config.work


def test_every_layer_stands_beside_the_whole(capsys):
  result = layers.main(layers.Options(preset="tiny", sizes=(64,), repeats=1))
  whole, *rows = result["rows"]
  assert whole["case"] == layers.WHOLE and whole["ratio"] == 1
  for row in rows:
    expected = row["count"] * row["seconds"]["median"] / whole["seconds"]["median"]
    assert row["ratio"] == pytest.approx(expected)
  assert "image: unfold" in capsys.readouterr().out


def test_shapes_stand_beside_the_preset(capsys):
  options = shapes.Options(("fold=4 decoder_blocks=0",), preset="tiny", sizes=(64,), repeats=1)
  first, second = shapes.main(options)["rows"]
  assert first["ratio"] == 1
  assert second["ratio"] == pytest.approx(second["seconds"]["median"] / first["seconds"]["median"])
  assert "fold=4 decoder_blocks=0" in capsys.readouterr().out
