"""Settings that change over a sequence: numbers at some frames, with linear interpolation."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylejax.controls.apply import traced_controls
from stylejax.controls.table import PIXEL_CONTROLS, PixelControls
from stylejax.errors import InputError
from stylejax.inference.outputs import check_number
from stylejax.transfer import MAX_STRENGTH

MAX_MEMORY = 0.99
"""The largest memory: the fraction of a frame that comes from previous frames."""

MAX_FRAME = 10**9

Curve = tuple[tuple[int, float], ...]
"""(frame, number) by ascending frame, from 1; constant before the first and after the last."""

_FORM = "NAME=FRAME:NUMBER,FRAME:NUMBER, for example strength=1:0,48:1"


def ranges() -> dict[str, tuple[str, float, float]]:
  """(name in `next_frame`, lowest, highest) of each setting that may change, by flag."""
  found = {"strength": ("strength", 0.0, MAX_STRENGTH), "smoothing": ("memory", 0.0, MAX_MEMORY)}
  for name, control in PIXEL_CONTROLS.items():
    found[(control.flag or name).replace("_", "-")] = name, control.low, control.high
  return found


def parse_curves(texts: Sequence[str]) -> dict[str, Curve]:
  """Reads texts like "strength=1:0,48:1".

  Args:
    texts: one for each setting.

  Returns:
    Curves by the names of the settings in `next_frame`.

  Raises:
    InputError: a text has another form, an unknown name, a number out of range, or frames that
      don't ascend.
  """
  curves: dict[str, Curve] = {}
  for text in texts:
    flag, equals, points = text.partition("=")
    known = ranges()
    if not equals:
      raise InputError(f"--over-time: found {text}, expected {_FORM}")
    if flag not in known:
      raise InputError(f"--over-time: found the name {flag}, expected {' or '.join(known)}")
    name, *_ = known[flag]
    if name in curves:
      raise InputError(f"--over-time: found {flag} twice, expected it once")
    curves[name] = tuple(_point(text, point) for point in points.split(","))
  check_curves(curves)
  return curves


def check_curves(curves: Mapping[str, Curve]) -> None:
  """Raises InputError for an unknown name, a number out of range, or frames that don't ascend."""
  known = {name: (flag, low, high) for flag, (name, low, high) in ranges().items()}
  for name, curve in curves.items():
    if name not in known:
      raise InputError(f"--over-time: found the name {name}, expected {' or '.join(known)}")
    flag, low, high = known[name]
    for frame, value in curve:
      check_number(f"--over-time {flag}, frame", frame, 1, MAX_FRAME)
      check_number(f"--over-time {flag}", value, low, high, whole=False)
    frames = [frame for frame, _ in curve]
    if not frames or any(later <= frame for frame, later in itertools.pairwise(frames)):
      raise InputError(
        f"--over-time {flag}: found the frames {', '.join(map(str, frames)) or 'none'}, expected "
        "each later than the one before"
      )


def _point(text: str, point: str) -> tuple[int, float]:
  frame, _, value = point.partition(":")
  try:
    return int(frame), float(value)
  except ValueError:
    raise InputError(f"--over-time: found {text}, expected {_FORM}") from None


class Settings:
  """The numbers that `next_frame` takes for each frame, with the same names for all frames."""

  def __init__(self, fixed: Mapping[str, float], controls: PixelControls, curves: Mapping):
    """Combines the settings that are constant with those that change.

    Args:
      fixed: strength and memory.
      controls: pixel controls: numbers and names of modes.
      curves: a Curve by the name of each setting that changes; it replaces the constant number.
    """
    present: dict[str, Any] = {**controls}
    for name, control in PIXEL_CONTROLS.items():
      if name in curves:  # a control that isn't neutral at some frame is an argument at all frames
        present[name] = next(x for x in (control.low, control.high) if x != control.neutral)
    self._values = {name: np.float32(value) for name, value in fixed.items()}
    self._values |= traced_controls(present)
    self._curves = dict(curves)

  def at(self, number: int) -> dict[str, Any]:
    """float32 numbers by name for a frame, counted from 1."""
    changing = {}
    for name, curve in self._curves.items():
      frames, values = zip(*curve, strict=True)
      changing[name] = np.float32(np.interp(number, frames, values))
    return self._values | changing
