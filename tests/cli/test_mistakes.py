"""Flags that can't be read: one line that names the flag, what was found, what was expected."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest

from stylejax.cli import export, optimize, options, paint_options, sequence, styles, train, warm
from stylejax.cli import main as command
from stylejax.cli.options import option, parse
from stylejax.errors import InputError

KINDS = {
  "paint": paint_options.Options,
  "sequence": sequence.Options,
  "optimize": optimize.Options,
  "export": export.Options,
  "warm": warm.Options,
  **{f"styles {name}": kind for name, kind in styles.COMMANDS.items()},
  **{f"train {name}": kind() for name, kind in train._kinds().items()},
}


@dataclasses.dataclass(frozen=True)
class Every:
  """One option of each kind."""

  folder: str
  files: Annotated[tuple[str, ...], option("Files.", positional=True)] = ()
  names: tuple[str, ...] = ()
  range: tuple[float, float] = (0.0, 1.0)
  count: int = 1
  size: int | None = None
  rate: Annotated[float, option("How fast.")] = 1.0
  mode: Literal["soft", "hard"] | None = None
  fast: bool = False


@dataclasses.dataclass(frozen=True)
class Placeless:
  """Options that are all given by flags."""

  count: int = 1


def read(*words, kind=Every):
  return parse(kind, words, prog="stylejax x", description="")


@pytest.mark.parametrize(
  "words, expected",
  [
    (["--folder", "a"], {}),
    (["--folder=a", "b", "c"], {"files": ("b", "c")}),
    (["b", "--folder", "a", "--names", "c", "d", "--fast"], {"names": ("c", "d"), "fast": True}),
    (["--folder", "a", "--range", "-1", "2e3"], {"range": (-1.0, 2000.0)}),
    (["--folder", "a", "--size", "None", "--no-fast"], {"size": None}),
    (["--folder", "a", "--mode", "hard", "--rate=-.5"], {"mode": "hard", "rate": -0.5}),
    (["--folder", "a", "--names"], {"names": ()}),
  ],
)
def test_what_is_right_is_read(words, expected):
  files = expected.pop("files", ("b",) if "b" in words else ())
  assert read(*words) == Every("a", files=files, **expected)


@pytest.mark.parametrize(
  "words, message",
  [
    ([], "--folder: found nothing, expected a value; `stylejax x --help` explains it"),
    (["--folder"], "--folder: found no value, expected a value"),
    (["--folder", "--fast"], "--folder: found no value, expected a value"),
    (["--counts", "1"], "--counts: found no such option, expected --count; `stylejax x --help` l"),
    (["--zzz"], "--zzz: found no such option, expected an option of this command"),
    (["-c", "1"], "-c: found no such option, expected "),
    (["--count", "1.5"], "--count: found 1.5, expected an integer"),
    (["--count"], "--count: found no value, expected an integer"),
    (["--size=x"], "--size: found x, expected an integer"),
    (["--rate", "fast"], "--rate: found fast, expected a number"),
    (["--mode", "firm"], "--mode: found firm, expected soft or hard"),
    (["--range", "1"], "--range: found 1 value, expected 2 numbers"),
    (["--range", "1", "x"], "--range: found x, expected a number"),
    (["--fast=1"], "--fast: found the value 1, expected none"),
  ],
)
def test_what_is_wrong_is_one_line(words, message, capfd):
  with pytest.raises(InputError) as error:
    read(*words)
  assert str(error.value).startswith(message) and "\n" not in str(error.value)
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
  "words, message",
  [
    # Only the last would count.
    (["--over-time", "strength=1:0", "--over-time=smoothing=1:0"], "--over-time: found it 2 times"),
    (["--over-time", "strength=1:0", "a.gif", "b.png"], "--over-time: found a.gif, expected NAME="),
  ],
)
def test_settings_that_change_come_together_and_behind_the_files(words, message, capsys):
  assert command.main(["sequence", *words]) == 2
  assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_place_where_there_is_none_is_named():
  with pytest.raises(InputError, match="^extra: found it without a flag before it, expected an op"):
    read("extra", kind=Placeless)


@pytest.mark.parametrize("words", [["--count", "1", "2"], ["--folder", "a", "--", "--b"]])
def test_what_only_the_parser_refuses_is_one_line_too(words, capfd, monkeypatch):
  monkeypatch.setattr(options.mistakes, "check", lambda *_, **__: None)
  with pytest.raises(InputError) as error:
    read(*words, kind=Placeless)
  line = str(error.value)
  assert line and not set("\n╭│─╰") & set(line)
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", KINDS)
def test_defaults_that_are_typed_are_taken(name):
  """Every option of every command, given by its flag with its default value."""
  kind, words = KINDS[name], []
  behind_flags = options._behind_flags(kind)
  for field in dataclasses.fields(kind):
    if field.name not in behind_flags:
      words += ["x"] if field.default is dataclasses.MISSING else []
      continue
    flag, value = "--" + field.name.replace("_", "-"), field.default
    if value is dataclasses.MISSING:
      value = "x"
    if isinstance(value, bool):
      words.append(flag if value else flag.replace("--", "--no-", 1))
    elif isinstance(value, tuple):
      words += [flag, *map(str, value)]
    else:
      words += [flag, str(value) if not isinstance(value, Path) else value.as_posix()]
  options_read = read(*words, kind=kind)
  for field in dataclasses.fields(kind):
    value = getattr(options_read, field.name)
    assert str(value) == "x" if field.default is dataclasses.MISSING else value == field.default


def test_what_was_typed_is_printed_on_one_line(capsys):
  assert command.main(["paint", "--x\n\x1b[31m", "1"]) == 2
  assert capsys.readouterr().err.startswith("error: --x\\n\\x1b[31m: found no such option")
