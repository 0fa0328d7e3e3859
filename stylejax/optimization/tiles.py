"""VGG16 on bands of rows: an image of any size in bounded memory, or on several devices.

Every band has enough rows around its own for its features to be those of the whole image. Pure
functions; tiles of the generator are in `stylejax.inference.backends.tiled`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.errors import InputError

MARGIN = 64
"""Rows that a band reads beyond its own; relu4_3 on the grid of hypercolumns reads 57."""

_ALIGNED = 8  # Rows of pixels for one row of relu4_3.


class Tile(NamedTuple):
  """Where a band of rows lies in the image.

  Attributes:
    number: index of the band, from 0 on; traced.
    start: the first row of pixels that the band reads, a multiple of 8; traced.
    rows: number of its own rows, a multiple of 8, the first of which is number · rows; static.
    height: rows of the whole image, static.
  """

  number: jax.Array
  start: jax.Array
  rows: int
  height: int

  def inner_rows(self, x: jax.Array, stride: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Takes the band's own rows of one of its maps.

    Args:
      x: [B, h, w, C], each row of which stands for `stride` rows of pixels.
      stride: static.

    Returns:
      (rows [B, n, w, C], index of the first one in the whole map, [n] booleans that tell which rows
      count: in the last bands some may belong to the band before).
    """
    count = self.rows // stride
    first = jnp.minimum(self.number * count, self.height // stride - count)
    rows = jax.lax.dynamic_slice_in_dim(x, first - self.start // stride, count, 1)
    return rows, first, first + jnp.arange(count) >= self.number * count

  def pick(self, x: jax.Array, stride: int, rows: jax.Array) -> jax.Array:
    """Takes these rows of the whole map from x; rows that aren't the band's own become zeros."""
    there = jnp.clip(rows - self.start // stride, 0, x.shape[1] - 1)
    inside = rows // (self.rows // stride) == self.number
    return jnp.take(x, there, axis=1) * inside[None, :, None, None].astype(x.dtype)


def over_tiles(
  function: Callable[[jax.Array, Tile], Any],
  image: jax.Array,
  count: int,
  mesh: jax.sharding.Mesh | None,
) -> Any:
  """Applies a function to the bands of an image, one after the other or on several devices at once.

  Args:
    function: (band [B, h, W, C], `Tile`) → arrays. Without a mesh it is computed again for the
      gradient, so that intermediate values of only one band are held.
    image: [B, H, W, C].
    count: number of bands, static, at least 2.
    mesh: devices over which the bands are divided, whose number should divide count; None: the
      bands are processed one after the other.

  Returns:
    The arrays, each with a leading axis for the bands.
  """
  height = image.shape[1]
  rows = -(-height // (count * _ALIGNED)) * _ALIGNED
  # Where pooling drops the last row, the last band must drop the same one.
  window = min(rows + 2 * MARGIN + height % _ALIGNED, height)
  starts = np.clip(np.arange(count) * rows - MARGIN, 0, height - window)

  def one(arguments):
    band, number, start = arguments
    return function(band, Tile(number, start, rows, height))

  numbers = jnp.arange(count), jnp.asarray(starts)
  if mesh is None:

    def cut(arguments):
      number, start = arguments
      return one((jax.lax.dynamic_slice_in_dim(image, start, window, 1), number, start))

    return jax.lax.map(jax.checkpoint(cut), numbers)
  bands = jnp.stack([image[:, start : start + window] for start in starts])
  return jax.vmap(lambda *arguments: one(arguments))(
    *(divided(x, mesh, axis=0) for x in (bands, *numbers))
  )


def tile_count(tiles: int | None, mesh: jax.sharding.Mesh | None) -> int:
  """The number of bands; None means one, or one for each device. Raises InputError below 1."""
  if tiles is None:
    return 1 if mesh is None else mesh.size
  if tiles < 1:
    raise InputError(f"tiles: found {tiles}, expected at least 1")
  return tiles


def divided(x: jax.Array, mesh: jax.sharding.Mesh | None, *, axis: int) -> jax.Array:
  """Divides an axis of x over all devices of a mesh if its length is a multiple of their number."""
  if mesh is None or x.shape[axis] % mesh.size:
    return x
  spec: list[Any] = [None] * x.ndim
  spec[axis] = mesh.axis_names
  return jax.lax.with_sharding_constraint(
    x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
  )
