"""Rounds the times of an animation's frames to lengths that a file format can store.

It knows nothing about pixels or files: GIF, WebP and APNG writers pass frames through a Timeline.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

QUICKEST = Fraction(1, 100)
"""Longest frame length that browsers treat as unset, in seconds."""

UNSET_LENGTH = Fraction(1, 10)
"""Seconds for which browsers show a frame whose length is unset."""


def shown_length(seconds: Fraction) -> Fraction:
  """Seconds for which browsers show a frame whose file says `seconds`.

  A GIF, WebP or APNG frame of 10 ms or less, 0 included, is shown for 100 ms by WebKit
  (ImageSource::frameDurationAtIndex), Firefox (FrameTimeout::FromRawMilliseconds) and Chrome.
  """
  return UNSET_LENGTH if seconds <= QUICKEST else seconds


@dataclasses.dataclass(frozen=True)
class Clock:
  """The frame lengths that a format can store.

  Attributes:
    nearest: maps a length to the nearest one that can be stored, both in seconds.
    shortest: the shortest length that browsers respect, in seconds.
    longest: the longest length of one frame, in seconds.
  """

  nearest: Callable[[Fraction], Fraction]
  shortest: Fraction
  longest: Fraction


def _whole(ticks: int) -> Callable[[Fraction], Fraction]:
  return lambda seconds: Fraction(round(seconds * ticks), ticks)


# Browsers treat 10 ms as unset, so the shortest length is two hundredths of a second in a GIF, and
# eleven milliseconds in a WebP or APNG.
GIF_CLOCK = Clock(_whole(100), Fraction(2, 100), Fraction(0xFFFF, 100))
WEBP_CLOCK = Clock(_whole(1000), Fraction(11, 1000), Fraction(0xFFFFFF, 1000))
# Lengths are ratios of two 16-bit numbers, which hold common frame rates exactly.
APNG_CLOCK = Clock(
  lambda seconds: seconds.limit_denominator(0xFFFF), Fraction(11, 1000), Fraction(0xFFFF)
)


class Timeline:
  """Gives frames lengths that can be stored; rounding errors are carried over.

  A frame starts at its own time, rounded, or as soon as the frame before has been shown for the
  shortest length. A frame that would start only after its own end is dropped, so that an animation
  of 60 frames a second keeps 50 of them in a GIF, at their times. The lengths add up to that of the
  animation, rounded.

  Attributes:
    dropped: how many frames were dropped.
  """

  def __init__(self, clock: Clock):
    self.dropped = 0
    self._clock = clock
    self._origin: Fraction | None = None
    self._end = Fraction(0)
    self._waiting: list[tuple[Any, Fraction]] = []  # with their starts; at most two between calls
    self._written = Fraction(0)

  def add(self, item: Any, start: Fraction, length: Fraction) -> list[tuple[Any, Fraction]]:
    """Adds the next frame; returns the frames whose length is now known, as (item, length).

    Args:
      item: any object that stands for the frame.
      start: in seconds, on any clock; the animation starts with its first frame.
      length: seconds for which it is shown; if another frame follows, that one's start counts.
    """
    if self._origin is None:
      self._origin = start
    begin, end = start - self._origin, start - self._origin + length
    if self._waiting:
      begin = max(self._clock.nearest(begin), self._waiting[-1][1] + self._clock.shortest)
      if begin >= self._clock.nearest(end):
        self.dropped += 1
        self._end = max(self._end, end)
        return []
    self._end = max(self._end, end)
    self._waiting.append((item, begin))
    if len(self._waiting) < 3:
      return []
    return self._pieces(until=self._waiting[1][1])

  def close(self) -> list[tuple[Any, Fraction]]:
    """Returns the remaining frames; the last one lasts until the end of the animation."""
    if len(self._waiting) > 1 and (
      self._clock.nearest(self._end) - self._waiting[-1][1] < self._clock.shortest
    ):
      self._waiting.pop()
      self.dropped += 1
    pieces = []
    while self._waiting:
      following = self._waiting[1][1] if len(self._waiting) > 1 else self._end
      pieces += self._pieces(until=following)
    return pieces

  def _pieces(self, until: Fraction) -> list[tuple[Any, Fraction]]:
    """The first waiting frame, repeated if the longest length doesn't last until then."""
    item, _ = self._waiting.pop(0)
    lengths, clock = [], self._clock
    while until - self._written > clock.longest:
      lengths.append(clock.nearest(clock.longest - clock.shortest))
      self._written += lengths[-1]
    lengths.append(max(clock.nearest(until - self._written), clock.shortest))
    self._written += lengths[-1]
    return [(item, length) for length in lengths]
