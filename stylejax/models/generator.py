"""The generator, which turns a content code and a style vector into an image.

The noise generator and the discriminator are in modules of their own.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import adain, autoencoder, decoder_stages, layers
from stylejax.models.codes import ContentCode, ContentMoments
from stylejax.models.config import ModelConfig


class Adaptation(nn.Module):
  """Adapts a style vector to the moments of a content, so that the style comes out right on it.

  The same targets for the moments of a few layers stylize a busy photo and a foggy one differently,
  since the moments of the result also depend on the features that are modulated.
  """

  dim: int

  @nn.compact
  def __call__(self, vector: jax.Array, moments: ContentMoments) -> jax.Array:
    """[B or 1, D] → [B, D]; initial parameters leave the vector unchanged."""
    # Moments after a ReLU aren't negative, and some channels' are a hundred times others'.
    log_moments = jnp.log1p(jnp.concatenate([m[:, 0, 0] for pair in moments for m in pair], -1))
    width = 3 * self.dim // 4
    init = layers.initializer(self, layers.lecun_normal)
    x = nn.relu(
      nn.Dense(width, kernel_init=init, name="vector")(vector)
      + nn.Dense(width, kernel_init=init, use_bias=False, name="content")(log_moments)
    )
    x = nn.relu(nn.Dense(width, kernel_init=init, name="hidden")(x))
    return vector + nn.Dense(self.dim, kernel_init=nn.initializers.zeros, name="step")(x)


class Generator(nn.Module):
  """Content code + style vector → image: the autoencoder's decoder, modulated by style.

  The vector is adapted to the content; then one dense layer for each modulated layer of the decoder
  turns it into that layer's standard deviations (gain) and means (bias), and for the content's
  finest maps also into how much of the noise map is added to each channel (noise_std).

  Departs from the source in the adaptation and the noise.
  Source: Ghiasi et al. 2017, arXiv:1705.06830, section 2, with Huang & Belongie's moments.
  """

  config: ModelConfig

  def setup(self):
    self.decoder = autoencoder.Decoder(self.config)
    self.adaptation = Adaptation(self.config.style_dim)
    self.modulation = [
      nn.Dense(
        (2 + with_noise) * self.config.content_widths[level],
        kernel_init=layers.initializer(self, layers.lecun_normal),
        bias_init=layers.initializer(self, partial(_first_targets, with_noise=with_noise)),
      )
      for level, with_noise in zip(decoder_stages.modulated_levels(self.config), self._has_noise())
    ]

  def __call__(
    self,
    code: ContentCode,
    vector: jax.Array,
    *,
    noise_gain: jax.Array | float = 1.0,
    moment_shift: jax.Array | None = None,
    noise_corner: jax.Array | None = None,
  ) -> jax.Array:
    """Generates the stylized image, before it is blended with the content.

    Args:
      code: of the content, batched.
      vector: of the style, [B or 1, D].
      noise_gain: scalar or [B or 1, 1, 1, 1]: 1 as trained, 2 for twice the noise.
      moment_shift: scalar or [B or 1, 1, 1, 1]: how far moments move to the style's, 0 to 1; None
        is 1. Only training sets it.
      noise_corner: [B or 1, 2] integers: for each example, the row and the column of the noise map
        that its first cell gets; None: 0, 0.

    Returns:
      [B, H, W, 3] in [0, 1].
    """
    moments = [adain.channel_moments(level, edges=code.edges) for level in code.levels]
    moments_of = {f"level{i}": pair for i, pair in enumerate(moments)}
    names = decoder_stages.modulated_maps(self.config)
    return self.decoder(
      code,
      modulation=[
        jax.tree_util.Partial(
          adain.modulate,
          gain=gain,
          bias=bias,
          noise_std=noise_std,
          noise_gain=noise_gain,
          moment_shift=moment_shift,
          noise_corner=noise_corner,
          moments=moments_of.get(name),
          edges=code.edges,
        )
        for name, (gain, bias, noise_std) in zip(names, self.targets(vector, moments), strict=True)
      ],
    )

  def targets(
    self, vector: jax.Array, moments: ContentMoments
  ) -> list[tuple[jax.Array, jax.Array, jax.Array | None]]:
    """(gain, bias, noise_std) of each modulated layer, for style vectors [B or 1, D].

    Each is [B, 1, 1, C]; noise_std is None where `decoder_stages.has_noise` says so.
    """
    one_row = all(array.shape[0] == 1 for array in jax.tree.leaves((vector, moments)))
    # XLA on CPUs compiles each product with one row anew, which takes as long as for a whole map.
    if one_row:
      vector, moments = jax.tree.map(layers.twice, (vector, moments))
    targets, vector = [], self.adaptation(vector, moments)
    for dense, with_noise in zip(self.modulation, self._has_noise()):
      rows = dense(vector)[:1] if one_row else dense(vector)
      values = jnp.split(rows[:, None, None], 2 + with_noise, -1)
      targets.append((values[0], values[1], values[2] if with_noise else None))
    return targets

  def _has_noise(self) -> list[bool]:
    """For each modulated layer, whether it gets noise."""
    names = decoder_stages.modulated_maps(self.config)
    return [decoder_stages.has_noise(self.config, name) for name in names]


def _first_targets(key, shape, dtype=jnp.float32, *, with_noise: bool):
  """Gain 1, bias 0, and a small noise_std: at exactly 0 its gradient would vanish."""
  width = shape[0] // (2 + with_noise)
  noise_std = [0.15 * jax.random.normal(key, (width,), dtype)] if with_noise else []
  return jnp.concatenate([jnp.ones(width, dtype), jnp.zeros(width, dtype), *noise_std])
