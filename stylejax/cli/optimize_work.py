"""What `stylejax optimize` does: reads, calls a method of METHODS, shows how it gets on, writes.

The methods themselves are pure functions in stylejax/optimization/.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from stylejax import transfer
from stylejax.cli.console import descent, say_note
from stylejax.cli.optimize import Options
from stylejax.controls.color import preserve_color
from stylejax.errors import InputError
from stylejax.images import encode, formats
from stylejax.images.decode import DecodedImage, read_image
from stylejax.inference import budget
from stylejax.inference.neighbor_stages import NeighborStages
from stylejax.inference.outputs import check_number, plan_outputs
from stylejax.optimization import neighbors
from stylejax.optimization import refine as refinement
from stylejax.optimization.gram import optimize_image, optimize_scales
from stylejax.optimization.targets import Stage
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.files import check_apart, check_writable, printable
from stylejax.runtime.jit import fast_jit, reuse_memory
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_vgg

# (scale, share of the steps that are done when it is), from coarse to fine.
_SCALES = ((0.25, 0.5), (0.5, 0.8), (1.0, 1.0))
_GRAM_STEPS = 200
_WATCH_EVERY = 3.0
"""Seconds between two intermediate images."""


@dataclasses.dataclass(frozen=True)
class Work:
  """What a method is given.

  Attributes:
    options: of the command, checked.
    content: [1, H, W, 3] float32 in [0, 1].
    style: [1, h, w, 3], of the scale at which it is read.
    start: called with the number of steps, before the first.
    show: called with (steps done, loss, the image or a function that computes it).
  """

  options: Options
  content: np.ndarray
  style: np.ndarray
  start: Callable[[int], None]
  show: Callable[[int, float, Callable[[], np.ndarray]], None]


def run(options: Options) -> int:
  """Writes the image; returns the exit status."""
  started = time.perf_counter()
  _check(options)
  paths = Path(options.content), Path(options.style)
  plan_outputs(paths[:1], [paths[1].stem], options.output, inputs=paths)
  if options.watch is not None:
    suffix = Path(options.watch).suffix
    if formats.written_as(suffix) is None:
      raise InputError(
        f"--watch {options.watch}: found extension {suffix!r}, expected {formats.WRITTEN_SUFFIXES}"
      )
    check_writable(Path(options.watch), "--watch")
    check_apart([options.watch], paths, what="--watch")
  content, style = (read_image(path) for path in paths)
  for image, path in zip((content, style), paths, strict=True):
    encode.check_side(image, path)
    for note in image.notes:
      say_note(f"{path}: {note}")
  if note := encode.alpha_note(content.alpha, options.output):
    say_note(f"{options.content}: {note}")
  sides = encode.fit_shorter_side(*content.rgb.shape[:2], options.size)
  encode.check_output_size(Path(options.output), *sides)
  budget.check_fits(options.content, sides, budget.OPTIMIZED_BYTES, "--size scales it")
  content = encode.resize(content, *sides)
  enable_cache()
  reuse_memory()
  steps = 0
  with descent() as (on_start, on_step):

    def start(count: int) -> None:
      nonlocal steps
      steps = count
      on_start(count)

    work = Work(
      options,
      content.rgb[None],
      encode.style_pixels(style, options.style_size or options.size)[None],
      start,
      _Watcher(options, content, on_step),
    )
    rgb = np.asarray(METHODS[options.method](work)[0])
    jax.effects_barrier()
  encode.write_image(options.output, rgb, alpha=content.alpha, quality=options.quality)
  seconds = time.perf_counter() - started
  print(f"wrote {printable(options.output)} in {seconds:.1f} s, {steps} steps")
  return 0


def _check(options: Options) -> None:
  check_number("--size", options.size, 64, 4096)
  check_number("--style-size", options.style_size, 64, 4096)
  check_number("--steps", options.steps, 3, 100_000)
  check_number("--style-weight", options.style_weight, 0, 1e6, whole=False)
  check_number("--content-share", options.content_share, 0, 1, whole=False)
  check_number("--strength", options.strength, 0, transfer.MAX_STRENGTH, whole=False)
  check_number("--preserve-color", options.preserve_color, 0, 1, whole=False)
  check_number("--quality", options.quality, 1, 100)


class _Watcher:
  """Shows the progress and writes the image as it is by then, every few seconds."""

  def __init__(
    self, options: Options, content: DecodedImage, on_step: Callable[[int, float], None]
  ):
    self._options, self._content, self._on_step = options, content, on_step
    self._written = time.monotonic()

  def __call__(self, done: int, loss: float, image: Callable[[], np.ndarray]) -> None:
    self._on_step(done, loss)
    if self._options.watch is None or time.monotonic() - self._written < _WATCH_EVERY:
      return
    rgb = np.clip(np.asarray(image())[0], 0.0, 1.0)
    rgb = encode.resize(DecodedImage(rgb, None, "RGB"), *self._content.rgb.shape[:2]).rgb
    alpha, quality = self._content.alpha, self._options.quality
    encode.write_image(self._options.watch, rgb, alpha=alpha, quality=quality)
    self._written = time.monotonic()


def gram(work: Work) -> jax.Array:
  """Gatys: L-BFGS or Adam on the pixels, from coarse to fine."""
  total = work.options.steps or _GRAM_STEPS
  bounds = [0, *(round(share * total) for _, share in _SCALES)]
  scales = [
    (scale, end - start)
    for (scale, _), start, end in zip(_SCALES, bounds, bounds[1:])
    if end > start
  ]
  done, newest = 0, work.content
  work.start(total)

  def report(number, loss):
    nonlocal done
    del number
    done += 1
    work.show(done, float(loss), lambda: newest)

  def watch(image):
    nonlocal newest
    newest = image

  style_weight = work.options.style_weight
  stylized = optimize_scales(
    load_vgg(),
    work.content,
    work.style,
    scales=scales,
    optimize=fast_jit(optimize_image, static_argnames=("method", "report", "watch")),
    style_weight=np.float32(4.0 if style_weight is None else style_weight),
    method=work.options.optimizer or "lbfgs",
    report=report,
    watch=watch if work.options.watch else None,
  )
  if not work.options.preserve_color:
    return stylized
  color = np.float32(work.options.preserve_color)
  return fast_jit(preserve_color)(stylized, work.content, color=color)


def neural_neighbors(work: Work) -> jax.Array:
  """Kolkin: all stages, from the content."""
  stages = NeighborStages([work.style])
  plan, pyramid = stages.plan(work.content), stages.split(work.content)
  share = work.options.content_share
  share = neighbors.CONTENT_SHARE if share is None else share
  return _descend(
    work,
    stages,
    (pyramid, neighbors.content_start(pyramid)),
    plan,
    _spread(work.options.steps, neighbors.default_steps(plan)),
    [1.0, *[share] * (len(plan) - 1)],
  )


def refine(work: Work) -> jax.Array:
  """The last stages of neural neighbors, from the nets' output."""
  options = work.options
  strength = 1.0 if options.strength is None else options.strength
  params = load_pretrained(options.weights or "base")
  stylized = fast_jit(transfer.stylize)(
    params, work.content, work.style[0], strength=np.float32(strength)
  )
  share = refinement.CONTENT_SHARE if options.content_share is None else options.content_share
  stages = NeighborStages([work.style])
  plan = stages.plan(work.content, refine=True)
  return _descend(
    work,
    stages,
    (stages.split(work.content), stages.split(stylized)),
    plan,
    _spread(options.steps, refinement.default_steps(plan)),
    [share] * len(plan),
  )


METHODS = {"gram": gram, "neighbors": neural_neighbors, "refine": refine}
"""What computes the image of each --method; a method is a row here and one in optimize.py."""


def _spread(total: int | None, usual: Sequence[int]) -> list[int]:
  """So many steps in all, shared out among the stages as they usually are."""
  if total is None:
    return list(usual)
  bounds = np.round(np.cumsum([0, *usual]) * total / sum(usual)).astype(int)
  return np.diff(bounds).tolist()


def _descend(
  work: Work,
  stages: NeighborStages,
  pyramids: tuple[Sequence[jax.Array], Sequence[jax.Array]],
  plan: Sequence[Stage],
  steps: Sequence[int],
  shares: Sequence[float],
) -> jax.Array:
  """The stages, shown as they go, and the colors; pyramids of the content and of the start."""
  work.start(sum(steps))
  image = stages.descend(*pyramids, plan, steps, shares, on_steps=work.show)
  # Its own chroma, or the content's: between the two, the chroma mapped to the style has no part.
  own = 1.0 - work.options.preserve_color
  return stages.colored(image, work.content, keep_color=1.0, own_color=own)
