"""Short films of known motion, made from photos, for flicker.py to stylize."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from stylejax import motion
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image

SAMPLES = Path(__file__).resolve().parents[2] / "stylejax" / "assets" / "samples"
NOISE = 0.02  # standard deviation
ZOOM, DEGREES = 1.01, 0.8  # from frame to frame


@dataclasses.dataclass(frozen=True)
class Clip:
  """Frames, and the motion between them.

  Attributes:
    frames: [H, W, 3] each, float32 in [0, 1].
    flows: for every frame but the first, where each pixel was in the previous frame.
  """

  frames: list[np.ndarray]
  flows: list[motion.Flow]


def static_noise(frames: int, size: int) -> Clip:
  """A photo that stands still, with noise of standard deviation NOISE."""
  image = photo("coffee.jpg", size)[:, : size * 3 // 2]
  rng = np.random.default_rng(0)
  noisy = [
    np.clip(image + rng.normal(0, NOISE, image.shape), 0, 1).astype(np.float32)
    for _ in range(frames)
  ]
  return Clip(noisy, [_flow(np.zeros((*image.shape[:2], 2), np.float32))] * (frames - 1))


def captioned_pan(frames: int, size: int, speed: int) -> Clip:
  """A window that moves over a photo, above a caption (a strip of another photo) that stays put."""
  image, caption = photo("coffee.jpg", size), photo("cat.jpg", size)[size // 3 : size * 2 // 3]
  width = min(image.shape[1] - speed * (frames - 1), caption.shape[1])
  if width < size // 2:
    raise InputError(
      f"--frames: found a pan of {frames} × {speed} pixels over a photo of "
      f"{image.shape[1]}, expected a shorter one"
    )
  windows = [
    np.concatenate([image[:, speed * t : speed * t + width], caption[:, :width]])
    for t in range(frames)
  ]
  vectors = np.zeros((*windows[0].shape[:2], 2), np.float32)
  vectors[: len(image), :, 0] = speed
  return Clip(windows, [_flow(vectors)] * (frames - 1))


def pan(frames: int, size: int) -> Clip:
  """A window that moves over a photo by fractions of a pixel."""
  return _moving("coffee.jpg", size, frames, lambda t: (np.eye(2), (2.3 * t, 0.7 * t)))


def zoom(frames: int, size: int) -> Clip:
  """A window that shrinks from frame to frame and is enlarged to the frame's size."""
  return _moving("cat.jpg", size, frames, lambda t: (np.eye(2) * ZOOM**-t, (0, 0)))


def rotation(frames: int, size: int) -> Clip:
  """A window that rotates."""

  def turned(t):
    angle = np.deg2rad(DEGREES * t)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), (0, 0)

  return _moving("coffee.jpg", size, frames, turned)


def inside(vectors: np.ndarray) -> np.ndarray:
  """True where a pixel was inside the previous frame, [H, W]."""
  height, width = vectors.shape[:2]
  y, x = np.mgrid[:height, :width] + np.moveaxis(vectors[..., ::-1], -1, 0)
  return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


@functools.cache
def photo(name: str, size: int) -> np.ndarray:
  """A sample content image, scaled to that shorter side, [H, W, 3]."""
  image = read_image(SAMPLES / "content" / name)
  return encode.resize(image, *encode.fit_shorter_side(*image.rgb.shape[:2], size)).rgb


def _moving(name: str, size: int, frames: int, camera) -> Clip:
  """Windows on a photo of 5/3 their size; camera(t) returns the matrix and shift of window t."""
  image, height, width = photo(name, size * 5 // 3), size, size * 3 // 2
  y, x = np.mgrid[:height, :width]
  points = np.stack([x - (width - 1) / 2, y - (height - 1) / 2], -1)
  middle = (np.array(image.shape[1::-1]) - 1) / 2
  made, flows = [], []
  for t in range(frames):
    matrix, shift = camera(t)
    places = points @ matrix.T + shift
    x, y = np.moveaxis(places + middle, -1, 0)
    channels = [map_coordinates(image[..., c], [y, x], order=3, mode="mirror") for c in range(3)]
    made.append(np.clip(np.stack(channels, -1), 0, 1).astype(np.float32))
    if t:
      matrix, shift = camera(t - 1)
      earlier = (places - shift) @ np.linalg.inv(matrix).T
      flows.append(_flow((earlier - points).astype(np.float32)))
  return Clip(made, flows)


def _flow(vectors: np.ndarray) -> motion.Flow:
  """A flow with vectors [H, W, 2]; everything is visible but what was outside the frame before."""
  return motion.Flow(vectors, np.float32(inside(vectors))[..., None])
