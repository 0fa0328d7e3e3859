"""The style loss on colors: moments on opponent axes. Losses on features are in features.py."""

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.losses.features import target_moments
from stylejax.models import adain

OPPONENT_AXES = np.array(
  [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0.0, -(2**-0.5)], [6**-0.5, -2 * 6**-0.5, 6**-0.5]],
  np.float32,
)
"""Orthonormal axes of RGB, one per row: light, red against blue, green against both."""


def color_loss(
  image: jax.Array,
  target: jax.Array,
  *,
  content: jax.Array | None = None,
  strength: jax.Array | float = 1.0,
) -> jax.Array:
  """Distance between the moments of colors on OPPONENT_AXES.

  For each axis: [(μ − μ*)² + (σ − σ*)²] / (σ*² + 0.003), averaged over axes. Faint colors count as
  much as strong lightness, which outweighs them in a net's features.

  Args:
    image: [B, H, W, 3] in [0, 1].
    target: the same for the style image, of any H and W.
    content, strength: as in `features.moment_style_loss`, but of images instead of features.

  Returns:
    [B] float32, dimensionless.

  Source: the axes are roughly a linear form of those of Reinhard et al. 2001, "Color Transfer
  between Images", section 2; the moments are theirs as well.
  """

  def opponent(x: jax.Array) -> jax.Array:
    return jnp.einsum("bhwc,ac->bhwa", x, OPPONENT_AXES)

  image, target = opponent(image), opponent(target)
  content = None if content is None else opponent(content)
  mean, std = adain.channel_moments(image)
  target_mean, target_std = target_moments(target, content=content, strength=strength)
  squared = jnp.square(mean - target_mean) + jnp.square(std - target_std)
  return (squared / (jnp.square(target_std) + 0.003)).mean((1, 2, 3))
