"""ContentEncoder, Decoder and Autoencoder: image → content code → image.

The decoder is also the body of the generator: with a modulation it stylizes, without one it
reconstructs the image.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import layers
from stylejax.models.codes import ContentCode
from stylejax.models.config import ModelConfig
from stylejax.models.decoder_stages import modulated_maps, stages
from stylejax.models.padding import Edges, image_size

# For each modulated layer, a function of its features [B, h, w, C] → the same shape.
Modulation = Sequence[Callable[[jax.Array], jax.Array]]


class ContentEncoder(nn.Module):
  """Image → content code; no normalization, so that nothing of the image is lost."""

  config: ModelConfig

  @nn.compact
  def __call__(self, image: jax.Array, *, edges: Edges | None = None) -> ContentCode:
    """Reads [B, H, W, 3] in [0, 1], H and W ≥ 16; with edges, multiples of the stride."""
    c = self.config
    x = layers.space_to_depth(2.0 * layers.pad_to_multiple(image, c.stride) - 1.0, side=c.fold)
    levels = []
    for level, (width, extra) in enumerate(zip(c.content_widths, c.content_blocks)):
      # `finest_level` computes the first of these alone.
      x = nn.relu(layers.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(x, edges=edges))
      for _ in range(extra):
        x = nn.relu(layers.Conv(width, dtype=c.dtype)(x, edges=edges))
      levels.append(x)
    return ContentCode(tuple(levels), image, image_size(image), edges)


def finest_level(config: ModelConfig, encoder: dict, image: jax.Array) -> jax.Array:
  """The finest map of `ContentEncoder` alone, where a single convolution makes it.

  Args:
    config: with content_blocks[0] = 0.
    encoder: the encoder's parameters.
    image: [B, H, W, 3] in [0, 1], H and W multiples of the config's fold.

  Returns:
    [B, H/fold, W/fold, C1].
  """
  conv = layers.Conv(config.content_widths[0], dtype=config.dtype)
  folded = layers.space_to_depth(2.0 * image - 1.0, side=config.fold)
  x: Any = conv.apply({"params": encoder["Conv_0"]}, folded)
  return nn.relu(x)


def _stylizes_only(edges: Edges | None) -> bool:
  """Whether a program only stylizes, on one device; programs of training have no edges."""
  return edges is not None and edges.axis_name is None


class Decoder(nn.Module):
  """Content code → image, with each layer's channel moments moved by a modulation if there is one.

  Residual blocks at the coarsest level; then, at each finer level, a 1×1 convolution, bilinear
  doubling, addition of the encoder's features of that level and a 3×3 convolution. The last
  upsampling, to pixels, is folded into the convolution that makes RGB.
  """

  config: ModelConfig

  def setup(self):
    c, init = self.config, layers.initializer(self, layers.lecun_normal)
    convs = [layers.Conv(c.content_widths[-1], dtype=c.dtype) for _ in range(2 * c.decoder_blocks)]
    for width in reversed(c.content_widths[:-1]):
      convs += [
        nn.Conv(width, (1, 1), kernel_init=init, dtype=c.dtype),
        layers.Conv(width, dtype=c.dtype),
      ]
    # Named as the parameters in weights files are.
    self.Conv, self.UpsampleConv = convs, [layers.UpsampleConv(3, scale=c.fold, dtype=c.dtype)]

  def __call__(self, code: ContentCode, *, modulation: Modulation | None = None) -> jax.Array:
    """Returns [B, H, W, 3] in [0, 1]; modulation in the order of `modulated_levels`."""
    maps = {f"level{i}": level for i, level in enumerate(code.levels)}
    modulate: dict[str, Callable[[jax.Array], jax.Array]] = {}
    if modulation is not None:
      modulate = dict(zip(modulated_maps(self.config), modulation, strict=True))
    styled: dict[str, jax.Array] = {}
    blocks = 2 * self.config.decoder_blocks
    in_a_loop = blocks > 0 and modulation is not None and _stylizes_only(code.edges)
    for number, stage in enumerate(stages(self.config)):
      if in_a_loop and number < blocks:
        continue
      names = () if in_a_loop and number == blocks else stage.inputs
      for name in (*names, *([stage.fine] if stage.fine else [])):
        if name not in styled:
          styled[name] = modulate[name](maps[name]) if modulate else maps[name]
      inputs = [styled[name] for name in names] or [
        self._blocks(maps, modulate, stage.inputs[0], edges=code.edges)
      ]
      maps[stage.output] = self.stage(
        number, inputs, fine=styled[stage.fine] if stage.fine else None, edges=code.edges
      )
    return maps["image"][:, : code.size[0], : code.size[1]]

  def _blocks(self, maps, modulation, trunk: str, *, edges: Edges | None) -> jax.Array:
    """All residual blocks, modulated, as a loop over their layers, of which one is compiled."""
    count = 2 * self.config.decoder_blocks
    modulations = [modulation[name] for name in modulated_maps(self.config)[1 : count + 1]]
    convs = [conv.variables["params"] for conv in self.Conv[:count]]
    conv = layers.Conv(self.config.content_widths[-1], dtype=self.config.dtype, parent=None)

    def layer(carry, inputs):
      trunk, x = carry
      params, modulate, second = inputs
      y = modulate(conv.apply({"params": params}, x, edges=edges))
      trunk = jnp.where(second, trunk + y, trunk)
      return (trunk, jnp.where(second, trunk, nn.relu(y))), None

    x = modulation[trunk](maps[trunk])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(convs, modulations))
    (x, _), _ = jax.lax.scan(layer, (x, x), (*stacked, jnp.arange(count) % 2 == 1))
    return x

  def stage(
    self,
    number: int,
    inputs: Sequence[jax.Array],
    *,
    fine: jax.Array | None = None,
    edges: Edges | None = None,
  ) -> jax.Array:
    """Runs one of the `stages` on modulated maps (or rows of them) [B, h, w, C]."""
    x = functools.reduce(operator.add, inputs)
    if stages(self.config)[number].rectified:
      x = nn.relu(x)
    place = number + max(0, number - 2 * self.config.decoder_blocks)
    if place == len(self.Conv):
      return nn.sigmoid(self.UpsampleConv[0](x, edges=edges).astype("float32"))
    if fine is not None:
      x = nn.relu(layers.upsample2(self.Conv[place](x), edges=edges) + fine)
      place += 1
    return self.Conv[place](x, edges=edges)


class Autoencoder(nn.Module):
  """x̂ = decode(encode(x)): the content encoder and the decoder without a modulation."""

  config: ModelConfig

  def setup(self):
    self.encoder = ContentEncoder(self.config)
    self.decoder = Decoder(self.config)

  def __call__(self, image: jax.Array) -> jax.Array:
    """[B, H, W, 3] in [0, 1] → the same."""
    return self.decoder(self.encoder(image))
