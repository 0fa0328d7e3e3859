"""Parses a command line into a dataclass of options, with grouped and wrapped help.

The help writes commands as they were typed. The options of a command are in its own module; this
one doesn't import JAX.
"""

import ast
import collections
import contextlib
import dataclasses
import functools
import inspect
import io
import os
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from stylejax.cli import mistakes
from stylejax.errors import InputError
from stylejax.runtime.files import printable

T = TypeVar("T")

OLD_FLAGS = {
  "--preserve-colour": "--preserve-color",
  "--colour-mode": "--color-mode",
  "--optimiser": "--optimizer",
}
"""New flags by their names in version 0.1, which are refused with a message that names the new."""

COMMANDS = ("paint", "sequence", "optimize", "styles", "export", "warm", "train", "benchmark")
"""The commands: first words after `stylejax`."""

_MAX_WIDTH = 100
_KINDS = {str: "TEXT", int: "INTEGER", float: "NUMBER"}


@dataclasses.dataclass(frozen=True)
class Option:
  """What --help says of an option; see `option`."""

  meaning: str
  metavar: str | None
  default: str | None
  positional: bool


def option(
  meaning: str, *, metavar: str | None = None, default: str | None = None, positional: bool = False
) -> Option:
  """What --help says of an option, for the annotation of a dataclass's field.

  Args:
    meaning: sentences, in which commands are written as `stylejax NAME`.
    metavar: a placeholder for the value, such as PIXELS; None derives it from the type.
    default: what is shown in brackets after the meaning; None shows the field's default.
    positional: whether the value is given alone, without a flag.
  """
  return Option(meaning, metavar, default, positional)


@dataclasses.dataclass(frozen=True)
class Spelling:
  """How the commands are called: as `stylejax paint`, or as a script in the checkout.

  Attributes:
    names: what is typed for `stylejax NAME`, by NAME; a missing one is typed as `stylejax NAME`.
  """

  names: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def of(self, command: str) -> str:
    """What is typed for a command."""
    return self.names.get(command, f"stylejax {command}")

  def apply(self, text: str) -> str:
    """The text with each `stylejax NAME` replaced by what is typed for it."""
    return _COMMAND.sub(lambda match: self.of(match[1]), text)


_COMMAND = re.compile(rf"\bstylejax ({'|'.join(COMMANDS)})\b")

INSTALLED = Spelling()
MODULE = Spelling({name: f"python -m stylejax {name}" for name in COMMANDS})
SCRIPTS = Spelling(
  {
    "paint": "python infer.py",
    "sequence": "python infer.py --sequence",
    "optimize": "python infer.py",
    "styles": "python infer.py styles",
    "export": "python infer.py export",
    "train": "python train.py",
  }
)


def parse(
  kind: type[T],
  arguments: Sequence[str],
  *,
  prog: str,
  description: str,
  spelling: Spelling = INSTALLED,
  groups: Mapping[str, Sequence[str]] | None = None,
  default: T | None = None,
  old_flags: Mapping[str, str] = OLD_FLAGS,
) -> T:
  """Parses a command line into options; --help ends the process, as in argparse.

  Args:
    kind: a dataclass; a field's help is its `Option`, or the docstring below it.
    arguments: the command line after the command.
    prog: what was typed before them.
    description: paragraphs, and indented lines that are not wrapped.
    spelling: how commands are written in all of the help.
    groups: names of fields by the title of their box in the help; the others come first.
    default: the values of options that are not given; None means the fields' defaults.
    old_flags: new flags by their old names.

  Returns:
    An instance of kind.

  Raises:
    InputError: a flag is unknown or from an earlier version, or a value is missing or of another
      kind.
  """
  refuse_old_flags(arguments, old_flags=old_flags)
  hints, fields = _behind_flags(kind), dataclasses.fields(kind)
  mistakes.check(
    hints,
    arguments,
    prog=prog,
    places=len(hints) < len(fields),
    required=[f.name for f in fields if default is None and f.name in hints and _is_required(f)],
  )

  import tyro  # only here, so that modules that define options load without it

  groups = groups or {}
  nested = _nested(kind, groups, spelling, default)
  with mistakes.one_line(), _described(_wrapped(spelling.apply(description))):
    parsed = tyro.cli(
      nested,
      prog=prog,
      args=list(arguments),
      description=_PLACEHOLDER,
      config=(tyro.conf.OmitArgPrefixes,),
    )
  values: dict[str, Any] = {}
  for field in dataclasses.fields(parsed):
    value = getattr(parsed, field.name)
    if field.name.startswith(_GROUP):
      values |= {inner.name: getattr(value, inner.name) for inner in dataclasses.fields(value)}
    else:
      values[field.name] = value
  return kind(**values)


def refuse_old_flags(arguments: Sequence[str], *, old_flags: Mapping[str, str] = OLD_FLAGS) -> None:
  """Refuses flags by their old names, and names the new one.

  Raises:
    InputError: an old flag is given; the first one is named.
  """
  for argument in arguments:
    flag = argument.split("=")[0].replace("_", "-")
    if flag in old_flags:
      raise InputError(f"{flag}: found a name of version 0.1, expected {old_flags[flag]}")


def repeated_flag(arguments: Sequence[str], flags: Sequence[str]) -> str | None:
  """A message if one of the flags is given twice, since the parser would keep only the last."""
  counts = collections.Counter(argument.split("=")[0] for argument in arguments)
  for flag in flags:
    if counts[flag] > 1:
      return f"{flag}: found it {counts[flag]} times, expected it once, followed by all its values"
  return None


_GROUP = "group_"


def _nested(kind: type, groups: Mapping[str, Sequence[str]], spelling: Spelling, default) -> type:
  """A dataclass like `kind` whose grouped fields are in a nested dataclass for each group."""
  import tyro

  fields = {
    field.name: _field(kind, field, spelling, default) for field in dataclasses.fields(kind)
  }
  grouped = {name for names in groups.values() for name in names}
  missing = grouped - fields.keys()
  assert not missing, f"groups name no fields of {kind.__name__}: {missing}"
  top = [field for name, field in fields.items() if name not in grouped]
  for number, (title, names) in enumerate(groups.items()):
    group = dataclasses.make_dataclass(
      f"{kind.__name__}{number}", [fields[name] for name in names], frozen=True
    )
    top.append(
      (
        f"{_GROUP}{number}",
        Annotated[group, tyro.conf.arg(name=title, help="")],
        dataclasses.field(default_factory=group),
      )
    )
  # Fields without a default must come first.
  top.sort(key=lambda field: len(field) > 2)
  return dataclasses.make_dataclass(kind.__name__, top, frozen=True)


def _field(kind: type, field: dataclasses.Field, spelling: Spelling, default) -> tuple:
  """(name, annotated type[, default]) of a field, with its help."""
  import tyro

  hint = _hints(kind)[field.name]
  said = _said(hint)
  if said is None:
    said = option(_field_docs(kind).get(field.name, ""))
  plain = hint.__origin__ if typing.get_origin(hint) is Annotated else hint
  value = getattr(default, field.name) if default is not None else field.default
  meaning = spelling.apply(" ".join(said.meaning.split()))
  shown = said.default
  if shown is None and (value is None or value == ()):
    shown = "" if "Default: " in meaning else "(default: none)"
  arg = tyro.conf.arg(
    help=meaning, metavar=said.metavar or _metavar(plain, field.name), help_behavior_hint=shown
  )
  plain, value = _checked_quickly(plain, value)
  annotated = Annotated[plain, arg]
  if said.positional:
    annotated = tyro.conf.Positional[annotated]
  if value is dataclasses.MISSING:
    return field.name, annotated
  return field.name, annotated, value


def _checked_quickly(kind: Any, value: Any) -> tuple[Any, Any]:
  """The type and the default in forms that tyro 1.0.17 checks without typeguard.

  To check a default against `X | None` or `tuple[X, ...]` it imports typeguard, and with it asyncio
  and unittest.mock (65 ms); for `Optional[X]` and classes it doesn't (its is_instance).
  """
  import tyro

  if isinstance(kind, types.UnionType):
    return typing.Union[typing.get_args(kind)], value  # noqa: UP007
  if kind == tuple[str, ...]:
    spec = tyro.constructors.PrimitiveConstructorSpec(
      nargs="*",
      metavar="TEXT",
      instance_from_str=_Texts,
      is_instance=lambda texts: isinstance(texts, _Texts),
      str_from_instance=list,
    )
    return Annotated[_Texts, spec], value if value is dataclasses.MISSING else _Texts(value)
  return kind, value


class _Texts(tuple):
  """A class that replaces tuple[str, ...]; see `_checked_quickly`."""


def _metavar(kind: Any, name: str = "") -> str | None:
  """The placeholder for a value of the type, never {None}|STR; None if tyro's is good."""
  if name.endswith("dir"):
    return "FOLDER"
  origin, arguments = typing.get_origin(kind), typing.get_args(kind)
  if origin in (types.UnionType, typing.Union):
    return _metavar(next(each for each in arguments if each is not type(None)))
  if origin is Literal:
    return "{" + ",".join(map(str, arguments)) + "}"
  if origin is tuple:
    inner = _metavar(arguments[0]) or "VALUE"
    return f"[{inner} ...]" if arguments[-1] is Ellipsis else " ".join([inner] * len(arguments))
  if isinstance(kind, type) and kind.__name__ in ("Path", "PosixPath", "WindowsPath"):
    return "PATH"
  return _KINDS.get(kind)


def _behind_flags(kind: type) -> dict[str, Any]:
  """The types of the fields that are set by flags, by name."""
  hints = _hints(kind)
  said = {field.name: _said(hints[field.name]) for field in dataclasses.fields(kind)}
  return {name: hints[name] for name, each in said.items() if each is None or not each.positional}


def _is_required(field: dataclasses.Field) -> bool:
  return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _said(hint: Any) -> Option | None:
  """The `Option` in an annotation, if there is one."""
  extras = getattr(hint, "__metadata__", ())
  return next((extra for extra in extras if isinstance(extra, Option)), None)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
  return typing.get_type_hints(kind, include_extras=True)


@functools.cache
def _field_docs(kind: type) -> dict[str, str]:
  """The string below each field of a dataclass; those of the class override inherited ones."""
  docs: dict[str, str] = {}
  for base in reversed(kind.__mro__[:-1]):
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
    for before, after in zip(body.body, body.body[1:]):
      if (
        isinstance(before, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
      ):
        docs[before.target.id] = after.value.value
  return docs


_PLACEHOLDER = "-- description --"


class _Output(io.StringIO):
  """Captures what is printed, with the stream's encoding and isatty, by which tyro draws help."""

  def __init__(self, stream: Any):
    super().__init__()
    self._stream = stream

  @property
  def encoding(self) -> str | None:
    return getattr(self._stream, "encoding", None)

  def isatty(self) -> bool:
    return self._stream.isatty()


@contextlib.contextmanager
def _described(description: str) -> Iterator[None]:
  """Inserts the description into the printed help: tyro would join and not wrap its lines."""
  output = _Output(sys.stdout)
  try:
    with contextlib.redirect_stdout(output):
      yield
  finally:
    text = output.getvalue()
    if text:
      try:
        print(text.replace(_PLACEHOLDER, description).rstrip("\n"), flush=True)
      except BrokenPipeError:  # as with `--help | head`, which stops reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wrapped(text: str) -> str:
  """Wraps paragraphs to the terminal's width; indented lines stay as they are."""
  width = min(shutil.get_terminal_size().columns, _MAX_WIDTH)
  blocks: list[str] = []
  for paragraph in text.strip().split("\n\n"):
    lines: list[str] = []
    for indented, group in _runs(paragraph.splitlines()):
      lines += (
        group
        if indented
        else textwrap.wrap(" ".join(group), width, break_long_words=False, break_on_hyphens=False)
      )
    blocks.append("\n".join(lines))
  return "\n\n".join(blocks)


def _runs(lines: Sequence[str]) -> list[tuple[bool, list[str]]]:
  """Groups consecutive lines that are indented, or not."""
  runs: list[tuple[bool, list[str]]] = []
  for line in lines:
    indented = line.startswith(" ")
    if not runs or runs[-1][0] != indented:
      runs.append((indented, []))
    runs[-1][1].append(line)
  return runs


def print_page(text: str, *, spelling: Spelling = INSTALLED) -> None:
  """Prints a help page that is only text, wrapped and with the commands as they are typed."""
  print(_wrapped(spelling.apply(text)))


def print_error(message: object) -> int:
  """Prints a mistake as one line and returns the exit status for mistakes."""
  print(f"error: {printable(message)}", file=sys.stderr)
  return 2
