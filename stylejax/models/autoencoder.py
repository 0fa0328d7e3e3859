"""ContentEncoder, Decoder and Autoencoder: image → content code → image.

The decoder is also the body of the generator: with a modulation it stylizes, without one
it gives the image back.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence

import flax
import flax.linen as nn
import jax

from stylejax.models import layers
from stylejax.models.config import ModelConfig
from stylejax.models.padding import Edges

# For each modulated layer what becomes of its features, [B, h, w, C] → the same shape.
Modulation = Sequence[Callable[[jax.Array], jax.Array]]


@flax.struct.dataclass
class ContentCode:
  """What is to be seen on an image, at several scales.

  Attributes:
    levels: feature maps from fine to coarse, [B, H/2, W/2, C1], [B, H/4, W/4, C2], ... (without B
      for a single image); H and W rounded up to the config's stride.
    image: the image itself, [B, H, W, 3], which no net reads: blended with at strengths below 1.
    size: (H, W) of the image, static.
    edges: what lies beyond the edges of the maps; None: their mirror image.
  """

  levels: tuple[jax.Array, ...]
  image: jax.Array
  size: tuple[int, int] = flax.struct.field(pytree_node=False)
  edges: Edges | None = None


class ContentEncoder(nn.Module):
  """Image → content code; no normalization, so that nothing of the image is lost."""

  config: ModelConfig

  @nn.compact
  def __call__(self, image: jax.Array, *, edges: Edges | None = None) -> ContentCode:
    """Reads [B, H, W, 3] in [0, 1], H and W ≥ 16; with edges, multiples of the stride."""
    c = self.config
    x = layers.space_to_depth(2.0 * layers.pad_to_multiple(image, c.stride) - 1.0)
    levels = []
    for level, (width, extra) in enumerate(zip(c.content_widths, c.content_blocks)):
      # The first of these is also `finest_level`.
      x = nn.relu(layers.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(x, edges=edges))
      for _ in range(extra):
        x = nn.relu(layers.Conv(width, dtype=c.dtype)(x, edges=edges))
      levels.append(x)
    return ContentCode(tuple(levels), image, image.shape[1:3], edges)


def finest_level(config: ModelConfig, encoder: dict, image: jax.Array) -> jax.Array:
  """The finest map of `ContentEncoder` by itself, where one convolution makes it.

  Args:
    config: with content_blocks[0] = 0.
    encoder: the encoder's parameters.
    image: [B, H, W, 3] in [0, 1], H and W even.

  Returns:
    [B, H/2, W/2, C1].
  """
  conv = layers.Conv(config.content_widths[0], dtype=config.dtype)
  return nn.relu(
    conv.apply({"params": encoder["Conv_0"]}, layers.space_to_depth(2.0 * image - 1.0))
  )


def modulated_levels(config: ModelConfig) -> tuple[int, ...]:
  """Content level of each modulated layer of the decoder, in the order in which it meets them."""
  coarsest = len(config.content_widths) - 1
  finer = [level for level in reversed(range(coarsest)) for _ in range(2)]
  return (coarsest,) * (1 + 2 * config.decoder_blocks) + tuple(finer)


@dataclasses.dataclass(frozen=True)
class Stage:
  """What the decoder does between two looks at the moments of a whole map.

  A stage is local: each row of its output depends on one row of the coarsest input to either side.

  Attributes:
    inputs: names of the maps that it reads, modulated; they are added up, but for `fine`.
    rectified: whether the sum goes through a ReLU.
    fine: name of the finer map that is added after the sum has been doubled, or None.
    output: name of the map that it makes.
  """

  inputs: tuple[str, ...]
  rectified: bool
  fine: str | None
  output: str


def stages(config: ModelConfig) -> tuple[Stage, ...]:
  """The decoder's stages; maps are called level0, level1, ..., what they make, and image."""
  last = len(config.content_widths) - 1
  all_stages, trunk = [], (f"level{last}",)
  for block in range(config.decoder_blocks):
    first, second = f"block{block}.first", f"block{block}.second"
    all_stages += [Stage(trunk, False, None, first), Stage((first,), True, None, second)]
    trunk = (*trunk, second)
  for level in reversed(range(last)):
    all_stages.append(Stage(trunk, level < last - 1, f"level{level}", f"merged{level}"))
    trunk = (f"merged{level}",)
  return (*all_stages, Stage(trunk, True, None, "image"))


def modulated_maps(config: ModelConfig) -> tuple[str, ...]:
  """Names of the maps that a modulation moves, in the order of `modulated_levels`."""
  names = []
  for stage in stages(config):
    names += [name for name in (*stage.inputs, stage.fine) if name and name not in names]
  return tuple(names)


def has_noise(name: str) -> bool:
  """Whether noise is added to a modulated map: to the content's own, not to the decoder's."""
  return name.startswith("level")


class Decoder(nn.Module):
  """Content code → image, with each layer's channel moments moved by a modulation if given.

  Residual blocks at the coarsest level, then, level by level: 1×1 convolution, bilinear doubling,
  the encoder's features of that level added, 3×3 convolution. The last doubling is folded into the
  convolution that makes RGB.
  """

  config: ModelConfig

  def setup(self):
    c = self.config
    convs = [layers.Conv(c.content_widths[-1], dtype=c.dtype) for _ in range(2 * c.decoder_blocks)]
    for width in reversed(c.content_widths[:-1]):
      convs += [nn.Conv(width, (1, 1), dtype=c.dtype), layers.Conv(width, dtype=c.dtype)]
    # Called as parameters of weights files are.
    self.Conv, self.UpsampleConv = convs, [layers.UpsampleConv(3, dtype=c.dtype)]

  def __call__(self, code: ContentCode, *, modulation: Modulation | None = None) -> jax.Array:
    """Returns [B, H, W, 3] in [0, 1]; modulation as `modulated_levels` orders it."""
    maps = {f"level{i}": level for i, level in enumerate(code.levels)}
    if modulation is not None:
      modulation = dict(zip(modulated_maps(self.config), modulation, strict=True))
    styled = {}
    for number, stage in enumerate(stages(self.config)):
      for name in (*stage.inputs, *([stage.fine] if stage.fine else [])):
        if name not in styled:
          styled[name] = maps[name] if modulation is None else modulation[name](maps[name])
      maps[stage.output] = self.stage(
        number,
        [styled[name] for name in stage.inputs],
        fine=styled.get(stage.fine),
        edges=code.edges,
      )
    return maps["image"][:, : code.size[0], : code.size[1]]

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
