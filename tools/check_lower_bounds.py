"""Install the lowest versions that pyproject.toml allows, and stylize, train and export with them.

    python3.11 tools/check_lower_bounds.py

Creates a virtual environment of the Python that runs this, in a temporary folder. The versions are
read from pyproject.toml: for every dependency of stylejax, and for the extras that the commands
use. Exits with status 1, and with pip's or the command's own message, if a bound is too low. Takes
minutes.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("heif", "onnx", "video")
BOUND = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[\w,-]+\])?\s*>=\s*(?P<version>[\w.]+)")


def lowest(requirements: list[str]) -> list[str]:
  """["numpy>=2.1"] to ["numpy==2.1"]; SystemExit for one that has another form."""
  pinned = []
  for requirement in requirements:
    match = BOUND.fullmatch(requirement.strip())
    if match is None:
      raise SystemExit(f"error: pyproject.toml: found {requirement!r}, expected NAME>=VERSION")
    pinned.append(f"{match['name']}{match['extras'] or ''}=={match['version']}")
  return pinned


def declared() -> list[str]:
  """The requirements of stylejax and of its commands' extras, from pyproject.toml."""
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  optional = project["optional-dependencies"]
  return [*project["dependencies"], *(name for extra in EXTRAS for name in optional[extra])]


def main() -> int:
  """Installs and tries the versions; returns the exit status."""
  # Not tyro: this runs with a Python in which nothing is installed yet.
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    "--dry-run", action="store_true", help="only ask pip whether these versions go together"
  )
  options = parser.parse_args()
  pinned = lowest(declared())
  print("lowest versions:", *pinned, flush=True)
  with tempfile.TemporaryDirectory(prefix="stylejax-lowest-") as folder:
    subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
    pip = [f"{folder}/venv/bin/python", "-m", "pip", "install", "--quiet"]
    if options.dry_run:
      return subprocess.run([*pip, "--dry-run", *pinned]).returncode
    environment = os.environ | {
      "PATH": f"{folder}/venv/bin:{os.environ['PATH']}",
      "STYLEJAX_CACHE": f"{folder}/cache",
    }
    environment.pop("PYTHONPATH", None)
    status = subprocess.run([*pip, *pinned, str(ROOT)]).returncode
    if status == 0:
      status = subprocess.run(
        ["bash", str(ROOT / "tools/smoke.sh"), f"{folder}/smoke"], env=environment
      ).returncode
  print("the lowest versions work" if status == 0 else "the lowest versions fail", flush=True)
  return min(status, 1)


if __name__ == "__main__":
  sys.exit(main())
