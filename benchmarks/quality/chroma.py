"""Color noise: speckles finer than a stroke, and clouds where the content is plain.

Pure functions of images [B, H, W, 3] in [0, 1] that return one number per image, [B].
"""

import jax
import jax.numpy as jnp

from stylejax.metrics.style import resize_area
from stylejax.optimization.colors import srgb_to_oklab

FINE = 4
"""Side in pixels of the blocks over which colors are averaged; the remainder is fine detail."""
WINDOW = 32
"""Side in pixels of the windows that are each judged plain or not."""
PLAIN_STD = 0.02
"""Standard deviation in Oklab at which a window of the content weighs 1/e of a plain one."""


def chroma_detail(image: jax.Array) -> jax.Array:
  """Root mean square of the chroma (a and b of Oklab) less its mean over FINE × FINE pixels.

  Args:
    image: its sides must be multiples of FINE.
  """
  chroma = srgb_to_oklab(image)[..., 1:]
  height, width = chroma.shape[1:3]
  coarse = resize_area(chroma, height // FINE, width // FINE)
  detail = chroma - jnp.repeat(jnp.repeat(coarse, FINE, 1), FINE, 2)
  return jnp.sqrt(jnp.square(detail).sum(-1).mean((1, 2)))


def plain_chroma(image: jax.Array, content: jax.Array) -> jax.Array:
  """Variance of the chroma in those windows of an image in which its content is plain.

  Σ_w exp(−v_w / PLAIN_STD²) c_w / Σ_w exp(−v_w / PLAIN_STD²); c_w is the variance of a and b of
  Oklab in a window of the image, v_w that of all three channels in the content's same window.
  Windows overlap by half.

  Args:
    image: has the content's shape, with sides of at least WINDOW.
    content: what was stylized.
  """
  plain = jnp.exp(-_variances(srgb_to_oklab(content)) / PLAIN_STD**2)
  cloud = _variances(srgb_to_oklab(image)[..., 1:])
  return (plain * cloud).sum((1, 2)) / jnp.maximum(plain.sum((1, 2)), 1e-12)


def _variances(x: jax.Array) -> jax.Array:
  """Variance in each window, summed over the channels: [B, rows, columns]."""

  def means(x: jax.Array) -> jax.Array:
    sums = jax.lax.reduce_window(
      x, 0.0, jax.lax.add, (1, WINDOW, WINDOW, 1), (1, WINDOW // 2, WINDOW // 2, 1), "VALID"
    )
    return sums / WINDOW**2

  x = x - x.mean((1, 2), keepdims=True)
  return jnp.maximum(means(jnp.square(x)) - jnp.square(means(x)), 0.0).sum(-1)
