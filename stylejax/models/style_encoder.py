"""StyleEncoder: a convolutional net that reads an image's style as channel moments."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import adain, layers
from stylejax.models.codes import StyleCode
from stylejax.models.config import ModelConfig
from stylejax.models.padding import Edges


class StyleEncoder(nn.Module):
  """Image → style code: convolutions level by level, and each level's channel moments.

  Source: the moments are those of Huang & Belongie 2017, arXiv:1703.06868, section 5; the vector
  has the role of the one in Ghiasi et al. 2017, arXiv:1705.06830, section 2.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, image: jax.Array, *, edges: Edges | None = None) -> StyleCode:
    """Reads [B, H, W, 3] in [0, 1], H and W ≥ 16; with edges, multiples of the style stride."""
    c = self.config
    x = layers.pad_to_multiple(image, c.style_stride)
    x = layers.space_to_depth(2.0 * x - 1.0)
    moments = []
    for level, width in enumerate(c.style_widths):
      x = nn.relu(layers.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(x, edges=edges))
      moments.append(adain.channel_moments(x, edges=edges))
    flat = jnp.concatenate([m[:, 0, 0] for pair in moments for m in pair], -1)
    return StyleCode(tuple(moments), layers.Mlp((c.style_dim, c.style_dim), name="vector")(flat))
