"""The scale of detail on plain areas, from textures whose scale is known."""

import numpy as np
import pytest

from benchmarks.quality import stroke_size
from stylejax import InputError


def texture(rng, side: int) -> np.ndarray:
  """Random squares of a side, [1, 128, 128, 3]."""
  squares = rng.random((1, 128 // side, 128 // side, 3), np.float32)
  return 0.4 + 0.2 * squares.repeat(side, 1).repeat(side, 2)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_squares_twice_as_wide_have_twice_the_scale(rng, side):
  plain = np.full((1, 128, 128, 3), 0.5, np.float32)
  small, large = (float(stroke_size.detail_scale(texture(rng, s), plain)[0]) for s in (side, 16))
  # A quarter of what is left at each octave lies at the next: Σ log₂ b · 3/4 · 1/4^(b/side − 1).
  assert small == pytest.approx(side * 2 ** (1 / 3), rel=0.06)
  assert large == pytest.approx(16, rel=1e-3)


def test_only_plain_areas_of_the_content_count(rng):
  content = np.full((1, 128, 128, 3), 0.5, np.float32)
  content[:, :64] = rng.random((1, 64, 128, 3), np.float32)
  image = np.concatenate([texture(rng, 1)[:, :64], texture(rng, 16)[:, 64:]], 1)
  assert float(stroke_size.detail_scale(image, content)[0]) == pytest.approx(16, rel=1e-2)


@pytest.mark.parametrize("strokes", [(1.0,), (2.0, 1.0), (1.0, 1.0)])
def test_strokes_ascend(strokes, tmp_path):
  with pytest.raises(InputError, match="--strokes: found .*, expected two or more that ascend"):
    stroke_size.Options(tmp_path / "pairs.csv", strokes=strokes).check()
