"""The training command with its folder in storage: equal to a local run, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fsspec
import jax
import numpy as np
import pytest
from safetensors.numpy import load, load_file
from small_runs import STEPS, flags

import stylejax
import train
from stylejax.runtime import leases, stores
from stylejax.training import loop, mirror, monitor

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _one_device(monkeypatch, tmp_path):
  monkeypatch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])
  (tmp_path / "temporary").mkdir()
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def command(workdir, *more):
  return [
    "autoencoder",
    *flags("autoencoder"),
    "--log-every",
    "1",
    "--grid-every",
    "10",
    "--save-every",
    "3",
    "--keep",
    "2",
    "--workdir",
    str(workdir),
    *more,
  ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """The run in a local folder, never stopped."""
  workdir = tmp_path_factory.mktemp("run") / "whole"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])
    assert train.main(command(workdir)) == 0
  return workdir


def losses(text):
  return [(line["step"], line["loss"]) for line in map(json.loads, text.splitlines())]


def assert_same(whole, url):
  expected, actual = (loop.load_run(place)[1] for place in (whole, url))
  assert int(actual.step) == STEPS
  jax.tree.map(np.testing.assert_array_equal, expected, actual)
  store = stores.open_store(url, flag="")
  assert losses(store.read("metrics.jsonl").decode()) == losses(
    (whole / "metrics.jsonl").read_text()
  )
  for grid in (whole / "grids").iterdir():
    assert store.read(f"grids/{grid.name}") == grid.read_bytes()
  names = store.list()
  assert {name.split("/")[0] for name in names} == {
    "config.json",
    "metrics.jsonl",
    "grids",
    "tensorboard",
    "checkpoints",
  }
  assert mirror.stored_steps(store) == [20, 18]


def test_stopped_dead_and_resumed_in_memory(whole, tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(stores.SCHEMES, "memory", None)
  url = "memory://runs/one"
  log = monitor.Monitor.log

  def stop(self, step, *rest):
    log(self, step, *rest)
    if step == 8:
      # Like a kill: nothing is copied on exit.
      raise KeyboardInterrupt

  with monkeypatch.context() as patched:
    patched.setattr(monitor.Monitor, "log", stop)
    assert train.main(command(url)) == 130
  assert set(mirror.stored_steps(stores.open_store(url, flag=""))) <= {3, 6}
  assert train.main(command(url, "--resume")) == 0
  assert f"{url}: saved at step {STEPS}" in capsys.readouterr().out
  assert_same(whole, url)
  # Weights are exported from storage and to storage.
  assert train.main(["export", "--workdir", url, "--output", f"{url}/mine.safetensors"]) == 0
  assert (
    train.main(["export", "--workdir", str(whole), "--output", str(tmp_path / "w.safetensors")])
    == 0
  )
  stored = stores.open_store(url, flag="").read("mine.safetensors")
  # Not byte for byte: safetensors writes its metadata in another order each time.
  here = load_file(tmp_path / "w.safetensors")
  jax.tree.map(np.testing.assert_array_equal, load(stored), here)
  assert stylejax.load_pretrained(tmp_path / "w.safetensors").config.name == "tiny"
  taken = loop._load_weights(url, None)[1]
  jax.tree.map(np.testing.assert_array_equal, taken, loop._load_weights(str(whole), None)[1])
  assert train.main(command(url)) == 2
  assert f"--workdir: found a run at step {STEPS} in {url}" in capsys.readouterr().err
  assert not list((tmp_path / "temporary").iterdir())
  fsspec.filesystem("memory").store.clear()


def test_storage_that_is_gone_ends_the_run_in_one_line(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(mirror, "_FIRST_PAUSE", 0.01)
  monkeypatch.setattr(leases, "BEAT", 600)
  url = f"file://{tmp_path}/store"

  def refuse(self, path, name):
    raise OSError(f"{self.url}/{name}: found no route, expected storage that can be written")

  with monkeypatch.context() as patched:
    patched.setattr(stores.Store, "upload", refuse)
    assert train.main(command(url)) == 2
  error = capsys.readouterr().err
  assert error.startswith(f"error: {url}/checkpoints/3/") and error.count("\n") == 1
  assert "no checkpoint is there" in error


@pytest.mark.parametrize("url", ["ftp://host/run", "memory://bucket/run", "gs://"])
def test_other_places_are_refused_before_anything_is_made(url, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  assert train.main(command(url)) == 2
  error = capsys.readouterr().err
  assert error.startswith("error: --workdir: found ") and error.count("\n") == 1
  assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


ON_ONE = (
  "import sys, jax; jax.devices = lambda *a: jax.local_devices()[:1]; import train; "
  "sys.exit(train.main())"
)


@pytest.mark.processes
def test_killed_and_resumed_on_a_file_url(whole, tmp_path):
  """SIGKILL at several moments; the dead process's lease is known to be free at once."""
  url = f"file://{tmp_path}/store/run"
  env = os.environ | {
    "PYTHONPATH": str(ROOT),
    "TMPDIR": str(tmp_path / "temporary"),
    "JAX_NUM_CPU_DEVICES": "8",
  }
  start = lambda: subprocess.Popen(  # noqa: E731
    [sys.executable, "-c", ON_ONE, *command(url, "--resume")],
    env=env,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
  )
  store = stores.open_store(url, flag="")
  for step in (3, 9, 15):
    process = start()
    while process.poll() is None and max(mirror.stored_steps(store), default=0) < step:
      time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
  process = start()
  output, _ = process.communicate(timeout=600)
  assert process.returncode == 0, output
  assert_same(whole, url)
  assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.processes
def test_two_processes_keep_their_run_in_storage(tmp_path):
  """Only process 0 uses the storage; the other gets its checkpoint from it."""
  import socket

  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  url = f"file://{tmp_path}/store/run"

  def run(*more):
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}
    processes = [
      subprocess.Popen(
        [
          sys.executable,
          str(ROOT / "train.py"),
          *command(url, *more),
          "--coordinator",
          address,
          "--processes",
          "2",
          "--process",
          str(i),
        ],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
      )
      for i in range(2)
    ]
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return outputs

  first, second = run("--steps", "6")
  assert "saved at step 6" in first and "step" not in second
  first, _ = run("--steps", "9", "--resume")
  assert "continues at step 6 with steps 6 → 9" in first
  state = loop.load_run(url)[1]
  assert int(state.step) == 9
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
