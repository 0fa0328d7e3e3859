"""Draws a film with two motions by the networks and by a slower method with keyframes.

python tools/draw_keyframes.py --output docs/images/keyframes.jpg --work keyframes

It takes the extra "reference" (OpenCV). What is in the folder --work already isn't computed anew.
"""

import dataclasses
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

WIDTH, HEIGHT, FRAMES = 320, 256, 48
SHOWN = (13, 37)
"""Frames midway between keyframes, from 1."""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw."""

  output: Path
  """The image to write."""
  work: Path
  """A folder for the frames."""
  method: Literal["neighbors", "refine"] = "refine"
  """What paints keyframes."""
  keyframes: int = 24
  """Frames from one to the next."""
  size: int = 128
  """Shorter side at which the film is stylized."""
  style: Path = SAMPLES / "style" / "irises.jpg"
  """The painting."""


def photo(name: str, height: int) -> np.ndarray:
  """A sample at a height, [H, W, 3]."""
  image = cv2.imread(str(SAMPLES / "content" / f"{name}.jpg"))[:, :, ::-1]
  size = round(image.shape[1] * height / image.shape[0]), height
  way = cv2.INTER_CUBIC if height > image.shape[0] else cv2.INTER_AREA
  return cv2.resize(image, size, interpolation=way).astype(np.float32) / 255


def write_frames(folder: Path) -> None:
  """A camera that pans over a cup by 1.6 pixels a frame, and a cat that is pushed past it."""
  folder.mkdir(parents=True)
  behind, cat = photo("coffee", 330), photo("cat", 300)
  mask = np.zeros(cat.shape[:2], np.float32)
  cv2.ellipse(mask, (cat.shape[1] // 2, 150), (cat.shape[1] // 2 - 8, 142), 0, 0, 360, 1.0, -1)
  mask, size = cv2.GaussianBlur(mask, (0, 0), 1.5), (WIDTH, HEIGHT)
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
    frame = np.clip(inside * front + (1 - inside) * frame, 0, 1)
    Image.fromarray(np.uint8(255 * frame + 0.5)).save(folder / f"{t + 1:03d}.png")


def main(options: Options) -> None:
  """Draws a row: the film, the networks and the method, at each of the frames."""
  enable_cache()
  film = options.work / "film"
  if not film.exists():
    write_frames(film)
  folders = {"the film": film}
  for name, method in (("networks", "network"), (options.method, options.method)):
    folders[name] = output = options.work / f"{name}_{options.size}"
    if not output.exists():
      keyframes = None if method == "network" else options.keyframes
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
  row, titles = [], []
  height, width = encode.fit_shorter_side(HEIGHT, WIDTH, options.size)
  for number in SHOWN:
    for name, folder in folders.items():
      image = read_image(sorted(folder.glob("*.png"))[number - 1])
      row.append(encode.resize(image, height, width).rgb)
      titles.append(f"{name}, frame {number}")
  encode.write_image(options.output, contact_sheet([row], titles=titles, gap=4), quality=85)


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
