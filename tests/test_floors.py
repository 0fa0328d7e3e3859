"""Imports point one way: the nets know nothing of training, training nothing of inference."""

import ast
from pathlib import Path

import pytest

import stylejax

PACKAGE = Path(stylejax.__file__).parent
ABOVE = {
  "runtime": (
    "models",
    "images",
    "controls",
    "losses",
    "weights",
    "data",
    "transfer",
    "metrics",
    "optimization",
    "temporal",
    "training",
    "inference",
    "deploy",
    "cli",
  ),
  "images": (
    "models",
    "controls",
    "losses",
    "weights",
    "data",
    "transfer",
    "metrics",
    "optimization",
    "temporal",
    "training",
    "inference",
    "deploy",
    "cli",
  ),
  "models": (
    "images",
    "losses",
    "weights",
    "data",
    "transfer",
    "metrics",
    "optimization",
    "temporal",
    "training",
    "inference",
    "deploy",
    "cli",
  ),
  "losses": (
    "weights",
    "data",
    "transfer",
    "metrics",
    "optimization",
    "temporal",
    "training",
    "inference",
    "deploy",
    "cli",
  ),
  "data": (
    "losses",
    "weights",
    "transfer",
    "metrics",
    "optimization",
    "temporal",
    "training",
    "inference",
    "deploy",
    "cli",
  ),
  "weights": ("metrics", "optimization", "temporal", "training", "inference", "deploy", "cli"),
  "metrics": ("optimization", "temporal", "training", "inference", "deploy", "cli"),
  "optimization": ("training", "inference", "deploy", "cli"),
  "training": ("inference", "deploy", "cli"),
  "inference": ("training", "deploy", "cli"),
  "deploy": ("training", "cli"),
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
  actual = {
    (path.name, name)
    for path in files
    for name in imported(path)
    for above in ABOVE[room]
    if f"{name}.".startswith(f"stylejax.{above}.")
  }
  assert not actual
