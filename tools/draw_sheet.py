"""Draws a sheet of every content (rows) in every style (columns), at one size.

python tools/draw_sheet.py --content photos --style artworks --output sheet.jpg --size 256
"""

import dataclasses
from pathlib import Path

import numpy as np
import tyro
from PIL import ImageOps

import stylejax
from stylejax.data.sources import find_images
from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import decode_image
from stylejax.images.encode import STYLE_SIZE
from stylejax.runtime.compilation_cache import enable_cache

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw, and where to write it."""

  output: Path
  """The image to write."""
  content: Path = SAMPLES / "content"
  """Folder of photos."""
  style: Path = SAMPLES / "style"
  """Folder of artworks."""
  size: int = 256
  """Side of the cells in pixels; photos are cropped to squares and stylized at this size."""
  strength: float = 1.0
  """Strength of the style, 0 to 2."""
  weights: str = "base"
  """Name or file of the weights."""


def square(path: Path, side: int) -> np.ndarray:
  """The central square of an image, [side, side, 3] float32 in [0, 1]."""
  return np.asarray(ImageOps.fit(decode_image(path), (side, side)), np.float32) / 255


def main(options: Options) -> None:
  """Draws the sheet, with artworks at the top and photos on the left."""
  enable_cache()
  import jax

  params = stylejax.load_pretrained(options.weights)
  stylize = jax.jit(stylejax.stylize, compiler_options=stylejax.compiler_options())
  artworks, side = find_images(options.style), options.size
  styles = [square(path, STYLE_SIZE) for path in artworks]
  rows = [[None] + [square(path, side) for path in artworks]]
  for path in find_images(options.content):
    content = square(path, side)
    rows.append(
      [content]
      + [np.asarray(stylize(params, content, style, strength=options.strength)) for style in styles]
    )
  encode.write_image(options.output, contact_sheet(rows))


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
