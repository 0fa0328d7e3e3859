"""Training gives the same numbers on any number of devices and processes, through train.py."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import train
from stylejax.errors import InputError
from stylejax.runtime import distributed
from stylejax.training import checkpoint, loop
from stylejax.training.saved import from_saved, saved_config
from tests.training.processes import ROOT, STEPS, command, finish, make_folders, start_two

pytestmark = pytest.mark.processes
# Numbers of devices in one process; two processes always have 8. Compilation takes the time.
LAYOUTS = {"autoencoder": ("2", "4", "8"), "gan": ("2", "4"), "transfer": ("2",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """Folders of a few smooth photos and artworks."""
  root = tmp_path_factory.mktemp("images")
  make_folders(root)
  return root


def train_on(monkeypatch, count, argv):
  devices = jax.local_devices()[:count]
  with monkeypatch.context() as patch:
    patch.setattr(jax, "devices", lambda *a: devices)
    assert train.main(argv) == 0


def losses(workdir, count):
  lines = [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]
  assert [line["step"] for line in lines] == list(range(1, count + 1))
  return np.array([[v for k, v in sorted(line.items()) if k == "loss"] for line in lines])


def parts(params):
  """Each part's parameters as one vector."""
  return {
    name: np.concatenate([np.ravel(x) for x in jax.tree.leaves(getattr(params, name))])
    for name in (
      "content_encoder",
      "style_encoder",
      "generator",
      "noise_generator",
      "discriminator",
    )
    if getattr(params, name) is not None
  }


def assert_same_run(kind, expected, actual):
  count = STEPS[kind]
  np.testing.assert_allclose(losses(actual, count), losses(expected, count), rtol=1e-4)
  state, other = (loop.load_run(workdir)[1] for workdir in (expected, actual))
  assert int(state.step) == int(other.step) == count
  config = from_saved(saved_config(expected))
  fresh = parts(jax.jit(lambda: loop.init_state(config))().params)
  for (name, a), b in zip(parts(state.params).items(), parts(other.params).values(), strict=True):
    apart, moved = np.linalg.norm(a - b), np.linalg.norm(a - fresh[name])
    assert apart <= 1e-3 * np.linalg.norm(a), name
    # Small rates move little, so the difference must be small beside the movement as well.
    assert moved > 0 and apart <= 0.02 * moved, (name, apart, moved)


@pytest.fixture(scope="module")
def on_one_device(folders, tmp_path_factory):
  """kind → workdir of its run on one device, which is made on first request."""
  root = tmp_path_factory.mktemp("one")

  def run(kind):
    if not (root / kind).exists():
      with pytest.MonkeyPatch.context() as patch:
        train_on(patch, 1, command(kind, folders, root / kind))
    return root / kind

  return run


@pytest.mark.parametrize("kind", ["autoencoder", "gan", "transfer"])
def test_every_layout_gives_the_same_numbers(kind, folders, on_one_device, tmp_path, monkeypatch):
  expected = on_one_device(kind)
  for name in LAYOUTS[kind]:
    count, *more = {"2": (2, "--accumulate", "4"), "4": (4, "--parallel", "pmap"), "8": (8,)}[name]
    train_on(monkeypatch, count, command(kind, folders, tmp_path / name, *more))
    assert_same_run(kind, expected, tmp_path / name)
  # Each of the two processes is a slice, except for one task, which has a single slice.
  slices = () if kind == "gan" else ("--slices", "2")
  first, second = finish(start_two(command(kind, folders, tmp_path / "processes", *slices)))
  assert_same_run(kind, expected, tmp_path / "processes")
  assert f"saved at step {STEPS[kind]}" in first and "step" not in second


def test_same_devices_same_bits(folders, tmp_path, monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
  for name in ("a", "b"):
    train_on(monkeypatch, 8, command("autoencoder", folders, tmp_path / name, "--deterministic"))
  assert "--xla_gpu_deterministic_ops=true" in os.environ["XLA_FLAGS"]
  a, b = (loop.load_run(tmp_path / name)[1] for name in ("a", "b"))
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_sigterm_to_one_process_stops_both_and_another_count_goes_on(
  folders, on_one_device, tmp_path, monkeypatch
):
  workdir = tmp_path / "run"
  argv = command("autoencoder", folders, workdir)
  processes = start_two(argv)
  metrics = workdir / "metrics.jsonl"
  while all(p.poll() is None for p in processes) and (
    not metrics.exists() or metrics.read_text().count("\n") < 2
  ):
    time.sleep(0.01)
  # The process that does not lead.
  processes[1].send_signal(signal.SIGTERM)
  first, _ = finish(processes)
  step = checkpoint.newest_step(workdir)
  assert 2 <= step < STEPS["autoencoder"]
  assert f"saved at step {step} of {STEPS['autoencoder']}" in first
  train_on(monkeypatch, 1, [*argv, "--resume"])
  assert_same_run("autoencoder", on_one_device("autoencoder"), workdir)


@pytest.mark.parametrize(
  "argv, message",
  [
    (["--processes", "2"], "--processes: found without --coordinator and --process"),
    (["--coordinator", "host:1", "--processes", "2", "--process", "2"], "found 2, expected 0 to 1"),
    (["--coordinator", "host", "--processes", "2", "--process", "0"], "expected HOST:PORT"),
    (["--distributed"], "--distributed: found no cluster"),
    (["--slices", "3"], "--slices: found 3, expected a divisor of 8 devices"),
    (["--slices", "2", "--parallel", "pmap"], "--slices: found it with --parallel pmap"),
    (["--accumulate", "0"], "--accumulate: found 0"),
    (["--accumulate", "3"], "--batch: found 16, expected a multiple of 24"),
  ],
)
def test_mistakes_in_one_line(argv, message, folders, tmp_path, capsys):
  if argv == ["--distributed"]:
    # In a new process: this one has a backend, with which jax would not even look for a cluster.
    code = subprocess.run(
      [sys.executable, str(ROOT / "train.py"), *command("autoencoder", folders, tmp_path), *argv],
      env=os.environ | {"PYTHONPATH": str(ROOT)},
      text=True,
      capture_output=True,
    )
    error, code = code.stderr, code.returncode
  else:
    code = train.main(command("autoencoder", folders, tmp_path, *argv))
    error = capsys.readouterr().err
  assert code == 2 and message in error and error.count("\n") == 1


def test_slurm_of_several_tasks_is_detected_and_a_lone_task_is_not(monkeypatch):
  for name in ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_LOCALID"):
    monkeypatch.setenv(name, "0")
  monkeypatch.setenv("SLURM_STEP_NODELIST", "node[001-002]")
  for tasks in (2, 1):
    monkeypatch.setenv("SLURM_NTASKS", str(tasks))
    assert distributed._detected() == tasks
  monkeypatch.delenv("SLURM_JOB_ID")
  assert distributed._detected() == 1


def test_no_cluster_is_joined_alone(monkeypatch):
  monkeypatch.setattr(jax.distributed, "initialize", lambda *a, **k: pytest.fail("joined"))
  distributed.join()
  assert distributed.leads() and not distributed.several()

  def refuse(*_, **__):
    raise RuntimeError("no answer\nat all")

  monkeypatch.setattr(jax.distributed, "initialize", refuse)
  with pytest.raises(InputError, match="found host:1 .no answer."):
    distributed.join(coordinator="host:1", processes=2, process=0)
