"""What type checkers read in the package: the marker, and the names in __init__.pyi."""

import ast
import re
from pathlib import Path

import stylejax

PACKAGE = Path(stylejax.__file__).parent


def test_the_stub_has_the_public_names_and_no_others():
  declared, others = {}, set()
  for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
    if isinstance(node, ast.ImportFrom):
      for alias in node.names:
        assert alias.asname == alias.name, "only names imported as themselves are exported"
        declared[alias.name] = node.module.removeprefix("stylejax.")
    elif isinstance(node, ast.AnnAssign):
      others.add(node.target.id)
  assert declared == stylejax._HOMES
  assert others == {"__version__"}


def test_the_package_says_that_it_is_typed():
  assert (PACKAGE / "py.typed").read_text() == ""


def test_one_version():
  root = Path(__file__).parent.parent
  citation = (root / "CITATION.cff").read_text()
  assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == stylejax.__version__
  changes = (root / "CHANGELOG.md").read_text()
  assert f"## {stylejax.__version__.split('.dev')[0]} " in changes
