"""Neural neighbors: every place of an image becomes like the place of the style nearest to it.

Stages from coarse to fine, each `init` and then `run` as often as one likes: between two calls the
state may be shown, saved and read again. `optimize_neighbors` is all of them in one call.
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
from stylejax.optimization.hypercolumns import MIN_SIDE, check_image
from stylejax.optimization.matching import HUBNESS_WEIGHT
from stylejax.optimization.pyramid import Pyramid, laplacian_pyramid, reconstruct
from stylejax.optimization.targets import (
  Stage,
  Targets,
  check_styles,
  column_loss,
  matched_columns,
  split_loss,
  style_targets,
)

COARSEST = 64
"""Pixels of the longer side of the coarsest scale, or up to twice as many."""

CONTENT_SHARE = 0.75
CONTENT_WEIGHT = 0.3
"""By eye: without it faces and animals are lost at 256 pixels, with more the strokes are."""

RATE = 2e-3  # of the range of a pixel, in each level of the pyramid
# Over the second half of a stage it falls to a tenth: Adam's steps are noise by then.
_DECAY_FROM, _LAST_RATE = 0.5, 0.1

# A root of 0 has no slope, and one may want to differentiate through the steps.
_adam = optax.scale_by_adam(eps_root=1e-14)


@flax.struct.dataclass
class State:
  """All that a stage changes. A stage that goes on from a saved state ends as if never stopped.

  Attributes:
    pyramid: what is optimized, the levels from the stage's own on.
    content: [B, h, w, 3], of the stage's size.
    opt_state: of Adam.
    matched: [B, P] int32, the vector of the targets that each place shall become like; in the last
      pass [B, 0].
    step: int32, how many steps were made.
    length: int32, how many steps the stage has.
    loss: [B], before the last step; infinite before the first.
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

  The longer side of the content is halved while at least COARSEST pixels remain, and all shorter
  sides at least 16.

  Raises:
    InputError: a side is below 16 already.
  """
  shortest = min(min(size) for size in (content_size, *style_sizes))
  if shortest < MIN_SIDE:
    raise InputError(f"image: found a side of {shortest} pixels, expected at least {MIN_SIDE}")
  levels = 0
  while max(content_size) >> (levels + 1) >= COARSEST and shortest >> (levels + 1) >= MIN_SIDE:
    levels += 1
  return (*(Stage(level, False) for level in range(levels, -1, -1)), Stage(0, True))


def content_start(content: Pyramid) -> Pyramid:
  """The pyramid of the content without its finest levels, where the method begins.

  The paper leaves out three, and two from 1,024 pixels on; with three, what is small is lost.
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

  A place is looked up in the styles by its hypercolumn in

  s·content + (1 − s)·(start with the finest level of the content)

  Args:
    vgg_params: as `style_targets` takes them.
    content: its `laplacian_pyramid` from the stage's level on.
    start: of the same shapes, where the stage begins.
    targets: of the stage.
    length: number of steps that the stage shall have; traced.
    weights: [S] or maps [S, H, W] of any size, as `style_preference` takes them; None: no style is
      preferred.
    content_share: s, 0 to 1; traced. 1 at the coarsest scale.
    dtype: of VGG16's activations.
    tiles: how many bands of rows VGG16 sees one after the other, static, see `over_tiles`: more
      take less memory and more time. None: one, or with a mesh as many as it has devices.
    mesh: devices over which the bands and the places to be matched are divided.

  Returns:
    The state.

  Raises:
    InputError: pyramids of two shapes.
  """
  if [x.shape for x in content] != [x.shape for x in start]:
    raise InputError(
      f"start: found shapes {[x.shape for x in start]}, expected the content's, "
      f"{[x.shape for x in content]}"
    )
  batch, tiles = content[0].shape[0], _tiles(tiles, mesh)
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
  dtype: Any = jnp.float32,
  tiles: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> State:
  """Some steps of a stage: Adam on the coefficients of the pyramid.

  Minimizes `targets.column_loss`, of hypercolumns, which the content has a part in, or, in the last
  pass, the mean over the layers and places of 1 − cos(f_p, t_p); f are features of one layer and t
  the nearest of the styles.

  Args:
    vgg_params: as `style_targets` takes them.
    state: of `init`, or of an earlier run.
    targets: of the stage.
    steps: of this call, at most as many as are left; None: all of those. Traced, or an int, which
      is needed where one differentiates through the steps.
    weights: as `init` takes them; of use in the last pass.
    content_weight: how much the image resembles its content rather than what it matches, 0 to 1, in
      all stages but the last pass. Traced.
    rate: of Adam; over the second half of the stage it falls to a tenth. Traced.
    dtype, tiles, mesh: as `init` takes them.

  Returns:
    The state after these steps.
  """
  size, tiles = image_size(state.pyramid[0]), _tiles(tiles, mesh)
  settings = {"dtype": dtype, "tiles": tiles, "mesh": mesh}
  if targets.split:
    loss = split_loss(vgg_params, targets, size, weights=weights, **settings)
  else:
    loss = column_loss(
      vgg_params, targets, state.matched, state.content, content_weight, **settings
    )

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
  """All stages, and the colors.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv4_3; `stylejax.load_vgg()`.
    content: [B, H, W, 3] in [0, 1], sides at least 16; each image as if it were alone.
    styles: as `style_targets` takes them.
    steps: of each of the `stages`; traced. None: `default_steps`.
    weights: [S], or maps [S, H, W], as `controls.mixing.mixing_weights` takes them: a place takes
      from styles of weight 0 nothing, from those of less weight what fits better. None: all alike.
    content_share: of the content in what is looked up in the styles, 0 to 1; at the coarsest scale
      it is 1. Traced.
    content_weight: as `run` takes it.
    keep_color, own_color: as `colors.transfer_colors` takes them. Traced.
    palette: how far the content takes the light and the colors of the styles before all else, and
      the image their light in the end, 0 to 1, times 1 − keep_color. Scalar; traced.
    rate, layer_weights, hubness_weight, dtype, tiles, mesh: as `run` and `style_targets` take them.

  Returns:
    [B, H, W, 3] float32 in [0, 1].

  Raises:
    InputError: shapes or a number of steps that don't fit. ValueError: shares out of range.

  Departs from the paper in the content's part in the loss (the paper's content_weight is 0), in
  where and in what light it begins (palette 0), in the scales of the layers (`layer_scales`), in
  looking at other places in each step of the last pass, in places that are hubs counting less
  (hubness_weight 0), in a rate that falls, and in whose chroma it shows (own_color 0).
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
  """`style_targets`, `init` and `run` of a stage, for pyramids from level 0 on."""
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
  """How many steps each stage has by default: most of them where they are cheap."""
  return tuple(30 if stage.split else 40 if stage.level == 0 else 100 for stage in plan)


def checked_steps(
  steps: Sequence[jax.Array | int], plan: Sequence[Stage]
) -> Sequence[jax.Array | int]:
  """The steps; raises InputError unless there is a number for each stage."""
  if len(steps) != len(plan):
    raise InputError(f"steps: found {len(steps)} numbers, expected {len(plan)}, one for each stage")
  return steps


def _tiles(tiles: int | None, mesh: jax.sharding.Mesh | None) -> int:
  if tiles is None:
    return 1 if mesh is None else mesh.size
  if tiles < 1:
    raise InputError(f"tiles: found {tiles}, expected at least 1")
  return tiles


def _decay(step: jax.Array, length: jax.Array) -> jax.Array:
  done = step.astype(jnp.float32) / jnp.maximum(length, 1).astype(jnp.float32)
  late = jnp.clip((done - _DECAY_FROM) / (1.0 - _DECAY_FROM), 0.0, 1.0)
  return 1.0 - (1.0 - _LAST_RATE) * late
