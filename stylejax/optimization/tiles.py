"""VGG16 on bands of rows: an image of any size in bounded memory, or on several devices.

Every band sees so many rows around its own that its features are those of the whole image. Pure
functions; `stylejax.inference.backends.tiled` is about the generator.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MARGIN = 64
"""Rows that a band sees beyond its own: relu4_3 on the grid of hypercolumns sees 57."""

_ALIGNED = 8  # Rows of one row of relu4_3.


class Tile(NamedTuple):
  """Where a band lies.

  Attributes:
    number: of the band, from 0 on; traced.
    start: the first row of pixels that it sees, a multiple of 8; traced.
    rows: of pixels that are its own, a multiple of 8, number · rows the first of them; static.
    height: of the whole image, static.
  """

  number: jax.Array
  start: jax.Array
  rows: int
  height: int

  def inner_rows(self, x: jax.Array, stride: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The rows of a map of the band [B, h, w, C] that are its own.

    Args:
      x: a map of which a row stands for `stride` rows of pixels.
      stride: static.

    Returns:
      (rows [B, n, w, C], the number of the first in the whole map, [n] which of them count: the
      last bands may have fewer).
    """
    count = self.rows // stride
    first = jnp.minimum(self.number * count, self.height // stride - count)
    rows = jax.lax.dynamic_slice_in_dim(x, first - self.start // stride, count, 1)
    return rows, first, first + jnp.arange(count) >= self.number * count

  def pick(self, x: jax.Array, stride: int, rows: jax.Array) -> jax.Array:
    """Rows of the whole map, of those that aren't the band's own only zeros."""
    there = jnp.clip(rows - self.start // stride, 0, x.shape[1] - 1)
    inside = rows // (self.rows // stride) == self.number
    return jnp.take(x, there, axis=1) * inside[None, :, None, None].astype(x.dtype)


def over_tiles(
  function: Callable[[jax.Array, Tile], Any],
  image: jax.Array,
  count: int,
  mesh: jax.sharding.Mesh | None,
) -> Any:
  """A function of each band of an image, one after the other, or at once on several devices.

  Args:
    function: (band [B, h, W, C], `Tile`) → arrays. With one device its steps are computed again for
      the gradient, so that only one band's are held.
    image: [B, H, W, C].
    count: of bands, static, at least 2.
    mesh: the bands are divided over all of its devices, whose number should divide count.

  Returns:
    The arrays, each with a first axis of the bands.
  """
  height = image.shape[1]
  rows = -(-height // (count * _ALIGNED)) * _ALIGNED
  # Where pools drop a last row, the last band must drop the same.
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


def divided(x: jax.Array, mesh: jax.sharding.Mesh | None, *, axis: int) -> jax.Array:
  """x, one axis divided over all devices of a mesh, if it is a multiple of their number."""
  if mesh is None or x.shape[axis] % mesh.size:
    return x
  spec: list[Any] = [None] * x.ndim
  spec[axis] = mesh.axis_names
  return jax.lax.with_sharding_constraint(
    x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
  )
