"""Videos in and out, with their sound: everything that needs PyAV (the extra `video`).

PyAV is imported only when a video is met. Folders of frames and animations are in animation.py.
"""

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import as_float
from stylejax.images.formats import VIDEO_FORMATS
from stylejax.images.frame import Frame
from stylejax.runtime.extras import install_command

_CLOCK = Fraction(1, 90_000)


class VideoReader:
  """The frames of a video file.

  Attributes:
    path: the file.
    total: how many frames there are; of some videos an estimate.
  """

  def __init__(self, path: Path, note: Callable[[str], None]):
    """Looks into the file; `note` takes lines for the user.

    Raises:
      InputError: not a video, or no PyAV.
    """
    self.path, self._note = path, note
    with _decoded(path) as (container, stream):
      seconds = float(container.duration or 0) / 1e6
      self.total = stream.frames or round(seconds * float(stream.average_rate or 0))

  def __iter__(self) -> Iterator[Frame]:
    with _decoded(self.path) as (container, stream):
      length = 1 / Fraction(stream.average_rate or 25)
      before = -length
      for picture in container.decode(stream):
        rgb = as_float(picture.to_ndarray(format="rgb24"))
        # Telephones film sideways and say so.
        rgb = np.ascontiguousarray(np.rot90(rgb, round(picture.rotation / 90)))
        before = picture.pts * picture.time_base if picture.pts is not None else before + length
        yield Frame(rgb, before, length)


class VideoWriter:
  """A video: H.264 (VP9 in WebM), with the packets of the source's sound as they are."""

  def __init__(self, file: Path, suffix: str, shape: tuple[int, ...],
               source: VideoReader | None, note: Callable[[str], None],
               stack: contextlib.ExitStack):
    """Files stay open until the stack is left."""
    self._stack, self._note = stack, note
    self._container = stack.enter_context(
      _av().open(str(file), "w", format=VIDEO_FORMATS[suffix]))
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    self._stream = self._container.add_stream(codec, options={"crf": "18"})
    # Colour is stored for 2×2 pixels: an odd side grows by one repeated row or column.
    self._stream.height, self._stream.width = (side + side % 2 for side in shape[:2])
    self._stream.pix_fmt = "yuv420p"
    self._stream.codec_context.time_base = _CLOCK
    self._sound = iter(())
    if source is not None:
      self._sound = self._packets(source.path)
    self._waiting = next(self._sound, None)

  def write(self, frame: Frame) -> None:
    av = _av()
    rgb = encode.as_bytes(frame.rgb)
    rgb = np.pad(rgb, [(0, side % 2) for side in rgb.shape[:2]] + [(0, 0)], mode="edge")
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    picture.pts, picture.time_base = round(frame.seconds / _CLOCK), _CLOCK
    self._mux_sound(until=frame.seconds)
    self._container.mux(self._stream.encode(picture))

  def finish(self) -> None:
    self._container.mux(self._stream.encode(None))
    self._mux_sound(until=None)

  def _packets(self, path: Path):
    """The first sound stream's packets; its stream is added here, before anything is written."""
    source = self._stack.enter_context(_av().open(str(path)))
    streams = source.streams.audio
    if not streams:
      return iter(())
    try:
      copy = self._container.add_stream_from_template(streams[0])
    except ValueError as error:
      raise InputError(f"--output: found sound in {streams[0].codec_context.name}, which that "
                       "format can't hold, expected .mkv") from error

    def packets():
      for packet in source.demux(streams[0]):
        if packet.dts is not None:
          packet.stream = copy
          yield packet

    return packets()

  def _mux_sound(self, until: Fraction | None) -> None:
    while self._waiting is not None:
      if until is not None and self._waiting.dts * self._waiting.time_base > until:
        return
      self._container.mux(self._waiting)
      self._waiting = next(self._sound, None)


def check_available() -> None:
  """Raises InputError where PyAV isn't installed."""
  _av()


@contextlib.contextmanager
def _decoded(path: Path):
  """A video's container and its first picture stream; what goes wrong leaves as an InputError."""
  av = _av()
  try:
    with av.open(str(path)) as container:
      if not container.streams.video:
        raise InputError(f"{path}: found no pictures, expected a video")
      yield container, container.streams.video[0]
  except av.FFmpegError as error:
    raise InputError(f"{path}: found a file that can't be read as a video ({error.strerror}), "
                     "expected a folder of frames, a GIF or a video") from error


def _av():
  try:
    import av
  except ImportError:
    raise InputError(
      f"video: found no PyAV, expected it for videos: {install_command('video')}") from None
  av.logging.set_level(av.logging.PANIC)  # what it says of a damaged file is in the exception
  return av

