"""The clock of a broadcast or a DVD, MPEG-TS and MPEG-PS, whose timestamps may start anew inside.

Recordings that are joined byte by byte, edited ones and those of a weak signal have a time that
falls or leaps. Times are only corrected here; packets are read in container.py.
"""

import bisect
import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction

FORMATS = ("mpegts", "mpeg")
"""FFmpeg's names of the formats whose clock may start anew."""

# FFmpeg's own limits for these formats (ffmpeg's -dts_delta_threshold), but for steps back: those
# of less than half a second occur between tracks.
_LEAP, _FALL = Fraction(10), Fraction(-1, 2)


@dataclasses.dataclass(frozen=True)
class Stamp:
  """When a packet is decoded.

  Attributes:
    position: the byte of the file where it begins.
    track: the number of its stream.
    seconds: its time; None where it follows the packet before.
    length: seconds that it lasts; 0 where nothing says it.
    delay: seconds from there until it is shown.
  """

  position: int
  track: int
  seconds: Fraction | None
  length: Fraction
  delay: Fraction = Fraction(0)


@dataclasses.dataclass(frozen=True)
class Clock:
  """What is to be added to a file's times so that they go on where they start anew.

  Attributes:
    breaks: (byte from which on it counts, seconds to add), by their bytes.
    resumed: seconds, on the corrected clock, at which what follows each break is shown.
  """

  breaks: tuple[tuple[int, Fraction], ...] = ()
  resumed: tuple[Fraction, ...] = ()

  def corrected(self, packets: Iterable) -> Iterator:
    """The same PyAV packets, each with its corrected times."""
    if not self.breaks:
      yield from packets
      return
    positions = {}  # several packets may share a piece of the file, which the first one names
    delays = {}
    for packet in packets:
      track = packet.stream_index
      if packet.pts is not None and packet.dts is not None:
        # Where no time is stored, FFmpeg may take one from beyond the break.
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
  """The Stamps of PyAV packets, in their order."""
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
  """The byte of the file where a packet, or the one of its track before it, begins."""
  if packet.pos is not None:
    positions[packet.stream_index] = packet.pos
  return positions.get(packet.stream_index, 0)


def find_clock(stamps: Iterable[Stamp]) -> Clock:
  """The Clock of a file whose packets have these times; stamps of one byte are in their order.

  A time has started anew where it falls behind its track's last one, or leaps ahead of all tracks:
  a still image of one track while another goes on is no leap.
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
  """Where a track has got to: the time of its last packet, and how long such a packet lasts."""

  now: Fraction | None = None
  length: Fraction = Fraction(0)

  def end(self, length: Fraction) -> Fraction | None:
    """When the last packet ends, if `length` is that of one like it; None before the first."""
    return None if self.now is None else self.now + (length or self.length)

  def step(self, now: Fraction) -> None:
    """Learns from the next packet's time how long the last one lasted."""
    if self.now is not None and 0 < now - self.now < 1:
      self.length = now - self.now
