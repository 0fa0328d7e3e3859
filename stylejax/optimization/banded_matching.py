"""Matches the hypercolumns of an image band by band, never holding all of them at once.

Pure functions; an image whose hypercolumns fit is matched whole, in `targets.py`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylejax.optimization.matching import (
  best_similarities,
  each_image,
  nearest,
  style_preference,
  unit,
)
from stylejax.optimization.tiles import Tile, over_tiles

Describe = Callable[[jax.Array, Tile], tuple[jax.Array, jax.Array, jax.Array]]
"""(band [B, h, W, 3], `Tile`) → `Tile.inner_rows` of its hypercolumns [B, n, w, D]."""


def match_in_bands(
  describe: Describe,
  image: jax.Array,
  tiles: int,
  bank: jax.Array,
  *,
  hubness_weight: jax.Array,
  places: tuple[int, int],
  source: jax.Array,
  region: jax.Array | None,
) -> jax.Array:
  """Finds the nearest vector of a bank for each place of an image, one band at a time.

  Each hypercolumn is centered on the mean of its image, or of its regions, and normalized. The
  image is described three times: for these means, for the best similarity of each vector of the
  bank, and for the match itself.

  Args:
    describe: computes the hypercolumns of a band.
    image: [B, H, W, 3].
    tiles: number of bands, static, at least 2.
    bank: [N, D], vectors of length 1.
    hubness_weight: scalar, as in `targets.Targets`.
    places: (rows, columns) of the grid of all hypercolumns, static.
    source: [N], the style of each vector.
    region: maps [S, rows, columns] that sum to 1 over S, or None: one region.

  Returns:
    [B, P] int32, indices into the bank.
  """
  batch = image.shape[0]
  preference = None if region is None else style_preference(region, places)
  means = _means(describe, image, tiles, places, region)

  def queries(band: jax.Array, tile: Tile) -> tuple[jax.Array, dict[str, Any], jax.Array]:
    columns, first, _ = describe(band, tile)
    query = columns.reshape(batch, -1, columns.shape[-1])
    if region is None or preference is None:
      return unit(query, mean=means), {}, first
    part = _rows_of(region, first, columns.shape[1]).reshape(len(region), -1)
    here = _rows_of(preference.T.reshape(region.shape), first, columns.shape[1])
    center = jnp.einsum("sp,bsd->bpd", part, means, precision="highest")
    settings = {"preference": here.reshape(len(region), -1).T, "source": source}
    return unit(query, mean=center), settings, first

  def best(band: jax.Array, tile: Tile) -> jax.Array:
    query, settings, _ = queries(band, tile)
    return each_image(lambda x: best_similarities(x, bank, **settings), query)

  penalty = hubness_weight * over_tiles(best, image, tiles, None).max(0)

  def match(band: jax.Array, tile: Tile) -> tuple[jax.Array, jax.Array]:
    query, settings, first = queries(band, tile)
    matched = each_image(lambda x, p: nearest(x, bank, penalty=p, **settings), query, penalty)
    return matched.reshape(batch, -1, places[1]), first

  matched, first = over_tiles(match, image, tiles, None)
  return joined(matched, first, places[0]).reshape(batch, -1)


def _means(
  describe: Describe,
  image: jax.Array,
  tiles: int,
  places: tuple[int, int],
  region: jax.Array | None,
) -> jax.Array:
  """Mean hypercolumns of each image [B, 1, D], or of each of its regions [B, S, D]."""

  def sums(band: jax.Array, tile: Tile) -> jax.Array:
    columns, first, counts = describe(band, tile)
    columns = columns * counts[None, :, None, None].astype(columns.dtype)
    if region is None:
      return columns.sum((1, 2))[:, None]
    part = _rows_of(region, first, columns.shape[1])
    return jnp.einsum("snw,bnwd->bsd", part, columns, precision="highest")

  total = over_tiles(sums, image, tiles, None).sum(0)
  if region is None:
    return total / (places[0] * places[1])
  return total / jnp.maximum(region.sum((1, 2)), 1e-6)[None, :, None]


def _rows_of(maps: jax.Array, first: jax.Array, count: int) -> jax.Array:
  return jax.lax.dynamic_slice_in_dim(maps, first, count, 1)


def joined(parts: jax.Array, first: jax.Array, rows: int) -> jax.Array:
  """Joins bands [tiles, B, n, w, ...] that begin at rows `first` [tiles] to [B, rows, w, ...].

  The last band may overlap the one before it.
  """
  tiles, _, count = parts.shape[:3]
  at, last = jnp.arange(rows), first[-1]
  at = jnp.where(at < last, jnp.minimum(at, count * tiles - 1), at - last + count * (tiles - 1))
  return jnp.take(jnp.concatenate(list(parts), 1), at, axis=1)
