"""What strength means for every backend and export: a blend with the content, a noise gain."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

MAX_STRENGTH = 2.0


def split(
  strength: jax.Array, *, minimum: Callable = jnp.minimum, maximum: Callable = jnp.maximum
) -> tuple[jax.Array, jax.Array]:
  """Splits a strength into how much of the stylized image shows, and how rough its texture is.

  blend = s(3 − s)/2 of s = min(strength, 1): with it the content distance grows nearly as the
  strength does. noise_gain = max(strength, 1): beyond 1 the colors stay and the texture grows.

  Args:
    strength: any shape, 0 (the content) over 1 (as trained) to MAX_STRENGTH.
    minimum, maximum: of a value and a number; NumPy's, or those of another kind of graph.

  Returns:
    (blend, noise_gain), both of strength's shape: blend 0 to 1 for `blend_with_content`, noise_gain
    1 to MAX_STRENGTH for the generator.
  """
  visible = minimum(strength, 1.0)
  return visible * 0.5 * (-visible + 3.0), maximum(strength, 1.0)


def blend_with_content(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  """Blends a stylized image with its content in linear light, as a thin glaze would be seen.

  With sRGB's numbers instead, dark colors cover bright ones so early that networks see less of a
  difference later (docs/quality.md).

  Args:
    stylized: [B, H, W, 3] in [0, 1], at full strength.
    content: [B or 1, H, W, 3] in [0, 1].
    blend: from 0 (the content, but for rounding) to 1 (the stylized image); broadcasts.

  Returns:
    [B, H, W, 3] in [0, 1].

  Source: the transfer function of sRGB, IEC 61966-2-1.
  """
  light = blend * srgb_to_linear(stylized) + (1.0 - blend) * srgb_to_linear(content)
  # White may come back a rounding above 1; black can't come back below 0.
  return jnp.minimum(linear_to_srgb(light), 1.0)


def srgb_to_linear(x: jax.Array) -> jax.Array:
  """sRGB's numbers → linear light, both 0 to 1."""
  curve = _power((jnp.maximum(x, 0.04045) + 0.055) / 1.055, 2.4)
  return jnp.where(x <= 0.04045, x / 12.92, curve)


def linear_to_srgb(y: jax.Array) -> jax.Array:
  """The inverse of `srgb_to_linear`."""
  # The root's slope at 0 is infinite, and where it isn't taken it would be NaN times 0.
  curve = 1.055 * _power(jnp.maximum(y, 0.0031308), 1 / 2.4) - 0.055
  return jnp.where(y <= 0.0031308, 12.92 * y, curve)


def _power(x: jax.Array, exponent: float) -> jax.Array:
  """x ** exponent of x > 0, in operations that XLA has as vectors on CPUs."""
  return jnp.exp(exponent * jnp.log(x))
