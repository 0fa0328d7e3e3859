"""`python -m benchmarks steps` at the smallest size."""

import pytest

from benchmarks.speed import steps


def test_each_step_stands_beside_vgg_alone(capsys):
  result = steps.main(steps.Options(sizes=(64,), repeats=1))
  rows = {row["case"]: row for row in result["rows"]}
  assert list(rows) == [steps.VGG, "matching, once a stage", "ten steps", "ten of the last pass"]
  alone = rows[steps.VGG]["seconds"]["median"]
  assert rows[steps.VGG]["ratio"] == 1
  for name in ("ten steps", "ten of the last pass"):
    assert rows[name]["ratio"] == pytest.approx(rows[name]["seconds"]["median"] / alone)
    assert rows[name]["gflop"] == rows[steps.VGG]["gflop"]
  assert "ten of the last pass" in capsys.readouterr().out
