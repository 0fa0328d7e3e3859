"""Draws what is hard in films: successive stylized frames, and where they left the true motion.

python tools/draw_film_failures.py --output docs/images/film_failures.jpg
python tools/draw_film_failures.py --films films

The second writes seven films, made from photos, as folders of PNG files to look at.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import tyro
from draw_sheet import SAMPLES
from PIL import Image, ImageDraw

import stylejax
from stylejax import motion
from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.runtime.compilation_cache import enable_cache

HARD = Path(__file__).parent.parent / "docs" / "hard"
CAT, COFFEE = (SAMPLES / "content" / f"{name}.jpg" for name in ("cat", "coffee"))
FACE, GRAVEL, SKY = (HARD / f"{name}.jpg" for name in ("face", "gravel", "flat_sky"))
WIDTH, HEIGHT, FRAMES = 320, 240, 10
LONG = 24
"""Number of frames of the films to look at."""
BRIGHTER = 4
"""Factor by which shown differences are multiplied."""
Shot = tuple[np.ndarray, np.ndarray]
"""A frame, [H, W, 3] in [0, 1], and where each pixel was before it, as offsets (x, y) in pixels."""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw."""

  output: Path | None = None
  """The image to write."""
  films: Path | None = None
  """A folder for films to look at."""
  style: Path = SAMPLES / "style" / "irises.jpg"
  """The artwork."""
  weights: str = "base"
  """Name or file of the weights."""


def photo(path: Path, height: int) -> Image.Image:
  """A photo, scaled to a height."""
  with Image.open(path) as image:
    return image.convert("RGB").resize((round(image.width * height / image.height), height))


def pan(path: Path, height: int, step: int, *, frames: int = FRAMES) -> Iterator[Shot]:
  """A camera that moves to the right."""
  large = np.asarray(photo(path, height), np.float32) / 255
  for number in range(frames):
    left = min(number * step, large.shape[1] - WIDTH)
    vectors = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    vectors[..., 0] = left - min(max(number - 1, 0) * step, large.shape[1] - WIDTH)
    yield large[:HEIGHT, left : left + WIDTH], vectors


def pushed(step: int, *, path: Path = CAT, frames: int = FRAMES) -> Iterator[Shot]:
  """An oval of a photo, by default a cat, that is pushed over a cup, which stands still."""
  behind = np.asarray(photo(COFFEE, HEIGHT), np.float32)[:, :WIDTH] / 255
  cat = photo(path, 150)
  outline = Image.new("L", cat.size)
  ImageDraw.Draw(outline).ellipse((4, 4, cat.width - 5, 145), fill=255)
  for number in range(frames):
    left = step * number - 40
    frame, mask = Image.new("RGB", (WIDTH, HEIGHT)), Image.new("L", (WIDTH, HEIGHT))
    frame.paste(cat, (left, 40))
    mask.paste(outline, (left, 40))
    inside = np.asarray(mask, np.float32)[..., None] / 255
    vectors = np.where(inside > 0.5, np.float32([-step, 0]), np.float32(0))
    yield inside * np.asarray(frame, np.float32) / 255 + (1 - inside) * behind, vectors


def camera(path: Path, place: Callable[[int], tuple[float, float, float, float]]) -> Iterator[Shot]:
  """A photo seen by a camera; place(t) gives its zoom, degrees, x and y in pixels of the photo."""
  large = photo(path, 480)
  middle = np.array(large.size) / 2
  for number in range(LONG):
    zoom, degrees, *shift = place(number)
    cosine, sine = np.cos(np.deg2rad(degrees)) / zoom, np.sin(np.deg2rad(degrees)) / zoom
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    offset = middle + shift - matrix @ (WIDTH / 2, HEIGHT / 2)
    affine = (*matrix[0], offset[0], *matrix[1], offset[1])
    frame = large.transform(
      (WIDTH, HEIGHT), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
    )
    yield np.asarray(frame, np.float32) / 255, np.zeros((HEIGHT, WIDTH, 2), np.float32)


def from_the_hand(number: int) -> tuple[float, float, float, float]:
  """The place of a camera that shakes a little."""
  degrees, x, y = np.sin(np.array([0.9, 0.7, 1.3]) * number) * (0.8, 5, 4)
  return 0.85, degrees, x - 40, y - 75


FILMS = {
  "woman_from_the_hand": lambda: camera(FACE, from_the_hand),
  "woman_who_passes": lambda: pushed(7, path=FACE, frames=LONG),
  "whip_pan_over_gravel": lambda: pan(GRAVEL, 700, 14, frames=LONG),
  "pan_over_a_sky": lambda: pan(SKY, 480, 3, frames=LONG),
  "cat_near_and_turned": lambda: camera(CAT, lambda t: (0.8 * 1.02**t, 1.5 * t, 0, 0)),
  "cut": lambda: itertools.chain(
    pan(COFFEE, 480, 3, frames=LONG // 2), pan(CAT, 480, 3, frames=LONG // 2)
  ),
  "cat_over_a_cup": lambda: pushed(7, frames=LONG),
}
CASES = (
  ("covered edges: a cat, by 7 pixels a frame", lambda: pushed(7)),
  ("nothing to see: a sky, by 3 pixels", lambda: pan(HARD / "flat_sky.jpg", 480, 3)),
  ("fast motion: by 32 pixels", lambda: pan(COFFEE, 480, 32)),
)


def row(params: stylejax.Params, style_code: stylejax.StyleCode, shots: Iterator[Shot]) -> list:
  """The last frame, the last two stylized frames, and their change beyond the motion."""
  step, flow_of = jax.jit(stylejax.next_frame), jax.jit(stylejax.optical_flow)
  state = stylejax.first_state(params, HEIGHT, WIDTH)
  frames = list(shots)
  paintings = []
  for number, (frame, _) in enumerate(frames):
    flow = flow_of(frame, frames[max(number - 1, 0)][0])
    image, state = step(params, frame, style_code, state, flow=flow)
    paintings.append(image)
  frame, vectors = frames[-1]
  moved = motion.warp(paintings[-2], vectors)
  change = np.abs(np.asarray(paintings[-1] - moved)).mean(-1, keepdims=True).repeat(3, -1)
  places = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1) + vectors
  seen = ((places >= 0) & (places <= np.array([WIDTH - 1, HEIGHT - 1]))).all(-1, keepdims=True)
  return [frame, *paintings[-2:], BRIGHTER * change * seen]


def write_films(folder: Path) -> None:
  """Writes each of the FILMS into a folder of its name."""
  for name, shots in FILMS.items():
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (frame, _) in enumerate(shots()):
      encode.write_image(folder / name / f"{number:02}.png", frame)


def main(options: Options) -> None:
  """Writes the films or draws the cases, as far as options name places for them."""
  if options.films is None and options.output is None:
    print("error: found neither --output nor --films, expected one of them", file=sys.stderr)
    raise SystemExit(2)
  if options.films is not None:
    write_films(options.films)
  if options.output is not None:
    draw(options)


def draw(options: Options) -> None:
  """Draws the cases."""
  enable_cache()
  params = stylejax.load_pretrained(options.weights)
  with Image.open(options.style) as image:
    style = np.asarray(image.convert("RGB"), np.float32) / 255
  style_code = jax.jit(stylejax.encode_style)(params, style)
  cases = []
  for name, shots in CASES:
    titles = (
      name,
      "the painting before",
      "the painting",
      f"change beyond the motion, {BRIGHTER} times",
    )
    images = [np.asarray(image, np.float32) for image in row(params, style_code, shots())]
    cases.append([contact_sheet([images], titles=titles, gap=4, font_size=13)])
  encode.write_image(options.output, contact_sheet(cases), quality=80)


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
