"""Sums, means and a percentile of finite floats, in forms that XLA computes quickly on CPUs."""

import jax
import jax.numpy as jnp
import numpy as np


def box_mean(images: jax.Array, axis: int, window: int) -> jax.Array:
  """Means over an odd window along an axis; images repeat their edge pixels beyond their edges."""
  size, edges = [1] * images.ndim, [(0, 0)] * images.ndim
  size[axis], edges[axis] = window, (window // 2, window // 2)
  padded = jnp.pad(images, edges, mode="edge")
  sums = jax.lax.reduce_window(padded, 0.0, jax.lax.add, size, [1] * images.ndim, "VALID")
  return sums / float(window)


def mean(values: jax.Array) -> jax.Array:
  """Mean of [H, W, 1], a scalar.

  A product, since XLA:CPU computes what is reduced within the reduction, ten times slower or more
  (findings/xla_cpu_mean_of_luma.sh).
  """
  height, width = values.shape[:2]
  rows, columns = (jnp.full(side, 1 / side, values.dtype) for side in (height, width))
  return jnp.einsum("h,hw,w->", rows, values[..., 0], columns, precision="highest")


def least_tenth(values: jax.Array) -> jax.Array:
  """The tenth percentile of an array of any shape, interpolated linearly, a scalar."""
  if not all(isinstance(side, int) for side in values.shape):
    return jnp.percentile(values, 10)  # an export for all sizes
  place = 0.1 * (values.size - 1)
  below, share = int(place), place % 1
  weights = np.zeros(min(below + 2, values.size), values.dtype)
  weights[below : below + 2] = [1 - share, share][: values.size]
  # A product with all of them: for a slice, XLA on CPUs sorts the whole array with jax 0.10
  # (findings/xla_cpu_slice_of_top_k.sh).
  least = -jax.lax.top_k(-values.reshape(-1), weights.size)[0]
  return jnp.vdot(least, weights, precision="highest")


def channel_sum(values: jax.Array) -> jax.Array:
  """Sums of an array [..., C] over its channels, [...].

  On CPUs XLA adds the numbers of a row one after the other, each waiting for the one before; as
  many sums as a vector register holds are computed at once.
  """
  return jax.lax.platform_dependent(values, cpu=_sum_in_lanes, default=lambda x: x.sum(-1))


def _sum_in_lanes(values: jax.Array, lanes: int = 16) -> jax.Array:
  if values.shape[-1] % lanes:
    return values.sum(-1)
  return values.reshape(*values.shape[:-1], values.shape[-1] // lanes, lanes).sum(-2).sum(-1)
