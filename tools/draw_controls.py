"""Draws the images of the documentation site: a figure for each control, from the samples.

    python tools/draw_controls.py                    # all of them, into docs/images
    python tools/draw_controls.py --only strength    # one of them

Takes about two minutes on two cores; `methods`, which optimizes pixels, takes ten more.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

import stylejax
from stylejax.cli import optimize
from stylejax.controls.table import PIXEL_CONTROLS
from stylejax.images.decode import decode_image
from stylejax.runtime.compilation_cache import enable_cache

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples"
GAP, CAPTION = 6, 26
METHOD_SIZE = 192
"""Shorter side at which the slow methods work; a cell shows no more."""

Cells = list[tuple[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw."""

  output: Path = Path("docs/images")
  """Folder of the figures."""
  only: tuple[str, ...] = ()
  """Names of the figures to draw; by default all."""
  weights: str = "base"
  """Name or file of the weights."""


class Studio:
  """The samples, and the stylizer."""

  def __init__(self, weights: str):
    self.stylize = stylejax.Stylizer(weights)
    self.cat, self.coffee = (sample(f"content/{name}") for name in ("cat", "coffee"))
    self.irises, self.wave, self.gold = (
      sample(f"style/{name}") for name in ("irises", "great_wave", "adele_bloch_bauer")
    )


def sample(name: str) -> np.ndarray:
  """A sample image of the package, uint8 [H, W, 3]."""
  return np.asarray(decode_image(SAMPLES / f"{name}.jpg"))


def strip(studio: Studio) -> Cells:
  """Two photos, each followed by two stylized versions with the artwork in the corner."""
  cells = []
  for photo in (studio.cat, studio.coffee):
    cells.append(("", square(photo)))
    for style in (studio.irises, studio.gold):
      cells.append(("", with_inset(square(studio.stylize(photo, style)), style)))
  return cells


def strength(studio: Studio) -> Cells:
  """From the photo to a strength beyond what was trained."""
  return [
    (f"strength {value:g}", studio.stylize(studio.cat, studio.irises, strength=value))
    for value in (0, 0.33, 0.67, 1, 1.5, 2)
  ]


def strength_map(studio: Studio) -> Cells:
  """A strength that rises from left to right."""
  height, width = studio.coffee.shape[:2]
  rising = np.tile(np.linspace(0, 1.5, width, dtype=np.float32), (height, 1))
  return [
    ("the map, 0 to 1.5", np.repeat(rising[..., None] / 1.5, 3, -1)),
    ("stylized with it", studio.stylize(studio.coffee, studio.irises, strength=rising)),
  ]


def color(studio: Studio) -> Cells:
  """The style's colors, and the photo's colors kept in two ways."""
  cells = [
    ("color 0", {}),
    ("color 0.5, luminance", {"color": 0.5}),
    ("color 1, luminance", {"color": 1.0}),
    ("color 1, moments", {"color": 1.0, "color_mode": "moments"}),
  ]
  return [(name, studio.stylize(studio.cat, studio.irises, **keys)) for name, keys in cells]


def stroke(studio: Studio) -> Cells:
  """The style read at several sizes."""
  return [
    (f"stroke {value:g}", studio.stylize(studio.coffee, studio.irises, stroke=value))
    for value in (0.5, 1, 2, 4)
  ]


def mixture(studio: Studio) -> Cells:
  """From one style to another."""
  return [
    (
      f"gold {1 - part:g}, irises {part:g}",
      studio.stylize(studio.cat, [studio.gold, studio.irises], weights=[1 - part, part]),
    )
    for part in (0, 0.25, 0.5, 0.75, 1)
  ]


def regions(studio: Studio) -> Cells:
  """One style inside a mask, another outside."""
  height, width = studio.coffee.shape[:2]
  rows, columns = np.mgrid[:height, :width]
  distance = np.hypot((columns - 0.47 * width) / 0.27, (rows - 0.42 * height) / 0.34 * 1.0)
  mask = (distance < height).astype(np.float32)
  return [
    ("photo", studio.coffee),
    ("mask", np.repeat(mask[..., None], 3, -1)),
    (
      "gold inside, wave outside",
      studio.stylize(studio.coffee, [studio.gold, studio.wave], weights=np.stack([mask, 1 - mask])),
    ),
  ]


def invented(studio: Studio) -> Cells:
  """Styles of the noise generator."""
  return [
    (f"seed {seed}", studio.stylize(studio.cat, studio.stylize.invent_style(seed)))
    for seed in (1, 2, 3, 7)
  ]


def seamless(studio: Studio) -> Cells:
  """A texture that tiles, twice in each direction."""
  rows, columns = np.mgrid[:144, :144] * (2 * np.pi / 144)
  waves = np.sin(2 * rows + np.sin(columns)) + np.sin(3 * columns - np.cos(2 * rows))
  texture = 0.5 + 0.2 * np.stack([waves, np.roll(waves, 31, 0), np.roll(waves, 47, 1)], -1)
  texture = np.clip(texture, 0, 1).astype(np.float32)
  cells = [
    ("texture", texture),
    ("stylized", studio.stylize(texture, studio.irises)),
    ("stylized with seamless", studio.stylize(texture, studio.irises, seamless="xy")),
  ]
  return [(f"{name}, tiled", np.tile(image, (2, 2, 1))) for name, image in cells]


def methods(studio: Studio) -> Cells:
  """The networks, and the methods that optimize pixels, as the command runs them."""
  cells = [("the networks", studio.stylize(studio.cat, studio.irises))]
  for method in optimize.METHODS:
    with tempfile.TemporaryDirectory() as folder:
      files = [str(SAMPLES / name) for name in ("content/cat.jpg", "style/irises.jpg")]
      output = str(Path(folder, "out.png"))
      if optimize.main([*files, output, "--method", method, "--size", str(METHOD_SIZE)]):
        raise SystemExit(f"error: {method}: found no image, expected {output}")
      cells.append((method, decode_image(output)))
  return cells


def amounts(studio: Studio, name: str) -> Cells:
  """A pixel control at the lower end, the middle and the upper end of its range."""
  control = PIXEL_CONTROLS[name]
  return [
    (f"{name} {value:g}", studio.stylize(studio.cat, studio.irises, **{name: value}))
    for value in np.linspace(control.low, control.high, 3).tolist()
  ]


FIGURES: dict[str, tuple[Callable[[Studio], Cells], int, int]] = {
  "strip": (strip, 6, 288),
  "strength": (strength, 3, 384),
  "strength_map": (strength_map, 2, 448),
  "color": (color, 2, 448),
  "stroke": (stroke, 2, 448),
  "mixture": (mixture, 5, 288),
  "regions": (regions, 3, 384),
  "invented": (invented, 4, 288),
  "seamless": (seamless, 3, 288),
  "methods": (methods, 2, 288),
}
"""What draws each figure, how many cells a row has, and their width in pixels."""

FIGURES |= {
  name: (functools.partial(amounts, name=name), 3, 384)
  for name in PIXEL_CONTROLS
  if name not in FIGURES
}


def as_float(image: np.ndarray) -> np.ndarray:
  """uint8 or float32 → float32 in [0, 1]."""
  image = np.asarray(image)
  return image.astype(np.float32) / 255 if image.dtype == np.uint8 else image


def to_pillow(image: np.ndarray) -> Image.Image:
  """A Pillow image from uint8, or from float32 in [0, 1]."""
  return Image.fromarray(np.round(255 * np.clip(as_float(image), 0, 1)).astype(np.uint8))


def square(image: np.ndarray) -> np.ndarray:
  """The central square of an image."""
  side = min(image.shape[:2])
  top, left = ((length - side) // 2 for length in image.shape[:2])
  return image[top : top + side, left : left + side]


def with_inset(image: np.ndarray, style: np.ndarray) -> np.ndarray:
  """An image with a small square of its style in the lower left corner."""
  sheet = to_pillow(image)
  side = sheet.width // 4
  inset = to_pillow(square(style)).resize((side, side), Image.Resampling.LANCZOS)
  framed = Image.new("RGB", (side + 6, side + 6), "white")
  framed.paste(inset, (3, 3))
  sheet.paste(framed, (0, sheet.height - side - 6))
  return np.asarray(sheet)


def draw(cells: Cells, columns: int, cell: int) -> Image.Image:
  """Rows of cells of one width, each with its caption below."""
  images = [to_pillow(image) for _, image in cells]
  images = [
    image.resize((cell, round(cell * image.height / image.width)), Image.Resampling.LANCZOS)
    for image in images
  ]
  caption = CAPTION if any(name for name, _ in cells) else 0
  width, height = cell + GAP, max(image.height for image in images) + caption + GAP
  rows = -(-len(cells) // columns)
  sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
  pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
  for number, ((name, _), image) in enumerate(zip(cells, images, strict=True)):
    left, top = number % columns * width, number // columns * height
    sheet.paste(image, (left, top))
    pen.text((left + 2, top + image.height + 3), name, "black", font)
  return sheet


def main(options: Options) -> None:
  """Draws the figures."""
  enable_cache()
  options.output.mkdir(parents=True, exist_ok=True)
  studio = Studio(options.weights)
  for name in options.only or FIGURES:
    cells, columns, width = FIGURES[name]
    path = options.output / f"{name}.jpg"
    draw(cells(studio), columns, width).save(path, quality=85, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
