"""Refines the network's output by a few steps of optimization.

The output of `stylize` already has the colors and the composition, so only the finest scales are
left to optimize. Pure functions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from stylejax.controls.mixing import mixing_weights
from stylejax.errors import InputError
from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import image_size
from stylejax.optimization import colors, gram, neighbors
from stylejax.optimization.hypercolumns import check_image
from stylejax.optimization.pyramid import halved, laplacian_pyramid, reconstruct

SCALES = 2
CONTENT_SHARE = 0.5


def refine_stages(
  content_size: tuple[int, int], style_sizes: Sequence[tuple[int, int]], *, scales: int = SCALES
) -> tuple[neighbors.Stage, ...]:
  """The stages of `neighbors.stages` at the finest `scales` scales, with the last pass.

  Raises:
    InputError: scales is below 1, or as `neighbors.stages`.
  """
  if scales < 1:
    raise InputError(f"scales: found {scales}, expected at least 1")
  plan = neighbors.stages(content_size, style_sizes)
  return tuple(stage for stage in plan if stage.level < scales)


def default_steps(plan: Sequence[neighbors.Stage]) -> tuple[int, ...]:
  """The default steps of each stage: 30 in all at the finest scale, 60 at a coarser one."""
  return tuple(20 if stage.split else 10 if stage.level == 0 else 60 for stage in plan)


@on_any_mesh
def refine_neighbors(
  vgg_params: Mapping[str, Any],
  stylized: jax.Array,
  content: jax.Array,
  styles: Sequence[jax.Array],
  *,
  scales: int = SCALES,
  steps: Sequence[jax.Array | int] | None = None,
  weights: jax.Array | None = None,
  content_share: jax.Array | float = CONTENT_SHARE,
  keep_color: jax.Array | float = 0.0,
  own_color: jax.Array | float = colors.OWN_COLOR,
  palette: jax.Array | float = colors.PALETTE,
  **settings: Any,
) -> jax.Array:
  """Refines a stylized image by neural neighbors at the finest scales.

  Args:
    vgg_params: as `neighbors.optimize_neighbors` takes them.
    stylized: [B, H, W, 3] in [0, 1], the image to start from.
    content: likewise, of the same shape.
    styles, weights, keep_color, own_color, palette: as `neighbors.optimize_neighbors` takes them.
    scales: number of scales, counted from the finest; static, at least 1.
    steps: number of steps in each of the `refine_stages`; traced. None: `default_steps`.
    content_share: share of the content in the image that is matched to the styles, at all of these
      scales, 0 to 1; the rest is `stylized`. Traced.
    **settings: content_weight, rate, layer_weights, hubness_weight, dtype, tiles, mesh for
      `neighbors.optimize_stage`.

  Returns:
    [B, H, W, 3] float32 in [0, 1].

  Raises:
    InputError: shapes or a number of steps that don't fit.
    ValueError: weights or another value out of range.
  """
  _check_pair(stylized, content)
  styles = neighbors.check_styles(styles)
  plan = refine_stages(image_size(content), [image_size(style) for style in styles], scales=scales)
  steps = neighbors.checked_steps(default_steps(plan) if steps is None else steps, plan)
  if weights is not None:
    weights = mixing_weights(weights, len(styles), image_size(content))
  content = jnp.asarray(content, jnp.float32)
  amount = colors.palette_amount(palette, keep_color)
  colored = colors.match_palette(content, styles, weights=weights, amount=amount)
  pyramid, current = (laplacian_pyramid(jnp.asarray(x, jnp.float32)) for x in (colored, stylized))
  for stage, count in zip(plan, steps, strict=True):
    current = neighbors.optimize_stage(
      vgg_params,
      pyramid,
      current,
      styles,
      stage,
      count,
      weights=weights,
      content_share=content_share,
      **settings,
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


def refine_gram(
  vgg_params: Mapping[str, Any],
  stylized: jax.Array,
  content: jax.Array,
  style: jax.Array,
  *,
  steps: Sequence[jax.Array | int] = (20, 10),
  optimize: Callable[..., jax.Array] | None = None,
  **settings: Any,
) -> jax.Array:
  """Refines a stylized image by matching Gram matrices at the finest scales.

  Args:
    vgg_params, content, style: as `stylejax.optimize_image` takes them.
    stylized: [1, H, W, 3] in [0, 1], the image to start from.
    steps: number of steps at each of the finest scales, from coarse to fine, each of twice the
      size; traced. A coarse scale's change is added to the image, which keeps its detail.
    optimize: a compiled `stylejax.optimize_image`; None: the function itself.
    **settings: further arguments of `optimize`.

  Returns:
    [1, H, W, 3] float32 in [0, 1].

  Raises:
    InputError: stylized and content differ in shape, no steps, or as `optimize`.
  """
  _check_pair(stylized, content)
  optimize = optimize or gram.optimize_image
  if not len(steps):
    raise InputError("steps: found none, expected a number for each scale")
  current = laplacian_pyramid(jnp.asarray(stylized, jnp.float32))
  for level, count in zip(reversed(range(len(steps))), steps, strict=True):
    start = jnp.clip(reconstruct(current[level:]), 0.0, 1.0)
    image = optimize(
      vgg_params, halved(content, level), halved(style, level), start=start, steps=count, **settings
    )
    current = (*current[:level], *laplacian_pyramid(image, levels=len(current) - 1 - level))
  return jnp.clip(reconstruct(current), 0.0, 1.0)


def _check_pair(stylized: jax.Array, content: jax.Array) -> None:
  """Raises InputError unless both are images [B, H, W, 3] of one shape."""
  check_image(content, "content")
  if jnp.shape(stylized) != jnp.shape(content):
    raise InputError(
      f"stylized: found shape {jnp.shape(stylized)}, expected that of the content, "
      f"{jnp.shape(content)}"
    )
