"""Generator (content + style → image), NoiseGenerator (noise → swatch) and Discriminator."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import autoencoder, layers
from stylejax.models.config import ModelConfig

# (mean, std), both [B, 1, 1, C], of each level of the content code, from fine to coarse.
ContentMoments = Sequence[tuple[jax.Array, jax.Array]]


class Adaptation(nn.Module):
  """Moves a style vector to where the style comes out right on a content of given moments.

  The same targets for the moments of a few layers paint a busy photo and a foggy one differently:
  what the image's own moments become also depends on what there is to be modulated.
  """

  dim: int

  @nn.compact
  def __call__(self, vector: jax.Array, moments: ContentMoments) -> jax.Array:
    """[B or 1, D] → [B, D]; fresh parameters leave the vector as it is."""
    # Of maps after a ReLU, so that nothing is below 0; a few channels are a hundred times others.
    seen = jnp.log1p(jnp.concatenate([m[:, 0, 0] for pair in moments for m in pair], -1))
    width = 3 * self.dim // 4
    x = nn.relu(
      nn.Dense(width, name="vector")(vector) + nn.Dense(width, use_bias=False, name="content")(seen)
    )
    x = nn.relu(nn.Dense(width, name="hidden")(x))
    return vector + nn.Dense(self.dim, kernel_init=nn.initializers.zeros, name="step")(x)


class Generator(nn.Module):
  """Content code + style vector → image: the autoencoder's decoder, modulated by style.

  The vector is adapted to the content; then one dense layer for each modulated layer of the decoder
  turns it into that layer's standard deviations (gain) and means (bias), and for the content's own
  maps also into how much of the canvas's pattern shows (grain).

  Departs from the source in the adaptation and the grain.
  Source: Ghiasi et al. 2017, arXiv:1705.06830, section 2, with Huang & Belongie's moments.
  """

  config: ModelConfig

  def setup(self):
    self.decoder = autoencoder.Decoder(self.config)
    self.adaptation = Adaptation(self.config.style_dim)
    self.modulation = [
      nn.Dense(
        (2 + grained) * self.config.content_widths[level],
        bias_init=partial(_first_targets, grained=grained),
      )
      for level, grained in zip(autoencoder.modulated_levels(self.config), self._grained())
    ]

  def __call__(
    self, code: autoencoder.ContentCode, vector: jax.Array, strength: jax.Array | float = 1.0
  ) -> jax.Array:
    """Returns [B, H, W, 3] in [0, 1]; vector [B or 1, D], strength [B or 1, 1, 1, 1] or scalar.

    Strength is how far moments are moved; 1 is as trained.
    """
    moments = [layers.channel_moments(level, edges=code.edges) for level in code.levels]
    known = {f"level{i}": pair for i, pair in enumerate(moments)}
    return self.decoder(
      code,
      [
        partial(
          layers.modulate,
          gain=gain,
          bias=bias,
          strength=strength,
          edges=code.edges,
          grain=grain,
          moments=known.get(name),
        )
        for name, (gain, bias, grain) in zip(
          autoencoder.modulated_maps(self.config), self.targets(vector, moments), strict=True
        )
      ],
    )

  def targets(
    self, vector: jax.Array, moments: ContentMoments
  ) -> list[tuple[jax.Array, jax.Array, jax.Array | None]]:
    """(gain, bias, grain or None) of each modulated layer; vector [B or 1, D].

    Each is [B, 1, 1, C]; the content's own maps have grain.
    """
    found, vector = [], self.adaptation(vector, moments)
    for dense, grained in zip(self.modulation, self._grained()):
      values = jnp.split(dense(vector)[:, None, None], 2 + grained, -1)
      found.append((*values[:2], values[2] if grained else None))
    return found

  def _grained(self) -> list[bool]:
    """Which modulated layers get grain."""
    return list(map(autoencoder.shows_canvas, autoencoder.modulated_maps(self.config)))


def _first_targets(key, shape, dtype=jnp.float32, *, grained: bool):
  """Gain 1, bias 0, and a little grain: at exactly none its gradient would vanish."""
  width = shape[0] // (2 + grained)
  grain = [0.15 * jax.random.normal(key, (width,), dtype)] if grained else []
  return jnp.concatenate([jnp.ones(width, dtype), jnp.zeros(width, dtype), *grain])


class NoiseGenerator(nn.Module):
  """z → swatch of paint.

  z [B, Z] → Dense(8·8·base) → reshape (8, 8, base) → Conv 3×3 (width) → stages × [ConvTranspose
  4×4 stride 2 (width), Conv 3×3 (width), Conv 3×3 (width)] → Conv 3×3 (3), ReLU between layers and
  a sigmoid at the end, all with reflect padding. The defaults are the net that the project
  describes: Z = 100, base 128, width 256, three stages, 64×64 pixels.
  """

  base: int = 128
  width: int = 256
  stages: int = 3
  dtype: str = "float32"

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    """[B, Z] standard normal → [B, S, S, 3] in [0, 1], S = 8·2^stages."""

    def conv(features, x):
      return layers.Conv(features, dtype=self.dtype)(x)

    x = nn.Dense(8 * 8 * self.base, dtype=self.dtype)(z)
    x = nn.relu(conv(self.width, x.reshape(-1, 8, 8, self.base)))
    for _ in range(self.stages):
      x = nn.relu(layers.ConvTranspose(self.width, dtype=self.dtype)(x))
      x = nn.relu(conv(self.width, x))
      x = nn.relu(conv(self.width, x))
    return nn.sigmoid(conv(3, x).astype("float32"))


class Discriminator(nn.Module):
  """Image → patch scores at several scales; high means "a real artwork".

  No normalization, as a gradient penalty on single images needs (Gulrajani et al. 2017,
  arXiv:1704.00028, section 4). Patches and scales: Isola et al. 2017, arXiv:1611.07004, section
  3.2.2; Wang et al. 2018, arXiv:1711.11585, section 3.2.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, image: jax.Array) -> tuple[jax.Array, ...]:
    """[B, H, W, 3] in [0, 1] → for each scale a score map [B, h, w, 1], float32, unbounded."""
    c = self.config
    x = layers.pad_to_multiple(image, 2 ** (len(c.disc_widths) + c.disc_scales - 1))
    scores = []
    for scale in range(c.disc_scales):
      x = layers.downsample2(x) if scale else 2.0 * x - 1.0
      y = layers.space_to_depth(x)
      for level, width in enumerate(c.disc_widths):
        y = layers.Conv(width, stride=1 if level == 0 else 2, dtype=c.dtype)(y)
        y = nn.leaky_relu(y, 0.2)
      y = nn.Conv(1, (1, 1), dtype=c.dtype)(y)
      scores.append(y.astype(jnp.float32))
    return tuple(scores)
