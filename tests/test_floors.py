"""Imports point one way: the nets know nothing of training, training nothing of inference."""

import ast
from pathlib import Path

import pytest

import stylejax

PACKAGE = Path(stylejax.__file__).parent
ABOVE = {
  "runtime": ("models", "images", "data", "losses", "metrics", "transfer", "training", "inference"),
  "images": ("data", "models", "losses", "metrics", "transfer", "training", "inference"),
  "models": ("losses", "metrics", "transfer", "training", "inference"),
  "losses": ("transfer", "metrics", "training", "inference"),
  "data": ("losses", "metrics", "transfer", "training", "inference"),
  "metrics": ("training", "inference"),
  "optimization": ("data", "images", "runtime", "training", "inference"),
  "training": ("inference",),
  "inference": ("training",),
}


def imported(path):
  """Modules of the package that a file imports, as stylejax.a.b."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      yield node.module
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ABOVE)
def test_a_room_imports_nothing_from_above(room):
  files = list((PACKAGE / room).rglob("*.py"))
  assert files
  found = {(path.name, name) for path in files for name in imported(path) for above in ABOVE[room]
           if f"{name}.".startswith(f"stylejax.{above}.")}
  assert not found
