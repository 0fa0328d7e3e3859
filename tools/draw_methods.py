"""Draws what each method makes of photos and artworks, one pair per row, at one size.

python tools/draw_methods.py --content stylejax/assets/samples/content/*.jpg \\
    --style stylejax/assets/samples/style/*.jpg --size 256 --folder runs/methods --output sheet.jpg

Every image is stylized by `stylejax paint` and kept in the folder, so an interrupted run continues
from what is there.
"""

import dataclasses
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from PIL import ImageOps

from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import decode_image

Name = Literal["network", "refine", "neighbors", "gram"]


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw, and where to write it."""

  content: tuple[Path, ...]
  """Photos, each stylized in every style."""
  style: tuple[Path, ...]
  """Artworks."""
  folder: Path
  """Folder of the stylized images."""
  output: Path
  """The image to write."""
  methods: tuple[Name, ...] = ("network", "refine", "neighbors", "gram")
  """Methods, in the order of the columns."""
  size: int = 256
  """Shorter side in pixels at which photos are stylized."""
  cell: int = 256
  """Height in pixels to which images are reduced for the sheet."""


def painted(options: Options, content: Path, style: Path, method: Name) -> Path:
  """The file of a stylized image, which is computed unless it is there."""
  inputs = hashlib.sha256(content.read_bytes() + style.read_bytes()).hexdigest()[:12]
  path = options.folder / f"{content.stem}_{style.stem}_{inputs}_{options.size}_{method}.png"
  if not path.exists():
    command = [sys.executable, "-m", "stylejax", "paint", content, style, "--output", path]
    command += ["--method", method, "--size", str(options.size)]
    command += ["--resume"] if method != "network" else []
    subprocess.run(list(map(str, command)), check=True)
  return path


def fitted(path: Path, cell: int) -> np.ndarray:
  """An image, reduced to a height of at most `cell` pixels: [H, W, 3] uint8."""
  image = decode_image(path)
  return np.asarray(ImageOps.contain(image, (2 * cell, cell)) if image.height > cell else image)


def main(options: Options) -> None:
  """Stylizes what isn't there yet, and draws the sheet."""
  options.folder.mkdir(parents=True, exist_ok=True)
  rows = [
    [
      *(fitted(path, options.cell) for path in (content, style)),
      *(
        fitted(painted(options, content, style, method), options.cell) for method in options.methods
      ),
    ]
    for content, style in itertools.product(options.content, options.style)
  ]
  titles = ("photo", "artwork", *options.methods)
  encode.write_image(options.output, contact_sheet(rows, titles=titles, gap=4))


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
