"""`python -m benchmarks descents`: one small image, and methods that there aren't."""

import subprocess

import pytest

from benchmarks.speed import descents
from stylejax.errors import InputError


def test_memory_of_one_image(capsys):
  """More than JAX alone takes, less than what any machine has; and no note of bands."""
  result = descents.main(descents.Options(sizes=(64,), methods=("gram",), steps=3))
  (row,) = result["rows"]
  assert row["case"] == "gram, 64 px" and row["notes"] == []
  assert 0.1 < row["peak_gib"] < 8 and row["seconds"] > 0 and row["cpu_seconds"] > 0
  assert "gram, 64 px" in capsys.readouterr().out


def test_a_command_that_fails_is_a_line():
  with pytest.raises(InputError, match="found status 2: error: --steps: found 2"):
    descents.paint("gram", 64, descents.Options(steps=2))


def test_a_warm_run_of_the_default_steps_compiles_beforehand(monkeypatch):
  """The run that is measured is the second, and only the first is told a number of steps."""
  commands = []

  class Recorded(subprocess.Popen):
    def __init__(self, words, **keywords):
      commands.append(words)
      super().__init__(words, **keywords)

  monkeypatch.setattr(subprocess, "Popen", Recorded)
  row = descents.paint("gram", 64, descents.Options(steps=None, warm=True))
  first, second = commands
  assert first == [*second, "--steps", str(descents.FEWEST)]
  assert row["steps"] is None


def test_an_unknown_method():
  with pytest.raises(InputError, match="--methods: found network, expected names among refine"):
    descents.Options(methods=("network",)).check()
