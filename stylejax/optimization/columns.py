"""Hypercolumns of an image: the styles' that they match, and their loss.

Pure functions; the last pass, which matches each layer by itself, is in `targets.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.models.padding import image_size
from stylejax.optimization.banded_matching import joined, match_in_bands
from stylejax.optimization.hypercolumns import CHANNELS, LAYERS, STRIDE, feature_maps, grid_size
from stylejax.optimization.matching import source_means, unit
from stylejax.optimization.targets import Loss, Targets, find_matches, flat, on_places, scaled
from stylejax.optimization.tiles import over_tiles
from stylejax.reductions import channel_sum

Aims = tuple[jax.Array, ...]
"""What the hypercolumns of an image are moved toward, divided into a map of each layer."""


def matched_columns(
  vgg_params: Mapping[str, Any],
  image: jax.Array,
  targets: Targets,
  *,
  weights: jax.Array | None,
  dtype: Any,
  tiles: int,
  mesh: jax.sharding.Mesh | None,
) -> jax.Array:
  """For each place of an image, the index of the nearest target hypercolumn: [B, P] int32."""
  places = grid_size(image_size(image))
  region = on_places(weights, places)

  def describe(band, tile=None):
    columns = scaled(feature_maps(vgg_params, band, dtype=dtype), targets.scales)
    return columns if tile is None else tile.inner_rows(columns, STRIDE)

  if tiles == 1:
    columns = describe(image)
  elif mesh is None:
    bank, source = targets.features[0], targets.sources[0]
    return match_in_bands(
      describe,
      image,
      tiles,
      unit(bank, mean=source_means(bank, source, targets.count)),
      hubness_weight=targets.hubness_weight,
      places=places,
      source=source,
      region=region,
    )
  else:
    parts, first, _ = over_tiles(describe, image, tiles, mesh)
    columns = joined(parts, first, places[0])
  return find_matches(flat(columns), targets, 0, region, mesh)


def column_aims(
  vgg_params: Mapping[str, Any],
  targets: Targets,
  matched: jax.Array,
  content: jax.Array,
  content_weight: jax.Array | float,
  *,
  dtype: Any = jnp.float32,
) -> Aims:
  """What `column_loss` compares the hypercolumns of an image with; no step changes it.

  (1 − w)·t_p/‖t_p‖ + w·c_p/‖c_p‖

  t are the styles' hypercolumns that the places match, and c those of the content, shifted so that
  their mean is that of t; w is the weight of the content.

  Args:
    vgg_params, targets, content_weight (w), dtype: as `neighbors.run` takes them.
    matched: [B, P] int32, from `matched_columns`.
    content: [B, H, W, 3].

  Returns:
    For each layer [B, H // 4, W // 4, C] float32, together 10,752 bytes for every 4 × 4 pixels.
  """
  own = flat(_columns(vgg_params, content, targets, dtype))
  toward = _toward(targets, matched, content_weight)
  return _by_layer(toward(matched, own, own.mean(1, keepdims=True)), grid_size(image_size(content)))


def column_loss(vgg_params: Mapping[str, Any], targets: Targets, aims: Aims, *, dtype: Any) -> Loss:
  """The distance of an image's hypercolumns from those they match and from the content's.

  mean_p 1 − ⟨f_p/‖f_p‖, a_p⟩ = mean_p 1 − (1 − w)·cos(f_p, t_p) − w·cos(f_p, c_p)

  f are the image's hypercolumns and a the aims, see `column_aims`.

  Args:
    vgg_params, targets, dtype: as `neighbors.run` takes them.
    aims: for images of the size that the loss takes.
  """

  def loss(image, step):
    del step
    maps = feature_maps(vgg_params, image, dtype=dtype)
    return _distances(maps, aims, targets.scales).mean((1, 2))

  return loss


def column_loss_in_bands(
  vgg_params: Mapping[str, Any],
  targets: Targets,
  matched: jax.Array,
  content: jax.Array,
  content_weight: jax.Array | float,
  *,
  dtype: Any,
  tiles: int,
  mesh: jax.sharding.Mesh | None,
) -> Loss:
  """`column_loss` band by band, with the aims of only one band in memory, computed in every step.

  Args:
    vgg_params, targets, dtype, tiles (2 or more), mesh: as `neighbors.run` takes them.
    matched, content, content_weight: as `column_aims` takes them.
  """
  places, count = grid_size(image_size(content)), matched.shape[1]
  toward = _toward(targets, matched, content_weight)

  def inner_sum(band, tile):
    columns, _, counts = tile.inner_rows(_columns(vgg_params, band, targets, dtype), STRIDE)
    return jnp.einsum("bhwd,h->bd", columns, counts.astype(jnp.float32))

  own_mean = (over_tiles(inner_sum, content, tiles, mesh).sum(0) / count)[:, None]

  def distances(both, tile):
    maps = feature_maps(vgg_params, both[..., :3], dtype=dtype)
    maps = [tile.inner_rows(x, STRIDE)[0] for x in maps]
    columns = _columns(vgg_params, both[..., 3:], targets, dtype)
    own, first, counts = tile.inner_rows(columns, STRIDE)
    there = jax.lax.dynamic_slice_in_dim(
      matched.reshape(len(matched), *places), first, own.shape[1], 1
    )
    aims = _by_layer(
      toward(there.reshape(len(matched), -1), flat(own), own_mean), (own.shape[1], places[1])
    )
    distance = _distances(maps, aims, targets.scales)
    return (distance * counts[None, :, None].astype(distance.dtype)).sum((1, 2)) / count

  def loss(image, step):
    del step
    return over_tiles(distances, jnp.concatenate([image, content], -1), tiles, mesh).sum(0)

  return loss


def _columns(
  vgg_params: Mapping[str, Any], image: jax.Array, targets: Targets, dtype: Any
) -> jax.Array:
  maps = feature_maps(vgg_params, image, dtype=dtype)
  return scaled(maps, targets.scales).astype(jnp.float32)


def _toward(
  targets: Targets, matched: jax.Array, content_weight: jax.Array | float
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
  """(indices of matches [B, P], own hypercolumns [B, P, D], their mean) → aims [B, P, D]."""
  vectors = targets.features[0].astype(jnp.float32)
  matched_mean = _mean_of_matched(vectors, matched)

  def toward(indices, own, own_mean):
    own = unit(own, mean=own_mean - matched_mean)
    return (1.0 - content_weight) * unit(jnp.take(vectors, indices, axis=0)) + content_weight * own

  return toward


def _mean_of_matched(vectors: jax.Array, matched: jax.Array) -> jax.Array:
  """Mean over the places [B, P] of the vectors [N, D] that they match: [B, 1, D]."""
  times = jax.vmap(lambda indices: jnp.bincount(indices, length=len(vectors)))(matched)
  return (times.astype(jnp.float32) / matched.shape[1] @ vectors)[:, None]


def _by_layer(columns: jax.Array, places: tuple[int, int]) -> Aims:
  """Divides hypercolumns [B, P, D] at these (rows, columns) into maps [B, h, w, C] of layers."""
  ends = np.cumsum([CHANNELS[layer] for layer in LAYERS])[:-1]
  return tuple(jnp.split(columns.reshape(len(columns), *places, -1), ends, axis=-1))


def _distances(maps: Sequence[jax.Array], aims: Aims, scales: jax.Array) -> jax.Array:
  """1 − ⟨hypercolumn of length 1, aim⟩, [B, h, w], without joining the layers' maps in memory."""
  product = square = jnp.zeros((), jnp.float32)
  for x, aim, scale in zip(maps, aims, scales, strict=True):
    product = product + scale * channel_sum(x * aim)
    square = square + scale * scale * channel_sum(x * x)
  return 1.0 - product * jax.lax.rsqrt(square + 1e-8)
