"""Content and style distances between features of a frozen perceptual net.

Each takes features as `vgg16_features` or `resnet_features` returns them, {layer: [B, H, W, C]};
no net is run here.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.models import blocks

Features = Mapping[str, jax.Array]

# Added to variances and mean squares, in squared units of features of pictures scaled to 0..255.
EPS = 1e-2

OPPONENT_AXES = np.array(
  [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0.0, -2**-0.5], [6**-0.5, -2 * 6**-0.5, 6**-0.5]],
  np.float32)
"""Of colours, orthonormal, a row each: light, red against blue, green against both."""


def content_loss(features: Features, target: Features, weights: Mapping[str, float], *,
                 eps: float = EPS) -> jax.Array:
  """Weighted sum over layers of the mean squared difference of instance-normalised features.

  Each channel is brought to mean 0 and standard deviation 1 first, so that the style, which lives
  in those moments, costs nothing.

  Args:
    features: {layer: [B, H, W, C]} of the generated picture.
    target: the same of the content picture.
    weights: {layer: weight}; only these layers are read.
    eps: added to the variances, in squared units of the features.

  Returns:
    Scalar, dimensionless.

  Departs from Gatys et al. 2016 and Huang & Belongie 2017, equation 12, in the normalisation.
  """
  return sum(
    weight * jnp.square(_normalised(features[layer], eps) - _normalised(target[layer], eps)).mean()
    for layer, weight in weights.items())


def moment_style_loss(features: Features, target: Features, content: Features | None = None,
                      strength: jax.Array | float = 1.0, *, eps: float = EPS) -> jax.Array:
  """Mean over layers of the squared differences of channel moments, over the target's mean square.

  For a layer: Σ_c [(μ_c − μ*_c)² + (σ_c − σ*_c)²] / Σ_c E_p[f*_pc²], averaged over the batch; the
  division makes layers comparable, and 1 is about the distance from a blank picture.

  Args:
    features: {layer: [B, H, W, C]} of the generated picture; its layers are those compared.
    target: the same layers of the style picture, of any H and W.
    content: the same layers of the content picture, for strengths below 1.
    strength: scalar or [B], 0 to 1: the moments that are wanted lie so far from those of the
      content to those of the style.
    eps: added to the variances, in squared units of the features.

  Returns:
    Scalar, dimensionless.

  Departs from Huang & Belongie 2017, arXiv:1703.06868, equation 13, in squares instead of norms
  and in the division.
  """
  losses = []
  for layer, f in features.items():
    mean, std = blocks.channel_moments(f, eps=eps)
    mean_t, std_t = _wanted(target[layer], None if content is None else content[layer], strength,
                            eps=eps)
    moved = jnp.square(mean - mean_t) + jnp.square(std - std_t)
    power = jnp.square(mean_t) + jnp.square(std_t)
    losses.append((moved.mean((1, 2, 3)) / power.mean((1, 2, 3))).mean())
  return jnp.stack(losses).mean()


def colour_loss(picture: jax.Array, target: jax.Array, content: jax.Array | None = None,
                strength: jax.Array | float = 1.0) -> jax.Array:
  """Distance of the moments of colours, on axes of light, red against blue, green against both.

  For an axis: [(μ − μ*)² + (σ − σ*)²] / (σ*² + 0.003), averaged over axes and batch. Faint colours
  count as much as strong light, which in features of a net outweighs them.

  Args:
    picture: [B, H, W, 3] in [0, 1].
    target: the same of the style picture, of any H and W.
    content, strength: as `moment_style_loss` takes them, of pictures.

  Returns:
    Scalar, dimensionless.

  Source: the axes are about those of Reinhard et al. 2001, "Color Transfer between Images",
  section 2, in linear form; so are the moments.
  """
  turned = [None if x is None else jnp.einsum("bhwc,ac->bhwa", x, OPPONENT_AXES)
            for x in (picture, target, content)]
  mean, std = blocks.channel_moments(turned[0])
  mean_t, std_t = _wanted(*turned[1:], strength)
  moved = jnp.square(mean - mean_t) + jnp.square(std - std_t)
  return (moved / (jnp.square(std_t) + 0.003)).mean()


def gram_matrix(features: jax.Array) -> jax.Array:
  """G_cd = (1/HW) Σ_p f_pc f_pd of [B, H, W, C], in float32 → [B, C, C].

  Source: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", equation
  3, divided by the number of pixels so that pictures of different size compare.
  """
  batch, height, width, channels = features.shape
  flat = features.astype(jnp.float32).reshape(batch, height * width, channels)
  return jnp.einsum("bpc,bpd->bcd", flat, flat) / (height * width)


def gram_style_loss(features: Features, target: Features, content: Features | None = None,
                    strength: jax.Array | float = 1.0) -> jax.Array:
  """Mean over layers of ‖G − G*‖² / ‖G*‖² (Frobenius norms), averaged over the batch.

  Args:
    features: {layer: [B, H, W, C]} of the generated picture; its layers are those compared.
    target: the same layers of the style picture, of any H and W.
    content, strength: as `moment_style_loss` takes them.

  Returns:
    Scalar, dimensionless.

  Departs from Gatys et al. 2016, equation 4, in the division by the target's own norm.
  """
  losses = []
  for layer, f in features.items():
    found, wanted = gram_matrix(f), gram_matrix(target[layer])
    if content is not None:
      own = gram_matrix(content[layer])
      wanted = own + jnp.reshape(strength, (-1, 1, 1)) * (wanted - own)
    moved = jnp.square(found - wanted).sum((1, 2))
    losses.append((moved / (jnp.square(wanted).sum((1, 2)) + EPS)).mean())
  return jnp.stack(losses).mean()


def _wanted(style: jax.Array, content: jax.Array | None, strength: jax.Array | float,
            **eps: float) -> tuple[jax.Array, jax.Array]:
  """(mean, std), [B, 1, 1, C], so far from the content's to the style's."""
  moments = blocks.channel_moments(style, **eps)
  if content is None:
    return moments
  strength = jnp.reshape(strength, (-1, 1, 1, 1))
  return tuple(own + strength * (there - own) for own, there in zip(
    blocks.channel_moments(content, **eps), moments, strict=True))


def _normalised(features: jax.Array, eps: float) -> jax.Array:
  mean, std = blocks.channel_moments(features, eps=eps)
  return (features - mean) / std
