"""A flag for each pixel control in `stylejax.controls.table`; this module doesn't import JAX."""

import dataclasses
from typing import Annotated, Any, Literal, TypeVar

from stylejax.cli.options import option
from stylejax.controls.table import PIXEL_CONTROLS, PixelControl

T = TypeVar("T")


def _fields(name: str, control: PixelControl) -> list[tuple[str, Any, Any]]:
  """(field, annotated type, default) of a control's flags."""
  amount = Annotated[float, option(control.help, metavar="NUMBER")]
  fields: list[tuple[str, Any, Any]] = [(_field(name, control), amount, control.neutral)]
  if control.modes:
    modes: Any = Literal.__getitem__(control.modes)
    mode = Annotated[modes, option(control.mode_help)]
    fields.append((f"{name}_mode", mode, control.modes[0]))
  return fields


def _field(name: str, control: PixelControl) -> str:
  return (control.flag or name).replace("-", "_")


FIELDS = tuple(
  field for name, control in PIXEL_CONTROLS.items() for field, *_ in _fields(name, control)
)
"""Names of the fields, in the table's order."""


def with_pixel_controls(kind: type[T]) -> type[T]:
  """Appends a field for each flag of a pixel control to a dataclass of options."""
  fields = [
    (field, hint, dataclasses.field(default=default))
    for name, control in PIXEL_CONTROLS.items()
    for field, hint, default in _fields(name, control)
  ]
  return dataclasses.make_dataclass(
    kind.__name__, fields, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__}
  )


def take_controls(settings: dict[str, Any]) -> dict[str, Any]:
  """Removes the flags' values from a command's settings and returns them by control name."""
  controls = {}
  for name, control in PIXEL_CONTROLS.items():
    controls[name] = settings.pop(_field(name, control))
    if control.modes:
      controls[f"{name}_mode"] = settings.pop(f"{name}_mode")
  return controls
