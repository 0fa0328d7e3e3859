"""Moves the features of one image to the distribution of another's, by more than their moments.

Arrays in, arrays out, for single images. Which features are moved is in `transport_rows.py`.
"""

import jax
import jax.numpy as jnp

RIDGE = 1e-3
"""Added to the variance of every direction, in units of the channels' mean variance: otherwise a
channel that is 0 nearly everywhere would be divided by next to nothing."""

_product = jax.tree_util.Partial(jnp.matmul, precision="highest")


def covariance_map(features: jax.Array, target: jax.Array) -> jax.Array:
  """Gives features the target's mean and covariance by the affine map that moves them least.

  T = C^-½ (C^½ C* C^½)^½ C^-½,   f ↦ T (f − μ) + μ*

  Args:
    features: [..., C].
    target: [..., C], with any number of places.

  Returns:
    Features of the same shape, float32.

  Departs from Li et al. in the map, the linear Monge–Kantorovich one, where theirs is
  C*^½ C^-½; and in the ridge, where they drop small eigenvalues.
  Source: Li et al. 2017, arXiv:1705.08086, section 3.2; Pitié & Kokaram 2007,
  doi:10.1049/cp:20070055.
  """
  (mean, covariance), (target_mean, target_covariance) = map(_moments, (features, target))
  root, inverse = _roots(covariance)
  middle = _roots(_product(_product(root, target_covariance), root))[0]
  transport = _product(_product(inverse, middle), inverse)
  moved = _product(_places(features) - mean, transport) + target_mean
  return moved.reshape(features.shape)


def sliced_map(
  features: jax.Array, target: jax.Array, key: jax.Array, *, rotations: int
) -> jax.Array:
  """Matches the histograms along the axes of random rotations, one rotation after the other.

  Args:
    features: [..., C].
    target: [..., C], with any number of places.
    key: random key of the rotations.
    rotations: number of rotations, static; in the limit the distributions become equal.

  Returns:
    Features of the same shape, float32.

  Departs from the source in sorting, where the source bins its histograms.
  Source: Risser 2020, "Optimal Textures", arXiv:2010.14702, section 3.
  """
  moved, target = _places(features), _places(target)
  count, channels = moved.shape

  def rotate(moved, key):
    rotation = jnp.linalg.qr(jax.random.normal(key, (channels, channels)))[0]
    # Places are the last axis: XLA sorts along that one twice as fast.
    along, along_target = (_product(x, rotation).T for x in (moved, target))
    matched = _resampled(jnp.sort(along_target, -1), count)
    order = jnp.argsort(along, -1)
    along = jnp.put_along_axis(along, order, matched, -1, inplace=False)
    return _product(along.T, rotation.T), None

  moved, _ = jax.lax.scan(rotate, moved, jax.random.split(key, rotations))
  return moved.reshape(features.shape)


def _places(features: jax.Array) -> jax.Array:
  return features.reshape(-1, features.shape[-1]).astype(jnp.float32)


def _moments(features: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Mean [1, C] and covariance with a ridge [C, C]."""
  places = _places(features)
  mean = places.mean(0, keepdims=True)
  covariance = _product((places - mean).T, places - mean) / places.shape[0]
  ridge = RIDGE * jnp.diagonal(covariance).mean() + 1e-6
  return mean, covariance + ridge * jnp.eye(covariance.shape[0])


def _roots(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The square root of a symmetric positive definite matrix, and the root's inverse."""
  values, vectors = jnp.linalg.eigh(matrix)
  root = jnp.sqrt(jnp.maximum(values, 1e-12))[None]
  return _product(vectors * root, vectors.T), _product(vectors / root, vectors.T)


def _resampled(ordered: jax.Array, count: int) -> jax.Array:
  """Interpolates sorted values at `count` evenly spaced positions: [C, N] → [C, count]."""
  at = jnp.linspace(0.0, ordered.shape[-1] - 1.0, count)
  low = jnp.floor(at).astype(jnp.int32)
  high = jnp.minimum(low + 1, ordered.shape[-1] - 1)
  share = (at - low)[None]
  return (1.0 - share) * ordered[:, low] + share * ordered[:, high]
