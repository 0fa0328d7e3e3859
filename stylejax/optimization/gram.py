"""Style transfer without a trained model: the pixels themselves are optimized.

Hundreds of times slower than `stylejax.stylize` but, given time, closer to the style: the reference
that the nets are compared with. After `init`, call `run` any number of times, and show, save or
restore the state in between; `optimize_image` does both in one call. Reads and writes no files.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from stylejax.errors import InputError
from stylejax.losses.features import EPS, gram_matrix
from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import image_size
from stylejax.models.vgg16 import STYLE_LAYERS, vgg16_features
from stylejax.optimization.matching import on_grid

CONTENT_LAYER = "relu4_2"
HISTORY = 10
METHODS = ("lbfgs", "adam")
MIN_SIDE = 16
SCALES = ((0.25, 0.5), (0.5, 0.8), (1.0, 1.0))
"""(factor of both sides, share of all steps done by the end of the scale), from coarse to fine."""

STEPS = 200
STYLE_WEIGHT = 4.0
_ADAM_RATE = 0.02  # in units of a pixel's range; falls to 0 over the steps, as a cosine


@flax.struct.dataclass
class Targets:
  """The features that an image is optimized toward.

  Attributes:
    content: [1, h, w, 512], features relu4_2 of the content.
    grams: for each of VGG16's STYLE_LAYERS the Gram matrices of the S styles, [S, C, C].
  """

  content: jax.Array
  grams: tuple[jax.Array, ...]


@flax.struct.dataclass
class State:
  """All that an optimization changes. Resuming from a saved state gives the same result.

  Attributes:
    image: [1, H, W, 3], not clipped.
    opt_state: state of L-BFGS or Adam.
    step: int32, steps done so far.
    length: int32, steps in all.
    loss: scalar, the loss before the last step; infinite before the first.
  """

  image: jax.Array
  opt_state: optax.OptState
  step: jax.Array
  length: jax.Array
  loss: jax.Array


def image_targets(
  vgg_params: Mapping[str, Any], content: jax.Array, styles: Sequence[jax.Array]
) -> Targets:
  """The targets for a content [1, H, W, 3] and styles [1, h, w, 3] of any size, in [0, 1]."""
  features = vgg16_features(vgg_params, content, layers=(CONTENT_LAYER,))[CONTENT_LAYER]
  every = [vgg16_features(vgg_params, style, layers=STYLE_LAYERS) for style in styles]
  grams = tuple(
    jnp.concatenate([gram_matrix(maps[layer]) for maps in every]) for layer in STYLE_LAYERS
  )
  return Targets(features, grams)


def init(start: jax.Array, length: jax.Array | int, *, method: str = "lbfgs") -> State:
  """The state before the first step.

  Args:
    start: [1, H, W, 3] in [0, 1].
    length: number of steps in all; traced.
    method: "lbfgs" or "adam", static.

  Raises:
    InputError: an unknown method.
  """
  start, length = jnp.asarray(start, jnp.float32), jnp.asarray(length, jnp.int32)
  opt_state = _optimizer(method, length).init(start)
  return State(start, opt_state, jnp.int32(0), length, jnp.float32(jnp.inf))


def run(
  vgg_params: Mapping[str, Any],
  state: State,
  targets: Targets,
  *,
  steps: jax.Array | int | None = None,
  weights: jax.Array | None = None,
  style_weight: jax.Array | float = 1.0,
  method: str = "lbfgs",
) -> State:
  """Runs some steps of the optimization that `optimize_image` describes.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_1.
    state: from `init`, or from an earlier run with the same method.
    targets: for a content of the state's size.
    steps: number of steps in this call, at most those left; None: all of them. Traced.
    weights: None: the first style alone. [S] that sum to 1: the target is the weighted mean of the
      Gram matrices. Maps [S, H, W] of any size that sum to 1 over S: the Gram matrix of each
      region, Σ_p w_p f_pc f_pd / Σ_p w_p, is compared with its style's and counts in proportion to
      its area.
    style_weight: traced.
    method: static.

  Returns:
    The state after these steps.

  Source for the regions: Gatys et al. 2017, arXiv:1611.07865, section 4.
  """
  step = _stepper(vgg_params, targets, weights, style_weight, method, state.length)
  left = state.length - state.step
  steps = left if steps is None else jnp.minimum(jnp.asarray(steps, jnp.int32), left)

  def advance(_, state):
    image, opt_state, loss = step(state.image, state.opt_state)
    return state.replace(image=image, opt_state=opt_state, step=state.step + 1, loss=loss)

  return jax.lax.fori_loop(0, steps, advance, state)


@on_any_mesh
def optimize_image(
  vgg_params: Mapping[str, Any],
  content: jax.Array,
  style: jax.Array,
  *,
  start: jax.Array | None = None,
  steps: jax.Array | int = 100,
  style_weight: jax.Array | float = 1.0,
  method: str = "lbfgs",
  report: Callable[[jax.Array, jax.Array], None] | None = None,
  watch: Callable[[jax.Array], None] | None = None,
) -> jax.Array:
  """Optimizes an image for the content of one image and the style of another.

  Minimizes over the pixels x

  ‖f(x) − f(content)‖² / ‖f(content)‖² + w (1/L) Σ_l ‖G_l(x) − G_l(style)‖² / ‖G_l(style)‖²

  f are VGG16's features relu4_2, G_l the Gram matrices of the L layers relu1_1 … relu5_1, and w is
  style_weight.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_1; `stylejax.load_vgg()`.
    content: [1, H, W, 3] in [0, 1], H and W ≥ 16.
    style: [1, H', W', 3] in [0, 1], at the scale at which its strokes should appear.
    start: [1, H, W, 3], the initial image; None: the content. Large strokes take fewer steps when
      one goes from small sizes to large ones, each starting from the last result
      (`optimize_scales`).
    steps: number of steps, each of one or a few evaluations of VGG16 and its gradient; traced.
    style_weight: traced.
    method: "lbfgs", or "adam", which takes more steps, but one evaluation a step and less memory;
      static.
    report: called on the host with (step, loss) after every step.
    watch: called on the host with the image [1, H, W, 3] before every step.

  Returns:
    [1, H, W, 3] float32, clipped to [0, 1].

  Raises:
    InputError: an unknown method, or as `vgg16_features`.

  Departs from the paper in using VGG16 with max pooling instead of VGG19 with average pooling,
  relu4_2 instead of conv4_2, and in dividing every term by the squared norm of its target.
  Source: Gatys, Ecker & Bethge 2016, doi:10.1109/CVPR.2016.265.
  """
  begin = init(content if start is None else start, steps, method=method)
  targets = image_targets(vgg_params, content, (style,))
  step = _stepper(vgg_params, targets, None, style_weight, method, begin.length)

  def advance(number, carry):
    image, opt_state, loss = step(*carry)
    if report is not None:
      jax.debug.callback(report, number + 1, loss)
    if watch is not None:
      jax.debug.callback(watch, carry[0])
    return image, opt_state

  image, _ = jax.lax.fori_loop(0, steps, advance, (begin.image, begin.opt_state))
  return jnp.clip(image, 0, 1)


def optimize_scales(
  vgg_params: Mapping[str, Any],
  content: jax.Array,
  style: jax.Array,
  *,
  scales: Sequence[tuple[float, int]] = ((0.25, 100), (0.5, 60), (1.0, 40)),
  optimize: Callable[..., jax.Array] | None = None,
  **settings: Any,
) -> jax.Array:
  """Runs `optimize_image` from coarse to fine: large strokes form where steps are cheap.

  Args:
    vgg_params, content, style: as `optimize_image` takes them; both images at factor 1.
    scales: (factor of both images' sides, steps), in order; sides stay at least 16 pixels.
    optimize: a compiled `optimize_image`; None: it is compiled here.
    **settings: further arguments of `optimize_image`.

  Returns:
    [1, H, W, 3] in [0, 1], at the size of the last scale.

  Source: Gatys et al. 2017, arXiv:1611.07865, section 7 (coarse to fine).
  """
  optimize = optimize or jax.jit(optimize_image, static_argnames=("method", "report", "watch"))
  image = content
  for scale, steps in scales:
    small, artwork = scaled(content, scale), scaled(style, scale)
    image = optimize(
      vgg_params, small, artwork, start=resized(image, image_size(small)), steps=steps, **settings
    )
  return image


def scale_steps(total: int | None) -> list[tuple[float, int]]:
  """Divides `total` steps (None: STEPS) among SCALES: (factor of the sides, steps), none of 0."""
  total = STEPS if total is None else total
  bounds = [0, *(round(share * total) for _, share in SCALES)]
  counts = [end - start for start, end in itertools.pairwise(bounds)]
  return [(scale, count) for (scale, _), count in zip(SCALES, counts, strict=True) if count > 0]


def scaled(image: jax.Array, scale: float) -> jax.Array:
  """Resizes an image [1, H, W, 3] in [0, 1] by a factor; sides stay at least 16 pixels."""
  height, width = (max(MIN_SIDE, round(side * scale)) for side in image_size(image))
  return resized(image, (height, width))


def resized(image: jax.Array, sides: tuple[int, int]) -> jax.Array:
  """Resizes an image [1, H, W, 3] in [0, 1] to `sides` (H, W), by bicubic interpolation."""
  shape = (*image.shape[:1], *sides, 3)
  if image.shape == shape:
    return image
  return jnp.clip(jax.image.resize(image, shape, "bicubic", antialias=True), 0, 1)


def _optimizer(method: str, length: jax.Array) -> optax.GradientTransformationExtraArgs:
  if method not in METHODS:
    raise InputError(f"method: found {method!r}, expected {' or '.join(METHODS)}")
  if method == "lbfgs":
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=8, initial_guess_strategy="one")
    return optax.lbfgs(memory_size=HISTORY, linesearch=search)

  def rate(count):
    part = jnp.float32(count) / jnp.maximum(jnp.float32(length), 1)
    return _ADAM_RATE * 0.5 * (1 + jnp.cos(jnp.pi * part))

  return optax.with_extra_args_support(optax.adam(rate))


def _stepper(
  vgg_params: Mapping[str, Any],
  targets: Targets,
  weights: jax.Array | None,
  style_weight: jax.Array | float,
  method: str,
  length: jax.Array,
) -> Callable:
  """Returns a step: (image, optimizer state) → (image, state, loss before the step)."""
  tx, power = _optimizer(method, length), jnp.square(targets.content).sum()

  def loss(image: jax.Array) -> jax.Array:
    features = vgg16_features(vgg_params, image, layers=(*STYLE_LAYERS, CONTENT_LAYER))
    moved = jnp.square(features.pop(CONTENT_LAYER) - targets.content).sum() / power
    return moved + style_weight * _style_distance(features, targets, weights)

  if method == "lbfgs":
    evaluate = optax.value_and_grad_from_state(loss)
  else:

    def evaluate(image, state):
      del state
      return jax.value_and_grad(loss)(image)

  def step(image, state):
    value, gradient = evaluate(image, state=state)
    # Optax's own arithmetic mixes integers and floats.
    with jax.numpy_dtype_promotion("standard"):
      updates, state = tx.update(gradient, state, image, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(image, updates), state, value

  return step


def _style_distance(
  features: Mapping[str, jax.Array], targets: Targets, weights: jax.Array | None
) -> jax.Array:
  """Mean over layers of ‖G − G*‖² / ‖G*‖², with one target for the image or one for each region."""
  total: Any = 0.0
  for layer, grams in zip(STYLE_LAYERS, targets.grams, strict=True):
    x = features[layer]
    if weights is None:
      parts, found, wanted = jnp.ones(1, jnp.float32), gram_matrix(x), grams[:1]
    elif jnp.ndim(weights) == 1:
      parts, found = jnp.ones(1, jnp.float32), gram_matrix(x)
      wanted = jnp.einsum("s,scd->cd", jnp.asarray(weights, jnp.float32), grams)[None]
    else:
      region = on_grid(jnp.asarray(weights, jnp.float32), image_size(x))
      parts = region.mean((1, 2))
      flat = x[0].astype(jnp.float32).reshape(-1, x.shape[-1])
      sums = jnp.einsum("sp,pc,pd->scd", region.reshape(len(region), -1), flat, flat)
      found = sums / jnp.maximum(region.sum((1, 2)), 1e-6)[:, None, None]
      wanted = grams
    squared = jnp.square(found - wanted).sum((1, 2)) / (jnp.square(wanted).sum((1, 2)) + EPS)
    total = total + (parts * squared).sum()
  return total / len(STYLE_LAYERS)
