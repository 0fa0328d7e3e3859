"""Damaged checkpoints and full disks: one line reports them, and an earlier save is used."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import train
from stylejax.errors import InputError
from stylejax.training import checkpoint, loop

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parent.parent.parent


def command(workdir, *more):
  return [
    "autoencoder",
    "--preset",
    "tiny",
    "--batch",
    "2",
    "--size",
    "32",
    "--steps",
    "6",
    "--save-every",
    "2",
    "--log-every",
    "1",
    "--grid-every",
    "0",
    "--workdir",
    str(workdir),
    *more,
  ]


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
  monkeypatch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A run of six steps with checkpoints at 2, 4 and 6."""
  workdir = tmp_path_factory.mktemp("run") / "whole"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])
    assert train.main(command(workdir)) == 0
  assert checkpoint.saved_steps(workdir) == [6, 4, 2]
  return workdir


@pytest.fixture
def workdir(whole, tmp_path):
  return Path(shutil.copytree(whole, tmp_path / "run"))


def numbers(workdir, step):
  """The largest file of a checkpoint, which contains the parameters."""
  files = (workdir / "checkpoints" / str(step) / "state").rglob("*")
  return max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)


def flip_a_bit(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def cut_short(path):
  os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, Path.unlink])
def test_the_checkpoint_before_a_damaged_one_is_read(damage, workdir, caplog):
  path = numbers(workdir, 6)
  damage(path)
  assert int(loop.load_run(workdir)[1].step) == 4
  (record,) = [record for record in caplog.records if record.name == "stylejax"]
  message = record.getMessage()
  assert f"{workdir}/checkpoints/6: found" in message and path.name in message
  assert "of step 4, is used" in message and "\n" not in message
  assert checkpoint.saved_steps(workdir) == [6, 4, 2]


def test_a_run_goes_on_from_before_the_damage_to_the_same_end(whole, workdir):
  flip_a_bit(numbers(workdir, 6))
  shutil.copytree(workdir / "checkpoints" / "4", workdir / "checkpoints/8.orbax-checkpoint-tmp")
  assert train.main(command(workdir, "--resume")) == 0
  expected, actual = (loop.load_run(run)[1] for run in (whole, workdir))
  assert int(actual.step) == 6
  jax.tree.map(np.testing.assert_array_equal, expected, actual)
  assert checkpoint.saved_steps(workdir) == [6, 4, 2]
  assert [path.name for path in (workdir / "damaged").iterdir()] == ["6"]
  assert not list((workdir / "checkpoints").glob("*tmp*"))


def test_without_a_whole_checkpoint_the_newest_is_named(workdir, capsys):
  for step in (2, 4, 6):
    cut_short(numbers(workdir, step))
  with pytest.raises(InputError, match="checkpoints/6: found other bytes in .* a whole checkpoint"):
    loop.load_run(workdir)
  assert train.main(command(workdir, "--resume")) == 2
  assert capsys.readouterr().err.startswith(f"error: checkpoint {workdir}/checkpoints/6: found")
  assert checkpoint.saved_steps(workdir) == [6, 4, 2]


def test_a_checkpoint_of_other_sizes_is_not_taken_for_a_damaged_one(workdir, caplog, capsys):
  path = workdir / "config.json"
  saved = json.loads(path.read_text())
  # As if the sizes of a preset had changed under the run.
  saved |= {"model_sizes": ["style_dim=12"], "model": saved["model"] | {"style_dim": 12}}
  path.write_text(json.dumps(saved))
  before = path.read_bytes()
  assert train.main(command(workdir, "--resume", "--steps", "8")) == 2
  assert "checkpoints/6: found" in capsys.readouterr().err
  assert not [record for record in caplog.records if record.name == "stylejax"]
  assert not (workdir / "damaged").exists() and path.read_bytes() == before


def test_a_disk_without_room_stops_the_run_and_keeps_the_last_checkpoint(whole, workdir):
  def no_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

  for step in (4, 6):
    shutil.rmtree(workdir / "checkpoints" / str(step))
  run = subprocess.run(
    [sys.executable, str(ROOT / "train.py"), *command(workdir, "--resume")],
    text=True,
    env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1", "STYLEJAX_CACHE": ""},
    capture_output=True,
    preexec_fn=no_room,
  )
  assert run.returncode == 2
  assert run.stderr.count("\n") == 1, run.stderr
  line = run.stderr.strip()
  assert line.startswith(f"error: checkpoint {workdir}/checkpoints/4: found")
  assert line.endswith("expected room to write; that of step 2 is kept")
  assert train.main(command(workdir, "--resume")) == 0
  expected, actual = (loop.load_run(run)[1] for run in (whole, workdir))
  jax.tree.map(np.testing.assert_array_equal, expected, actual)
