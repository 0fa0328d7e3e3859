"""The loop behind `stylejax sequence`: frames in, one style, frames out."""

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from stylejax import motion, temporal
from stylejax.controls.table import PixelControls
from stylejax.errors import InputError
from stylejax.images import encode, frames
from stylejax.images.find import find_images
from stylejax.inference import budget, descent_budget, keyframed
from stylejax.inference.film import ByNetworks, Moved, Stylized, resized
from stylejax.inference.outputs import check_number
from stylejax.inference.over_time import MAX_MEMORY, Curve, Settings, check_curves
from stylejax.inference.request import StyleMix, check_common, plan_mixes
from stylejax.inference.styles import StyleImageReader, StyleReader, style_scale
from stylejax.inference.stylizer import Stylizer
from stylejax.inference.unfinished import Unfinished, opened, rounded
from stylejax.models.codes import StyleCode
from stylejax.runtime.background import ReadAhead
from stylejax.runtime.jit import compiler_options
from stylejax.runtime.program_cache import compiled_step
from stylejax.weights.tree_hash import tree_hash

Motion = Literal["followed", "ignored"]
"""Whether moving things keep their strokes ("followed") or are stylized anew in each frame."""

Method = Literal["network", "neighbors", "refine"]
"""What stylizes: the networks every frame, or a method without training the keyframes."""

KEYFRAMES, MAX_KEYFRAMES = 24, 1000
"""Number of frames from one keyframe to the next: the default and the largest."""

EVERY = 3  # The warping error uses one of this many rows, and one of this many pixels in a row.
AHEAD = 2  # Frames that are decoded, with their motion, while another is stylized.
SAVE_EVERY = 24  # Frames after which a resumable run with the networks saves its state.


@dataclasses.dataclass(frozen=True)
class SequenceReport:
  """What a run did.

  Attributes:
    frames: number of frames written.
    kept: how many of these an earlier run had stylized, see `SequenceRequest.resume`.
    flicker: mean change of the output where the input doesn't change, in [0, 1]; None if all of it
      changes.
    still: fraction of the pixels that don't change from frame to frame.
    warping_error: mean change of the output along the motion of the input, in [0, 1]; None if
      motion is ignored or nothing is held.
    held: fraction of the pixels that come from the previous frame.
    cuts: numbers of the frames that begin another scene, counted from 1.
    seconds: the time from the call to the end.
    notes: one line for each thing in the input that is missing or different in the output.
  """

  frames: int
  kept: int
  flicker: float | None
  still: float
  warping_error: float | None
  held: float
  cuts: tuple[int, ...]
  seconds: float
  notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceRequest:
  """What to stylize, how, and where to write it.

  Attributes:
    content: a folder of images of one size, sorted by name; a GIF, WebP or PNG; or a video.
    style: an image or "@name" from the library; several, each with a weight ("a.jpg:0.7"), are
      mixed; may be empty if there is a `seed`.
    output: a folder (PNG files), which is new, empty or filled by an earlier run; or a name ending
      in .gif, .webp, .png (APNG), .mp4, .mkv, .webm or .mov.
    seed: the seed of a style that the noise generator invents.
    library: the file of styles called "@name"; None is the user's own.
    strength: 0 to 2.
    controls: pixel controls by name, as in `PixelControls`, applied to each frame by itself;
      numbers and names of modes.
    memory: 0 (each frame by itself) to MAX_MEMORY.
    motion: whether motion is followed.
    method: what stylizes; "neighbors" and "refine" need images as styles, and motion.
    keyframes: number of frames from one keyframe to the next, for these two methods; None means
      KEYFRAMES.
    over_time: curves of settings that change over the frames, which replace their numbers, by the
      name in `next_frame`: "strength", "memory", or a pixel control.
    resume: whether to continue where an earlier run with this setting was stopped. The run then
      keeps its frames in a folder next to the output until that is complete.
    size: shorter side of the output in pixels; None keeps the content's size.
    stroke: size of the strokes, 1/4 to 4.
    style_size: shorter side in pixels at which the style is read.
    rate: frames per second of a folder, if the output needs one.
    weights: a packaged name or a file.
  """

  content: str | os.PathLike
  output: str | os.PathLike
  style: Sequence[str | os.PathLike] = ()
  seed: int | None = None
  library: str | os.PathLike | None = None
  strength: float = 1.0
  controls: PixelControls = dataclasses.field(default_factory=PixelControls)
  memory: float = temporal.MEMORY
  motion: Motion = "followed"
  method: Method = "network"
  keyframes: int | None = None
  over_time: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
  resume: bool = False
  size: int | None = None
  stroke: float | None = None
  style_size: int | None = None
  rate: float = 25.0
  weights: str | os.PathLike = "base"

  def check(self) -> None:
    """Raises InputError for a setting that is out of range."""
    check_common(strength=self.strength, controls=self.controls, size=self.size, seed=self.seed)
    check_number("--smoothing", self.memory, 0, MAX_MEMORY, whole=False)
    check_number("--rate", self.rate, 0.1, 1000, whole=False)
    check_number("--keyframes", self.keyframes, 1, MAX_KEYFRAMES)
    check_curves(self.over_time)
    if self.method == "network":
      if self.keyframes is not None:
        raise InputError(
          "--keyframes: found it with --method network, expected --method neighbors or refine"
        )
      return
    if self.motion == "ignored":
      raise InputError(
        f"--motion: found ignored with --method {self.method}, expected followed: what is between "
        "keyframes is carried along the motion"
      )
    if self.stroke is not None:
      raise InputError(f"--stroke: found it with --method {self.method}, expected --style-size")


def stylize_sequence(
  request: SequenceRequest,
  *,
  on_progress: Callable[[int, int], None] = lambda done, total: None,
  on_note: Callable[[str], None] = lambda line: None,
) -> SequenceReport:
  """Stylizes a folder of frames, an animation or a video.

  The style is read once; `stylejax.next_frame` stylizes each frame given the state from those
  before. Sound is copied unchanged from video to video.

  Args:
    request: what to do.
    on_progress: called with the number of frames done and their total.
    on_note: called with each line of the report's notes as soon as it is known.

  Returns:
    The SequenceReport.

  Raises:
    InputError: something is wrong with the request; no file is left, and a folder stays as it was.
  """
  started = time.perf_counter()
  request.check()
  style_size = style_scale(request.stroke, request.style_size)
  mix = _single_mix(request, on_note)
  output = Path(request.output)
  source = frames.Source(Path(request.content), request.rate, output=output, on_note=on_note)
  images = [style.path for style in mix.sources if style.path]
  files = [request.weights] if os.path.isfile(request.weights) else []
  read_only = [*images, *files, *([request.library] if request.library else [])]
  frames.check_output(output, source, inputs=read_only)
  stylizer = Stylizer(request.weights)
  reader = StyleReader(stylizer, style_size, library=request.library, on_note=source.note)
  settings = Settings(
    {"strength": request.strength, "memory": request.memory}, request.controls, request.over_time
  )
  style_code = reader.read_mix(mix)
  method: Any = ByNetworks(stylizer.params, style_code, settings)
  needed = budget.sequence_bytes(stylizer.params.config)
  if request.method != "network":
    every = request.keyframes or KEYFRAMES
    method = keyframed.ByKeyframes(method, _paint(request, mix, source, stylizer), every, settings)
    needed += descent_budget.OPTIMIZED_BYTES + (every + 1) * keyframed.FRAME_BYTES
  with _unfinished(request, style_code, source, [*images, *files]) as unfinished:
    run = _Run(method, request, source, needed, unfinished)
    on_progress(0, source.total)
    try:
      run.stylize_all(output, on_progress)
    except BaseException:
      run.tell_of_kept()
      raise
    if unfinished is not None:
      unfinished.remove()
  return run.report(time.perf_counter() - started)


def _unfinished(
  request: SequenceRequest,
  style_code: StyleCode,
  source: frames.Source,
  files: Sequence[str | os.PathLike],
) -> contextlib.AbstractContextManager[Unfinished | None]:
  """Opens what an earlier run has left, if this run may resume it; `files` are its other inputs."""
  if not request.resume:
    return contextlib.nullcontext()
  film = find_images([request.content], "--content") if source.path.is_dir() else [source.path]
  return opened(Path(request.output), _settings(request, style_code), [*film, *files])


def _settings(request: SequenceRequest, style_code: StyleCode) -> dict[str, Any]:
  """All that the frames depend on besides the files, however the files' paths are written."""
  settings = dataclasses.asdict(request)
  for name in ("content", "output", "style", "seed", "library"):
    del settings[name]
  if os.path.isfile(request.weights):
    del settings["weights"]
  return {**settings, "style": tree_hash(style_code)}


def _paint(
  request: SequenceRequest, mix: StyleMix, source: frames.Source, stylizer: Stylizer
) -> keyframed.Paint:
  """Makes the function that stylizes keyframes, with styles given as images."""
  reader = StyleImageReader(stylizer, library=request.library, on_note=source.note)
  size = request.style_size or request.size or min(next(iter(source)).rgb.shape[:2])
  styles = [encode.style_pixels(reader.read(each), size) for each in mix.sources]
  weights = np.asarray(mix.mixtures[0], np.float32) if len(styles) > 1 else None
  return keyframed.paint_with(request.method, styles, weights)


def _single_mix(request: SequenceRequest, on_note: Callable[[str], None]) -> StyleMix:
  """The single style, or mixture of styles, of all frames."""
  mixes = plan_mixes(request.style, seed=request.seed, on_note=on_note)
  if len(mixes) > 1:
    raise InputError(
      f"--style: found {len(mixes)} styles, expected one, or a weight after each as in a.jpg:0.7"
    )
  return mixes[0]


class _Run:
  """A run: takes the frames of one sequence from the source to the output."""

  def __init__(
    self,
    method: Any,
    request: SequenceRequest,
    source: frames.Source,
    needed: int,
    unfinished: Unfinished | None,
  ):
    """Takes, among others, the method that stylizes and the bytes per pixel that it needs."""
    self.done, self.saved = 0, 0
    self._method, self._request, self._source, self._needed = method, request, source, needed
    self._unfinished = unfinished
    follows = request.motion == "followed"
    self._flow = compiled_step(motion.optical_flow, options=compiler_options) if follows else None
    self._measure, self._measured = compiled_step(_measure, options=compiler_options), list[tuple]()
    self._before: tuple[jax.Array, Any] | None = None

  def stylize_all(self, output: Path, on_progress: Callable[[int, int], None]) -> None:
    """Stylizes every frame, while the next ones are decoded and the previous one is written."""
    source = self._source
    with ReadAhead(self._read(), depth=AHEAD, name="frames") as ahead:
      first = next(ahead)
      shape = first.rgb.shape
      self._check(shape)
      self._method.start(shape)
      with frames.writer(output, source, shape) as target, ThreadPoolExecutor(1) as pool:
        written: Future | None = None
        for stylized in self._stylized(first, ahead):
          image = np.asarray(stylized.image)
          encode.check_finite(output, image)
          if written is not None:
            written.result()
          written = pool.submit(self._write, target, stylized, image)
          self.done += 1
          on_progress(self.done, max(self.done, source.total))
        if written is not None:
          written.result()
    if source.total > self.done:  # a codec's hidden frames were counted too
      on_progress(self.done, self.done)

  def _stylized(self, first: Moved, ahead: Iterator[Moved]) -> Iterator[Stylized]:
    """Yields all frames: those that an earlier run kept, then those of this run, measured."""
    unfinished, moved = self._unfinished, first
    frames_left: Iterator[Moved] = itertools.chain([first], ahead)
    if unfinished is not None and unfinished.done:
      method, rows = unfinished.state((self._method.saved(), np.zeros(0)))
      self._method.load(method)
      self._measured, self.saved = list(map(tuple, rows)), unfinished.done
      for number in range(1, unfinished.done + 1):
        image = unfinished.image(number)
        self._before = moved.rgb, image
        yield Stylized(moved, image, None, None, None)
        if number < unfinished.done:
          moved = next(ahead)
      frames_left = ahead
    for stylized in self._method.stylize(frames_left):
      rgb, image = stylized.moved.rgb, stylized.image
      if unfinished is not None:
        image = rounded(np.asarray(image))
      if self._before is not None:
        contents, images = zip(self._before, (rgb, image))
        measured = self._measure(contents, images, stylized.moved.flow)
        self._measured.append((*measured, stylized.held, stylized.same_scene))
      self._before = rgb, image
      yield stylized._replace(image=image)

  def _write(self, target: Any, stylized: Stylized, image: np.ndarray) -> None:
    """Writes a frame and, from time to time, the state; runs in a thread of its own."""
    moved, unfinished = stylized.moved, self._unfinished
    target.write(dataclasses.replace(moved.frame, rgb=image))
    if unfinished is None or moved.number <= unfinished.done:
      return
    unfinished.write(moved.number, image)
    every = SAVE_EVERY if self._request.method == "network" else 1  # a keyframe takes minutes
    if stylized.state is not None and moved.number >= self.saved + every:
      # Only measurements up to this frame: the next one may be measured already.
      for row in range(max(self.saved - 1, 0), moved.number - 1):
        self._measured[row] = tuple(map(float, self._measured[row]))
      rows = np.array(self._measured[: moved.number - 1]).reshape(-1, 6)
      unfinished.save(moved.number, (stylized.state, rows))
      self.saved = moved.number

  def tell_of_kept(self) -> None:
    """After an error or a stop, notes what can be resumed, or removes an empty folder."""
    unfinished = self._unfinished
    if unfinished is not None and self.saved:
      line = f"{unfinished.folder}: {self.saved} frames are kept, from which --resume continues"
      self._source.note(line)
    elif unfinished is not None and not unfinished.done:
      unfinished.remove()

  def report(self, seconds: float) -> SequenceReport:
    """The report, once all frames are done."""
    rows = np.array(self._measured, np.float64).reshape(-1, 6)
    change, still, error, visible, held, same_scene = rows.T
    return SequenceReport(
      self.done,
      0 if self._unfinished is None else self._unfinished.done,
      _weighted_mean(change, still),
      float(still.mean()) if len(still) else 0.0,
      _weighted_mean(error, visible * same_scene) if self._flow is not None else None,
      float((held * same_scene).mean()) if len(held) else 0.0,
      tuple(int(number) + 2 for number in np.flatnonzero(same_scene == 0)),
      seconds,
      tuple(self._source.notes),
    )

  def _read(self) -> Iterator[Moved]:
    """Yields frames with their motion; runs in a thread of its own."""
    before, done = None, 0 if self._unfinished is None else self._unfinished.done
    for number, frame in enumerate(self._source, 1):
      # At its original size a frame may take many times the memory, and some wait for a keyframe.
      frame = resized(frame, self._request.size)
      rgb, flow = jax.device_put(frame.rgb), None  # once, for several programs
      if self._flow is not None and number > done:
        flow = self._flow(rgb, rgb if before is None else before)
      yield Moved(number, frame, rgb, flow)
      before = rgb

  def _check(self, shape: tuple[int, ...]) -> None:
    content = os.fspath(self._request.content)
    if min(shape[:2]) < encode.MIN_SIDE:
      raise InputError(
        f"{content}: found frames of {shape[1]}×{shape[0]} pixels, expected at least "
        f"{encode.MIN_SIDE}×{encode.MIN_SIDE}"
      )
    budget.check_fits(content, shape, self._needed, "--size scales it")


def _measure(contents, images, flow: motion.Flow | None):
  """(change, weight) where nothing moves, then the same along the motion."""
  still = temporal.flicker(contents, images, flow=flow)
  along = (0.0, 0.0) if flow is None else temporal.warping_error(images, flow, every=EVERY)
  return *still, *along


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> float | None:
  return float((values * weights).sum() / weights.sum()) if weights.sum() else None
