"""What strength means for every backend and export: a blend with the content, a noise gain."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

MAX_STRENGTH = 2.0


def split(
  strength: jax.Array, *, minimum: Callable = jnp.minimum, maximum: Callable = jnp.maximum
) -> tuple[jax.Array, jax.Array]:
  """Splits a strength into a blend with the content and a noise gain.

  blend = s(3 − s)/2 with s = min(strength, 1), so that the distance from the content grows nearly
  as the strength does. noise_gain = max(strength, 1): beyond 1, colors stay and texture gets
  rougher.

  Args:
    strength: any shape, from 0 (the content) through 1 (as trained) to MAX_STRENGTH.
    minimum, maximum: functions of a value and a number; NumPy's, or those of another kind of graph.

  Returns:
    (blend, noise_gain), both of strength's shape: blend 0 to 1 for `blend_with_content`, noise_gain
    1 to MAX_STRENGTH for the generator.
  """
  visible = minimum(strength, 1.0)
  return visible * 0.5 * (-visible + 3.0), maximum(strength, 1.0)


def blend_with_content(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  """Blends a stylized image with its content in linear light, as a thin glaze would look.

  In a blend of sRGB values, dark colors cover bright ones so early that networks see less of a
  difference later (docs/quality.md).

  Args:
    stylized: [B, H, W, 3] in [0, 1], at full strength.
    content: [B or 1, H, W, 3] in [0, 1].
    blend: from 0 (the content, up to rounding) to 1 (the stylized image); broadcasts.

  Returns:
    [B, H, W, 3] in [0, 1].

  Source: the transfer function of sRGB, IEC 61966-2-1.
  """
  return _blended(stylized, content, jnp.asarray(blend))


@jax.custom_jvp
def _blended(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  """`blend_with_content` without its arithmetic where nothing of the content is left."""
  images = stylized, content, blend
  shape, dtype = jnp.broadcast_shapes(*(x.shape for x in images)), jnp.result_type(*images)
  return jax.lax.cond(
    jnp.all(blend >= 1.0),
    lambda stylized, content, blend: jnp.broadcast_to(stylized, shape).astype(dtype),
    _blended_in_light,
    *images,
  )


@_blended.defjvp
def _blended_jvp(primals, tangents):
  # At full strength, too, the image has a slope in the strength.
  return _blended(*primals), jax.jvp(_blended_in_light, primals, tangents)[1]


def _blended_in_light(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  light = blend * srgb_to_linear(stylized) + (1.0 - blend) * srgb_to_linear(content)
  # Rounding may bring white above 1, but not black below 0.
  return jnp.minimum(linear_to_srgb(light), 1.0)


def srgb_to_linear(x: jax.Array) -> jax.Array:
  """Converts sRGB values to linear light, both in [0, 1]."""
  curve = _power((jnp.maximum(x, 0.04045) + 0.055) / 1.055, 2.4)
  return jnp.where(x <= 0.04045, x / 12.92, curve)


def linear_to_srgb(y: jax.Array) -> jax.Array:
  """The inverse of `srgb_to_linear`."""
  # The root's slope at 0 is infinite, which times 0, where it isn't taken, would be NaN.
  curve = 1.055 * _power(jnp.maximum(y, 0.0031308), 1 / 2.4) - 0.055
  return jnp.where(y <= 0.0031308, 12.92 * y, curve)


def _power(x: jax.Array, exponent: float) -> jax.Array:
  """x ** exponent for x > 0, in operations that XLA vectorizes on CPUs."""
  return jnp.exp(exponent * jnp.log(x))
