"""The pixel controls, which change an image after it is stylized: a row each, in this order.

`Stylizer`, `stylize`, sequences and the commands take every control by its name, and read its name,
range and help from here. Nothing here imports JAX, so that --help is quick; the functions are
called by `stylejax.controls.apply`.
"""

import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypedDict, TypeVar, cast

if TYPE_CHECKING:
  import jax
  import numpy as np


@dataclasses.dataclass(frozen=True)
class PixelControl:
  """One row: a pure function, and what callers and users are told about it.

  Attributes:
    function: MODULE.NAME below `stylejax.controls`. It takes (stylized, content, amount) and
      returns the new image; both images are [B, H, W, 3] float32 in [0, 1], the amount a scalar or
      [B or 1, H or 1, W or 1, 1]. Images may come in parts, so a pixel must depend on no other.
    help: sentences for --help and for docstrings, which say what the ends of the range do.
    low, high: the range of the amount.
    neutral: the amount that leaves the image alone; the default.
    flag: the command's flag, if it isn't the name, such as "preserve-color".
    moments: whether the function also takes `moments=`, the `color_moments` of the whole images
      (stylized, content), or None for the first mode.
    modes: names of two ways to do it. The function then also takes `mode=`, from 0 or None, the
      first way, to 1, the second; callers pass it as NAME_mode.
    mode_help: like `help`, for the modes.
  """

  function: str
  help: str
  low: float = 0.0
  high: float = 1.0
  neutral: float = 0.0
  flag: str = ""
  moments: bool = False
  modes: tuple[str, str] | None = None
  mode_help: str = ""


class PixelControls(TypedDict, total=False):
  """The keyword arguments behind `**controls`.

  Amounts are numbers or maps [H, W], in the pure functions also [B], one for each image; None, the
  default, leaves the control out. A mode is a name, or a number from 0 (the first) to 1 (the
  second).
  """

  color: Annotated[
    "float | np.ndarray | jax.Array | None",
    PixelControl(
      "color.keep_color",
      "Which colors to use: from 0, the style's, to 1, the content's.",
      flag="preserve-color",
      moments=True,
      modes=("luminance", "moments"),
      mode_help="How colors are kept: luminance takes only light and dark from the stylized image; "
      "moments shifts all its colors until their mean and spread are the content's.",
    ),
  ]
  color_mode: "str | float | np.ndarray | jax.Array | None"


PIXEL_CONTROLS: dict[str, PixelControl] = {
  name: extra
  for name, hint in PixelControls.__annotations__.items()
  for extra in getattr(hint, "__metadata__", ())
  if isinstance(extra, PixelControl)
}
"""The rows by name."""

F = TypeVar("F", bound=Callable)

_MARK = re.compile(r"^( *)controls: pixel controls, as in `PixelControls`\.$", re.MULTILINE)


def takes_pixel_controls(function: F) -> F:
  """Names the pixel controls of a function that takes `**controls: Unpack[PixelControls]`.

  Each gets a parameter in the signature and, in the docstring, a line below "controls: pixel
  controls, as in `PixelControls`."; any other keyword raises TypeError as it would without **.
  """
  signature = inspect.signature(function)
  named = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
  named += [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
    for name in PixelControls.__annotations__
  ]
  names = {each.name for each in named}

  @functools.wraps(function)
  def call(*arguments, **keywords):
    if not keywords.keys() <= names:
      wrong = next(name for name in keywords if name not in names)
      raise TypeError(
        f"{function.__qualname__}() got an unexpected keyword argument {wrong!r}, expected one of "
        f"{', '.join(sorted(names - {'self'}))}"
      )
    return function(*arguments, **keywords)

  call.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
  if call.__doc__:
    call.__doc__ = _MARK.sub(lambda found: "\n".join([found[0], *_lines(found[1])]), call.__doc__)
  return cast(F, call)


def _lines(indent: str) -> list[str]:
  """What a docstring says about each control, below a line of this indent."""
  entries = []
  for name, control in PIXEL_CONTROLS.items():
    about = f"{control.low:g} to {control.high:g}, {control.neutral:g} changes nothing."
    entries.append(f"{name}: {about} {control.help}")
    if control.modes:
      entries.append(f"{name}_mode: {' or '.join(control.modes)}. {control.mode_help}")
  return [
    line
    for entry in entries
    for line in textwrap.wrap(
      entry, 100, initial_indent=f"{indent}  ", subsequent_indent=f"{indent}    "
    )
  ]
