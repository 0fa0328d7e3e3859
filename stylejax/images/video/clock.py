"""Corrects timestamps of broadcasts and DVDs (MPEG-TS, MPEG-PS), which may restart mid-file.

Timestamps jump back or ahead in recordings that were concatenated, edited or received with a weak
signal. Times are only corrected here; packets are read in container.py.
"""

import bisect
import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction

FORMATS = ("mpegts", "mpeg")
"""FFmpeg's names of the formats whose clock may restart."""

# The jump ahead is FFmpeg's own limit for these formats (ffmpeg's -dts_delta_threshold). Steps back
# of less than half a second are normal between tracks.
_LEAP, _FALL = Fraction(10), Fraction(-1, 2)


@dataclasses.dataclass(frozen=True)
class Stamp:
  """The position and decoding time of a packet.

  Attributes:
    position: the byte of the file at which it begins.
    track: the index of its stream.
    seconds: its decoding time; None if it directly follows the packet before.
    length: its duration in seconds; 0 if unknown.
    delay: seconds from its decoding time until it is shown.
  """

  position: int
  track: int
  seconds: Fraction | None
  length: Fraction
  delay: Fraction = Fraction(0)


@dataclasses.dataclass(frozen=True)
class Clock:
  """The offsets that make a file's times continuous where they restart.

  Attributes:
    breaks: pairs (first byte to which the offset applies, seconds to add), sorted by byte.
    resumed: for each break, when what follows it is shown, in seconds on the corrected clock.
  """

  breaks: tuple[tuple[int, Fraction], ...] = ()
  resumed: tuple[Fraction, ...] = ()

  def corrected(self, packets: Iterable) -> Iterator:
    """Yields the same PyAV packets with corrected times."""
    if not self.breaks:
      yield from packets
      return
    positions = {}  # of several packets in one piece of the file, only the first has a position
    delays = {}
    for packet in packets:
      track = packet.stream_index
      if packet.pts is not None and packet.dts is not None:
        # If no time is stored, FFmpeg may use one from beyond the break.
        if not 0 <= (packet.pts - packet.dts) * packet.time_base <= _LEAP:
          packet.pts = packet.dts + delays.get(track, 0)
        delays[track] = packet.pts - packet.dts
      shift = self._shift(_position(packet, positions))
      if shift and packet.time_base:
        ticks = round(shift / packet.time_base)
        packet.pts = packet.pts if packet.pts is None else packet.pts + ticks
        packet.dts = packet.dts if packet.dts is None else packet.dts + ticks
      yield packet

  def _shift(self, position: int) -> Fraction:
    number = bisect.bisect_right(self.breaks, position, key=lambda pair: pair[0])
    return self.breaks[number - 1][1] if number else Fraction(0)


def stamps(packets: Iterable) -> Iterator[Stamp]:
  """Yields the Stamps of PyAV packets, in order."""
  positions = {}
  for packet in packets:
    if packet.size:
      position, tick = _position(packet, positions), packet.time_base
      length = (packet.duration or 0) * tick
      time = packet.pts if packet.dts is None else packet.dts
      if time is None:
        yield Stamp(position, packet.stream_index, None, length)
      else:
        delay = (packet.pts or time) - time
        yield Stamp(position, packet.stream_index, time * tick, length, delay * tick)


def _position(packet, positions: dict[int, int]) -> int:
  """The byte at which a packet begins, or the last one known in its track."""
  if packet.pos is not None:
    positions[packet.stream_index] = packet.pos
  return positions.get(packet.stream_index, 0)


def find_clock(stamps: Iterable[Stamp]) -> Clock:
  """Finds the Clock of a file from its packets' stamps; those of one byte must be in order.

  The clock has restarted where a time jumps back within its track, or ahead of all tracks. It is no
  jump if one track pauses on a still image while another goes on.
  """
  shift, latest = Fraction(0), None
  tracks: dict[int, _Track] = {}
  breaks, resumed = [], []
  for stamp in sorted(stamps, key=lambda stamp: stamp.position):
    track = tracks.setdefault(stamp.track, _Track())
    end = track.end(stamp.length)
    now = end if stamp.seconds is None else stamp.seconds + shift
    if now is None:
      continue
    leaps = latest is not None and now - latest > _LEAP
    if leaps or (end is not None and now - end < _FALL):
      following = latest if end is None else end
      shift += following - now
      now = following
      breaks.append((stamp.position, shift))
      resumed.append(now + stamp.delay)
    else:
      track.step(now)
    track.now = now
    latest = now if latest is None else max(latest, now)
  return Clock(tuple(breaks), tuple(resumed))


@dataclasses.dataclass
class _Track:
  """The state of a track: the time of its last packet, and how long such a packet lasts."""

  now: Fraction | None = None
  length: Fraction = Fraction(0)

  def end(self, length: Fraction) -> Fraction | None:
    """When the last packet ends if it is `length` long (0: as before); None before the first."""
    return None if self.now is None else self.now + (length or self.length)

  def step(self, now: Fraction) -> None:
    """Updates the packet length from the next packet's time."""
    if self.now is not None and 0 < now - self.now < 1:
      self.length = now - self.now
