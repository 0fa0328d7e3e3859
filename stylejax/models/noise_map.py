"""The noise map: a random pattern that the generator can turn into brushwork.

A convolutional net treats all places alike, so it stylizes a flat sky flat. Adding the noise map to
feature maps, as strongly as a style asks for, gives the net something to make strokes from. A cell
always has the same value, whatever part of the map is computed; a key chooses which part an image
gets.

Source: the noise inputs of Karras et al. 2019, arXiv:1812.04948, section 3.2; departs from them in
using one map, of which each image gets a part, so that tiles and devices agree on it.
"""

import jax
import jax.numpy as jnp
import numpy as np

_SIDE, _SIGN_SIDE = 256, 251

PERIOD = _SIDE * _SIGN_SIDE
"""Number of cells after which the map repeats, along rows and columns."""


def _hashed(cells: np.ndarray) -> np.ndarray:
  """Hashes cell numbers, uint32, to values that are uniform in [0, 1)."""
  for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
    cells = (cells ^ (cells >> np.uint32(shift))) * np.uint32(factor)
  return cells / 2.0**32


def _pattern() -> np.ndarray:
  """[256, 256] float32, uniform in ±√3."""
  cells = np.arange(_SIDE**2, dtype=np.uint32).reshape(_SIDE, _SIDE)
  return ((_hashed(cells) - 0.5) * np.sqrt(12.0)).astype(np.float32)


def _signs() -> np.ndarray:
  """[251, 251] float32, 1 or -1."""
  cells = np.arange(_SIGN_SIDE**2, dtype=np.uint32).reshape(_SIGN_SIDE, _SIGN_SIDE)
  return np.where(_hashed(cells + np.uint32(_SIDE**2)) < 0.5, -1.0, 1.0).astype(np.float32)


PATTERN = _pattern()
"""The first 256 × 256 cells; weights are trained on these very numbers."""

SIGNS = _signs()
"""Factors of the pattern beyond these cells. 251 and 256 have no common divisor, so the product
repeats only after 251 · 256 cells."""


def noise_map(
  height: int, width: int, *, top: jax.Array | int = 0, left: jax.Array | int = 0
) -> jax.Array:
  """Cells of the map from `top`, `left` on: [height, width] float32, mean 0, variance 1."""
  rows, columns = (
    (first + jnp.arange(size)) % PERIOD for first, size in ((top, height), (left, width))
  )

  def tiled(pattern: np.ndarray) -> jax.Array:
    # Whole rows, then whole columns: accelerators are slow at gathering single cells.
    return jnp.take(jnp.take(pattern, rows % len(pattern), axis=0), columns % len(pattern), axis=1)

  values = tiled(PATTERN)
  known = all(isinstance(number, int) for number in (height, width, top, left))
  if known and min(top, left) >= 0 and max(top + height, left + width) <= _SIDE:
    return values
  return jnp.where(_is_first(rows[:, None], columns[None]), values, values * tiled(SIGNS))


def moved_noise_map(height: int, width: int, drift: jax.Array, cell: int) -> jax.Array:
  """The noise map moved by a drift: [height, width] float32, mean 0, variance about 1.

  Args:
    height, width: number of cells.
    drift: [H, W, 2], (x, y) in pixels: p has the noise that is at p + drift[p] without a drift.
    cell: side of a cell in pixels.
  """
  y, x = (cell * jnp.arange(cells) + cell // 2 for cells in (height, width))
  drift = jnp.asarray(drift)
  places = drift[jnp.minimum(y, drift.shape[0] - 1)][:, jnp.minimum(x, drift.shape[1] - 1)]
  y, x = y.astype(jnp.float32)[:, None], x.astype(jnp.float32)[None]
  rows = jnp.floor((y + places[..., 1]) / cell).astype(jnp.int32) % PERIOD
  columns = jnp.floor((x + places[..., 0]) / cell).astype(jnp.int32) % PERIOD

  def cells_of(pattern: np.ndarray) -> jax.Array:
    side = len(pattern)
    return jnp.take(pattern.reshape(-1), rows % side * side + columns % side, mode="clip")

  values = cells_of(PATTERN)
  return jnp.where(_is_first(rows, columns), values, values * cells_of(SIGNS))


def drawn_corner(key: jax.Array) -> jax.Array:
  """[2] int32: the row and the column of a cell of the map, drawn uniformly."""
  return jax.random.randint(key, (2,), 0, PERIOD)


def _is_first(rows: jax.Array, columns: jax.Array) -> jax.Array:
  """Whether cells are among the first 256 × 256, which have no signs."""
  return (rows < _SIDE) & (columns < _SIDE)
