"""The loop behind `infer.py --sequence`: frames in, one style, frames out."""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stylejax import temporal, transfer
from stylejax.errors import InputError
from stylejax.images import encode, frames
from stylejax.images.decode import DecodedImage, read_image
from stylejax.inference import budget
from stylejax.inference.outputs import check_number
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained

MAX_MEMORY = 0.99


@dataclasses.dataclass(frozen=True)
class SequenceReport:
  """What a run did.

  Attributes:
    frames: how many were written.
    flicker: mean change of the output where the input doesn't change, in [0, 1]; None where
      nothing stands still.
    still: share of the pixels that don't change from frame to frame.
    seconds: from the call to the end.
    notes: one line for everything of the input that the output hasn't, or not as it was.
  """

  frames: int
  flicker: float | None
  still: float
  seconds: float
  notes: tuple[str, ...] = ()


def stylize_sequence(
  content: str | os.PathLike,
  style: str | os.PathLike,
  output: str | os.PathLike,
  *,
  strength: float = 1.0,
  memory: float = temporal.MEMORY,
  size: int | None = None,
  style_size: int = encode.STYLE_SIZE,
  rate: float = 25.0,
  weights: str | os.PathLike = "base",
  on_progress: Callable[[int, int], None] = lambda done, total: None,
  on_note: Callable[[str], None] = lambda line: None,
) -> SequenceReport:
  """Stylizes a folder of frames, an animation or a video.

  The style is read once; `stylejax.next_frame` paints each frame with what it knows of those
  before. Sound goes from video to video as it is.

  Args:
    content: a folder of images of one size, sorted by name; a GIF, WebP or PNG; or a video.
    style: an image.
    output: a folder (PNG files), which is new, empty or filled by an earlier run; or a name ending
      in .gif, .webp, .png (APNG), .mp4, .mkv, .webm or .mov.
    strength: 0 to 2.
    memory: 0 (each frame by itself) to 0.99.
    size: shorter side of the output; None keeps the content's own.
    style_size: shorter side in pixels at which the style is read.
    rate: frames a second of a folder, where the output needs one.
    weights: a packaged name or a file.
    on_progress: called with the number of frames done and their total.
    on_note: called with each line of the report's notes as soon as it is known.

  Returns:
    The SequenceReport.

  Raises:
    InputError: anything wrong with the above; no file is left, and a folder stays as it was.
  """
  started = time.perf_counter()
  check_number("--strength", strength, 0, transfer.MAX_STRENGTH, whole=False)
  check_number("--smoothing", memory, 0, MAX_MEMORY, whole=False)
  check_number("--rate", rate, 0.1, 1000, whole=False)
  check_number("--size", size, encode.MIN_SIDE, 16_384)
  check_number("--style-size", style_size, encode.MIN_SIDE, 4_096)
  source = frames.Source(Path(content), rate, output=Path(output), on_note=on_note)
  frames.check_output(Path(output), source, [style, *filter(os.path.isfile, [weights])])
  painting = read_image(style)
  for note in painting.notes:
    source.note(f"{style}: {note}")
  encode.check_side(painting, Path(style))
  params = load_pretrained(weights)
  style_code = fast_jit(transfer.encode_style)(params, encode.style_pixels(painting, style_size))
  step, measure = fast_jit(temporal.next_frame), fast_jit(temporal.flicker)
  state, before, changes = None, None, []
  on_progress(0, source.total)
  ahead = iter(source)
  first = next(ahead)
  shape = _resized(first, size).rgb.shape
  if min(shape[:2]) < encode.MIN_SIDE:
    raise InputError(
      f"{content}: found frames of {shape[1]}×{shape[0]} pixels, expected at least "
      f"{encode.MIN_SIDE}×{encode.MIN_SIDE}"
    )
  budget.check_fits(content, shape, budget.sequence_bytes(params.config), "--size scales it")
  with frames.writer(Path(output), source, shape) as target:
    done, frame = 0, first
    while frame is not None:
      resized = _resized(frame, size)
      rgb = resized.rgb  # what is invisible has the colors of its visible neighbors
      state = temporal.first_state(params, *shape[:2]) if state is None else state
      image, state = step(
        params, rgb, style_code, state, strength=np.float32(strength), memory=np.float32(memory)
      )
      if before is not None:
        changes.append(measure((before[0], rgb), (before[1], image)))
      before = rgb, image
      # Decoding the next frame while the device paints this one.
      following = next(ahead, None)
      image = np.asarray(image)
      encode.check_finite(Path(output), image)
      target.write(dataclasses.replace(frame, rgb=image, alpha=resized.alpha))
      done, frame = done + 1, following
      on_progress(done, max(done, source.total))
  if source.total > done:  # a codec's hidden frames were counted too
    on_progress(done, done)
  change, still = np.array(changes, np.float64).reshape(-1, 2).T
  weight = still.sum()
  return SequenceReport(
    done,
    float((change * still).sum() / weight) if weight else None,
    float(still.mean()) if len(still) else 0.0,
    time.perf_counter() - started,
    tuple(source.notes),
  )


def _resized(frame: frames.Frame, size: int | None) -> DecodedImage:
  image = DecodedImage(frame.rgb, frame.alpha, "RGB")
  if size is None:
    return image
  height, width = encode.fit_shorter_side(*frame.rgb.shape[:2], int(size))
  encode.check_pixels("--size", height, width)
  return encode.resize(image, height, width)
