"""Remakes the kept images after a change that is meant to change them: look at them first.

    python tests/golden/keep.py

Prints the SHA-256 of each image's pixels, to compare two revisions bit for bit on one machine:
equal lines mean equal images.
"""

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import CASES, FOLDERS, HERE


def command():
  """infer.py as a module."""
  spec = importlib.util.spec_from_file_location("infer", HERE.parent.parent / "infer.py")
  module = importlib.util.module_from_spec(spec)
  sys.modules["infer"] = module
  spec.loader.exec_module(module)
  return module


def stylize(infer, name: str, folder: Path) -> dict[str, np.ndarray]:
  """Runs one case; returns {name under which an image is kept: pixels} of what it wrote."""
  output = folder / (name if name in FOLDERS else f"{name}.png")
  with contextlib.chdir(HERE / "inputs"):
    place = f"{output}/" if name in FOLDERS else str(output)
    status = infer.main([*CASES[name], "--output", place])
  assert status == 0, (name, status)
  files = sorted(output.glob("[!.]*.png")) if name in FOLDERS else [output]
  return {
    f"{name}_{file.stem}" if name in FOLDERS else name: np.asarray(Image.open(file))
    for file in files
  }


def main() -> None:
  """Runs every case and replaces the kept images."""
  os.environ.setdefault("STYLEJAX_CACHE", "")
  infer = command()
  wanted = sys.argv[1:] or list(CASES)
  with tempfile.TemporaryDirectory() as folder:
    for name in wanted:
      for stem, pixels in stylize(infer, name, Path(folder)).items():
        Image.fromarray(pixels).save(HERE / "images" / f"{stem}.png", optimize=True)
        print(hashlib.sha256(pixels.tobytes()).hexdigest()[:16], stem, flush=True)


if __name__ == "__main__":
  main()
