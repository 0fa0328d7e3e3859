"""The noise generator, which turns random numbers into a texture sample for the style encoder."""

import flax.linen as nn
import jax

from stylejax.models import layers


class NoiseGenerator(nn.Module):
  """Random numbers → texture sample, the image of an invented style.

  z [B, Z] → Dense(8·8·base) → reshape (8, 8, base) → Conv 3×3 (width) → stages × [ConvTranspose 4×4
  stride 2 (width), Conv 3×3 (width), Conv 3×3 (width)] → Conv 3×3 (3), with ReLU between layers, a
  sigmoid at the end, and reflect padding throughout. The defaults are base 128, width 256 and three
  stages, for 64×64 pixels, as in the preset `large`.
  """

  base: int = 128
  width: int = 256
  stages: int = 3
  dtype: str = "float32"

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    """[B, Z] standard normal → [B, T, T, 3] in [0, 1], T = 8·2^stages."""

    def conv(features, x):
      return layers.Conv(features, dtype=self.dtype)(x)

    init = layers.initializer(self, layers.lecun_normal)
    x = nn.Dense(8 * 8 * self.base, kernel_init=init, dtype=self.dtype)(z)
    x = nn.relu(conv(self.width, x.reshape(-1, 8, 8, self.base)))
    for _ in range(self.stages):
      x = nn.relu(layers.ConvTranspose(self.width, dtype=self.dtype)(x))
      x = nn.relu(conv(self.width, x))
      x = nn.relu(conv(self.width, x))
    return nn.sigmoid(conv(3, x).astype("float32"))
