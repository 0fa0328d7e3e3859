"""Writes frames as BT.709 video, H.264 or (in WebM) VP9, with the source's sound and subtitles."""

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylejax.errors import InputError
from stylejax.images.formats import VIDEO_FORMATS
from stylejax.images.frame import Frame
from stylejax.images.video import container as files
from stylejax.images.video.reader import VideoReader
from stylejax.images.video.srgb import BT709, FromSrgb, written_tags
from stylejax.images.video.tracks import Tracks

_CLOCK = Fraction(1, 90_000)
_LIMITED_RANGE = 1


class VideoWriter:
  """Writes Frames as a video, with the sound and subtitles of the video that they came from."""

  def __init__(
    self,
    file: Path,
    suffix: str,
    shape: tuple[int, ...],
    rate: Fraction,
    source: VideoReader | None,
    note: Callable[[str], None],
    stack: contextlib.ExitStack,
  ):
    """Opens the file, which stays open until `stack` is closed.

    Args:
      file: the path to write to.
      suffix: the format, a key of VIDEO_FORMATS.
      shape: the shape of every frame, [H, W, 3].
      rate: the frame rate to declare in the file; frames are written at their own times.
      source: the video that the frames come from, if any.
      note: called with lines for the user.
      stack: closes the files.
    """
    self._file, self._note = file, note
    self._lengths: dict[int, Any] = {}
    self._last = -1
    with self._errors():
      self._container = stack.enter_context(
        files.import_av().open(f"file:{file}", "w", format=VIDEO_FORMATS[suffix])
      )
      self._stream = self._encoder(suffix, shape, rate, source)
      self._convert = FromSrgb()
      self._tracks = None
      if source is not None:
        self._tracks = Tracks(
          self._container,
          suffix,
          VIDEO_FORMATS[suffix],
          source.path,
          source.start,
          source.clock,
          note,
          stack,
        )
    if any(side % 2 for side in shape[:2]):
      width, height = self._stream.width, self._stream.height
      note(
        f"{shape[1]}×{shape[0]} pixels become {width}×{height}: the video needs even sides, "
        "so a row or column is repeated"
      )

  def _encoder(
    self, suffix: str, shape: tuple[int, ...], rate: Fraction, source: VideoReader | None
  ):
    # MP4 stores the lengths of packets. Without B-frames, packets are in display order, so that
    # the last frame keeps its length. Compared with x264's defaults at a CRF of 18, two stylized
    # films of 640×360 pixels took 0.6 of the time to encode, their luma was at 42.2 and 40.3 dB
    # instead of 42.3 and 40.8, and they were 12 and 6 % larger (PyAV 18.1).
    codec, options = (
      ("libvpx-vp9", {"crf": "18", "row-mt": "1", "cpu-used": "2"})
      if suffix == ".webm"
      else ("libx264", {"preset": "faster", "crf": "17", "bf": "0"})
    )
    stream = self._container.add_stream(
      codec, rate=rate.limit_denominator(100_000), options=options
    )
    # Color is stored for 2×2 pixels: an odd side grows by one repeated row or column.
    stream.height, stream.width = (side + side % 2 for side in shape[:2])
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = _CLOCK
    if source is not None:
      context.sample_aspect_ratio = source.pixel_aspect
    context.colorspace, context.color_range = BT709, _LIMITED_RANGE
    context.color_primaries, context.color_trc = written_tags(source.tags if source else None)
    return stream

  def write(self, frame: Frame) -> None:
    """Adds a frame; its time must be later than that of the frame before."""
    rgb = frame.rgb
    if frame.alpha is not None and frame.alpha.min() < 1:
      self._note("transparency is laid on white: the video has none")
      rgb = rgb * frame.alpha[..., None] + (1 - frame.alpha[..., None])
    rgb = np.pad(rgb, [(0, side % 2) for side in rgb.shape[:2]] + [(0, 0)], mode="edge")
    with self._errors():
      image = self._convert(rgb)
      time = max(round(frame.seconds / _CLOCK), self._last + 1)
      end = max(round((frame.seconds + frame.length) / _CLOCK), time + 1)
      image.pts, image.time_base, self._last = time, _CLOCK, time
      self._lengths[time] = end - time
      if self._tracks is not None:
        self._tracks.mux(until=frame.seconds)
      self._mux(self._stream.encode(image))

  def finish(self) -> None:
    """Writes what the encoder and the tracks still hold."""
    with self._errors():
      self._mux(self._stream.encode(None))
      if self._tracks is not None:
        self._tracks.mux(until=None)
      self._container.close()

  def _mux(self, packets) -> None:
    for packet in packets:
      packet.duration = self._lengths.pop(packet.pts, packet.duration or 0)
      self._container.mux(packet)

  @contextlib.contextmanager
  def _errors(self) -> Iterator[None]:
    try:
      yield
    except files.import_av().FFmpegError as error:
      raise InputError(
        f"output: found a video that can't be written ({error.strerror}), expected "
        "another format or size"
      ) from error
