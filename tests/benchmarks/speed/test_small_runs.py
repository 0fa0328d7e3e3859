"""Benchmarks of training, each run once at a small size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
  ("words", "ratios"),
  [
    ("scaling --command autoencoder --preset tiny --size 32 --batch 2 --counts 1 2", 2),
    ("checkpointing --preset tiny --size 64 --batch 2 --every 1", 1),
  ],
)
def test_a_small_run_says_what_it_compares(tmp_path, words, ratios):
  output = tmp_path / "result.json"
  command = [sys.executable, "-m", "benchmarks", *words.split(), "--repeats", "1"]
  done = subprocess.run(
    [*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(output.read_text())["rows"]
  assert len(rows) == 2 and sum("ratio" in row for row in rows) == ratios
  assert all(row["seconds"]["median"] > 0 for row in rows)
