"""The rows of neural neighbors: their shapes, where they start, and what is cached."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import descents, methods
from benchmarks.quality.pairs import Pair, read
from benchmarks.quality.quality_options import Options
from stylejax.errors import InputError


@pytest.mark.parametrize(
  "size, content, style",
  [
    ((320, 480), (176, 256), (192, 256)),
    ((480, 320), (256, 176), (256, 192)),
    ((300, 400), (192, 256), (192, 256)),
    ((340, 320), (256, 256), (256, 192)),
    ((1000, 100), (256, 176), (256, 192)),
  ],
)
def test_the_nearest_shape(size, content, style):
  assert descents.nearest_shape(*size) == content
  assert descents.nearest_shape(*size, descents.STYLE_SHAPES) == style


@pytest.fixture
def pair(tmp_path, rng):
  for name, size in (("content", (96, 144, 3)), ("style", (80, 60, 3))):
    Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(tmp_path / f"{name}.png")
  return Pair("p01", tmp_path / "content.png", tmp_path / "style.png")


def test_refine_begins_with_the_networks_and_neighbors_with_the_content(
  pair, tiny_params, monkeypatch
):
  calls = {}

  def paint_with(method, styles, weights):
    assert weights is None and [style.shape for style in styles] == [(256, 192, 3)]

    def paint(content, start, begins):
      calls[method] = content, start, begins
      return content * 0.5

    return paint

  monkeypatch.setattr(descents, "paint_with", paint_with)
  rows = descents.descended_methods(tiny_params, ("neighbors", "refine"))
  assert list(rows) == ["ours, 256 px", "neighbors, 256 px", "refine, 256 px"]
  assert [row.slow for row in rows.values()] == [False, True, True]
  images = {name: row.stylize(pair) for name, row in rows.items()}
  content = calls["refine"][0]
  assert content.shape == (176, 256, 3)
  assert abs(content.mean() - read(pair.content).mean()) < 1e-3
  np.testing.assert_array_equal(images["refine, 256 px"], content * 0.5)
  # The networks see the same pixels.
  expected = methods.our_stylize(tiny_params)(pair, content, 1.0)
  np.testing.assert_array_equal(images["ours, 256 px"], expected)
  np.testing.assert_array_equal(calls["refine"][1], expected)
  assert calls["neighbors"][1] is None and calls["neighbors"][2] and calls["refine"][2]
  # Other networks change refine but not neighbors.
  other = descents.descended_methods(tiny_params.replace(generator={}), ("neighbors", "refine"))
  versions = [(rows[name].version(pair), other[name].version(pair)) for name in rows]
  assert [old == new for old, new in versions] == [False, True, False]


def test_no_names_no_rows(tiny_params):
  assert descents.descended_methods(tiny_params, ()) == {}


@pytest.mark.parametrize(
  "changes, words",
  [
    (
      {"descend": "neighbours"},
      "--descend: found 'neighbours', expected some of neighbors, refine",
    ),
    ({"descend": "refine", "baselines_only": True}, "--descend: found --baselines-only beside it"),
  ],
)
def test_wrong_flags(tmp_path, changes, words):
  with pytest.raises(InputError, match=words):
    Options(pairs=tmp_path, **changes).check()
