"""How much less does a sequence flicker than its frames stylized one by one?

Two made sequences: a photo that stands still under camera noise, and a pan over a photo with a
caption that stands still. Both ways stylize the same frames; `stylejax.temporal.flicker` measures.
"""

import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np

from benchmarks.harness import command_line, records
from stylejax import temporal, transfer
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained

SAMPLES = Path(__file__).resolve().parents[2] / "stylejax" / "assets" / "samples"
NOISE = 0.02


@dataclasses.dataclass(frozen=True)
class Options:
  """What to stylize."""

  frames: int = 16
  """Of each sequence."""
  size: int = 192
  """Shorter side of a frame, in pixels."""
  speed: int = 3
  """Pixels by which the pan moves from frame to frame."""
  weights: str = "base"
  """A packaged name or a file."""
  output: Path | None = None
  """JSON file for the result."""
  images: Path | None = None
  """Folder for the last frames of each sequence and way."""

  def check(self) -> None:
    """Raises InputError for a sequence without two frames, or of too small ones."""
    command_line.at_least("--frames", self.frames, 2)
    command_line.at_least("--size", self.size, 32)


def static_noise(frames: int, size: int) -> list[np.ndarray]:
  """A photo that stands still, with noise of standard deviation NOISE."""
  photo = _photo("coffee.jpg", size)[:, : size * 3 // 2]
  rng = np.random.default_rng(0)
  return [
    np.clip(photo + rng.normal(0, NOISE, photo.shape), 0, 1).astype(np.float32)
    for _ in range(frames)
  ]


def pan(frames: int, size: int, speed: int) -> list[np.ndarray]:
  """A window that moves over a photo, above a caption of the same height that stands still."""
  photo, caption = _photo("coffee.jpg", size), _photo("cat.jpg", size)[size // 3 : size * 2 // 3]
  width = min(photo.shape[1] - speed * (frames - 1), caption.shape[1])
  if width < size // 2:
    raise InputError(
      f"--frames: found a pan of {frames} × {speed} pixels over a photo of "
      f"{photo.shape[1]}, expected a shorter one"
    )
  return [
    np.concatenate([photo[:, speed * t : speed * t + width], caption[:, :width]])
    for t in range(frames)
  ]


@functools.cache
def _photo(name: str, size: int) -> np.ndarray:
  image = read_image(SAMPLES / "content" / name)
  return encode.resize(image, *encode.fit_shorter_side(*image.rgb.shape[:2], size)).rgb


def stylize(params: transfer.Params, frames: list[np.ndarray], style_code, memory: float):
  """(stylized frames, mean flicker over the pixels that stand still, their share)."""
  step, measure = _jit(temporal.next_frame), _jit(temporal.flicker)
  state = temporal.first_state(params, *frames[0].shape[:2])
  stylized = []
  for frame in frames:
    image, state = step(params, frame, style_code, state, memory=np.float32(memory))
    stylized.append(image)
  pairs = list(zip(itertools.pairwise(frames), itertools.pairwise(stylized), strict=True))
  changes, still = np.array([measure(*pair) for pair in pairs], np.float64).T
  return stylized, float((changes * still).sum() / still.sum()), float(still.mean())


_jit = functools.cache(fast_jit)


def measure(options: Options) -> dict[str, dict[str, float]]:
  """Flicker of both ways for each sequence."""
  params = load_pretrained(options.weights)
  artwork = read_image(SAMPLES / "style" / "great_wave.jpg")
  side = min(256, options.size)
  style_code = _jit(transfer.encode_style)(params, encode.style_pixels(artwork, side))
  sequences = {
    "still, with noise": static_noise(options.frames, options.size),
    "pan": pan(options.frames, options.size, options.speed),
  }
  flicker = {}
  for name, frames in sequences.items():
    alone, apart, still = stylize(params, frames, style_code, 0.0)
    steadied, together, _ = stylize(params, frames, style_code, temporal.MEMORY)
    flicker[name] = {
      "frame by frame": apart,
      "sequence": together,
      "ratio": together / apart,
      "still": still,
    }
    if options.images:
      for way, stylized in (("content", frames), ("alone", alone), ("sequence", steadied)):
        strip = np.concatenate([np.asarray(frame) for frame in stylized[-3:]], 1)
        encode.write_image(options.images / f"{name.split(',')[0]}_{way}.png", strip)
  return flicker


def main(options: Options) -> None:
  """Measures, prints a table and keeps the result."""
  records.report("flicker", options, {"flicker": measure(options)}, show=show)


def show(result: dict) -> None:
  """A table."""
  print(f"{'mean change where the input stands still':42} alone   sequence  ratio   still")
  for name, row in result["flicker"].items():
    print(
      f"{name:42} {row['frame by frame']:.4f}  {row['sequence']:.4f}    {row['ratio']:.2f}"
      f"    {row['still']:.0%}"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
