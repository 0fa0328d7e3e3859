"""When an animation's frames are shown, in the lengths that a file format can write.

Knows nothing of pixels or files: GIF, WebP and APNG writers hand their frames through a Timeline.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

QUICKEST = Fraction(1, 100)
"""Seconds up to which browsers take a frame's length for "unset"."""

UNSET_LENGTH = Fraction(1, 10)
"""Seconds for which browsers show a frame of such a length."""


def shown_length(seconds: Fraction) -> Fraction:
  """Seconds for which browsers show a frame whose file says `seconds`.

  A GIF, WebP or APNG frame of 10 ms or less, 0 included, is shown for 100 ms by WebKit
  (ImageSource::frameDurationAtIndex), Firefox (FrameTimeout::FromRawMilliseconds) and Chrome.
  """
  return UNSET_LENGTH if seconds <= QUICKEST else seconds


@dataclasses.dataclass(frozen=True)
class Clock:
  """Which lengths of a frame a format can hold.

  Attributes:
    nearest: the length that can be written nearest to a wished one, both in seconds.
    shortest: seconds below which a frame would not be shown as long as it says.
    longest: the most seconds of one frame.
  """

  nearest: Callable[[Fraction], Fraction]
  shortest: Fraction
  longest: Fraction


def _whole(ticks: int) -> Callable[[Fraction], Fraction]:
  return lambda seconds: Fraction(round(seconds * ticks), ticks)


# A GIF's hundredth is taken for unset, so two are the least; of whole milliseconds it is eleven.
GIF_CLOCK = Clock(_whole(100), Fraction(2, 100), Fraction(0xFFFF, 100))
WEBP_CLOCK = Clock(_whole(1000), Fraction(11, 1000), Fraction(0xFFFFFF, 1000))
# A fraction of two 16-bit numbers: what frame rates are made of fits as it is.
APNG_CLOCK = Clock(
  lambda seconds: seconds.limit_denominator(0xFFFF), Fraction(11, 1000), Fraction(0xFFFF)
)


class Timeline:
  """Frames in, frames with lengths that can be written out; what rounding leaves is carried over.

  A frame starts when it should, to the nearest length that can be written, or as soon as the one
  before has been shown for the shortest length. One that would start only after its own end is
  left out, so that a film of 60 frames a second keeps 50 of them in a GIF, at their times. The
  lengths add up to the film's, to the nearest that can be written.

  Attributes:
    dropped: how many frames were left out.
  """

  def __init__(self, clock: Clock):
    self.dropped = 0
    self._clock = clock
    self._origin: Fraction | None = None
    self._end = Fraction(0)
    self._waiting: list[tuple[Any, Fraction]] = []  # with their starts; two at most
    self._written = Fraction(0)

  def add(self, item: Any, start: Fraction, length: Fraction) -> list[tuple[Any, Fraction]]:
    """Takes the next frame; returns those that are finished by it, each with its length.

    Args:
      item: whatever stands for the frame.
      start: seconds, on any clock; the first frame's start is the film's.
      length: seconds for which it is shown; what counts is the next one's start, if one follows.
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
    """The frames that are left, the last one until the end of the film."""
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
    """The first waiting frame, more than once if one length can't last until then."""
    item, _ = self._waiting.pop(0)
    lengths, clock = [], self._clock
    while until - self._written > clock.longest:
      lengths.append(clock.nearest(clock.longest - clock.shortest))
      self._written += lengths[-1]
    lengths.append(max(clock.nearest(until - self._written), clock.shortest))
    self._written += lengths[-1]
    return [(item, length) for length in lengths]
