"""The loop behind `infer.py --sequence`: frames in, one style, frames out."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from stylejax import temporal
from stylejax.controls.strength import MAX_STRENGTH
from stylejax.errors import InputError
from stylejax.images import encode, frames
from stylejax.images.decode import DecodedImage
from stylejax.inference import budget
from stylejax.inference.outputs import check_number
from stylejax.inference.request import StyleMix, plan_mixes
from stylejax.inference.styles import StyleReader, style_scale
from stylejax.inference.stylizer import Stylizer
from stylejax.runtime.jit import fast_jit

MAX_MEMORY = 0.99
"""Largest share of the past in a frame."""


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceRequest:
  """What to stylize, how, and where to write it.

  Attributes:
    content: a folder of images of one size, sorted by name; a GIF, WebP or PNG; or a video.
    style: an image or "@name" of the library; several with a weight behind each ("a.jpg:0.7") are
      mixed; may be empty when there is a `seed`.
    output: a folder (PNG files), which is new, empty or filled by an earlier run; or a name ending
      in .gif, .webp, .png (APNG), .mp4, .mkv, .webm or .mov.
    seed: a style that the noise generator invents.
    library: the file of styles called "@name"; None is the user's own.
    strength: 0 to 2.
    memory: 0 (each frame by itself) to MAX_MEMORY.
    size: shorter side of the output; None keeps the content's own.
    stroke: size of the strokes, 1/4 to 4.
    style_size: shorter side in pixels at which the style is read.
    rate: frames a second of a folder, where the output needs one.
    weights: a packaged name or a file.
  """

  content: str | os.PathLike
  output: str | os.PathLike
  style: Sequence[str | os.PathLike] = ()
  seed: int | None = None
  library: str | os.PathLike | None = None
  strength: float = 1.0
  memory: float = temporal.MEMORY
  size: int | None = None
  stroke: float | None = None
  style_size: int | None = None
  rate: float = 25.0
  weights: str | os.PathLike = "base"

  def check(self) -> None:
    """Raises InputError for a setting that is out of range."""
    check_number("--strength", self.strength, 0, MAX_STRENGTH, whole=False)
    check_number("--smoothing", self.memory, 0, MAX_MEMORY, whole=False)
    check_number("--rate", self.rate, 0.1, 1000, whole=False)
    check_number("--size", self.size, encode.MIN_SIDE, 16_384)
    check_number("--seed", self.seed, 0, 2**32 - 1)


def stylize_sequence(
  request: SequenceRequest,
  *,
  on_progress: Callable[[int, int], None] = lambda done, total: None,
  on_note: Callable[[str], None] = lambda line: None,
) -> SequenceReport:
  """Stylizes a folder of frames, an animation or a video.

  The style is read once; `stylejax.next_frame` stylizes each frame with what it knows of those
  before. Sound goes from video to video as it is.

  Args:
    request: what to do.
    on_progress: called with the number of frames done and their total.
    on_note: called with each line of the report's notes as soon as it is known.

  Returns:
    The SequenceReport.

  Raises:
    InputError: anything wrong with the request; no file is left, and a folder stays as it was.
  """
  started = time.perf_counter()
  request.check()
  style_size = style_scale(request.stroke, request.style_size)
  mix = _single_mix(request, on_note)
  output = Path(request.output)
  source = frames.Source(Path(request.content), request.rate, output=output, on_note=on_note)
  images = [style.path for style in mix.sources if style.path]
  files = filter(os.path.isfile, [request.weights, request.library or ""])
  frames.check_output(output, source, inputs=[*images, *files])
  stylizer = Stylizer(request.weights)
  reader = StyleReader(stylizer, style_size, library=request.library, on_note=source.note)
  run = _Run(stylizer.params, reader.read_mix(mix), request, source)
  on_progress(0, source.total)
  run.stylize_all(output, on_progress)
  change, still = np.array(run.changes, np.float64).reshape(-1, 2).T
  weight = still.sum()
  return SequenceReport(
    run.done,
    float((change * still).sum() / weight) if weight else None,
    float(still.mean()) if len(still) else 0.0,
    time.perf_counter() - started,
    tuple(source.notes),
  )


def _single_mix(request: SequenceRequest, on_note: Callable[[str], None]) -> StyleMix:
  """The one style, or mixture of styles, of all frames."""
  mixes = plan_mixes(request.style, seed=request.seed, on_note=on_note)
  if len(mixes) > 1:
    raise InputError(
      f"--style: found {len(mixes)} styles, expected one, or a weight behind each as in a.jpg:0.7"
    )
  return mixes[0]


class _Run:
  """The frames of one sequence: the state that passes from each to the next."""

  def __init__(self, params, style_code, request: SequenceRequest, source: frames.Source):
    self.done = 0
    self.changes: list = []
    self._params, self._style_code = params, style_code
    self._request, self._source = request, source
    self._step, self._measure = fast_jit(temporal.next_frame), fast_jit(temporal.flicker)
    self._state, self._before = None, None

  def stylize_all(self, output: Path, on_progress: Callable[[int, int], None]) -> None:
    """Stylizes and writes every frame, decoding the next while the device is at work."""
    source = self._source
    ahead = iter(source)
    frame = next(ahead)
    shape = _resized(frame, self._request.size).rgb.shape
    self._check(shape)
    self._state = temporal.first_state(self._params, *shape[:2])
    with frames.writer(output, source, shape) as target:
      while frame is not None:
        resized = _resized(frame, self._request.size)
        stylized = self._stylize(resized.rgb)
        following = next(ahead, None)
        stylized = np.asarray(stylized)
        encode.check_finite(output, stylized)
        target.write(dataclasses.replace(frame, rgb=stylized, alpha=resized.alpha))
        self.done, frame = self.done + 1, following
        on_progress(self.done, max(self.done, source.total))
    if source.total > self.done:  # a codec's hidden frames were counted too
      on_progress(self.done, self.done)

  def _stylize(self, rgb: np.ndarray):
    """One frame on the device; what is invisible of it has the colors of its neighbors."""
    stylized, self._state = self._step(
      self._params,
      rgb,
      self._style_code,
      self._state,
      strength=np.float32(self._request.strength),
      memory=np.float32(self._request.memory),
    )
    if self._before is not None:
      self.changes.append(self._measure((self._before[0], rgb), (self._before[1], stylized)))
    self._before = rgb, stylized
    return stylized

  def _check(self, shape: tuple[int, ...]) -> None:
    content = self._request.content
    if min(shape[:2]) < encode.MIN_SIDE:
      raise InputError(
        f"{content}: found frames of {shape[1]}×{shape[0]} pixels, expected at least "
        f"{encode.MIN_SIDE}×{encode.MIN_SIDE}"
      )
    needed = budget.sequence_bytes(self._params.config)
    budget.check_fits(content, shape, needed, "--size scales it")


def _resized(frame: frames.Frame, size: int | None) -> DecodedImage:
  image = DecodedImage(frame.rgb, frame.alpha, "RGB")
  if size is None:
    return image
  height, width = encode.fit_shorter_side(*frame.rgb.shape[:2], int(size))
  encode.check_pixels("--size", height, width)
  return encode.resize(image, height, width)
