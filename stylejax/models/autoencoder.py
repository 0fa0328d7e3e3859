"""ContentEncoder, Decoder and Autoencoder: picture → content code → picture.

The decoder is also the body of the generator: with a modulation it paints in a style, without one
it gives the picture back.
"""

from collections.abc import Sequence

import flax
import flax.linen as nn
import jax

from stylejax.models import blocks
from stylejax.models.config import ModelConfig

Modulation = Sequence[tuple[jax.Array, jax.Array]]


@flax.struct.dataclass
class ContentCode:
  """What is to be seen on a picture, at several scales.

  Attributes:
    levels: feature maps from fine to coarse, [B, H/2, W/2, C1], [B, H/4, W/4, C2], ... (without B
      for a single picture); H and W rounded up to the config's stride.
    size: (H, W) of the picture, static.
  """

  levels: tuple[jax.Array, ...]
  size: tuple[int, int] = flax.struct.field(pytree_node=False)


class ContentEncoder(nn.Module):
  """Picture → content code; no normalisation, so that nothing of the picture is lost."""

  config: ModelConfig

  @nn.compact
  def __call__(self, picture: jax.Array) -> ContentCode:
    """Reads [B, H, W, 3] in [0, 1], H and W ≥ 16."""
    c = self.config
    x = blocks.space_to_depth(2.0 * blocks.pad_to_multiple(picture, c.stride) - 1.0)
    levels = []
    for level, (width, extra) in enumerate(zip(c.content_widths, c.content_blocks)):
      x = nn.relu(blocks.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(x))
      for _ in range(extra):
        x = nn.relu(blocks.Conv(width, dtype=c.dtype)(x))
      levels.append(x)
    return ContentCode(tuple(levels), picture.shape[1:3])


def modulated_widths(config: ModelConfig) -> tuple[int, ...]:
  """Channels of each modulated layer of the decoder, in the order in which it meets them."""
  coarsest = config.content_widths[-1]
  widths = [coarsest] * (1 + 2 * config.decoder_blocks)
  for width in reversed(config.content_widths[:-1]):
    widths += [width, width]
  return tuple(widths)


class Decoder(nn.Module):
  """Content code → picture, with each layer's channel moments moved by a modulation if given.

  Residual blocks at the coarsest level, then, level by level: 1×1 convolution, bilinear doubling,
  the encoder's features of that level added, 3×3 convolution. The last doubling is folded into the
  convolution that makes RGB.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, code: ContentCode, modulation: Modulation | None = None,
               strength: jax.Array | float = 1.0) -> jax.Array:
    """Returns [B, H, W, 3] in [0, 1]; modulation as `modulated_widths` orders it."""
    c = self.config
    pending = iter(modulation if modulation is not None else ())

    def styled(x):
      return x if modulation is None else blocks.modulate(x, *next(pending), strength)

    x = styled(code.levels[-1])
    for _ in range(c.decoder_blocks):
      y = nn.relu(styled(blocks.Conv(x.shape[-1], dtype=c.dtype)(x)))
      x = x + styled(blocks.Conv(x.shape[-1], dtype=c.dtype)(y))
    for level in reversed(code.levels[:-1]):
      x = nn.Conv(level.shape[-1], (1, 1), dtype=c.dtype)(x)
      x = nn.relu(blocks.upsample2(x) + styled(level))
      x = nn.relu(styled(blocks.Conv(level.shape[-1], dtype=c.dtype)(x)))
    x = nn.sigmoid(blocks.UpsampleConv(3, dtype=c.dtype)(x).astype("float32"))
    return x[:, :code.size[0], :code.size[1]]


class Autoencoder(nn.Module):
  """x̂ = decode(encode(x)): the content encoder and the decoder without a modulation."""

  config: ModelConfig

  def setup(self):
    self.encoder = ContentEncoder(self.config)
    self.decoder = Decoder(self.config)

  def __call__(self, picture: jax.Array) -> jax.Array:
    """[B, H, W, 3] in [0, 1] → the same."""
    return self.decoder(self.encoder(picture))
