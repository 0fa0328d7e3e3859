"""Curves of content against style: read between their points, compared, held to goals."""

import numpy as np
import pytest

from benchmarks.harness import plots, tables
from benchmarks.quality import curves

CURVE = {"ours, strength 0": 0.0, "ours, strength 0.5": 0.5, "ours, strength 1": 1.0}
RIVAL = "reference: other"


def row(content, style, psnr=40.0, spread=(0.9, 1.0, 1.1)):
  """Three pairs around the means given."""
  spread = np.array(spread)
  return {
    "content": content * spread,
    "style": style * spread,
    "content_lite0": content * spread,
    "style_lite0": 2 * style * spread,
    "psnr": np.full(3, psnr),
  }


@pytest.fixture
def rows():
  return dict(
    zip(
      (*CURVE, RIVAL), (row(0.01, 0.4), row(0.1, 0.2), row(0.2, 0.1), row(0.15, 0.1)), strict=True
    )
  )


class TestStyleAt:
  def test_between_points(self):
    content, style = np.array([0.0, 0.1, 0.2]), np.array([0.5, 0.3, 0.2])
    levels = np.array([0.0, 0.05, 0.15, 0.2, 9.0])
    actual = [curves.style_at(content, style, level) for level in levels]
    np.testing.assert_allclose(actual, [0.5, 0.4, 0.25, 0.2, 0.2])

  def test_a_curve_that_turns_back(self):
    """Beyond strength 1 both may get worse: the best before counts."""
    content, style = np.array([0.0, 0.2, 0.1]), np.array([0.5, 0.1, 0.4])
    assert curves.style_at(content, style, np.array(0.3)) == pytest.approx(0.1)
    # On the way there 0.1 of content gives 0.3, on the way back only 0.4.
    assert curves.style_at(content, style, np.array(0.1)) == pytest.approx(0.3)

  def test_out_of_reach(self):
    assert curves.style_at(np.array([0.2, 0.3]), np.array([0.5, 0.1]), np.array(0.1)) == np.inf

  def test_batches_are_single_curves(self, rng):
    content, style = np.sort(rng.uniform(size=(6, 4)), axis=1), rng.uniform(size=(6, 4))
    level = content[:, 0] + rng.uniform(size=6)
    one = [curves.style_at(*each) for each in zip(content, style, level)]
    np.testing.assert_allclose(curves.style_at(content, style, level), one)


def test_compare(rows):
  """At 0.15 our curve is halfway from 0.2 to 0.1: 0.15, over their 0.1."""
  actual = curves.compare(rows, CURVE, [RIVAL])[RIVAL]
  assert actual["VGG16"]["ratio"]["mean"] == pytest.approx(1.5)
  assert actual["VGG16"]["ours"] == pytest.approx(0.15)
  assert actual["EfficientNet-lite0"]["ratio"]["mean"] == pytest.approx(1.5)
  assert actual["VGG16"]["ratio"]["low"] <= 1.5 <= actual["VGG16"]["ratio"]["high"]
  near = curves.compare(rows | {RIVAL: row(0.001, 0.1)}, CURVE, [RIVAL])[RIVAL]["VGG16"]
  assert near["ratio"] is None and near["ours"] is None


def test_rising(rows):
  assert curves.rising(rows, CURVE) == {"VGG16": 3, "EfficientNet-lite0": 3}
  rows["ours, strength 0.5"]["content"][1] = 0.3
  assert curves.rising(rows, CURVE) == {"VGG16": 2, "EfficientNet-lite0": 3}
  beyond = rows | {"ours, strength 1.5": row(0.0, 0.0)}
  assert curves.rising(beyond, CURVE | {"ours, strength 1.5": 1.5})["VGG16"] == 2


def test_goals(rows):
  def verdicts(rows, artifacts):
    comparison = curves.compare(rows, CURVE, [RIVAL, "color moments only"])
    return {
      goal["goal"]: goal["holds"] for goal in curves.goals(rows, CURVE, comparison, artifacts)
    }

  rows["color moments only"] = row(0.1, 0.01)
  clean = {"64 px": {"border": 0, "grid": 0, "blotch": 0}}
  actual = verdicts(rows, clean)
  assert not any("color moments" in goal for goal in actual)
  failed = {goal for goal, holds in actual.items() if not holds}
  assert failed == {
    "strength 1: content by VGG16 ≤ reference: other's + 0.02",
    "at reference: other's content by VGG16: style ≤ 1.00 × its",
    "at reference: other's content by EfficientNet-lite0: style ≤ 1.00 × its",
  }
  rows["ours, strength 1"] = row(0.15, 0.09)
  assert all(verdicts(rows, clean).values())
  rows["ours, strength 0"]["psnr"][2] = 29
  actual = verdicts(rows, {"64 px": {"border": 0, "grid": 1, "blotch": 0}})
  assert {goal for goal, holds in actual.items() if not holds} == {
    "strength 0: the content back, ≥ 30 dB",
    "no artifact at 64 px",
  }


def test_report_draws_tables_and_plot(rows, tmp_path):
  from benchmarks.quality.evaluators import summarize

  rows = {name: dict(columns.items()) for name, columns in rows.items()}
  summary = summarize(rows)
  comparison = curves.compare(rows, CURVE, [RIVAL])
  artifacts = {"border": 0, "grid": 2, "blotch": 0}
  result = {
    "rows": {
      name: {"summary": summary[name], "artifacts": artifacts, "strength": CURVE.get(name)}
      for name in rows
    },
    "goals": curves.goals(rows, CURVE, comparison, {}),
    "at_their_content": comparison,
    "pairs": [1, 2, 3],
    "note": "Note.",
    "command": ["python"],
    "date": "2026-01-01T00",
    "machine": {"processor": "chip", "cpus": 2},
    "versions": {"jax": "1"},
  }
  table = tables.quality_table(result)
  assert f"| {RIVAL} | 0.150 [" in table and "| 0, 2, 0 |" in table
  goals = tables.goals_table(result)
  assert "| **no** |" in goals and f"| {RIVAL} | VGG16 | 0.150 | 0.100 | 0.150 | 1.50 [" in goals
  plots.draw("quality", result, tmp_path)
  assert (tmp_path / "quality.png").stat().st_size > 10_000
