"""Reports what is wrong with a command line in one line, where the parser would draw a box.

Only single options are checked here; each command checks whether its options fit together.
"""

import contextlib
import dataclasses
import difflib
import io
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from stylejax.errors import InputError

_WORDS = {int: "integer", float: "number"}


@dataclasses.dataclass(frozen=True)
class _Flag:
  """What may follow a flag: `least` to `most` values of a kind; None allows any number."""

  kind: Any
  least: int
  most: int | None


def check(
  hints: Mapping[str, Any],
  arguments: Sequence[str],
  *,
  prog: str,
  places: bool = False,
  required: Sequence[str] = (),
) -> None:
  """Looks for flags that are unknown or missing, and for values of another kind.

  Args:
    hints: the type of each field that is set by a flag, by name.
    arguments: the command line after the command.
    prog: what was typed before them, for the message.
    places: whether values may be given without a flag.
    required: names of fields that have no default.

  Raises:
    InputError: there is a mistake; the first one is named.
  """
  flags = dict(flag for name, hint in hints.items() for flag in _flags(name, hint))
  more = f"; `{prog} --help` lists them"
  words, given = list(arguments), set()
  while words:
    flag, equals, value = words.pop(0).partition("=")
    if flag in ("-h", "--help", "--") or flag.startswith("--tyro-"):
      return
    if not re.match("--|-[A-Za-z]", flag):
      if not places:
        raise InputError(f"{flag}: found it without a flag before it, expected an option{more}")
      continue
    name = flag.replace("_", "-")
    if name not in flags:
      near = difflib.get_close_matches(name, flags, 1)
      expected = near[0] if near else "an option of this command"
      raise InputError(f"{flag}: found no such option, expected {expected}{more}")
    given.add(name)
    values = [value] if equals else _take(words, flags[name].most)
    _check_values(flag, values, flags[name])
  missing = [_flag(name) for name in required if _flag(name) not in given]
  if missing:
    raise InputError(f"{missing[0]}: found nothing, expected a value; `{prog} --help` explains it")


def _take(words: list[str], most: int | None) -> list[str]:
  """Takes the values up to the next flag, at most `most` of them."""
  values: list[str] = []
  while words and (most is None or len(values) < most) and not words[0].startswith("--"):
    values.append(words.pop(0))
  return values


def _check_values(flag: str, values: Sequence[str], expected: _Flag) -> None:
  if len(values) < expected.least:
    found = f"{len(values)} value" if values else "no value"
    raise InputError(f"{flag}: found {found}, expected {_described(expected.kind, expected.least)}")
  if expected.most == 0 and values:
    raise InputError(f"{flag}: found the value {values[0]}, expected none")
  for text in values:
    if not _fits(text, expected.kind):
      raise InputError(f"{flag}: found {text}, expected {_described(expected.kind)}")


def _flags(name: str, hint: Any) -> Iterator[tuple[str, _Flag]]:
  """The flags of a field, and what each takes."""
  flag, kind = _flag(name), _plain(hint)
  if kind is bool:
    yield flag, _Flag(kind, 0, 0)
    yield flag.replace("--", "--no-", 1), _Flag(kind, 0, 0)
  elif typing.get_origin(kind) is tuple:
    inner = typing.get_args(kind)
    yield flag, _Flag(inner[0], 0, None) if inner[-1] is ... else _Flag(inner[0], *[len(inner)] * 2)
  else:
    yield flag, _Flag(kind, 1, 1)


def _flag(name: str) -> str:
  return "--" + name.replace("_", "-")


def _plain(hint: Any) -> Any:
  """A type without its annotations and without None."""
  if typing.get_origin(hint) is Annotated:
    return _plain(hint.__origin__)
  if typing.get_origin(hint) in (types.UnionType, typing.Union):
    return _plain(next(each for each in typing.get_args(hint) if each is not type(None)))
  return hint


def _fits(text: str, kind: Any) -> bool:
  """Whether a value can be read as the kind; the parser reads "None" as no value."""
  if typing.get_origin(kind) is Literal:
    return text == "None" or text in map(str, typing.get_args(kind))
  if kind not in _WORDS or text == "None":
    return True
  try:
    kind(text)
  except ValueError:
    return False
  return True


def _described(kind: Any, count: int = 1) -> str:
  if typing.get_origin(kind) is Literal:
    return " or ".join(map(str, typing.get_args(kind)))
  word = _WORDS.get(kind, "value")
  if count > 1:
    return f"{count} {word}s"
  return f"{'an' if word == 'integer' else 'a'} {word}"


@contextlib.contextmanager
def one_line() -> Iterator[None]:
  """Turns the box that the parser draws before it exits into an InputError of one line."""
  drawn = io.StringIO()
  try:
    with contextlib.redirect_stderr(drawn):
      yield
  except SystemExit as end:
    if not end.code:
      raise
    plain = re.sub(r"\x1b\[[\d;]*m", "", drawn.getvalue())
    lines = [line.strip(" │\n") for line in plain.splitlines() if not re.match("[╭╰]", line)]
    rule = next((i for i, line in enumerate(lines) if line.startswith("──")), len(lines))
    raise InputError(" ".join(filter(None, lines[:rule]))) from None
