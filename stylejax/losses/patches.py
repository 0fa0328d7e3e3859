"""Losses on local shapes instead of statistics: nearest places of an image and its style.

Takes features as the perceptual nets return them, {layer: [B, H, W, C]}; no net runs here.
"""

import jax
import jax.numpy as jnp

from stylejax.losses.features import Features

PLACES = 24
"""Largest number of rows, and of columns, of places of a map that are compared."""


def patch_loss(
  features: Features, target: Features, *, strength: jax.Array | float = 1.0, places: int = PLACES
) -> jax.Array:
  """Mean over layers of the cosine distance of places to their nearest in the other image.

  For each layer: (mean_p min_q d_pq + mean_q min_p d_pq) / 2 with d_pq = 1 − cos(f_p − μ, s_q − μ),
  where p are places of the image, q places of the style, and μ is the mean of the style's features.
  The first mean asks that everything in the image be from the style, the second that all of the
  style be in the image.

  Args:
    features: {layer: [B, H, W, C]} of the stylized image; its layers are those compared.
    target: the same layers of the style image, of any H and W.
    strength: scalar or [B], 0 to 1, by which the distances are multiplied.
    places: largest number of rows, and of columns, of places that are compared: of larger maps only
      every second one is, or every third, and so on.

  Returns:
    [B] float32, 0 to 2.

  Source: the relaxed earth mover's distance of Kolkin et al. 2019, arXiv:1904.12785, section 2.2;
  departs from it in taking the mean of both directions instead of the larger one, each layer by
  itself, and in subtracting the style's mean.
  """
  distances = [
    jax.vmap(_distance)(_places(f, places), _places(target[layer], places))
    for layer, f in features.items()
  ]
  return strength * jnp.stack(distances).mean(0)


def _places(features: jax.Array, most: int) -> jax.Array:
  """[B, H, W, C] → [B, places, C] float32, every n-th row and column, at most `most` of each."""
  rows, columns = (-(-side // most) for side in features.shape[1:3])
  picked = features[:, rows // 2 :: rows, columns // 2 :: columns].astype(jnp.float32)
  return picked.reshape(len(picked), -1, picked.shape[-1])


def _distance(image: jax.Array, style: jax.Array) -> jax.Array:
  """The distance between places [P, C] and [Q, C]."""
  mean = style.mean(0, keepdims=True)

  def directions(x):
    x = x - mean
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)

  distance = 1.0 - directions(image) @ directions(style).T
  return (distance.min(1).mean() + distance.min(0).mean()) / 2.0
