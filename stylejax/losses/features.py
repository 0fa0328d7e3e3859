"""Content and style distances between features of a frozen perceptual net.

Each takes features as `vgg16_features` or `resnet_features` returns them, {layer: [B, H, W, C]},
and returns one number per image, [B]. No net runs here.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from stylejax.models import adain

Features = Mapping[str, jax.Array]

EPS = 1e-2
"""Added to variances and mean squares, in squared units of the features of images in 0 to 255."""


def content_loss(
  features: Features, target: Features, weights: Mapping[str, float], *, eps: float = EPS
) -> jax.Array:
  """Weighted sum over layers of the mean squared difference of instance-normalized features.

  Each channel is brought to mean 0 and standard deviation 1 first, so that the style, which lives
  in those moments, costs nothing.

  Args:
    features: {layer: [B, H, W, C]} of the stylized image.
    target: the same for the content image.
    weights: {layer: weight}; only these layers are read.
    eps: added to the variances, in squared units of the features.

  Returns:
    [B] float32, dimensionless.

  Departs from Gatys et al. 2016 and Huang & Belongie 2017, equation 12, in the normalization.
  """

  def distance(layer):
    difference = _instance_norm(features[layer], eps) - _instance_norm(target[layer], eps)
    return jnp.square(difference).mean((1, 2, 3))

  return sum(weight * distance(layer) for layer, weight in weights.items())


def moment_style_loss(
  features: Features,
  target: Features,
  *,
  content: Features | None = None,
  strength: jax.Array | float = 1.0,
  eps: float = EPS,
) -> jax.Array:
  """Mean over layers of squared differences of channel moments over the target's mean square.

  For each layer: Σ_c [(μ_c − μ*_c)² + (σ_c − σ*_c)²] / Σ_c E_p[f*_pc²]. The division makes layers
  comparable; a blank image has a distance of about 1.

  Args:
    features: {layer: [B, H, W, C]} of the stylized image; its layers are those compared.
    target: the same layers of the style image, of any H and W.
    content: the same layers of the content image, needed for strengths below 1.
    strength: scalar or [B], 0 to 1: how far the target moments lie on the way from the content's
      to the style's.
    eps: added to the variances, in squared units of the features.

  Returns:
    [B] float32, dimensionless.

  Departs from Huang & Belongie 2017, arXiv:1703.06868, equation 13, in using squares instead of
  norms and in the division.
  """
  losses = []
  for layer, f in features.items():
    mean, std = adain.channel_moments(f, eps=eps)
    target_mean, target_std = target_moments(
      target[layer], content=None if content is None else content[layer], strength=strength, eps=eps
    )
    squared = jnp.square(mean - target_mean) + jnp.square(std - target_std)
    power = jnp.square(target_mean) + jnp.square(target_std)
    losses.append(squared.mean((1, 2, 3)) / power.mean((1, 2, 3)))
  return jnp.stack(losses).mean(0)


def target_moments(
  style: jax.Array,
  *,
  content: jax.Array | None = None,
  strength: jax.Array | float = 1.0,
  eps: float = 1e-5,
) -> tuple[jax.Array, jax.Array]:
  """Channel moments interpolated linearly from the content's to the style's.

  Args:
    style: [B, H, W, C].
    content: [B, H', W', C]; None gives the style's own moments.
    strength: scalar or [B]: 0 for the content's moments, 1 for the style's.
    eps: added to the variances.

  Returns:
    (mean, std), both [B, 1, 1, C] float32.
  """
  moments = adain.channel_moments(style, eps=eps)
  if content is None:
    return moments
  strength = jnp.reshape(strength, (-1, 1, 1, 1))
  mean, std = adain.channel_moments(content, eps=eps)
  return mean + strength * (moments[0] - mean), std + strength * (moments[1] - std)


def gram_matrix(features: jax.Array) -> jax.Array:
  """G_cd = (1/HW) Σ_p f_pc f_pd of [B, H, W, C], in float32 → [B, C, C].

  Source: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", equation 3,
  divided by the number of pixels so that images of different sizes are comparable.
  """
  batch, height, width, channels = features.shape
  flat = features.astype(jnp.float32).reshape(batch, height * width, channels)
  return jnp.einsum("bpc,bpd->bcd", flat, flat) / (height * width)


def gram_style_loss(
  features: Features,
  target: Features,
  *,
  content: Features | None = None,
  strength: jax.Array | float = 1.0,
) -> jax.Array:
  """Mean over layers of ‖G − G*‖² / ‖G*‖², Frobenius norms of Gram matrices.

  Args:
    features: {layer: [B, H, W, C]} of the stylized image; its layers are those compared.
    target: the same layers of the style image, of any H and W.
    content, strength: as in `moment_style_loss`, for matrices in place of moments.

  Returns:
    [B] float32, dimensionless.

  Departs from Gatys et al. 2016, equation 4, in the division by the target's own norm.
  """
  losses = []
  for layer, f in features.items():
    gram, target_gram = gram_matrix(f), gram_matrix(target[layer])
    if content is not None:
      content_gram = gram_matrix(content[layer])
      target_gram = content_gram + jnp.reshape(strength, (-1, 1, 1)) * (target_gram - content_gram)
    squared = jnp.square(gram - target_gram).sum((1, 2))
    losses.append(squared / (jnp.square(target_gram).sum((1, 2)) + EPS))
  return jnp.stack(losses).mean(0)


def _instance_norm(features: jax.Array, eps: float) -> jax.Array:
  mean, std = adain.channel_moments(features, eps=eps)
  return (features - mean) / std
