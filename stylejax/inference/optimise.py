"""Style transfer without a trained model: the pixels themselves are optimised.

Hundreds of times slower than `stylejax.stylize` and, given time, closer to the style: what the
nets are held against. Reads and writes no files.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylejax.losses.perceptual import gram_style_loss
from stylejax.models.vgg import STYLE_LAYERS, vgg16_features

CONTENT_LAYER = "relu4_2"
HISTORY = 10


def optimize_image(
  vgg_params: Mapping[str, Any],
  content: jax.Array,
  style: jax.Array,
  *,
  start: jax.Array | None = None,
  steps: jax.Array | int = 100,
  style_weight: jax.Array | float = 1.0,
) -> jax.Array:
  """Minimise by L-BFGS over the pixels x

  ‖f(x) − f(content)‖² / ‖f(content)‖² + w (1/L) Σ_l ‖G_l(x) − G_l(style)‖² / ‖G_l(style)‖²

  f are VGG16's features relu4_2, G_l the Gram matrices of relu1_1 … relu5_1, w is style_weight.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv5_1.
    content: [1, H, W, 3] in [0, 1], H and W ≥ 16.
    style: [1, H', W', 3] in [0, 1], of the scale at which its strokes shall come out.
    start: [1, H, W, 3], where the descent begins; default: the content. From a small picture to a
      large one, each beginning where the last one ended, large strokes take fewer steps.
    steps: of L-BFGS, each one or a few evaluations of VGG16 and its gradient; traced.
    style_weight: traced.

  Returns:
    [1, H, W, 3] float32, clipped to [0, 1].

  Raises:
    InputError: what `vgg16_features` raises.

  Departs from the paper in a VGG16 with max pools for its VGG19 with average pools, in relu4_2
  where the paper has conv4_2, and in dividing every term by its target's own square.
  Source: Gatys, Ecker & Bethge 2016, doi:10.1109/CVPR.2016.265.
  """
  content_target = vgg16_features(vgg_params, content, (CONTENT_LAYER,))[CONTENT_LAYER]
  style_target = vgg16_features(vgg_params, style, STYLE_LAYERS)
  power = jnp.square(content_target).sum()

  def loss(picture: jax.Array) -> jax.Array:
    features = vgg16_features(vgg_params, picture, (*STYLE_LAYERS, CONTENT_LAYER))
    moved = jnp.square(features.pop(CONTENT_LAYER) - content_target).sum() / power
    return moved + style_weight * gram_style_loss(features, style_target)

  search = optax.scale_by_zoom_linesearch(max_linesearch_steps=8, initial_guess_strategy="one")
  tx = optax.lbfgs(memory_size=HISTORY, linesearch=search)
  evaluate = optax.value_and_grad_from_state(loss)

  def step(_, carry):
    picture, state = carry
    value, gradient = evaluate(picture, state=state)
    updates, state = tx.update(
      gradient, state, picture, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(picture, updates), state

  picture = jnp.asarray(content if start is None else start, jnp.float32)
  picture, _ = jax.lax.fori_loop(0, steps, step, (picture, tx.init(picture)))
  return jnp.clip(picture, 0, 1)
