"""Runs the pixel controls of the table on images, in the table's order.

`stylejax.controls.table` lists the controls; what each computes is in a module of its own.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.color import color_moments
from stylejax.controls.ranges import check_range, per_pixel
from stylejax.controls.table import PIXEL_CONTROLS, PixelControl

Moments = tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""`color_moments` of the whole images (stylized, content)."""


class Setting(NamedTuple):
  """A control and its values.

  Attributes:
    name: its name in the table.
    amount: scalar or [B or 1, H or 1, W or 1, 1] float32.
    mode: likewise, from 0 to 1; None: the first of two modes, or the control has none.
  """

  name: str
  amount: Any
  mode: Any = None

  @property
  def needs_moments(self) -> bool:
    """Whether the control needs moments of the whole images."""
    control = PIXEL_CONTROLS[self.name]
    return control.moments and (control.modes is None or self.mode is not None)


def settings(
  controls: Mapping[str, Any], size: tuple[int, int], *, xp: Any = jnp
) -> tuple[Setting, ...]:
  """The controls that were given, in the table's order, checked and ready to broadcast.

  Args:
    controls: values by name, as in `PixelControls`; those that are None are left out.
    size: (H, W) that maps must have.
    xp: jax.numpy; or numpy for values that are not traced, so that nothing is compiled.

  Returns:
    A Setting for each.

  Raises:
    ValueError: a wrong shape, an unknown mode, or a value out of range (when it is not traced).
  """
  chosen = []
  for name, control in PIXEL_CONTROLS.items():
    mode = _mode_number(controls.get(f"{name}_mode"), f"{name}_mode", control)
    if mode is not None:
      mode = per_pixel(mode, f"{name}_mode", 1, size, xp=xp)
    amount = controls.get(name)
    if amount is not None:
      amount = per_pixel(amount, name, control.high, size, low=control.low, xp=xp)
      chosen.append(Setting(name, amount, mode))
  return tuple(chosen)


def _mode_number(mode: Any, name: str, control: PixelControl) -> Any:
  """The mode as a number; None for the first mode, which then costs nothing extra."""
  if mode is None or control.modes is None:
    return None
  if not isinstance(mode, str):
    check_range(mode, name, 0, 1)
    return mode
  if mode not in control.modes:
    raise ValueError(f"{name}: found {mode!r}, expected {' or '.join(control.modes)}")
  return np.float32(1) if mode == control.modes[1] else None


def traced_controls(controls: Mapping[str, Any]) -> dict[str, Any]:
  """The controls that change anything, as numbers that can be arguments of a compiled function.

  Args:
    controls: numbers and names of modes by name, as in `PixelControls`.

  Returns:
    float32 by name, for `stylize` or `next_frame`.
  """
  values: dict[str, Any] = {}
  for name, control in PIXEL_CONTROLS.items():
    amount = controls.get(name)
    if amount is not None and amount != control.neutral:
      values[name] = np.float32(amount)
      mode = _mode_number(controls.get(f"{name}_mode"), f"{name}_mode", control)
      if mode is not None:
        values[f"{name}_mode"] = np.float32(mode)
  return values


def apply_controls(
  stylized: jax.Array, content: jax.Array, controls: Mapping[str, Any]
) -> jax.Array:
  """Applies every given control to a stylized image.

  Args:
    stylized: [B, H, W, 3] or [H, W, 3] in [0, 1].
    content: of the same shape, or one that broadcasts to it.
    controls: values by name, as in `PixelControls`.

  Returns:
    As `stylized`, in [0, 1].

  Raises:
    ValueError: as `settings`.
  """
  height, width, _ = stylized.shape[-3:]
  chosen = settings(controls, (height, width))
  if not chosen:
    return stylized
  content = jnp.broadcast_to(content, stylized.shape)
  single = stylized.ndim == 3
  stylized, content = (x[None] if single else x for x in (stylized, content))
  for setting in chosen:
    moments = None
    if setting.needs_moments:
      moments = color_moments(stylized), color_moments(content)
    stylized = apply_setting(stylized, content, setting, moments=moments)
  return stylized[0] if single else stylized


def apply_setting(
  stylized: jax.Array, content: jax.Array, setting: Setting, *, moments: Moments | None = None
) -> jax.Array:
  """Applies one control to images [B, H, W, 3], or to parts of them.

  Args:
    stylized, content: float32 in [0, 1].
    setting: the control and its values.
    moments: `color_moments` of the whole images (stylized, content), where the setting needs them.

  Returns:
    As `stylized`.
  """
  control = PIXEL_CONTROLS[setting.name]
  more = {"mode": setting.mode} if control.modes else {}
  if control.moments:
    more["moments"] = moments
  return function_of(control)(stylized, content, setting.amount, **more)


def function_of(control: PixelControl) -> Callable[..., jax.Array]:
  """The function that a row of the table names."""
  module, name = control.function.rsplit(".", 1)
  return getattr(importlib.import_module(f"stylejax.controls.{module}"), name)
