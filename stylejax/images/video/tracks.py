"""Copies a video's sound, subtitles and chapters, packet by packet without reencoding.

Notes tell what the output's format can't hold. Images are in writer.py.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from stylejax.images.video import container as files
from stylejax.images.video.clock import Clock

_HEARD = Fraction(1, 1000)  # shortest loss of sound that is reported, in seconds

_KINDS = {
  "audio": "sound track",
  "subtitle": "subtitles",
  "video": "video track",
  "data": "data track",
  "attachment": "attachment",
}


def left_out_of_images(container, film) -> str | None:
  """One line on the tracks of a video that images can't hold; None if there are none."""
  names = [name for stream, name in named(container, film)]
  if not names:
    return None
  verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
  return f"{', '.join(names)} {verb} left out: images can't hold {them}"


def named(container, film) -> Iterator[tuple]:
  """Yields each other stream of a video, with its name for messages."""
  counts: dict[str, int] = {}
  for stream in container.streams:
    if stream.index == film.index:
      continue
    number = counts[stream.type] = counts.get(stream.type, 0) + 1
    kind = _KINDS.get(stream.type, stream.type)
    if stream.type == "video":
      kind = "cover image" if files.is_cover(stream) else kind
      number += 0 if files.is_cover(stream) else 1
    codec = getattr(stream.codec_context, "name", None) or "unknown"
    yield stream, f"{kind} {number} ({codec})"


class Tracks:
  """Copies a source's tracks, except for its images, to an output."""

  def __init__(
    self,
    output,
    suffix: str,
    form: str,
    path: Path,
    start: Fraction,
    clock: Clock,
    note: Callable[[str], None],
    stack: contextlib.ExitStack,
  ):
    """Adds the tracks that the output can hold to it, before anything is written.

    Args:
      output: the PyAV container to write to.
      suffix: its extension, for messages.
      form: FFmpeg's name of its format.
      path: the source.
      start: the time on the source's corrected clock that becomes zero, in seconds.
      clock: the correction of the source's times.
      note: called with a line for everything that is left out.
      stack: keeps the source open.
    """
    self._output, self._suffix, self._form = output, suffix, form
    self._start, self._clock, self._note = start, clock, note
    self._source, film = stack.enter_context(files.opened(path))
    self._copies, self._names = {}, {}
    for stream, name in named(self._source, film):
      copy = self._add(stream, name)
      if copy is not None:
        self._copies[stream.index], self._names[stream.index] = copy, name
    self._chapters()
    self._packets = self._audible() if self._copies else iter(())
    self._waiting = next(self._packets, None)

  def mux(self, until: Fraction | None) -> None:
    """Writes the packets that begin up to a time of the output, in seconds; None writes all."""
    while self._waiting is not None:
      packet = self._waiting
      if until is not None and packet.dts * packet.time_base > until:
        return
      self._output.mux(packet)
      self._waiting = next(self._packets, None)

  def _add(self, stream, name: str):
    """Adds a copy of this stream to the output; returns None, with a note, if it can't hold it."""
    if stream.type not in ("audio", "subtitle"):
      further = stream.type == "video" and not files.is_cover(stream)
      reason = (
        "the first one is stylized" if further else "only sound and subtitles are carried over"
      )
      self._note(f"{name} is left out: {reason}")
      return None
    if not _holds(self._form, stream):
      self._note(f"{name} is left out: {self._suffix} can't hold it")
      return None
    copy = self._output.add_stream_from_template(stream)
    for key in ("language", "title"):
      if key in stream.metadata:
        copy.metadata[key] = stream.metadata[key]
    copy.disposition = stream.disposition.value
    return copy

  def _chapters(self) -> None:
    read = getattr(self._source, "chapters", None)
    chapters = read() if read is not None else []
    if not chapters:
      return
    moved = []
    for chapter in chapters:
      shift = round(self._start / chapter["time_base"])
      moved.append(
        {
          **chapter,
          "start": max(chapter["start"] - shift, 0),
          "end": max(chapter["end"] - shift, 0),
        }
      )
    self._output.set_chapters(moved)

  def _audible(self) -> Iterator:
    """Yields the packets to write, timed from the start, without those that end before it.

    A decoder needs the packet before the first audible one. MP4 and MOV store it and say where
    sound begins (an edit list). Matroska can do so only for Opus; for other codecs, a packet that
    begins before the start, at most 0.03 s of sound, is dropped with a note.
    """
    before = {}
    for packet in self._in_order():
      number, copy = packet.stream_index, self._copies[packet.stream_index]
      shift = round(self._start / packet.time_base)
      packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
      if packet.pts < 0 and packet.pts + (packet.duration or 0) <= 0:
        before[number] = packet
        continue
      cuts = self._form in ("mp4", "mov")
      if cuts and number in before:
        yield before.pop(number)
      if packet.pts >= 0 or cuts or copy.codec_context.name in ("opus", "libopus"):
        yield packet
      elif (lost := (packet.pts + (packet.duration or 0)) * packet.time_base) >= _HEARD:
        self._note(
          f"the first {float(lost):.3f} s of {self._names[number]} are left out: "
          f"{self._suffix} can't begin inside a packet"
        )

  def _in_order(self) -> Iterator:
    """Yields the source's packets with their times; drops, with a note, those that go back in time.

    Where timestamps restart, one track's old part may end after another's new part begins.
    """
    ends: dict[int, float] = {}
    lost: dict[int, Fraction] = {}
    streams = [self._source.streams[index] for index in self._copies]
    for packet in self._clock.corrected(self._source.demux(streams)):
      if packet.pts is None:
        packet.pts = packet.dts
      if packet.pts is None:  # the empty packet at the end
        continue
      packet.dts = packet.pts if packet.dts is None else packet.dts
      number, length = packet.stream_index, packet.duration or 0
      # Formats need times that rise; an overlap of up to half a packet is inaudible.
      if packet.stream.type == "audio" and packet.dts + length / 2 < ends.get(number, packet.dts):
        lost[number] = lost.get(number, Fraction(0)) + length * packet.time_base
        continue
      ends[number] = packet.dts + length
      yield packet
    for number, seconds in lost.items():
      self._note(
        f"{float(seconds):.3f} s of {self._names[number]} are left out: their timestamps lie "
        "before the end of what precedes them"
      )


def _holds(form: str, stream) -> bool:
  """Whether a format can hold a copy of a stream; it is tried, because codecs have conditions."""
  av = files.import_av()
  with (
    contextlib.suppress(ValueError, av.FFmpegError),
    av.open(io.BytesIO(), "w", format=form) as trial,
  ):
    trial.add_stream_from_template(stream)
    trial.start_encoding()
    return True
  return False
