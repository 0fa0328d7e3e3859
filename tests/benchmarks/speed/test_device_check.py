"""The check of a borrowed device: its short form on this CPU, and how it tells a wrong number."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stylejax
from benchmarks.harness.pod_tables import POD_TABLES
from benchmarks.speed import device_numbers
from stylejax.weights.tree_hash import tree_hash

ROOT = Path(__file__).parents[3]


def test_reference_is_whole_and_its_tolerances_are_those_of_rounding():
  with np.load(device_numbers.REFERENCE) as held:
    image, losses = held["image"], held["losses"]
    apart = json.loads(str(held["bfloat16"]))
  assert image.shape == (device_numbers.SIDE, device_numbers.SIDE, 3)
  assert losses.shape[0] == device_numbers.STEPS and np.isfinite(losses).all()
  assert 0 <= image.min() < 0.2 < 0.6 < image.max() <= 1
  # TF32 must be distinguishable from bfloat16, and a wrong image from both.
  assert 3e-4 < apart["image"] < 0.1 and 3e-4 < apart["losses"] < 0.3
  assert device_numbers._tolerance("highest", 1.0) < apart["image"]
  assert device_numbers._tolerance("bfloat16", 0.01) == pytest.approx(0.03)


def test_reference_is_of_the_shipped_weights():
  """Else `python -m benchmarks device_check --write-reference` was not run after they changed."""
  with np.load(device_numbers.REFERENCE) as held:
    assert str(held["weights"]) == tree_hash(stylejax.load_pretrained())


def test_a_wrong_number_is_said_and_fails(monkeypatch, capsys):
  with np.load(device_numbers.REFERENCE) as held:
    image, losses = held["image"], held["losses"]
  monkeypatch.setattr(device_numbers, "stylized", lambda dtype="float32": image + 1e-3)
  monkeypatch.setattr(device_numbers, "losses", lambda dtype="float32": losses)
  monkeypatch.setattr(device_numbers, "exported", lambda kind: image)
  rows = {(row["what"], row["precision"]): row for row in device_numbers.compared()}
  assert {precision for _, precision in rows} == set(device_numbers.TOLERANCES)
  assert not rows["image", "highest"]["holds"] and rows["losses", "highest"]["holds"]
  assert device_numbers.line(rows["image", "highest"]).startswith("WRONG: image, highest")


@pytest.mark.slow
def test_short_form_runs_on_a_cpu(tmp_path):
  """Every part, through the script, with a table for the docs at its end."""
  bash = shutil.which("bash")
  if bash is None:
    pytest.skip("no bash")
  output = tmp_path / "device_check.json"
  script = ROOT / "tools" / "device_check.sh"
  done = subprocess.run(
    [bash, str(script), "--short", "--minutes", "60", "--output", str(output)],
    env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  result = json.loads(output.read_text())
  assert result["left_out"] == []
  assert all(row["holds"] for row in result["numbers"])
  assert {row["case"] for row in result["rows"]} == {"stylize", "transfer step", "neighbors"}
  assert {row["dtype"] for row in result["rows"]} == {"float32", "bfloat16"}
  assert f"**Measured** on {result['device']}" in POD_TABLES["device_check"](result)
