"""What README and the site tell people to type runs, or at least is understood by the commands."""

import importlib.util
import re
import shlex

import pytest
from pages import PAGES, ROOT, blocks

import infer
import train
from stylejax.cli import console
from stylejax.cli import main as command
from stylejax.cli import train as train_command

PYTHON = [page for page in PAGES if blocks(page, "python")]
SHELL = [page for page in PAGES if blocks(page, "sh")]
OURS = ("stylejax ", "python infer.py ", "python train.py ")
OPTIONAL = ("equinox", "onnxruntime")
"""Libraries that some pages use; a page runs up to where one is missing."""


def name(page):
  return page.relative_to(ROOT).as_posix()


def stylejax_commands(page):
  """(words of a command line of ours, whether the page says that it is run) in order."""
  for block in blocks(page, "sh"):
    for line in block.commands():
      if line.startswith(OURS):
        yield shlex.split(line, comments=True), block.reason is None


def run(words):
  """The exit status of a command in this process, also if the parser itself exits."""
  mains = {"infer.py": infer.main, "train.py": train.main}
  try:
    if words[0] == "stylejax":
      return command.main(words[1:])
    return mains[words[1]](words[2:])
  except SystemExit as end:
    return end.code or 0


def test_the_pages_are_found():
  assert len(PYTHON) >= 6 and len(SHELL) >= 8
  assert sum(ran for page in SHELL for _, ran in stylejax_commands(page)) >= 25


@pytest.mark.parametrize("page", PYTHON, ids=name)
def test_python_runs_as_it_stands(page, folder, monkeypatch):
  monkeypatch.chdir(folder)
  variables = {}
  for block in blocks(page, "python"):
    if block.reason is not None:
      compile(block.code, f"{name(page)}:{block.line}", "exec")
      continue
    for library in OPTIONAL:
      needed = re.search(rf"^import {library}\b", block.code, re.MULTILINE)
      if needed and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed (pip install '.[docs]')")
    code = compile("\n" * block.line + block.code, str(page), "exec")
    exec(code, variables)


@pytest.mark.parametrize("page", SHELL, ids=name)
def test_commands_are_understood(page, folder, monkeypatch):
  """Every command line of ours, with flags and values that its parser takes."""
  monkeypatch.chdir(folder)
  monkeypatch.setattr(console, "exit_status", lambda work, **_: 0)
  monkeypatch.setattr(train_command, "_work", lambda options, _: check(options))
  for words, _ in stylejax_commands(page):
    if "--resume" not in words:  # it reads the settings of a run that isn't there
      assert run(words) == 0, words


def check(options):
  getattr(options, "check", lambda: None)()
  return 0


@pytest.mark.parametrize("page", SHELL, ids=name)
def test_commands_run(page, folder, monkeypatch, tmp_path):
  """All but those that a page says are not run, and training and export (tools/smoke.sh)."""
  monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # the library of styles
  monkeypatch.chdir(folder)
  for words, ran in stylejax_commands(page):
    if ran and words[0] == "stylejax" and words[1] not in ("train", "export", "benchmark"):
      assert run(words) == 0, words
