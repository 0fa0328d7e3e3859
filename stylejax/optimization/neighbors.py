"""Neural neighbors: every place of an image is moved toward its nearest neighbor in the style.

Stages run from coarse to fine. Each is an `init` and any number of `run` calls, between which its
state may be shown, saved and restored. `optimize_neighbors` runs all of them in one call.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from stylejax.controls.mixing import mixing_weights
from stylejax.errors import InputError
from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import image_size
from stylejax.optimization import colors
from stylejax.optimization.columns import (
  Aims,
  column_aims,
  column_loss,
  column_loss_in_bands,
  matched_columns,
)
from stylejax.optimization.hypercolumns import MIN_SIDE, check_image
from stylejax.optimization.matching import HUBNESS_WEIGHT
from stylejax.optimization.pyramid import Pyramid, laplacian_pyramid, reconstruct
from stylejax.optimization.targets import Stage, Targets, check_styles, split_loss, style_targets
from stylejax.optimization.tiles import tile_count

COARSEST = 64
"""Pixels of the coarsest scale's longer side, which may be up to twice as long."""

CONTENT_SHARE = 0.75
CONTENT_WEIGHT = 0.3
"""Chosen by eye: without it, faces and animals are lost at 256 pixels; with more, strokes are."""

RATE = 2e-3  # in units of a pixel's range, at each level of the pyramid
# The rate falls to a tenth over the second half of a stage, when Adam's steps are mostly noise.
_DECAY_FROM, _LAST_RATE = 0.5, 0.1

# A root's slope at 0 is infinite, and callers may differentiate through the steps.
_adam = optax.scale_by_adam(eps_root=1e-14)


@flax.struct.dataclass
class State:
  """All that a stage changes. Resuming from a saved state gives the same result.

  Attributes:
    pyramid: what is optimized, the levels from the stage's own to the coarsest.
    content: [B, h, w, 3], the content at the stage's size.
    opt_state: state of Adam.
    matched: [B, P] int32, index of the target vector that each place is moved toward; in the last
      pass [B, 0].
    step: int32, steps done so far.
    length: int32, steps in the whole stage.
    loss: [B], the loss before the last step; infinite before the first.
  """

  pyramid: Pyramid
  content: jax.Array
  opt_state: optax.OptState
  matched: jax.Array
  step: jax.Array
  length: jax.Array
  loss: jax.Array


def stages(
  content_size: tuple[int, int], style_sizes: Sequence[tuple[int, int]]
) -> tuple[Stage, ...]:
  """The stages for a content image and styles of these (H, W), from coarse to fine.

  The images are halved while the content's longer side keeps at least COARSEST pixels, and every
  side at least 16.

  Raises:
    InputError: a side is below 16.
  """
  shortest = min(min(size) for size in (content_size, *style_sizes))
  if shortest < MIN_SIDE:
    raise InputError(f"image: found a side of {shortest} pixels, expected at least {MIN_SIDE}")
  levels = 0
  while max(content_size) >> (levels + 1) >= COARSEST and shortest >> (levels + 1) >= MIN_SIDE:
    levels += 1
  return (*(Stage(level, False) for level in range(levels, -1, -1)), Stage(0, True))


def content_start(content: Pyramid) -> Pyramid:
  """The content's pyramid without its finest levels, from which the optimization starts.

  It lacks two from 512 pixels on, else one. With the paper's three or two, small details are lost.
  """
  fine = 2 if max(content[0].shape[1:3]) >= 512 else 1
  fine = min(fine, len(content) - 1)
  return (*(jnp.zeros_like(band) for band in content[:fine]), *content[fine:])


def init(
  vgg_params: Mapping[str, Any],
  content: Pyramid,
  start: Pyramid,
  targets: Targets,
  length: jax.Array | int,
  *,
  weights: jax.Array | None = None,
  content_share: jax.Array | float = CONTENT_SHARE,
  dtype: Any = jnp.float32,
  tiles: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> State:
  """The state before the first step of a stage, with every place matched.

  Each place is matched to the styles by its hypercolumn in the image

  s·content + (1 − s)·(start with the finest level of the content)

  Args:
    vgg_params: as `style_targets` takes them.
    content: the content's `laplacian_pyramid`, from the stage's level on.
    start: the pyramid that the stage starts from, of the same shapes.
    targets: of the stage, see `style_targets`.
    length: number of steps in the stage; traced.
    weights: [S] or maps [S, H, W] of any size, as `style_preference` takes them; None: no style is
      preferred.
    content_share: s, 0 to 1; traced. `optimize_neighbors` sets 1 at the coarsest scale.
    dtype: of VGG16's activations.
    tiles: number of bands of rows that VGG16 processes one by one, static, see `over_tiles`: more
      take less memory and more time. None: one, or one for each device of the mesh.
    mesh: devices over which the bands and the places to be matched are divided.

  Returns:
    The state.

  Raises:
    InputError: pyramids of different shapes, or tiles below 1.
  """
  if [x.shape for x in content] != [x.shape for x in start]:
    raise InputError(
      f"start: found shapes {[x.shape for x in start]}, expected the content's, "
      f"{[x.shape for x in content]}"
    )
  batch, tiles = content[0].shape[0], tile_count(tiles, mesh)
  if targets.split:
    matched = jnp.zeros((batch, 0), jnp.int32)
  else:
    mixed = content_share * reconstruct(content) + (1.0 - content_share) * reconstruct(
      (content[0], *start[1:])
    )
    matched = matched_columns(
      vgg_params, mixed, targets, weights=weights, dtype=dtype, tiles=tiles, mesh=mesh
    )
  start = tuple(jnp.asarray(x, jnp.float32) for x in start)
  return State(
    start,
    reconstruct(tuple(jnp.asarray(x, jnp.float32) for x in content)),
    _adam.init(start),
    matched,
    jnp.int32(0),
    jnp.asarray(length, jnp.int32),
    jnp.full(batch, jnp.inf, jnp.float32),
  )


def run(
  vgg_params: Mapping[str, Any],
  state: State,
  targets: Targets,
  *,
  steps: jax.Array | int | None = None,
  weights: jax.Array | None = None,
  content_weight: jax.Array | float = CONTENT_WEIGHT,
  rate: jax.Array | float = RATE,
  aims: Aims | None = None,
  dtype: Any = jnp.float32,
  tiles: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> State:
  """Runs some steps of a stage: Adam on the coefficients of the pyramid.

  Minimizes `columns.column_loss`, which compares hypercolumns with their matches and the content's,
  or, in the last pass, the mean over layers and places of 1 − cos(f_p, t_p), with f the features of
  one layer and t their nearest neighbors in the styles.

  Args:
    vgg_params: as `style_targets` takes them.
    state: from `init`, or from an earlier run.
    targets: of the stage.
    steps: number of steps in this call, at most those left; None: all of them. Traced, or an int,
      which is required to differentiate through the steps.
    weights: as `init` takes them; used only in the last pass.
    content_weight: weight of the content in the loss, 0 to 1; the matches have the rest. Unused in
      the last pass. Traced.
    rate: Adam's learning rate, which falls to a tenth over the second half of the stage. Traced.
    aims: from `column_aims`, which saves work if `run` is called several times in a stage; with
      them, content_weight isn't used, as they contain it. Unused in the last pass, and with tiles.
    dtype, tiles, mesh: as `init` takes them.

  Returns:
    The state after these steps.
  """
  size, tiles = image_size(state.pyramid[0]), tile_count(tiles, mesh)
  settings = {"dtype": dtype, "tiles": tiles, "mesh": mesh}
  matches = targets, state.matched, state.content, content_weight
  if targets.split:
    loss = split_loss(vgg_params, targets, size, weights=weights, **settings)
  elif tiles > 1:
    loss = column_loss_in_bands(vgg_params, *matches, **settings)
  else:
    if aims is None:
      aims = column_aims(vgg_params, *matches, dtype=dtype)
    loss = column_loss(vgg_params, targets, aims, dtype=dtype)

  def total(pyramid, step):
    values = loss(reconstruct(pyramid), step)
    # Times the pixels, so that Adam's constants mean the same at every size.
    return values.sum() * float(pyramid[0][0, ..., 0].size), values

  def advance(_, state):
    gradient, values = jax.grad(total, has_aux=True)(state.pyramid, state.step)
    # optax raises a float to the number of steps, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
      updates, opt_state = _adam.update(gradient, state.opt_state)
    here = jnp.asarray(rate, jnp.float32) * _decay(state.step, state.length)
    pyramid = tuple(x - here * u for x, u in zip(state.pyramid, updates, strict=True))
    return state.replace(pyramid=pyramid, opt_state=opt_state, step=state.step + 1, loss=values)

  left = state.length - state.step
  if not isinstance(steps, int):
    steps = left if steps is None else jnp.minimum(steps, left)
    return jax.lax.fori_loop(0, steps, advance, state)

  def advance_if_any(number, state):
    goes_on = state.step < state.length
    after = advance(number, state)
    return jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), after, state)

  return jax.lax.fori_loop(0, steps, advance_if_any, state)


@on_any_mesh
def optimize_neighbors(
  vgg_params: Mapping[str, Any],
  content: jax.Array,
  styles: Sequence[jax.Array],
  *,
  steps: Sequence[jax.Array | int] | None = None,
  weights: jax.Array | None = None,
  content_share: jax.Array | float = CONTENT_SHARE,
  content_weight: jax.Array | float = CONTENT_WEIGHT,
  keep_color: jax.Array | float = 0.0,
  own_color: jax.Array | float = colors.OWN_COLOR,
  palette: jax.Array | float = colors.PALETTE,
  rate: jax.Array | float = RATE,
  layer_weights: jax.Array | None = None,
  hubness_weight: jax.Array | float = HUBNESS_WEIGHT,
  dtype: Any = jnp.float32,
  tiles: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
  """Stylizes by all stages of neural neighbors, then transfers colors.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv4_3; `stylejax.load_vgg()`.
    content: [B, H, W, 3] in [0, 1], sides at least 16; images don't affect each other.
    styles: as `style_targets` takes them.
    steps: number of steps in each of the `stages`; traced. None: `default_steps`.
    weights: [S], or maps [S, H, W], as `controls.mixing.mixing_weights` takes them: a style of
      weight 0 matches nothing, one of less weight only what fits better. None: all alike.
    content_share: share of the content in the image that is matched to the styles, 0 to 1; at the
      coarsest scale always 1. Traced.
    content_weight: as `run` takes it.
    keep_color, own_color: as `colors.transfer_colors` takes them. Traced.
    palette: how far the content's lightness and colors move to the styles' before the first stage,
      and the result's lightness at the end, 0 to 1, times 1 − keep_color. Scalar; traced.
    rate, layer_weights, hubness_weight, dtype, tiles, mesh: as `run` and `style_targets` take them.

  Returns:
    [B, H, W, 3] float32 in [0, 1].

  Raises:
    InputError: shapes or a number of steps that don't fit. ValueError: a value out of range.

  Departs from the paper in the content's weight in the loss (the paper's content_weight is 0), the
  start and its palette (palette 0), the scales of the layers (`layer_scales`), reading other places
  in each step of the last pass, the penalty on hubs (hubness_weight 0), the falling rate, and whose
  chroma the result has (own_color 0).
  Source: Kolkin et al. 2022, arXiv:2203.13215.
  """
  check_image(content, "content")
  styles = check_styles(styles)
  plan = stages(image_size(content), [image_size(style) for style in styles])
  steps = checked_steps(default_steps(plan) if steps is None else steps, plan)
  if weights is not None:
    weights = mixing_weights(weights, len(styles), image_size(content))
  content = jnp.asarray(content, jnp.float32)
  amount = colors.palette_amount(palette, keep_color)
  pyramid = laplacian_pyramid(colors.match_palette(content, styles, weights=weights, amount=amount))
  current = content_start(pyramid)
  for stage, count in zip(plan, steps, strict=True):
    current = optimize_stage(
      vgg_params,
      pyramid,
      current,
      styles,
      stage,
      count,
      weights=weights,
      rate=rate,
      content_share=1.0 if stage == plan[0] else content_share,
      content_weight=content_weight,
      layer_weights=layer_weights,
      hubness_weight=hubness_weight,
      dtype=dtype,
      tiles=tiles,
      mesh=mesh,
    )
  return colors.transfer_colors(
    reconstruct(current),
    content,
    styles,
    weights=weights,
    keep_color=keep_color,
    own_color=own_color,
    style_light=amount,
  )


def optimize_stage(
  vgg_params: Mapping[str, Any],
  content: Pyramid,
  current: Pyramid,
  styles: Sequence[jax.Array],
  stage: Stage,
  length: jax.Array | int,
  *,
  weights: jax.Array | None,
  content_share: jax.Array | float,
  content_weight: jax.Array | float = CONTENT_WEIGHT,
  rate: jax.Array | float = RATE,
  layer_weights: jax.Array | None = None,
  hubness_weight: jax.Array | float = HUBNESS_WEIGHT,
  dtype: Any = jnp.float32,
  tiles: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> Pyramid:
  """Runs a stage (`style_targets`, `init` and `run`) on pyramids that begin with level 0."""
  targets = style_targets(
    vgg_params,
    styles,
    stage,
    layer_weights=layer_weights,
    hubness_weight=hubness_weight,
    dtype=dtype,
  )
  settings = {"weights": weights, "dtype": dtype, "tiles": tiles, "mesh": mesh}
  state = init(
    vgg_params,
    content[stage.level :],
    current[stage.level :],
    targets,
    length,
    content_share=content_share,
    **settings,
  )
  state = run(
    vgg_params,
    state,
    targets,
    steps=length if isinstance(length, int) else None,
    content_weight=content_weight,
    rate=rate,
    **settings,
  )
  return (*current[: stage.level], *state.pyramid)


def default_steps(plan: Sequence[Stage]) -> tuple[int, ...]:
  """The default number of steps of each stage: most where steps are cheap."""
  return tuple(30 if stage.split else 40 if stage.level == 0 else 100 for stage in plan)


def checked_steps(
  steps: Sequence[jax.Array | int], plan: Sequence[Stage]
) -> Sequence[jax.Array | int]:
  """Returns the steps; raises InputError unless there is a number for each stage."""
  if len(steps) != len(plan):
    raise InputError(f"steps: found {len(steps)} numbers, expected {len(plan)}, one for each stage")
  return steps


def _decay(step: jax.Array, length: jax.Array) -> jax.Array:
  done = step.astype(jnp.float32) / jnp.maximum(length, 1).astype(jnp.float32)
  late = jnp.clip((done - _DECAY_FROM) / (1.0 - _DECAY_FROM), 0.0, 1.0)
  return 1.0 - (1.0 - _LAST_RATE) * late
