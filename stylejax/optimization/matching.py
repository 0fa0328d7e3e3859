"""Nearest neighbors among feature vectors, in bounded memory and on any number of devices.

Pure functions on arrays; the caller chooses which features are compared.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from stylejax.errors import InputError
from stylejax.optimization.tiles import divided
from stylejax.reductions import channel_sum

BLOCK_SIZE = 2**24
"""About how many similarities are held at a time."""

PREFERENCE = 0.1
"""The difference in cosine that a factor of e between two styles' weights makes up for."""

HUBNESS_WEIGHT = 0.5
"""Share of a vector's best similarity that is subtracted when matches are found."""

# Excludes a style of weight 0: no cosine makes up for this.
_EXCLUDED = -1e4


def unit(x: jax.Array, *, mean: jax.Array | float = 0.0, eps: float = 1e-8) -> jax.Array:
  """Subtracts `mean` from vectors [..., D] and scales them to length 1; float32."""
  x = x.astype(jnp.float32) - mean
  return x * jax.lax.rsqrt(channel_sum(jnp.square(x))[..., None] + eps)


def nearest(
  query: jax.Array,
  bank: jax.Array,
  *,
  preference: jax.Array | None = None,
  source: jax.Array | None = None,
  penalty: jax.Array | None = None,
  block: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
  """Finds, for each query, the vector of the bank with the largest inner product.

  argmax_n ⟨q_p, b_n⟩ + preference_{p, source_n} − penalty_n. The product runs in float32 on CPUs,
  and elsewhere in bfloat16 with float32 sums. Queries are processed in blocks.

  Args:
    query: [Q, D], of length 1 for the cosine.
    bank: [N, D], likewise.
    preference: [Q, S], added to the products with the vectors of each style; None: 0.
    source: [N] integers below S, the style of each vector; required with preference.
    penalty: [N], subtracted from a vector's products with all queries; None: 0.
    block: queries at a time, static; None: as many as make BLOCK_SIZE similarities.
    mesh: devices over which the queries of a block are divided; None: not divided.

  Returns:
    [Q] int32, indices into the bank; ties are always broken the same way.

  Raises:
    InputError: shapes that don't fit together.
  """

  def match(scores):
    if penalty is not None:
      scores = scores - penalty[None]
    return _argmax(scores)

  matches = _by_blocks(match, query, bank, preference, source, block, mesh)
  return matches.reshape(-1)[: len(query)]


def best_similarities(
  query: jax.Array,
  bank: jax.Array,
  *,
  preference: jax.Array | None = None,
  source: jax.Array | None = None,
  block: int | None = None,
  mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
  """Finds, for each vector of the bank, its largest inner product with a query: [N] float32.

  max_p ⟨q_p, b_n⟩ + preference_{p, source_n}: how much of a hub the vector is. A share of it, as
  the `penalty` of `nearest`, lets more of the bank be chosen.

  Arguments and errors as in `nearest`.

  Source: cross-domain similarity local scaling of Conneau et al. 2018, arXiv:1710.04087, section
  2.3, with one neighbor instead of ten.
  """
  return _by_blocks(lambda scores: scores.max(0), query, bank, preference, source, block, mesh).max(
    0
  )


def each_image(function: Callable[..., jax.Array], *arguments: jax.Array) -> jax.Array:
  """Applies a function to the images of a batch one after the other: [B, ...]."""
  if len(arguments[0]) == 1:
    return function(*(x[0] for x in arguments))[None]
  return jax.lax.map(lambda values: function(*values), arguments)


def _by_blocks(
  reduce: Callable[[jax.Array], jax.Array],
  query: jax.Array,
  bank: jax.Array,
  preference: jax.Array | None,
  source: jax.Array | None,
  block: int | None,
  mesh: jax.sharding.Mesh | None,
) -> jax.Array:
  """Applies `reduce` to the scores [block, N] of each block of queries: [blocks, ...].

  Queries that pad the last block have scores of -inf.
  """
  if query.ndim != 2 or bank.ndim != 2 or query.shape[1] != bank.shape[1]:
    raise InputError(
      f"bank: found shape {bank.shape}, expected [N, D] with the query's D, {query.shape}"
    )
  if preference is not None and (
    source is None or source.shape != bank.shape[:1] or preference.shape[:1] != query.shape[:1]
  ):
    raise InputError(
      f"preference: found shape {preference.shape}, expected "
      f"[{len(query)}, S] and a source of each of the {len(bank)} vectors"
    )
  count, devices = len(query), 1 if mesh is None else mesh.size
  if block is None:
    block = max(BLOCK_SIZE // len(bank), 64)
  block = -(-min(block, count) // devices) * devices
  blocks = -(-count // block)

  def split(x):
    x = jnp.pad(x, ((0, blocks * block - count), (0, 0)))
    return divided(x.reshape(blocks, block, x.shape[1]), mesh, axis=1)

  def reduced(part):
    number, *part = part
    scores = jax.lax.platform_dependent(
      part[0],
      bank,
      cpu=partial(_product, dtype=jnp.float32),
      default=partial(_product, dtype=jnp.bfloat16),
    )
    if preference is not None:
      scores = scores + jnp.take(part[1], source, axis=1)
    if count % block:
      is_query = number * block + jnp.arange(block) < count
      scores = jnp.where(is_query[:, None], scores, -jnp.inf)
    return reduce(scores)

  parts = (split(query),) if preference is None else (split(query), split(preference))
  parts = (jnp.arange(blocks), *parts)
  if blocks == 1:
    return reduced(tuple(part[0] for part in parts))[None]
  return jax.lax.map(reduced, parts)


def style_preference(weights: jax.Array, size: tuple[int, int]) -> jax.Array:
  """The preference of each place of a grid for each style, which `nearest` adds to cosines.

  PREFERENCE · log(w_s(p) / max_s w_s(p)): a place matches a style of less weight only where the
  cosine is larger by this much, and never one of at most 0.001 of the largest weight.

  Args:
    weights: [S], or maps [S, H, W] that sum to 1 over S.
    size: (rows, columns) of the grid.

  Returns:
    [rows · columns, S] float32.
  """
  weights = jax.lax.stop_gradient(on_grid(weights, size)).reshape(weights.shape[0], -1).T
  relative = weights / weights.max(-1, keepdims=True)
  allowed = relative > 1e-3
  return jnp.where(allowed, PREFERENCE * jnp.log(jnp.where(allowed, relative, 1.0)), _EXCLUDED)


def on_grid(weights: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Turns weights [S] or maps [S, H, W] into maps [S, rows, columns] that sum to 1 over S."""
  if weights.ndim == 1:
    weights = jnp.broadcast_to(weights[:, None, None], (len(weights), *size))
  weights = jax.image.resize(weights, (len(weights), *size), "linear", antialias=True)
  return weights / weights.sum(0, keepdims=True)


def centers(x: jax.Array, *, weights: jax.Array | None = None) -> jax.Array:
  """The mean of an image's vectors, or for each place the mean of its region's vectors.

  Args:
    x: [B, P, D].
    weights: [S, P], how far each place belongs to each region; sum to 1 over S. None: one region.

  Returns:
    [B, 1, D], or [B, P, D].
  """
  if weights is None:
    return x.mean(1, keepdims=True)
  sums = jnp.einsum("sp,bpd->bsd", weights, x, precision="highest")
  means = sums / jnp.maximum(weights.sum(1), 1e-6)[None, :, None]
  return jnp.einsum("sp,bsd->bpd", weights, means, precision="highest")


def source_means(bank: jax.Array, source: jax.Array, count: int) -> jax.Array:
  """For each vector of a bank, the mean of all vectors of its style.

  Args:
    bank: [N, D].
    source: [N], the style of each vector.
    count: number of styles, static.

  Returns:
    [N, D], or [1, D] if there is one style.
  """
  if count == 1:
    return bank.mean(0, keepdims=True)
  number = jax.ops.segment_sum(jnp.ones(len(bank), bank.dtype), source, count)
  sums = jax.ops.segment_sum(bank, source, count)
  return jnp.take(sums / jnp.maximum(number, 1.0)[:, None], source, axis=0)


def _argmax(scores: jax.Array) -> jax.Array:
  """Index of the largest value of each row [..., N], int32; ties are always broken the same way.

  A row is folded into lines of a few values; the column of the largest is found first, then its
  line. A plain argmax on a CPU reads one value after the other, and takes as long as the product.
  """
  count = scores.shape[-1]
  width = next((width for width in (64, 48, 32, 16) if count % width == 0), None)
  if width is None:
    return jnp.argmax(scores, -1).astype(jnp.int32)
  lines = scores.reshape(*scores.shape[:-1], count // width, width)
  column = jnp.argmax(lines.max(-2), -1).astype(jnp.int32)
  within = jnp.take_along_axis(lines, column[..., None, None], -1)[..., 0]
  return jnp.argmax(within, -1).astype(jnp.int32) * width + column


def _product(query: jax.Array, bank: jax.Array, *, dtype) -> jax.Array:
  return jnp.einsum(
    "qd,nd->qn", query.astype(dtype), bank.astype(dtype), preferred_element_type=jnp.float32
  )
