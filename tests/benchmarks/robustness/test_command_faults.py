"""Partial files, changed inputs and leftovers are noticed after an attack."""

import pytest

from benchmarks.robustness import arena as arenas
from benchmarks.robustness import command_faults, faults
from benchmarks.robustness.commands import CASES
from stylejax.cli import console, paint, train


@pytest.fixture
def arena(tmp_path, monkeypatch):
  """Inputs and an output folder; no command is run to make them."""
  monkeypatch.setattr(arenas.Arena, "start", lambda self, case, version: self._make())
  monkeypatch.setattr(
    arenas.Arena,
    "_make",
    lambda self: (self.out / "styles.safetensors").write_bytes(b"styles"),
    raising=False,
  )
  monkeypatch.setattr(arenas, "finish", lambda process: (0, []))
  monkeypatch.setattr(arenas, "_random_params", lambda seed: seed)
  monkeypatch.setattr(
    arenas.stylejax,
    "save_weights",
    lambda path, seed: path.write_bytes(bytes([seed])),
    raising=False,
  )
  return arenas.Arena(tmp_path / "arena")


def test_an_input_that_changes_is_seen(arena):
  assert arena.faults(left=True) == []
  (arena.folder / "photos" / "2.png").write_bytes(b"stylized")
  assert arena.faults(left=False) == ["input photos/2.png changed"]


@pytest.mark.parametrize(
  "name", ["out/.stylejax-1.tmp", "out/.x.lock", "tmp/anything", "cache/traces/.stylejax-2.tmp"]
)
def test_a_leftover_is_seen(arena, name):
  (arena.folder / name).parent.mkdir(parents=True, exist_ok=True)
  (arena.folder / name).touch()
  assert arena.faults(left=True) == [f"left {name}"]
  assert arena.faults(left=False) == []


def test_a_half_file_is_seen():
  whole = [{"a.png": b"old", "b.png": b"b"}, {"a.png": b"new"}]
  assert command_faults._not_whole({"a.png": b"old", "b.png": b"b"}, whole) == []
  assert command_faults._not_whole({"a.png": b"new"}, whole) == []
  assert command_faults._not_whole({"a.png": b"ne", "b.png": b""}, whole) == [
    "a.png is no whole file",
    "b.png is no whole file",
  ]
  assert command_faults._not_whole({"b.png": b"new"}, whole) == ["b.png is no whole file"]


def test_each_verdict_is_printed(capsys):
  command_faults.show({"case": "one", "alive": True, "faults": []})
  command_faults.show({"case": "two", "alive": False, "faults": ["a", "b"]})
  assert capsys.readouterr().out == "one: holds\ntwo (it had ended): FAULT: a; b\n"


def test_a_fault_is_the_exit_status(monkeypatch, tmp_path):
  for actual, status in (([], 0), (["lost"], 1)):
    monkeypatch.setattr(
      faults,
      "attacks",
      lambda options, actual=actual: [{"case": "one", "alive": True, "faults": actual}],
    )
    assert faults.main(faults.Options(parts=("kills",), output=tmp_path / "f.json")) == status


@pytest.mark.parametrize("version", "ab")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_commands_under_attack_are_understood(case, version, monkeypatch, tmp_path, capsys):
  """Each command line is accepted up to its actual work, which isn't done here."""
  monkeypatch.chdir(tmp_path)
  reached = []
  monkeypatch.setattr(console, "exit_status", lambda work, **_: reached.append(work) or 0)
  monkeypatch.setattr(train, "_work", lambda options, _: reached.append(options) or 0)
  script, *arguments = case.command(version)
  assert {"infer.py": paint.infer, "train.py": train.script}[script](arguments) == 0
  assert len(reached) == 1 and capsys.readouterr() == ("", "")


def test_the_training_under_attack_is_understood(monkeypatch, tmp_path):
  commands = []
  monkeypatch.setattr(faults.subprocess, "Popen", lambda command, **_: commands.append(command))
  faults.start(faults.Options(), tmp_path / "run")
  ((_, script, *arguments),) = commands
  options = train._parse(arguments, train.SCRIPTS)
  assert script.endswith("train.py") and options.workdir == str(tmp_path / "run")
