"""The discriminator, which scores patches of an image at several scales."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import layers
from stylejax.models.config import ModelConfig


class Discriminator(nn.Module):
  """Image → patch scores at several scales; high means "a real artwork".

  It has no normalization, as a gradient penalty on single images requires (Gulrajani et al. 2017,
  arXiv:1704.00028, section 4). Patches and scales: Isola et al. 2017, arXiv:1611.07004, section
  3.2.2; Wang et al. 2018, arXiv:1711.11585, section 3.2.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, image: jax.Array) -> tuple[jax.Array, ...]:
    """[B, H, W, 3] in [0, 1] → for each scale a score map [B, h, w, 1], float32, unbounded."""
    c, init = self.config, layers.initializer(self, layers.lecun_normal)
    x = layers.pad_to_multiple(image, 2 ** (len(c.disc_widths) + c.disc_scales - 1))
    scores = []
    for scale in range(c.disc_scales):
      x = layers.downsample2(x) if scale else 2.0 * x - 1.0
      y = layers.space_to_depth(x)
      for level, width in enumerate(c.disc_widths):
        y = layers.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(y)
        y = nn.leaky_relu(y, 0.2)
      y = nn.Conv(1, (1, 1), kernel_init=init, dtype=c.dtype)(y)
      scores.append(y.astype(jnp.float32))
    return tuple(scores)
