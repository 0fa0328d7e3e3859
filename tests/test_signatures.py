"""Optional arguments of public functions are keyword-only; `key` comes first after the parameters.

A call then says what its values mean, and adding an argument breaks no call. The first argument may
be optional and positional: `load_pretrained("mine.safetensors")`.
"""

import ast
import inspect
from pathlib import Path

import pytest

import stylejax

PACKAGE = Path(stylejax.__file__).parent
FILES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]


def public_functions(path: Path):
  """(name, function, whether it is a method) of all without a leading underscore."""
  for node in ast.parse(path.read_text()).body:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
      yield node.name, node, False
    elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
      for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and (
          not inner.name.startswith("_") or inner.name in ("__init__", "__call__")
        ):
          yield f"{node.name}.{inner.name}", inner, not _is_static(inner)


def _is_static(function) -> bool:
  return any(ast.unparse(each) == "staticmethod" for each in function.decorator_list)


def wrong(path: Path) -> list[str]:
  """What is wrong in a file, one line each."""
  actual = []
  for name, function, is_method in public_functions(path):
    positional = [*function.args.posonlyargs, *function.args.args][is_method:]
    optional = {each.arg for each in positional[len(positional) - len(function.args.defaults) :]}
    actual += [
      f"{name}: {each.arg} is optional and not keyword-only"
      for each in positional[1:]
      if function.args.defaults and each.arg in optional
    ]
    names = [each.arg for each in positional]
    if "key" in names and names.index("key") > (names[0] in ("params", "state")):
      actual.append(f"{name}: key comes behind {names[names.index('key') - 1]}")
  return actual


@pytest.mark.parametrize("file", FILES)
def test_public_functions(file):
  assert not wrong(PACKAGE / file)


def signatures(thing) -> list[str]:
  """What help() prints as the signature of a public function, or of a class and its methods."""
  members = [thing, *vars(thing).values()] if inspect.isclass(thing) else [thing]
  with_one = [member for member in members if callable(member) and not inspect.isclass(member)]
  return [str(inspect.signature(member)) for member in with_one]


@pytest.mark.parametrize("name", stylejax.__all__)
def test_help_shows_defaults_that_can_be_read(name):
  """No "<function ignore at 0x7f…>"."""
  assert not [text for text in signatures(getattr(stylejax, name)) if " at 0x" in text]


def test_the_rule_sees_what_it_is_for(tmp_path):
  path = tmp_path / "a.py"
  path.write_text(
    "def good(a, *, b=1): ...\n"
    "def first(a=1, *, b=2): ...\n"
    "def bad(a, b=1): ...\n"
    "def late(content, key): ...\n"
    "def random(params, key, x): ...\n"
    "def _private(a, b=1): ...\n"
    "class Thing:\n"
    "  def __init__(self, a=1): ...\n"
    "  def method(self, a, b=1): ...\n"
    "  def _hidden(self, a, b=1): ...\n"
  )
  assert wrong(path) == [
    "bad: b is optional and not keyword-only",
    "late: key comes behind content",
    "Thing.method: b is optional and not keyword-only",
  ]
