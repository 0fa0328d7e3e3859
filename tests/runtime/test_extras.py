"""Messages tell people to install what pyproject.toml declares."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from stylejax.runtime import extras

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _asked_anew():
  extras.install_command.cache_clear()
  yield
  extras.install_command.cache_clear()


@pytest.mark.parametrize("extra", ["onnx", "video", "gcs", "s3", "tpu"])
def test_the_packages_are_named_with_their_bounds(extra, monkeypatch):
  declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  optional = declared["optional-dependencies"]
  # As build backends write it into METADATA: Core metadata specification 2.1, Requires-Dist.
  monkeypatch.setattr(
    importlib.metadata,
    "requires",
    lambda name: (
      declared["dependencies"]
      + [
        f"{package}; extra == {name!r}"
        for name, packages in optional.items()
        for package in packages
      ]
    ),
  )
  assert extras.install_command(extra) == "pip install " + " ".join(
    f"'{package}'" for package in optional[extra]
  )


def test_a_checkout_that_is_not_installed_names_its_extra(monkeypatch):
  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "requires", missing)
  assert extras.install_command("onnx") == "pip install '.[onnx]'"


def test_no_message_names_a_package_that_no_index_has():
  """`pip install 'stylejax[onnx]'` finds nothing: stylejax is not published."""
  files = [
    path
    for folder in ("stylejax", "benchmarks", "tools", "docs", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md")
  ]
  assert len(files) > 50
  wrong = [
    str(path)
    for path in [*files, ROOT / "README.md"]
    if re.search(r"""pip install\s+['"]?stylejax\b""", path.read_text())
  ]
  assert not wrong
