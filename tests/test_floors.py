"""Imports point one way: the nets know nothing of training, training nothing of inference."""

import ast
from pathlib import Path

import pytest

import stylejax

PACKAGE = Path(stylejax.__file__).parent
FLOORS = (
  ("errors", "reductions"),
  ("runtime",),
  ("images", "models"),
  ("controls", "losses", "data", "motion"),
  ("transfer",),
  ("weights", "temporal", "metrics", "optimization"),
  ("keyframes",),
  ("training", "inference", "deploy"),
  ("cli",),
)
"""From the bottom up; a part ("room") may import what is below it, but nothing above or beside."""

DOORS = {("deploy", "inference")}
"""(room, room beside it that it may import)."""

FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imported(path):
  """Modules of the package that a file imports, as stylejax.a.b."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      yield node.module
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong(path, room):
  """What a file of a room imports from above or beside it."""
  for name in imported(path):
    package, _, rest = name.partition(".")
    other = rest.partition(".")[0]
    if package != "stylejax" or other not in FLOOR_OF or other == room:
      continue
    if FLOOR_OF[other] >= FLOOR_OF[room] and (room, other) not in DOORS:
      yield path.name, name


@pytest.mark.parametrize("room", FLOOR_OF)
def test_a_room_imports_only_what_is_below_it(room):
  folder = PACKAGE / room
  files = list(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]
  assert files
  assert not {each for path in files for each in wrong(path, room)}


def test_every_room_has_a_floor():
  rooms = {
    path.stem
    for path in PACKAGE.iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
  }
  assert rooms - {"__init__", "__main__"} == set(FLOOR_OF)


def test_the_rule_sees_what_it_is_for(tmp_path):
  path = tmp_path / "a.py"
  path.write_text(
    "from stylejax import transfer, errors\n"
    "import stylejax.cli.main\n"
    "def late():\n"
    "  from stylejax.losses.color import x\n"
  )
  assert {name for _, name in wrong(path, "models")} == {
    "stylejax.transfer",
    "stylejax.cli.main",
    "stylejax.losses.color",
    "stylejax.losses.color.x",
  }
  assert not list(wrong(path, "cli"))
