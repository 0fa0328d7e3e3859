"""The command that tries the lowest versions reads them from pyproject.toml, all of them."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checker():
  spec = importlib.util.spec_from_file_location(
    "check_lower_bounds", ROOT / "tools/check_lower_bounds.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_every_dependency_has_a_lowest_version(checker):
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  pinned = checker.lowest(checker.declared())
  assert [name.split("==")[0] for name in pinned][: len(project["dependencies"])] == [
    name.split(">=")[0] for name in project["dependencies"]
  ]
  assert {"onnx", "av"} <= {name.split("==")[0] for name in pinned}


def test_extras_of_a_package_stay(checker):
  assert checker.lowest(["numpy>=2.1", "jax[cuda12]>=0.10"]) == ["numpy==2.1", "jax[cuda12]==0.10"]


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy>=2,<3", "numpy~=2.0"])
def test_a_dependency_without_a_lower_bound_is_refused(checker, requirement):
  with pytest.raises(SystemExit, match="expected NAME>=VERSION"):
    checker.lowest([requirement])
