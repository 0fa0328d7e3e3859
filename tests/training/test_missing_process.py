"""One of two processes is killed: the other says which and ends; both resume to the same bits."""

import time

import jax
import numpy as np
import pytest

from stylejax.training import loop
from tests.training.processes import command, finish, make_folders, start_two

pytestmark = pytest.mark.processes
STEPS, SAVE_EVERY = 40, 5


def wait_for_steps(processes, workdir, count):
  """Waits until that many steps are logged, while all processes run."""
  metrics = workdir / "metrics.jsonl"
  while not metrics.exists() or metrics.read_text().count("\n") < count:
    assert [process.poll() for process in processes] == [None, None]
    time.sleep(0.01)


def test_who_is_missing_is_said_and_both_resume_to_the_same_bits(tmp_path):
  make_folders(tmp_path)
  more = ("--steps", str(STEPS), "--save-every", str(SAVE_EVERY), "--deadline", "30", "--resume")
  finish(start_two(command("autoencoder", tmp_path, tmp_path / "whole", *more)))
  argv = command("autoencoder", tmp_path, tmp_path / "killed", *more)
  for killed, steps in ((1, 8), (0, 18)):
    processes = start_two(argv)
    wait_for_steps(processes, tmp_path / "killed", steps)
    processes[killed].kill()
    # JAX's own watch, which names nobody, would take a hundred seconds to miss process 1.
    output, _ = processes[1 - killed].communicate(timeout=90)
    assert processes[1 - killed].returncode not in (0, None), output
    assert f"error: process {killed} " in output and "is gone" in output, output
    assert output.count("is gone") == 1 and "restart all processes with --resume" in output, output
    processes[killed].communicate()
  finish(start_two(argv))
  whole, again = (loop.load_run(tmp_path / name)[1] for name in ("whole", "killed"))
  assert int(whole.step) == int(again.step) == STEPS
  jax.tree.map(np.testing.assert_array_equal, whole, again)
