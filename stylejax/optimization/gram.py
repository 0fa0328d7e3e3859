"""Style transfer without a trained model: the pixels themselves are optimized.

Hundreds of times slower than `stylejax.stylize` and, given time, closer to the style: what the
nets are held against. Reads and writes no files.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylejax.errors import InputError
from stylejax.losses.features import gram_style_loss
from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import image_size
from stylejax.models.vgg16 import STYLE_LAYERS, vgg16_features

CONTENT_LAYER = "relu4_2"
HISTORY = 10
METHODS = ("lbfgs", "adam")
MIN_SIDE = 16
_ADAM_RATE = 0.02  # of a pixel's range, falling to 0 with the cosine over the steps


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
  if method not in METHODS:
    raise InputError(f"method: found {method!r}, expected {' or '.join(METHODS)}")
  content_target = vgg16_features(vgg_params, content, layers=(CONTENT_LAYER,))[CONTENT_LAYER]
  style_target = vgg16_features(vgg_params, style, layers=STYLE_LAYERS)
  power = jnp.square(content_target).sum()

  def loss(image: jax.Array) -> jax.Array:
    features = vgg16_features(vgg_params, image, layers=(*STYLE_LAYERS, CONTENT_LAYER))
    moved = jnp.square(features.pop(CONTENT_LAYER) - content_target).sum() / power
    return moved + style_weight * gram_style_loss(features, style_target).mean()

  if method == "lbfgs":
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=8, initial_guess_strategy="one")
    tx = optax.lbfgs(memory_size=HISTORY, linesearch=search)
    evaluate = optax.value_and_grad_from_state(loss)
  else:

    def rate(count):
      part = jnp.float32(count) / jnp.maximum(jnp.float32(steps), 1)
      return _ADAM_RATE * 0.5 * (1 + jnp.cos(jnp.pi * part))

    tx = optax.with_extra_args_support(optax.adam(rate))

    def evaluate(image, state):
      del state
      return jax.value_and_grad(loss)(image)

  def step(number, carry):
    image, state = carry
    value, gradient = evaluate(image, state=state)
    if report is not None:
      jax.debug.callback(report, number + 1, value)
    if watch is not None:
      jax.debug.callback(watch, image)
    # Optax's own arithmetic mixes integers and floats.
    with jax.numpy_dtype_promotion("standard"):
      updates, state = tx.update(gradient, state, image, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(image, updates), state

  image = jnp.asarray(content if start is None else start, jnp.float32)
  image, _ = jax.lax.fori_loop(0, steps, step, (image, tx.init(image)))
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
    small, artwork = (_resized(x, _sides(x, scale)) for x in (content, style))
    image = optimize(
      vgg_params, small, artwork, start=_resized(image, image_size(small)), steps=steps, **settings
    )
  return image


def _sides(image: jax.Array, scale: float) -> tuple[int, int]:
  height, width = (max(MIN_SIDE, round(side * scale)) for side in image_size(image))
  return height, width


def _resized(image: jax.Array, sides: tuple[int, int]) -> jax.Array:
  shape = (*image.shape[:1], *sides, 3)
  if image.shape == shape:
    return image
  return jnp.clip(jax.image.resize(image, shape, "bicubic", antialias=True), 0, 1)
