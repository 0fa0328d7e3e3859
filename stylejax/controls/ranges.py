"""Values that a control takes: their range and their shape."""

import jax
import jax.numpy as jnp
import numpy as np


def check_range(value: jax.Array | float, name: str, low: float, high: float) -> None:
  """Checks a control's value, unless it is traced.

  Raises:
    ValueError: a value outside low to high, or NaN.
  """
  if isinstance(value, jax.core.Tracer):
    return
  # NumPy, since under an outer jit a jnp comparison of constants would be traced.
  values = np.asarray(value)
  if not ((values >= low) & (values <= high)).all():
    found = values if values.ndim < 1 else f"{values.min():g} to {values.max():g}"
    raise ValueError(f"{name}: found {found}, expected {low:g} to {high:g}")


def per_pixel(value: jax.Array | float, name: str, high: float, size: tuple[int, int]) -> jax.Array:
  """A control that may differ between images or between pixels, ready to broadcast.

  Args:
    value: scalar, [B], or a map [H, W]; 0 to `high`.
    name: the control's, for messages.
    high: the largest value.
    size: (H, W) that a map must have.

  Returns:
    [1, 1, 1, 1], [B, 1, 1, 1] or [1, H, W, 1], float32.

  Raises:
    ValueError: another shape, or a value outside 0 to `high` (when it is not traced).
  """
  check_range(value, name, 0, high)
  value = jnp.asarray(value, jnp.float32)
  if value.ndim > 2 or (value.ndim == 2 and value.shape != size):
    raise ValueError(
      f"{name}: found shape {value.shape}, expected a scalar, [B] or a map [{size[0]}, {size[1]}]"
    )
  return value[None, ..., None] if value.ndim == 2 else value.reshape(-1, 1, 1, 1)
