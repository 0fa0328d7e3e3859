"""Opens video files, and surveys them without decoding.

Pixels are in reader.py. No other module imports PyAV.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images.video import clock as clocks
from stylejax.images.video.clock import Clock
from stylejax.images.video.damage import find_damage
from stylejax.runtime.extras import install_command

MAX_PIXELS = 16_384 * 16_384
"""Largest width × height of a frame, in pixels."""

_DEMUXERS = (
  "mov",
  "matroska",
  "mpegts",
  "mpeg",
  "avi",
  "flv",
  "asf",
  "ogg",
  "mxf",
  "ivf",
  "h264",
  "hevc",
  "mpegvideo",
  "m4v",
  "mjpeg",
  "dv",
  "nut",
  "obu",
  "wtv",
  "rm",
  "gxf",
  "y4m",
  "yuv4mpegpipe",
)
# Formats are listed so that a file's bytes can't select one that opens other files (playlists,
# FFmpeg's lists); "file" is the only protocol allowed.
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "file"}

_ATTACHED_PIC = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
_MAX_RATE = 240
_RATE_WITHOUT_ANY = Fraction(25)


@dataclasses.dataclass(frozen=True)
class Survey:
  """What is known of a video from its packets.

  Attributes:
    frames: how many frames are shown.
    start: seconds on the file's clock at which images or sound begin, whichever is earlier.
    rate: frames a second; if intervals vary, that of the shortest one.
    last_length: seconds for which the last frame is shown; None if unknown.
    times: seconds on the file's clock at which frames are shown, sorted; empty if packets have no
      times.
    promised: how many frames the header declares, without those that its edit list removes; 0 if
      it declares none.
    clock: the correction for the times of packets when they are read again.
    damage: what is wrong with the file, as the end of a sentence; None if nothing is known.
  """

  frames: int
  start: Fraction
  rate: Fraction
  last_length: Fraction | None
  times: list[Fraction]
  promised: int
  clock: Clock
  damage: str | None


def import_av():
  """Imports PyAV; raises InputError if it isn't installed."""
  try:
    import av
  except ImportError:
    raise InputError(
      f"video: found no PyAV, expected it for videos: {install_command('video')}"
    ) from None
  av.logging.set_level(av.logging.PANIC)  # exceptions say what is wrong with a damaged file
  return av


def check_available() -> None:
  """Raises InputError if PyAV isn't installed."""
  import_av()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple]:
  """Opens a video file and yields (its container, its video stream).

  Raises:
    InputError: the file can't be read as a video; also replaces FFmpeg's errors inside the block.
  """
  av = import_av()
  try:
    # "file:", because FFmpeg takes what precedes a colon in a name as a protocol.
    with av.open(f"file:{path}", options=_OPTIONS, **_lenient(av)) as container:
      stream = _film(container)
      if stream is None:
        raise InputError(f"{path}: found no moving images, expected a video")
      context = stream.codec_context  # PyAV has none for some codecs, and one without a name
      if context is None or context.codec is None or not context.name:
        raise InputError(f"{path}: found a video codec that FFmpeg doesn't know, expected another")
      width, height = context.width, context.height
      if width * height > MAX_PIXELS:
        raise InputError(
          f"{path}: found frames of {width}×{height} pixels, expected at most {MAX_PIXELS:,}"
        )
      context.options = {"max_pixels": str(MAX_PIXELS)}
      yield container, stream
  except av.FFmpegError as error:
    raise InputError(
      f"{path}: found a file that can't be read as a video ({error.strerror}), "
      "expected a folder of frames, a GIF or a video"
    ) from error


def _lenient(av) -> dict[str, str]:
  """The option that makes PyAV accept titles that are not UTF-8; from 19 on, that's the default."""
  return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def is_video(path: Path) -> bool:
  """Whether a file can be opened as a video; False without PyAV."""
  try:
    with opened(path):
      return True
  except InputError:
    return False


def _film(container):
  """The first video stream that is not a cover image; None if there is none."""
  streams = [stream for stream in container.streams.video if not is_cover(stream)]
  return streams[0] if streams else None


def is_cover(stream) -> bool:
  """Whether a video stream is a cover image (an attached picture)."""
  return bool(stream.disposition.value & _ATTACHED_PIC)


def survey(path: Path) -> Survey:
  """Reads all packets of a file without decoding any; raises like `opened`."""
  clock = Clock()
  with opened(path) as (container, stream):
    if container.format.name in clocks.FORMATS:
      packets = container.demux([stream, *container.streams.audio])
      clock = clocks.find_clock(clocks.stamps(packets))
  with opened(path) as (container, stream):
    return _survey(container, stream, clock, find_damage(path))


def _survey(container, stream, clock: Clock, damage: str | None) -> Survey:
  film, cut, first_sound, held = [], 0, None, Fraction(0)
  by_order, tick = is_by_order(container), stream.time_base
  for packet in clock.corrected(container.demux([stream, *container.streams.audio])):
    if packet.size == 0 or packet.is_discard:  # discarded: outside of the file's own edit list
      if packet.stream_index == stream.index:
        cut += packet.size > 0
        if is_repeat(packet):
          held = max(held, (packet.pts + (packet.duration or 0)) * tick)
      continue
    if packet.stream_index == stream.index:
      film.append((packet.dts if by_order else packet.pts, packet.duration or 0))
    elif first_sound is None and packet.pts is not None:
      first_sound = packet.pts * packet.time_base
  times = sorted((time * tick, length * tick) for time, length in film if time is not None)
  shown = [time for time, _ in times]
  earliest = min(
    [time for time in (first_sound, *shown[:1]) if time is not None], default=Fraction(0)
  )
  # Before zero, sound is only the decoder's pre-roll; images count.
  start = max(earliest, Fraction(0)) if not shown else min(max(earliest, Fraction(0)), shown[0])
  return Survey(
    len(film),
    start,
    _rate(stream, shown),
    _last_length(container, stream, times, held, whole=damage is None),
    shown,
    max(stream.frames - cut, 0),
    clock,
    damage,
  )


def is_repeat(packet) -> bool:
  """Whether a packet has a time but no bytes: it repeats the frame before, as in Theora."""
  return packet.size == 0 and packet.pts is not None


def is_by_order(container) -> bool:
  """Whether frames have no times of their own, as in AVI, where they follow each other at one rate.

  FFmpeg numbers the packets in `dts`; for H.264 with B-frames, its `pts` belong to other packets
  and start one frame late.
  """
  return "avi" in container.format.name


def _rate(stream, times: list[Fraction]) -> Fraction:
  claims = [
    Fraction(rate)
    for rate in (stream.guessed_rate, stream.average_rate)
    if rate and 0 < rate <= _MAX_RATE
  ]
  steps = [later - time for time, later in itertools.pairwise(times) if later > time]
  if not steps:
    return claims[0] if claims else _RATE_WITHOUT_ANY
  tick = stream.time_base * Fraction(11, 10)
  for rate in claims:
    if all(abs(step - 1 / rate) <= tick for step in steps):
      return rate
  closest = 1 / min(steps)
  if closest <= _MAX_RATE:
    return closest
  return claims[0] if claims else _RATE_WITHOUT_ANY


def _last_length(
  container, stream, times: list[tuple[Fraction, Fraction]], held: Fraction, *, whole: bool
) -> Fraction | None:
  if not times:
    return None
  last, length = times[-1]
  end = last + length
  if "matroska" in container.format.name:
    # A truncated file still declares its original end.
    end = (_duration_tag(stream) if whole else None) or end
  elif "mov" in container.format.name:
    # Lengths belong to the packets in decoding order: only their sum is that of the video.
    end = times[0][0] + sum(length for _, length in times)
  elif is_by_order(container) and stream.duration and whole:
    end = max(end, stream.duration * stream.time_base)  # empty chunks repeat the last frame
  end = max(end, held)
  if end > last:
    return end - last
  return length or None


def _duration_tag(stream) -> Fraction | None:
  """Seconds at which a Matroska track ends, from a tag that muxers write: 00:00:03.021000000."""
  try:
    hours, minutes, seconds = stream.metadata["DURATION"].split("\x00")[0].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
  except (KeyError, ValueError, ZeroDivisionError):
    return None
