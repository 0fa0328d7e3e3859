"""Checks of the values that a control takes: their range and their shape."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


def check_range(value: ArrayLike, name: str, low: float, high: float) -> None:
  """Checks a control's value, unless it is traced.

  Raises:
    ValueError: a value outside low to high, NaN, or no number.
  """
  if isinstance(value, jax.core.Tracer):
    return
  # NumPy, since under an outer jit a jnp comparison of constants would be traced.
  values = np.asarray(value)
  try:
    inside = ((values >= low) & (values <= high)).all()
  except TypeError:
    raise ValueError(f"{name}: found {value!r}, expected {low:g} to {high:g}") from None
  if not inside:
    found = values if values.ndim < 1 else f"{values.min():g} to {values.max():g}"
    raise ValueError(f"{name}: found {found}, expected {low:g} to {high:g}")


def check_whole_number(value: object, name: str, low: int, *, high: int | None = None) -> int:
  """Checks a setting that counts something, and returns it as an int.

  Raises:
    ValueError: not an integer, or outside low to high (None: no upper limit).
  """
  try:
    number = operator.index(value)  # type: ignore[arg-type]
  except TypeError:
    number = None
  if number is None or isinstance(value, bool) or number < low or (high and number > high):
    limits = f"from {low}" if high is None else f"from {low} to {high}"
    raise ValueError(f"{name}: found {value!r}, expected an integer {limits}")
  return number


def per_pixel(
  value: ArrayLike,
  name: str,
  high: float,
  size: tuple[int, int],
  *,
  low: float = 0.0,
  xp: Any = jnp,
) -> jax.Array:
  """Checks a control that may differ between images or pixels, and shapes it to broadcast.

  Args:
    value: scalar, [B], or a map [H, W]; `low` to `high`.
    name: the control's name, for messages.
    high: the largest value.
    size: (H, W) that a map must have.
    low: the smallest value.
    xp: jax.numpy; or numpy for a value that is not traced, so that nothing is compiled.

  Returns:
    [1, 1, 1, 1], [B, 1, 1, 1] or [1, H, W, 1], float32.

  Raises:
    ValueError: a wrong shape, or a value outside `low` to `high` (when it is not traced).
  """
  check_range(value, name, low, high)
  values = xp.asarray(value, xp.float32)
  if values.ndim > 2 or (values.ndim == 2 and values.shape != size):
    raise ValueError(
      f"{name}: found shape {values.shape}, expected a scalar, [B] or a map [{size[0]}, {size[1]}]"
    )
  return values[None, ..., None] if values.ndim == 2 else values.reshape(-1, 1, 1, 1)
