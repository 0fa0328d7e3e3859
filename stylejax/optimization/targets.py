"""The targets of neural neighbors, which are the styles' features at a stage, and the last loss.

Pure functions; the stages and their steps are in `neighbors.py`, the other loss in `columns.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp

from stylejax.errors import InputError
from stylejax.models.vgg16 import vgg16_features
from stylejax.optimization.hypercolumns import LAYERS, check_image, feature_maps, layer_scales
from stylejax.optimization.matching import (
  HUBNESS_WEIGHT,
  best_similarities,
  centers,
  each_image,
  nearest,
  on_grid,
  source_means,
  style_preference,
  unit,
)
from stylejax.optimization.pyramid import halved
from stylejax.optimization.tiles import over_tiles
from stylejax.reductions import channel_sum

# Rows and columns of places in the last pass, at most: of the image in a step, and of each style.
QUERY_SIDE, BANK_SIDE = 32, 64
BANK_PLACES = 2**16
"""Largest number of hypercolumns of a style: of larger styles only every second row and column is
used, or every third, and so on. 1,024 × 1,024 pixels have exactly this many."""

# Fractional parts of their multiples fill a square evenly (Roberts 2018, the sequence R2).
_RATIOS = (0.7548776662, 0.5698402910)

# (image [B, H, W, 3], step) → [B].
Loss = Callable[[jax.Array, jax.Array], jax.Array]


class Stage(NamedTuple):
  """One stage of the optimization.

  Attributes:
    level: how many times the image is halved.
    split: whether each layer is matched by itself and again in every step (the last pass), instead
      of hypercolumns once.
  """

  level: int
  split: bool


@flax.struct.dataclass
class Targets:
  """The styles' features at one stage.

  Attributes:
    features: vectors [N, D] of all styles, concatenated: one array of scaled hypercolumns, or, with
      split, one array for each layer.
    sources: for each of these arrays [N] int32, the style of each vector.
    scales: [10], factors of the layers in hypercolumns; with split, weights of the layers' losses.
    hubness_weight: scalar, see `style_targets`.
    count: number of styles, static.
    split: as in `Stage`, static.
  """

  features: tuple[jax.Array, ...]
  sources: tuple[jax.Array, ...]
  scales: jax.Array
  hubness_weight: jax.Array
  count: int = flax.struct.field(pytree_node=False)
  split: bool = flax.struct.field(pytree_node=False)


def style_targets(
  vgg_params: Mapping[str, Any],
  styles: Sequence[jax.Array],
  stage: Stage,
  *,
  layer_weights: jax.Array | None = None,
  hubness_weight: jax.Array | float = HUBNESS_WEIGHT,
  dtype: Any = jnp.float32,
) -> Targets:
  """Computes the features of the styles at a stage.

  Args:
    vgg_params: as `vgg16_features` takes them, down to conv4_3.
    styles: images [1, h, w, 3] in [0, 1] of any sizes, with sides of at least 16; they are halved
      as often as the stage says. Strokes come out as large as they are in these images.
    stage: static.
    layer_weights: [10], weights of the layers relu1_1 … relu4_3; None: all 1.
    hubness_weight: share of a vector's best similarity to any place of the image that is subtracted
      when matches are found, 0 to 1. Without it, a few hubs are the nearest to most places, and
      rare parts of a style never appear. The paper has 0. Traced.
    dtype: of VGG16's activations, float32 or bfloat16.

  Raises:
    InputError: no style, one of another shape or too small, layer_weights of another shape.
  """
  styles = [halved(style, stage.level) for style in check_styles(styles)]
  if stage.split:
    found = [vgg16_features(vgg_params, style, layers=LAYERS, dtype=dtype) for style in styles]
    maps = [[_bank_grid(m[layer].astype(jnp.float32)) for layer in LAYERS] for m in found]
    scales = jnp.ones(len(LAYERS), jnp.float32)
  else:
    every = [feature_maps(vgg_params, style, dtype=dtype) for style in styles]
    maps = [[_thinned(m) for m in maps] for maps in every]
    joined = [jnp.concatenate([flat(m[i])[0] for m in maps]) for i in range(len(LAYERS))]
    scales = layer_scales(joined)
  if layer_weights is not None:
    if jnp.shape(layer_weights) != (len(LAYERS),):
      raise InputError(
        f"layer_weights: found shape {jnp.shape(layer_weights)}, expected [{len(LAYERS)}]"
      )
    scales = scales * jnp.asarray(layer_weights, jnp.float32)
  if not stage.split:
    maps = [[scaled(m, scales)] for m in maps]
  features = tuple(jnp.concatenate([flat(m[i])[0] for m in maps]) for i in range(len(maps[0])))
  sources = tuple(
    jnp.concatenate(
      [jnp.full(m[i].shape[1] * m[i].shape[2], s, jnp.int32) for s, m in enumerate(maps)]
    )
    for i in range(len(maps[0]))
  )
  weight = jnp.asarray(hubness_weight, jnp.float32)
  return Targets(features, sources, scales, weight, len(styles), stage.split)


def check_styles(styles: Sequence[jax.Array]) -> list[jax.Array]:
  """Returns the styles as a list; raises InputError if one isn't [1, h, w, 3] with sides ≥ 16."""
  styles = list(styles)
  if not styles:
    raise InputError("styles: found none, expected at least one image [1, h, w, 3]")
  for number, style in enumerate(styles):
    check_image(style, f"style {number}")
    if style.shape[0] != 1:
      raise InputError(f"style {number}: found shape {style.shape}, expected [1, h, w, 3]")
  return styles


def split_loss(
  vgg_params: Mapping[str, Any],
  targets: Targets,
  size: tuple[int, int],
  *,
  weights: jax.Array | None,
  dtype: Any,
  tiles: int,
  mesh: jax.sharding.Mesh | None,
) -> Loss:
  """The loss of the last pass: 1 − cos between features and their nearest neighbors in the styles.

  It is a mean over layers and places, and every step finds the neighbors again. A step reads a
  regular grid of at most QUERY_SIDE × QUERY_SIDE places of each layer, and the next step others.
  """
  strides = [2 ** (int(layer[len("relu")]) - 1) for layer in LAYERS]
  sizes = [(size[0] // stride, size[1] // stride) for stride in strides]
  regions = [on_places(weights, size) for size in sizes]

  def look(band, step, tile=None):
    features = vgg16_features(vgg_params, band, layers=LAYERS, dtype=dtype)
    grids = []
    for layer, stride, whole in zip(LAYERS, strides, sizes, strict=True):
      x = _every(features[layer].astype(jnp.float32), 2, whole[1], step)
      if tile is None:
        grids.append(_every(x, 1, whole[0], step))
      else:
        first, apart, count = _lines(1, whole[0], QUERY_SIDE, step)
        grids.append(tile.pick(x, stride, first + apart * jnp.arange(count)))
    return grids

  def loss(image, step):
    if tiles == 1:
      grids = look(image, step)
    else:
      # Each row comes from one band; the others have zeros for it.
      grids = [
        x.sum(0) for x in over_tiles(lambda band, tile: look(band, step, tile), image, tiles, mesh)
      ]
    total = 0.0
    for number, (grid, region) in enumerate(zip(grids, regions, strict=True)):
      if region is not None:
        region = _every(
          _every(region[..., None], 2, sizes[number][1], step), 1, sizes[number][0], step
        )[..., 0]
      x = flat(grid)
      matched = find_matches(jax.lax.stop_gradient(x), targets, number, region, mesh)
      target = unit(jnp.take(targets.features[number], matched, axis=0))
      total = total + targets.scales[number] * _distances(x, target).mean(-1)
    return total / len(grids)

  return loss


def find_matches(
  query: jax.Array,
  targets: Targets,
  number: int,
  region: jax.Array | None,
  mesh: jax.sharding.Mesh | None,
) -> jax.Array:
  """For [B, P, D], the nearest of the targets' features `number`, all centered: [B, P] int32."""
  bank, source = targets.features[number], targets.sources[number]
  preference = part = None
  if region is not None:
    part = region.reshape(len(region), -1)
    preference = style_preference(region, (region.shape[1], region.shape[2]))
  query = unit(query, mean=centers(query, weights=part))
  bank = unit(bank, mean=source_means(bank, source, targets.count))

  def match(image):
    settings = {"preference": preference, "source": source, "mesh": mesh}
    best = best_similarities(image, bank, **settings)
    return nearest(image, bank, penalty=targets.hubness_weight * best, **settings)

  return each_image(match, query)


def on_places(weights: jax.Array | None, size: tuple[int, int]) -> jax.Array | None:
  """The styles' weights at the places of a map of this size, as `on_grid` gives them; or None."""
  return None if weights is None else on_grid(jnp.asarray(weights, jnp.float32), size)


def _distances(x: jax.Array, target: jax.Array) -> jax.Array:
  """1 − cos between vectors [..., D] and targets of length 1."""
  return 1.0 - channel_sum(unit(x) * target)


def scaled(maps: Sequence[jax.Array], scales: jax.Array) -> jax.Array:
  """Scales the layers' maps [B, h, w, C] and joins them as hypercolumns [B, h, w, D]."""
  return jnp.concatenate([x * scale for x, scale in zip(maps, scales, strict=True)], -1)


def flat(x: jax.Array) -> jax.Array:
  """[B, h, w, D] → [B, h · w, D]."""
  return x.reshape(x.shape[0], -1, x.shape[-1])


def _thinned(x: jax.Array) -> jax.Array:
  """Every n-th row and column of a style's map [1, h, w, C]: at most BANK_PLACES places."""
  apart, thinned = 1, x
  while thinned.shape[1] * thinned.shape[2] > BANK_PLACES:
    apart += 1
    thinned = x[:, apart // 2 :: apart, apart // 2 :: apart]
  return thinned


def _bank_grid(x: jax.Array) -> jax.Array:
  """A regular grid of at most BANK_SIDE × BANK_SIDE places of a style's map [1, h, w, C]."""
  for axis in (1, 2):
    x = _every(x, axis, x.shape[axis], 0, BANK_SIDE)
  return x


def _lines(axis: int, size: int, side: int, step: jax.Array | int) -> tuple[jax.Array, int, int]:
  """(first, spacing, number) of at most `side` of `size` lines, which differ from step to step."""
  apart = -(-size // side)
  phase = jnp.float32(step) * _RATIOS[axis - 1] % 1.0
  return jnp.floor(phase * float(apart + size % apart)).astype(jnp.int32), apart, size // apart


def _every(
  x: jax.Array, axis: int, size: int, step: jax.Array | int, side: int = QUERY_SIDE
) -> jax.Array:
  """Takes the `_lines` of an axis of [B, h, w, C]."""
  first, apart, count = _lines(axis, size, side, step)
  if apart == 1:
    return x
  x = jax.lax.dynamic_slice_in_dim(x, first, apart * (count - 1) + 1, axis)
  return jax.lax.slice_in_dim(x, 0, x.shape[axis], apart, axis)
