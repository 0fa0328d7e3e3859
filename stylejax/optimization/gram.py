"""Style transfer without a trained model: the pixels themselves are optimized.

Hundreds of times slower than `stylejax.stylize` and, given time, closer to the style: what the
nets are held against. `init`, and then `run` as often as one likes, let the state be shown, saved
and read again between two calls; `optimize_image` is both in one. Reads and writes no files.
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
"""(factor of the sides, share of the steps that are done when it is), from coarse to fine."""

STEPS = 200
STYLE_WEIGHT = 4.0
_ADAM_RATE = 0.02  # of a pixel's range, falling to 0 with the cosine over the steps


@flax.struct.dataclass
class Targets:
  """What an image shall have.

  Attributes:
    content: [1, h, w, 512], the content's features relu4_2.
    grams: for each of VGG16's STYLE_LAYERS the Gram matrices of the S styles, [S, C, C].
  """

  content: jax.Array
  grams: tuple[jax.Array, ...]


@flax.struct.dataclass
class State:
  """All that a descent changes. One that goes on from a saved state ends as if never stopped.

  Attributes:
    image: [1, H, W, 3], not clipped.
    opt_state: of L-BFGS or Adam.
    step: int32, how many steps were made.
    length: int32, how many there shall be.
    loss: before the last step; infinite before the first.
  """

  image: jax.Array
  opt_state: optax.OptState
  step: jax.Array
  length: jax.Array
  loss: jax.Array


def image_targets(
  vgg_params: Mapping[str, Any], content: jax.Array, styles: Sequence[jax.Array]
) -> Targets:
  """The targets of a content [1, H, W, 3] and styles [1, h, w, 3] of any sizes, in [0, 1]."""
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
    length: number of steps that there shall be; traced.
    method: "lbfgs" or "adam", static.

  Raises:
    InputError: another method.
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
  """Some steps of what `optimize_image` minimizes.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_1.
    state: of `init`, or of an earlier run with this method.
    targets: of an image of the state's size.
    steps: of this call, at most as many as are left; None: all of those. Traced.
    weights: None for the first style alone; [S] of sum 1, whose mean of the Gram matrices is the
      target; or maps [S, H, W] of any size and of sum 1 over S: each style's target is then that of
      its region, Σ_p w_p f_pc f_pd / Σ_p w_p, and counts as much as the region covers.
    style_weight: traced.
    method: static.

  Returns:
    The state after these steps.

  Source of the regions: Gatys et al. 2017, arXiv:1611.07865, section 4.
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
  """Minimize over the pixels x

  ‖f(x) − f(content)‖² / ‖f(content)‖² + w (1/L) Σ_l ‖G_l(x) − G_l(style)‖² / ‖G_l(style)‖²

  f are VGG16's features relu4_2, G_l the Gram matrices of relu1_1 … relu5_1, w is style_weight.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_1; `stylejax.load_vgg()`.
    content: [1, H, W, 3] in [0, 1], H and W ≥ 16.
    style: [1, H', W', 3] in [0, 1], of the scale at which its strokes shall come out.
    start: [1, H, W, 3], where the descent begins; default: the content. From a small image to a
      large one, each beginning where the last one ended, large strokes take fewer steps.
    steps: each one or a few evaluations of VGG16 and its gradient; traced.
    style_weight: traced.
    method: "lbfgs", or "adam", which takes more steps, each of one evaluation and less memory.
    report: called on the host with (step, loss) after every step.
    watch: called on the host with the image [1, H, W, 3] as it is before every step.

  Returns:
    [1, H, W, 3] float32, clipped to [0, 1].

  Raises:
    InputError: another method, or what `vgg16_features` raises.

  Departs from the paper in a VGG16 with max pools for its VGG19 with average pools, in relu4_2
  where the paper has conv4_2, and in dividing every term by its target's own square.
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
  """`optimize_image` from coarse to fine: what is large is settled where it is cheap.

  Args:
    vgg_params, content, style: as `optimize_image` takes them, content and style of the last scale.
    scales: (factor of both images' sides, steps), in order; a side stays at least 16 pixels.
    optimize: `optimize_image`, compiled; None compiles it here.
    **settings: further arguments of it.

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
  """(factor of the sides, number of steps) of each scale that has any, of so many in all."""
  total = STEPS if total is None else total
  bounds = [0, *(round(share * total) for _, share in SCALES)]
  counts = [end - start for start, end in itertools.pairwise(bounds)]
  return [(scale, count) for (scale, _), count in zip(SCALES, counts, strict=True) if count > 0]


def scaled(image: jax.Array, scale: float) -> jax.Array:
  """[1, H, W, 3] with sides of so many times theirs, at least 16 pixels."""
  height, width = (max(MIN_SIDE, round(side * scale)) for side in image_size(image))
  return resized(image, (height, width))


def resized(image: jax.Array, sides: tuple[int, int]) -> jax.Array:
  """[1, H, W, 3] in [0, 1] at another size."""
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
  """(image, state of the optimizer) → (image, state, loss before the step)."""
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
  """Mean over the layers of ‖G − G*‖² / ‖G*‖², one target for all of the image or one a region."""
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
