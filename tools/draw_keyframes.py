"""Draws a synthetic film, stylized by the networks and by a slower method with keyframes.

python tools/draw_keyframes.py --output docs/images/keyframes.jpg --work keyframes

Needs the extra "reference" (OpenCV), and prints the processor time of each film. What is already in
the folder --work isn't computed anew.
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from draw_sheet import SAMPLES
from PIL import Image

from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import read_image
from stylejax.inference.sequence import SequenceRequest, stylize_sequence
from stylejax.runtime.compilation_cache import enable_cache

HARD = Path(__file__).parent.parent / "docs" / "hard"
HEIGHT, FRAMES = 256, 48
SHOWN = (13, 37)
"""Frames midway between keyframes, counted from 1."""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw."""

  output: Path
  """The image to write."""
  work: Path
  """A folder for the frames."""
  film: Literal["cat", "person"] = "cat"
  """A cat that is pushed past a cup, or a woman who leans from side to side."""
  method: Literal["neighbors", "refine"] = "refine"
  """Method that stylizes keyframes."""
  keyframes: int = 24
  """Frames from one keyframe to the next."""
  size: int = 128
  """Shorter side at which the film is stylized."""
  style: Path = SAMPLES / "style" / "irises.jpg"
  """The artwork."""


def photo(path: Path, height: int) -> np.ndarray:
  """An image scaled to a height, [H, W, 3]."""
  image = cv2.imread(str(path))[:, :, ::-1]
  size = round(image.shape[1] * height / image.shape[0]), height
  way = cv2.INTER_CUBIC if height > image.shape[0] else cv2.INTER_AREA
  return cv2.resize(image, size, interpolation=way).astype(np.float32) / 255


def pushed_cat() -> Iterator[np.ndarray]:
  """A camera that pans over a cup by 1.6 pixels per frame, and a cat that is pushed past it."""
  behind, cat = (
    photo(SAMPLES / "content" / f"{name}.jpg", height)
    for name, height in (("coffee", 330), ("cat", 300))
  )
  mask = np.zeros(cat.shape[:2], np.float32)
  cv2.ellipse(mask, (cat.shape[1] // 2, 150), (cat.shape[1] // 2 - 8, 142), 0, 0, 360, 1.0, -1)
  mask, size = cv2.GaussianBlur(mask, (0, 0), 1.5), (320, HEIGHT)
  for t in range(FRAMES):
    camera = np.float32([[1, 0, 1.6 * t + 4], [0, 1, 20 + 0.4 * t]])
    inverse = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(behind, camera, size, flags=inverse, borderMode=cv2.BORDER_REFLECT)
    scale, x = (150 + 0.5 * t) / cat.shape[0], 70 + 3.4 * t + 4 * np.sin(t / 3)
    pushed = np.float32(
      [[scale, 0, x - scale * cat.shape[1] / 2], [0, scale, 258 - scale * cat.shape[0]]]
    )
    inside = cv2.warpAffine(mask, pushed, size, flags=cv2.INTER_LINEAR)[..., None]
    front = cv2.warpAffine(
      cat, pushed, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    yield inside * front + (1 - inside) * frame


def leaning_person() -> Iterator[np.ndarray]:
  """A woman filmed by a hand-held camera, whose head leans from side to side and comes nearer."""
  image = photo(HARD / "face.jpg", 384)
  y, x = np.mgrid[:HEIGHT, :HEIGHT].astype(np.float32) - (HEIGHT - 1) / 2
  for t in range(FRAMES):
    scale = 1.3 - 0.004 * t
    places_x = scale * x + 178 + 3 * np.sin(t / 4)
    places_y = scale * y + 186 + 2 * np.sin(t / 3 + 1)
    # Moves all of the head and none of the shoulders, and the wall less with its distance.
    part = np.clip((290 - places_y) / 110, 0, 1) ** 2 * np.exp(-(((places_x - 178) / 120) ** 4))
    places = places_x + 24 * np.sin(t / 8) * part, places_y + 8 * np.sin(t / 5) * part
    yield cv2.remap(image, *map(np.float32, places), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


FILMS = {"cat": pushed_cat, "person": leaning_person}


def write_frames(folder: Path, frames: Iterator[np.ndarray]) -> None:
  """Writes a film, of images [H, W, 3], as a folder of PNG files."""
  folder.mkdir(parents=True)
  for number, frame in enumerate(frames, 1):
    pixels = np.uint8(255 * np.clip(frame, 0, 1) + 0.5)
    Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def main(options: Options) -> None:
  """Draws a row: the film, the networks and the method, at each of the frames."""
  enable_cache()
  film = options.work / options.film
  if not film.exists():
    write_frames(film, FILMS[options.film]())
  folders = {"the film": film}
  for name, method in (("networks", "network"), (options.method, options.method)):
    folders[name] = output = options.work / f"{options.film}_{name}_{options.size}"
    if not output.exists():
      keyframes = None if method == "network" else options.keyframes
      started = time.process_time()
      stylize_sequence(
        SequenceRequest(
          content=film,
          style=[options.style],
          output=output,
          size=options.size,
          method=method,
          keyframes=keyframes,
          resume=True,
        )
      )
      print(f"{output}: {time.process_time() - started:.0f} s of the processor")
  row, titles = [], []
  for number in SHOWN:
    for name, folder in folders.items():
      image = read_image(sorted(folder.glob("*.png"))[number - 1])
      height, width = image.rgb.shape[:2]
      row.append(encode.resize(image, *encode.fit_shorter_side(height, width, options.size)).rgb)
      titles.append(f"{name}, frame {number}")
  encode.write_image(options.output, contact_sheet([row], titles=titles, gap=4), quality=85)


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
