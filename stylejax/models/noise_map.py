"""The noise map: a fixed random pattern that the generator can turn into brushwork.

A convolutional net that treats all places alike stylizes a flat sky flat. Adding the noise map to
feature maps, as strongly as a style asks for, gives the net something to make strokes of. No two
cells are alike within PERIOD, every run has the same map, and a cell always has the same number,
whatever part of the map is computed.

Source: the noise inputs of Karras et al. 2019, arXiv:1812.04948, section 3.2; departs from them in
that the pattern is fixed, so that the nets stay pure functions without a key.
"""

import jax
import jax.numpy as jnp
import numpy as np

PERIOD = 256
"""Cells after which the pattern repeats, in rows and in columns."""


def _pattern() -> np.ndarray:
  """One period: [PERIOD, PERIOD] float32, uniform in ±√3, by a hash of each cell's number."""
  cells = np.arange(PERIOD**2, dtype=np.uint32)
  for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
    cells = (cells ^ (cells >> np.uint32(shift))) * np.uint32(factor)
  values = (cells / 2.0**32 - 0.5) * np.sqrt(12.0)
  return values.reshape(PERIOD, PERIOD).astype(np.float32)


PATTERN = _pattern()
"""One period of the noise map; weights are trained on these very numbers."""


def noise_map(
  height: int, width: int, *, top: jax.Array | int = 0, left: jax.Array | int = 0
) -> jax.Array:
  """Cells of the pattern from `top`, `left` on: [height, width] float32, mean 0, variance 1."""
  rows, columns = (
    (first + jnp.arange(size)) % PERIOD for first, size in ((top, height), (left, width))
  )
  return jnp.take(jnp.take(PATTERN, rows, axis=0), columns, axis=1)


def moved_noise_map(height: int, width: int, drift: jax.Array, cell: int) -> jax.Array:
  """The noise map where each of its places has moved: [height, width], mean 0, variance about 1.

  Args:
    height, width: cells.
    drift: [H, W, 2], (x, y) in pixels: what is at p has the noise that is at p + drift[p] without
      a drift.
    cell: pixels of a cell's side.
  """
  y, x = (cell * jnp.arange(cells) + cell // 2 for cells in (height, width))
  drift = jnp.asarray(drift)
  places = drift[jnp.minimum(y, drift.shape[0] - 1)][:, jnp.minimum(x, drift.shape[1] - 1)]
  y, x = y.astype(jnp.float32)[:, None], x.astype(jnp.float32)[None]
  rows = jnp.floor((y + places[..., 1]) / cell).astype(jnp.int32) % PERIOD
  columns = jnp.floor((x + places[..., 0]) / cell).astype(jnp.int32) % PERIOD
  return jnp.take(PATTERN.reshape(-1), rows * PERIOD + columns)
