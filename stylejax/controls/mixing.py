"""Several styles in one image: weights, and regions as a few uniform stylizations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.ranges import check_range


def mixing_weights(
  weights: jax.Array, count: int, size: tuple[int, int], *, xp: Any = jnp
) -> jax.Array:
  """Weights of S styles that sum to 1, for the whole image or in every pixel.

  Args:
    weights: [S], or maps [S, H, W] (regions); at least 0, of any sum that float32 holds. Where all
      are 0, or below float32's 1e-38, the styles have equal weights.
    count: S.
    size: (H, W) that maps must have.
    xp: jax.numpy; or numpy for weights that are not traced, so that nothing is compiled.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: a wrong shape, or a value that is negative, NaN or infinite (when not traced).
  """
  check_range(weights, "weights", 0, float(np.finfo(np.float32).max) / count)
  weights = xp.asarray(weights, xp.float32)
  if weights.shape not in ((count,), (count, *size)):
    raise ValueError(
      f"weights: found shape {weights.shape}, expected [{count}] or "
      f"[{count}, {size[0]}, {size[1]}], one for each style"
    )
  total = weights.sum(0, keepdims=True)
  return xp.where(total > 0, weights / xp.where(total > 0, total, 1.0), 1.0 / count)


def uniform_stylizations(
  vectors: jax.Array, weights: jax.Array | None, noise_gain: jax.Array, size: tuple[int, int]
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
  """The stylizations to compute, each uniform over the image, and each pixel's share of them.

  Args:
    vectors: style vectors, [S, D] with weights, else [B or 1, D].
    weights: [S] or maps [S, H, W], as `mixing_weights` takes them, or None.
    noise_gain: [B or 1, 1, 1, 1] or a map [1, H, W, 1], at least 1.
    size: (H, W) that maps must have.

  Returns:
    (vectors [N, B or 1, D], noise gains [N, B or 1, 1, 1, 1], shares [N, H, W] that sum to 1 over
    N); without maps N is 1 and shares None.

  Raises:
    ValueError: as `mixing_weights`.
  """
  if weights is not None:
    weights = mixing_weights(weights, vectors.shape[0], size)
    if weights.ndim == 1 or len(weights) == 1:
      # One mixed vector stands for a style between them.
      weights = weights if weights.ndim == 1 else jnp.ones(1, jnp.float32)
      vectors, weights = (weights[:, None] * vectors).sum(0, keepdims=True), None
  if weights is None and noise_gain.shape[1:3] == (1, 1):
    return vectors[None], noise_gain[None], None
  return split_maps(vectors, weights, noise_gain)


def split_maps(
  vectors: jax.Array, weights: jax.Array | None, noise_gain: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Splits maps into N uniform stylizations and each pixel's share of them.

  The N are each style alone and their mean mixture, w̄ = mean_p w(p): the mixture's share in a
  pixel is min_s w_s(p)/w̄_s, and the single styles have the rest. Likewise, a map of noise gains is
  split into gain 1 and its largest gain. Pixels whose values are one of the N are exact, a constant
  map gives that value, and other pixels blend stylizations that differ little.

  Args:
    vectors: [S, D] with weights, else [B or 1, D].
    weights: maps [S, H, W] that sum to 1 over S, or None.
    noise_gain: at least 1; a map [1, H, W, 1] unless there are weights.

  Returns:
    As `uniform_stylizations`.
  """
  if weights is None:
    vectors, shares = vectors[None], jnp.ones((1, 1, 1), jnp.float32)
  else:
    mean = weights.mean((1, 2))
    ratio = weights / jnp.where(mean > 0, mean, 1.0)[:, None, None]
    mixed = jnp.where(mean[:, None, None] > 0, ratio, jnp.inf).min(0, keepdims=True)
    shares = jnp.concatenate([weights - mixed * mean[:, None, None], mixed])
    vectors = jnp.concatenate([vectors, (mean[:, None] * vectors).sum(0, keepdims=True)])[:, None]
  if noise_gain.shape[1:3] == (1, 1):
    return vectors, jnp.broadcast_to(noise_gain, (len(vectors), *noise_gain.shape)), shares
  most = noise_gain.max(keepdims=True)
  above = ((noise_gain - 1.0) / jnp.maximum(most - 1.0, 1e-6))[..., 0]
  gains = [
    jnp.broadcast_to(value, (len(vectors), *most.shape)) for value in (jnp.ones_like(most), most)
  ]
  return (
    jnp.concatenate([vectors, vectors]),
    jnp.concatenate(gains),
    jnp.concatenate([shares * (1.0 - above), shares * above]),
  )
