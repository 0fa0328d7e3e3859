"""How much less does a film flicker than its frames stylized one by one, and is its style kept?

There are five synthetic films of known motion: a still photo under camera noise, a pan over a photo
with a still caption, a pan by fractions of a pixel, a zoom and a rotation. Each is stylized frame
by frame, with what stands still steadied, and along its motion. Three figures must be read
together, since a blurred or frozen image is steady too: flicker, where the true motion is zero; the
warping error, which is how much an image changes along the true motion; and the distance of the
last frames from the style (moments of VGG16's features).

    python -m benchmarks flicker --films a.mp4 b.mp4
    python -m benchmarks flicker --averages

For the films of --films, the motion is OpenCV's estimate, where it agrees there and back. With
--averages, other things are averaged along the motion than `stylejax.next_frame` averages.
"""

import dataclasses
import functools
import importlib.util
import itertools
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.harness import command_line, records
from benchmarks.quality import averages, clips
from stylejax import motion, temporal, transfer
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.metrics.style import moment_distance
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_vgg

WAYS = ("frame by frame", "what stands still", "along the motion")
SETTLED = 3  # Changes left out of the warping error, and number of last frames for the style.


@dataclasses.dataclass(frozen=True)
class Options:
  """What to stylize."""

  frames: int = 16
  """Frames of each film."""
  size: int = 192
  """Shorter side of a frame, in pixels."""
  speed: int = 3
  """Pixels by which the captioned pan moves from frame to frame."""
  styles: tuple[str, ...] = ("great_wave",)
  """Names of the package's sample styles."""
  films: tuple[Path, ...] = ()
  """Videos, animations or folders of frames, whose middle frames are stylized instead."""
  averages: bool = False
  """Compare what could be averaged along the motion, instead of whether motion is followed."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  output: Path | None = None
  """JSON file for the result."""
  images: Path | None = None
  """Folder for the last frames of each film and way."""

  def check(self) -> None:
    """Raises InputError for films that are too short, too small or not there."""
    command_line.at_least("--frames", self.frames, SETTLED + 2)
    command_line.at_least("--size", self.size, 32)
    for style in self.styles:
      if not (clips.SAMPLES / "style" / f"{style}.jpg").is_file():
        raise InputError(f"--styles: found no sample style {style!r}")
    if self.films and importlib.util.find_spec("cv2") is None:
      raise InputError("--films: found no OpenCV, expected pip install '.[reference]'")
    for film in self.films:
      if not film.exists():
        raise InputError(f"--films: found no {film}, expected a film")


@dataclasses.dataclass(frozen=True)
class Film:
  """A stylized film and its figures.

  Attributes:
    frames: [H, W, 3] each.
    flicker: mean change over the pixels that stand still; None where none do.
    still: the share of those pixels.
    warping_error: mean change along the motion, over the visible pixels.
    visible: the share of those pixels.
    seconds: median processor seconds per frame, including its motion where that is followed.
  """

  frames: list
  flicker: float | None
  still: float
  warping_error: float
  visible: float
  seconds: float


def stylize(params: transfer.Params, clip: clips.Clip, style_code, way: str) -> Film:
  """One film in one of the WAYS or AVERAGES."""
  step, flow_of = _step(way), _jit(motion.optical_flow)
  rule = averages if way in averages.AVERAGES else temporal
  state = rule.first_state(params, *clip.frames[0].shape[:2])
  memory = {"frame by frame": 0.0}.get(way, temporal.MEMORY)
  stylized, seconds = [], []
  for frame, before in zip(clip.frames, [clip.frames[0], *clip.frames]):
    start = time.process_time()
    flow = None if way in WAYS[:2] else flow_of(frame, before)
    image, state = step(params, frame, style_code, state, memory=np.float32(memory), flow=flow)
    stylized.append(jax.block_until_ready(image))
    seconds.append(time.process_time() - start)
  pairs = zip(
    itertools.pairwise(clip.frames), itertools.pairwise(stylized), clip.flows, strict=True
  )
  measured = [
    (
      *_jit(temporal.flicker)(contents, images, flow=flow),
      *_jit(temporal.warping_error)(images, flow),
    )
    for contents, images, flow in pairs
  ]
  changes, still, _, _ = np.array(measured, np.float64).T
  _, _, errors, visible = np.array(measured[SETTLED:], np.float64).T
  flicker = float((changes * still).sum() / still.sum()) if still.sum() else None
  error = float((errors * visible).sum() / visible.sum())
  return Film(
    stylized, flicker, float(still.mean()), error, float(visible.mean()), float(np.median(seconds))
  )


@functools.cache
def _step(way: str):
  """The function that stylizes the next frame."""
  averaged = averages.AVERAGES.get(way)
  if averaged is None:
    return _jit(temporal.next_frame)
  return fast_jit(functools.partial(averages.next_frame, averaged=averaged))


_jit = functools.cache(fast_jit)


def films(options: Options) -> dict[str, clips.Clip]:
  """The films by name: those of --films, or the synthetic ones."""
  if options.films:
    from benchmarks.quality import filmed  # Needs OpenCV.

    return {path.stem: filmed.middle(path, options.frames, options.size) for path in options.films}
  return {
    "still, with noise": clips.static_noise(options.frames, options.size),
    "captioned pan": clips.captioned_pan(options.frames, options.size, options.speed),
    "pan": clips.pan(options.frames, options.size),
    "zoom": clips.zoom(options.frames, options.size),
    "rotation": clips.rotation(options.frames, options.size),
  }


def ways(options: Options) -> tuple[str, ...]:
  """What is compared, frame by frame first."""
  return (WAYS[0], *averages.AVERAGES, WAYS[2]) if options.averages else WAYS


def measure(options: Options) -> list[dict]:
  """A row for every style, film and way."""
  params, vgg_params = load_pretrained(options.weights), load_vgg()
  distance = fast_jit(moment_distance)
  if options.images:
    options.images.mkdir(parents=True, exist_ok=True)
  rows = []
  for style in options.styles:
    artwork = read_image(clips.SAMPLES / "style" / f"{style}.jpg")
    pixels = encode.style_pixels(artwork, min(256, options.size))
    style_code = _jit(transfer.encode_style)(params, pixels)
    for name, clip in films(options).items():
      for way in ways(options):
        film = stylize(params, clip, style_code, way)
        last = np.stack(film.frames[-SETTLED:])
        figures = dataclasses.asdict(film)
        del figures["frames"]
        row = {"style": style, "film": name, "way": way, **figures}
        distances = distance(vgg_params, last, np.stack([pixels] * SETTLED))
        row["style_distance"] = float(np.mean(distances))
        rows.append(row)
        if options.images:
          strip = np.concatenate([clip.frames[-1], *last[-2:]], 1)
          file = f"{style}_{name}_{way}.png".replace(", ", "_").replace(" ", "_")
          encode.write_image(options.images / file, strip)
  return rows


def main(options: Options) -> None:
  """Measures, prints a table and keeps the result."""
  records.report("flicker", options, {"flicker": measure(options)}, show=show)


def show(result: dict) -> None:
  """Prints a table of the figures, in brackets divided by those of frame by frame."""
  print(f"{'':44}flicker          warping error    style distance   ms")
  for row in result["flicker"]:
    (base,) = (
      other
      for other in result["flicker"]
      if (other["style"], other["film"]) == (row["style"], row["film"]) and other["way"] == WAYS[0]
    )
    cells = []
    for column in ("flicker", "warping_error", "style_distance"):
      value = row[column]
      # Where less than a hundredth stands still, it does so by chance.
      known = (value is not None and row["still"] >= 0.01) or column != "flicker"
      cells.append(f"{value:.4f} ({value / base[column]:.2f})" if known else "–")
    cells.append(f"{1e3 * row['seconds']:.0f}")
    print(f"{row['film']:18} {row['way']:24} " + "".join(f"{cell:17}" for cell in cells))


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
