"""Draws the sheet of hard cases: for each, photo, artwork and result side by side.

python tools/draw_failures.py --output docs/failures.jpg
"""

import dataclasses
from pathlib import Path

import numpy as np
import tyro
from draw_sheet import SAMPLES, square
from PIL import Image

import stylejax
from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.encode import STYLE_SIZE
from stylejax.runtime.compilation_cache import enable_cache

HARD = Path(__file__).parent.parent / "docs" / "hard"
WAVE, IRISES, ADELE = (
  SAMPLES / "style" / f"{name}.jpg" for name in ("great_wave", "irises", "adele_bloch_bauer")
)
CAT, COFFEE = (SAMPLES / "content" / f"{name}.jpg" for name in ("cat", "coffee"))
# (name, photo, artwork, side in pixels at which the photo is stylized).
CASES = (
  ("face", HARD / "face.jpg", IRISES, 256),
  ("face", HARD / "face.jpg", ADELE, 256),
  ("text", HARD / "text.jpg", WAVE, 384),
  ("flat sky", HARD / "flat_sky.jpg", ADELE, 256),
  ("line drawing", HARD / "line_drawing.jpg", IRISES, 256),
  ("black and white", HARD / "black_and_white.jpg", IRISES, 256),
  ("very small: 32 pixels", CAT, WAVE, 32),
  ("very large: a part of 2,048 pixels", CAT, WAVE, 2048),
  ("photo as style", HARD / "flat_sky.jpg", COFFEE, 256),
  ("texture as style", CAT, HARD / "brick.jpg", 256),
  ("texture as style", COFFEE, HARD / "gravel.jpg", 256),
  ("line drawing as style", CAT, HARD / "line_drawing.jpg", 256),
)
CELL, CAPTION, COLUMNS = 256, 24, 2


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw."""

  output: Path
  """The image to write."""
  weights: str = "base"
  """Name or file of the weights."""


def cell(pixels: np.ndarray) -> Image.Image:
  """A cell of the sheet: small images enlarged without smoothing, large ones center-cropped."""
  image = Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
  if image.width > 2 * CELL:
    corner = (image.width - CELL) // 2
    return image.crop((corner, corner, corner + CELL, corner + CELL))
  nearest = image.width < CELL
  return image.resize(
    (CELL, CELL), Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
  )


def main(options: Options) -> None:
  """Draws the sheet."""
  enable_cache()
  import jax

  params = stylejax.load_pretrained(options.weights)
  stylize = jax.jit(stylejax.stylize, compiler_options=stylejax.compiler_options())
  cases = []
  for name, photo, artwork, side in CASES:
    content, style = square(photo, side), square(artwork, STYLE_SIZE)
    images = content, style, stylize(params, content, style)
    row = [np.asarray(cell(np.asarray(image))) for image in images]
    cases.append(contact_sheet([row], titles=[name], gap=CAPTION))
  rows = [cases[first : first + COLUMNS] for first in range(0, len(cases), COLUMNS)]
  encode.write_image(options.output, contact_sheet(rows))


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
