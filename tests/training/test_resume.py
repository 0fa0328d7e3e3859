"""--resume: what a run keeps, what may change, and that a refused run changes nothing."""

import dataclasses
import hashlib
import json

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import flags

import train
from stylejax.errors import InputError
from stylejax.training import resume
from stylejax.training.saved import from_saved, parsed_config
from stylejax.training.tasks import GanConfig, TransferConfig

SAVED = TransferConfig(
  preset="tiny", content_dir="photos", style_dir="works", seed=3, init_from="runs/ae"
)


@pytest.mark.parametrize(
  "change, words",
  [
    ({"seed": 4}, "--seed: found 4, expected 3 as in runs/x/config.json"),
    ({"batch": 16}, "--batch: found 16, expected 8"),
    ({"preset": "base"}, "--preset or --model-sizes: found fold 4, expected 2"),
    (
      {"model_sizes": ("style_dim=12",)},
      "--preset or --model-sizes: found style_dim 12, expected 16",
    ),
    ({"dtype": "bfloat16"}, "--dtype or --preset: found dtype bfloat16, expected float32"),
    ({"init_from": "base"}, "--init-from: found base, expected runs/ae"),
  ],
)
def test_what_a_run_keeps(change, words):
  with pytest.raises(InputError, match=words.replace(".", r"\.")) as caught:
    resume.merge_saved(dataclasses.replace(SAVED, **change), SAVED, "runs/x")
  assert "\n" not in str(caught.value)


def test_a_run_from_when_base_1_was_base_keeps_its_sizes():
  started = dataclasses.replace(SAVED, preset="base-1")
  text = started.to_json().replace('"preset": "base-1"', '"preset": "base"')
  saved = from_saved(parsed_config(text, "runs/x"))
  assert saved == started
  with pytest.raises(InputError, match="found fold 4, expected 2 .* its preset, here base-1, and"):
    resume.merge_saved(dataclasses.replace(SAVED, preset="base"), saved, "runs/x")
  assert resume.merge_saved(started, saved, "runs/x") == started


def test_another_command_is_refused():
  with pytest.raises(InputError, match="found a run of transfer in runs/x, expected one of gan"):
    resume.merge_saved(GanConfig(), SAVED, "runs/x")


def test_folders_that_are_not_given_are_the_runs():
  asked = TransferConfig(preset="tiny", seed=3, steps=7, style_dir="others")
  merged = resume.merge_saved(asked, SAVED, "runs/x")
  assert (merged.content_dir, merged.style_dir, merged.steps) == ("photos", "others", 7)
  assert resume.changes(merged, SAVED) == {"style_dir": ["works", "others"], "steps": [20_000, 7]}


def test_settings_of_one_start_are_no_changes():
  other = dataclasses.replace(
    SAVED,
    workdir="elsewhere",
    resume=True,
    distributed=True,
    coordinator="host:1",
    processes=2,
    process=1,
  )
  assert resume.changes(other, SAVED) == {}
  assert resume.line({"a": [1, 2], "b": [None, "x"]}) == "a 1 → 2, b None → x"


@pytest.fixture
def run(tmp_path, monkeypatch):
  """A short run on a folder of its own, and the arguments that started it."""
  monkeypatch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])
  rng = np.random.default_rng(0)
  (tmp_path / "images").mkdir()
  for i in range(3):
    Image.fromarray(rng.integers(0, 256, (50, 60, 3)).astype(np.uint8)).save(
      tmp_path / "images" / f"{i}.png"
    )
  workdir = tmp_path / "run"
  argv = [
    "autoencoder",
    *flags("autoencoder"),
    "--log-every",
    "1",
    "--grid-every",
    "0",
    "--workdir",
    str(workdir),
  ]
  images = ["--content-dir", str(tmp_path / "images"), "--style-dir", str(tmp_path / "images")]
  assert train.main([*argv, *images, "--learning-rate", "5e-4"]) == 0
  return workdir, images


def contents(folder):
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in folder.rglob("*")
    if path.is_file()
  }


def test_the_command_keeps_lists_and_records(run, capsys):
  workdir, images = run
  before = contents(workdir)
  for more, words in (
    (["--seed", "1"], "--seed: found 1, expected 0"),
    (["--batch", "8"], "--batch: found 8"),
    (["--optimizer", "muon"], "--optimizer: found muon, expected adam"),
    (["--model-sizes", "style_dim=12"], "--preset or --model-sizes: found style_dim 12"),
    (["--content-dir", f"{workdir}/none"], "--content-dir: found no folder"),
    (["--steps", "0"], "--steps: found 0"),
  ):
    assert train.main(["autoencoder", "--workdir", str(workdir), "--resume", *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1
    assert contents(workdir) == before, more
  assert train.main(["gan", "--workdir", str(workdir), "--resume"]) == 2
  assert "found a run of autoencoder in" in capsys.readouterr().err
  assert contents(workdir) == before
  # Without flags, the run has its own settings, with which it is finished.
  assert train.main(["autoencoder", "--workdir", str(workdir), "--resume"]) == 0
  output = capsys.readouterr().out
  assert "already at step 20 of 20" in output and "samples are used" not in output
  assert contents(workdir) == before
  assert train.main(["autoencoder", "--workdir", str(workdir), "--resume", "--steps", "22"]) == 0
  output = capsys.readouterr().out
  assert f"{workdir}: continues at step 20 with steps 20 → 22" in output
  assert "samples are used" not in output
  saved = json.loads((workdir / "config.json").read_text())
  assert saved["content_dir"] == images[1] and saved["steps"] == 22
  assert saved["learning_rate"] == 5e-4 and saved["batch"] == 4
  (line,) = (workdir / "changes.jsonl").read_text().splitlines()
  assert json.loads(line) == {"step": 20, "changes": {"steps": [20, 22]}}
