"""The command `stylejax`: what each first word does, and that help waits for nothing."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

import infer
import stylejax
import train
from stylejax.cli import main as command
from stylejax.cli import optimize, paint_options
from stylejax.cli.options import COMMANDS, OLD_FLAGS
from stylejax.training.config import RENAMED

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
  ["--help"],
  ["--version"],
  *([name, "--help"] for name in COMMANDS),
  *(["styles", name, "--help"] for name in ("add", "list", "remove", "nearest", "sheet")),
  *(
    ["train", name, "--help"]
    for name in ("autoencoder", "gan", "transfer", "recipe", "export", "shards")
  ),
]
TYPOS = [
  ["pant"],
  ["paint", "--strenght", "1"],
  ["sequence", "--strenght", "1"],
  ["optimize", "--stps", "1"],
  ["styles", "ad"],
  ["styles", "add", "--nam", "x"],
  ["export", "--outpt", "x"],
  ["warm", "--sizs", "64x48"],
  ["train", "transfr"],
  ["train", "transfer", "--stps", "1"],
  ["train", "shards", "--inpt", "1"],
  ["benchmark", "inf"],
]


def call(arguments, main=command.main):
  """The exit status, also if the parser itself exits."""
  try:
    return main([str(argument) for argument in arguments])
  except SystemExit as end:
    return end.code or 0


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_fits_the_terminal_and_names_kinds_of_values(words, columns, capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", str(columns))
  assert call(words) == 0
  page, error = capsys.readouterr()
  assert page and error == ""
  assert "{None}" not in page and "STR" not in page.replace("STRENGTH", "")
  # Examples are one line each, so that they can be copied.
  prose = [line for line in page.splitlines() if not line.startswith(("  ", "usage:"))]
  assert max(map(len, prose)) <= columns


@pytest.mark.parametrize(
  "main, words, typed, others",
  [
    (command.main, ["paint"], "stylejax paint", ("infer.py", "train.py")),
    (command.main, ["sequence"], "stylejax sequence", ("infer.py",)),
    (command.main, ["train", "transfer"], "stylejax train transfer", ("train.py",)),
    (command.main, ["styles"], "stylejax styles", ("infer.py",)),
    (infer.main, [], "python infer.py", ("stylejax paint", "stylejax styles")),
    (infer.main, ["--sequence"], "python infer.py --sequence", ("stylejax sequence",)),
    (infer.main, ["--method", "gram"], "python infer.py", ("stylejax optimize",)),
    (infer.main, ["export"], "python infer.py export", ("stylejax export",)),
    (train.main, ["transfer"], "python train.py transfer", ("stylejax train",)),
    (train.main, ["shards"], "python train.py shards", ("stylejax train",)),
  ],
)
def test_help_speaks_of_the_command_that_was_typed(main, words, typed, others, capsys):
  assert call([*words, "--help"], main) == 0
  page = capsys.readouterr().out
  assert page.startswith(f"usage: {typed}") and page.count(typed) > 1
  assert not [other for other in others if other in page]


def test_help_and_typing_mistakes_do_not_wait_for_jax():
  """In one process, since each would take half a second to start."""
  code = (
    "import sys\nfrom stylejax.cli.main import main\n"
    "for words in sys.argv[1:]:\n"
    "  try:\n    status = main(words.split())\n  except SystemExit as end:\n    status = end.code\n"
    "  assert 'jax' not in sys.modules, words\n"
    "  print('status', status or 0)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, *map(" ".join, [*PAGES, *TYPOS])],
    check=True,
    capture_output=True,
    text=True,
    cwd=ROOT,
  )
  ends = [line for line in done.stdout.splitlines() if line.startswith("status")]
  assert ends == ["status 0"] * len(PAGES) + ["status 2"] * len(TYPOS)


@pytest.mark.parametrize("words", TYPOS, ids=" ".join)
def test_a_typing_mistake_names_what_was_meant(words, capsys):
  assert call(words) == 2
  output, error = capsys.readouterr()
  meant = {
    "pant": "paint",
    "--strenght": "--strength",
    "--stps": "--steps",
    "ad": "add",
    "--nam": "--name",
    "--outpt": "--output",
    "transfr": "transfer",
    "--inpt": "--input-dir",
    "--sizs": "--sizes",
    "inf": "info",
  }
  assert output == "" and error.startswith("error: ") and error.count("\n") == 1
  assert meant[next(word for word in words if word in meant)] in error


def test_version(capsys):
  assert call(["--version"]) == 0
  assert capsys.readouterr().out == f"stylejax {stylejax.__version__}\n"


def test_no_word_is_help(capsys):
  assert call([]) == 0
  assert capsys.readouterr().out.startswith("usage: stylejax COMMAND")


def test_python_m_stylejax():
  done = subprocess.run(
    [sys.executable, "-m", "stylejax", "paint", "--help"],
    check=True,
    capture_output=True,
    text=True,
    cwd=ROOT,
  )
  assert "python -m stylejax paint photo.jpg painting.jpg" in done.stdout


def test_benchmark_info(capsys, monkeypatch, tmp_path):
  monkeypatch.setenv("STYLEJAX_CACHE", str(tmp_path))
  assert call(["benchmark", "info"]) == 0
  page = capsys.readouterr().out
  rows = dict(line.split(maxsplit=1) for line in page.splitlines())
  import jax

  assert rows["stylejax"] == stylejax.__version__
  assert rows["jax"] == jax.__version__
  assert rows["devices"].startswith("cpu:0")
  assert "xla_cpu" in page and "STYLEJAX_CACHE" in rows


class TestOldNames:
  @pytest.mark.parametrize("old, new", OLD_FLAGS.items())
  @pytest.mark.parametrize("main", [infer.main, train.main, command.main])
  def test_flags_name_the_new_one(self, main, old, new, capsys):
    words = {infer.main: [], train.main: ["gan"], command.main: ["paint"]}[main]
    if old == "--optimiser" and main is infer.main:
      words = ["--method", "gram"]
    for given in ([old, "1"], [f"{old}=1"], [old.replace("-c", "_c")]):
      assert call([*words, *given], main) == 2
      error = capsys.readouterr().err
      assert error == f"error: {old}: found a name of version 0.1, expected {new}\n"

  @pytest.mark.parametrize("old, new", RENAMED.items())
  def test_flags_of_trainings(self, old, new, capsys):
    old, new = (f"--{name.replace('_', '-')}" for name in (old, new))
    assert call(["train", "transfer", f"{old}=1"]) == 2
    assert capsys.readouterr().err == f"error: {old}: found a name of version 0.1, expected {new}\n"

  @pytest.mark.parametrize("value", ["optimise", "optimize"])
  @pytest.mark.parametrize("joined", [True, False])
  def test_the_method(self, value, joined, capsys):
    given = [f"--method={value}"] if joined else ["--method", value]
    assert call([*given, "--content", "a.png", "--style", "b.png"], infer.main) == 2
    assert capsys.readouterr().err == (
      f"error: --method: found {value}, a name of version 0.1, expected gram\n"
    )

  @pytest.mark.parametrize("old, new", stylejax._OLD_NAMES.items())
  def test_attributes(self, old, new):
    with pytest.raises(AttributeError, match=f"'{old}'.*expected '{new}'"):
      getattr(stylejax, old)
    assert hasattr(stylejax, new) and old not in dir(stylejax)


def test_every_group_names_fields():
  for groups, kind in (
    (paint_options.GROUPS, paint_options.Options),
    (optimize._GROUPS, optimize.Options),
  ):
    fields = {field.name for field in dataclasses.fields(kind)}
    named = [name for group in groups.values() for name in group]
    assert len(named) == len(set(named)) and set(named) <= fields


def test_the_script_is_declared():
  text = (ROOT / "pyproject.toml").read_text()
  assert 'stylejax = "stylejax.cli.main:main"' in text


def test_the_scripts_of_the_checkout_work_from_elsewhere(tmp_path):
  for script in ("infer.py", "train.py"):
    done = subprocess.run(
      [sys.executable, str(ROOT / script), "--help"],
      check=True,
      capture_output=True,
      text=True,
      cwd=tmp_path,
      env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert script in done.stdout


def test_help_into_a_pipe_that_is_closed_is_no_error():
  """`--help | head -1`: head ends while the rest is still being written."""
  command = f"{sys.executable} -m stylejax paint --help | head -c 1; exit ${{PIPESTATUS[0]}}"
  done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=120)
  assert done.returncode == 0 and done.stderr == b""
