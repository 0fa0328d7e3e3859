"""Frames in and out: folders of pictures, animations, and videos with their sound.

What is painted on them lives in sequence.py. Videos need PyAV (the extra `video`), imported only
when one is met.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import IMAGE_SUFFIXES, as_float, read_frames, read_picture
from stylejax.runtime.files import check_writable, replacing

VIDEO_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm", ".mov": "mov"}
"""Extensions of videos that can be written, and FFmpeg's name of the format."""

_CLOCK = Fraction(1, 90_000)


@dataclasses.dataclass(frozen=True)
class Frame:
  """One frame.

  Attributes:
    rgb: [H, W, 3] float32 in [0, 1].
    seconds: when it is shown, from the start.
    length: seconds for which it is shown.
  """

  rgb: np.ndarray
  seconds: Fraction
  length: Fraction


class Source:
  """A sequence on disk: iterating gives its Frames, as often as asked for.

  Attributes:
    path: the folder, animation or video.
    total: how many frames there are; of some videos an estimate.
  """

  def __init__(self, path: Path, rate: float):
    """A folder's frames are shown `rate` times a second.

    Raises:
      InputError: no such path, or a folder without pictures.
    """
    self.path, self._rate = path, Fraction(rate).limit_denominator(1000)
    if path.is_dir():
      self._files = encode.find_pictures([path], "--content")
      self.total, self._frames = len(self._files), self._of_folder
    elif not path.is_file():
      raise InputError(f"--content: found no file {path}, expected a folder of frames, a GIF or a "
                       "video")
    elif path.suffix.lower() in IMAGE_SUFFIXES:
      self.total, self._frames = sum(1 for _ in read_frames(path, decode=False)), self._of_animation
    else:
      with _decoded(path) as (container, stream):
        seconds = float(container.duration or 0) / 1e6
        self.total = stream.frames or round(seconds * float(stream.average_rate or 0))
      self._frames = self._of_video

  @property
  def is_video(self) -> bool:
    """Whether it may have sound."""
    return self._frames == self._of_video

  def __iter__(self) -> Iterator[Frame]:
    shape = None
    for number, frame in enumerate(self._frames(), 1):
      if shape is None:
        shape = frame.rgb.shape
      if frame.rgb.shape != shape:
        raise InputError(f"{self.path}, frame {number}: found {_size(frame.rgb.shape)} pixels, "
                         f"expected {_size(shape)} as in the first")
      yield frame
    if shape is None:
      raise InputError(f"{self.path}: found no frame that can be read, expected one or more")

  def _of_folder(self) -> Iterator[Frame]:
    for number, file in enumerate(self._files):
      yield Frame(encode.on_white(read_picture(file)), number / self._rate, 1 / self._rate)

  def _of_animation(self) -> Iterator[Frame]:
    seconds = Fraction(0)
    for rgb, milliseconds in read_frames(self.path):
      length = Fraction(milliseconds, 1000)
      yield Frame(rgb, seconds, length)
      seconds += length

  def _of_video(self) -> Iterator[Frame]:
    with _decoded(self.path) as (container, stream):
      length = 1 / Fraction(stream.average_rate or 25)
      before = -length
      for picture in container.decode(stream):
        rgb = as_float(picture.to_ndarray(format="rgb24"))
        # Telephones film sideways and say so.
        rgb = np.ascontiguousarray(np.rot90(rgb, round(picture.rotation / 90)))
        before = picture.pts * picture.time_base if picture.pts is not None else before + length
        yield Frame(rgb, before, length)


class FolderWriter:
  """Frames as PNG files in a folder, which is made if it isn't there."""

  def __init__(self, folder: Path):
    self._folder, self._count = folder, 0
    folder.mkdir(exist_ok=True)

  def write(self, frame: Frame) -> None:
    self._count += 1
    encode.write_picture(self._folder / f"{self._count:06d}.png", frame.rgb)

  def finish(self) -> None:
    pass


class GifWriter:
  """An animation; frames are kept, one byte a pixel, until all are there."""

  def __init__(self, file: Path):
    self._file, self._frames, self._lengths = file, [], []

  def write(self, frame: Frame) -> None:
    self._frames.append(Image.fromarray(encode.as_bytes(frame.rgb)).quantize(256))
    self._lengths.append(max(20, round(1000 * frame.length)))

  def finish(self) -> None:
    first, *others = self._frames
    first.save(self._file, "GIF", save_all=True, append_images=others, duration=self._lengths,
               loop=0)


class VideoWriter:
  """A video: H.264 (VP9 in WebM), with the packets of the source's sound as they are."""

  def __init__(self, file: Path, suffix: str, shape: tuple[int, ...], source: Source,
               stack: contextlib.ExitStack):
    """Files stay open until the stack is left."""
    self._stack = stack
    self._container = stack.enter_context(
      _av().open(str(file), "w", format=VIDEO_FORMATS[suffix]))
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    self._stream = self._container.add_stream(codec, options={"crf": "18"})
    # Colour is stored for 2×2 pixels: an odd side grows by one repeated row or column.
    self._stream.height, self._stream.width = (side + side % 2 for side in shape[:2])
    self._stream.pix_fmt = "yuv420p"
    self._stream.codec_context.time_base = _CLOCK
    self._sound = iter(())
    if source.is_video:
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


@contextlib.contextmanager
def writer(output: Path, source: Source, shape: tuple[int, ...]) -> Iterator:
  """Something with `write(frame)`; a file is whole at the end of the block or not there.

  Args:
    output: a name that `check_output` let pass.
    source: where the frames, and the sound of a video, come from.
    shape: of every frame.
  """
  suffix = output.suffix.lower()
  if suffix not in ANIMATIONS:
    yield FolderWriter(output)
    return
  with replacing(output) as temporary, contextlib.ExitStack() as stack:
    if suffix == ".gif":
      target = GifWriter(temporary)
    else:
      target = VideoWriter(temporary, suffix, shape, source, stack)
    yield target
    target.finish()


ANIMATIONS = (".gif", *VIDEO_FORMATS)


def check_output(output: Path, source: Source) -> None:
  """Raises InputError unless the sequence can be written there."""
  if output.suffix and output.suffix.lower() not in ANIMATIONS and not output.is_dir():
    raise InputError(f"output {output}: found extension {output.suffix!r}, expected a folder, "
                     + ", ".join(ANIMATIONS))
  if output.suffix.lower() in VIDEO_FORMATS:
    _av()
  if output.exists() and output.samefile(source.path):
    raise InputError(f"output {output}: found the input, expected another name")
  if not output.is_dir() or output.suffix.lower() in ANIMATIONS:
    check_writable(output, "output")


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
    raise InputError("video: found no PyAV, expected it for videos: pip install 'stylejax[video]'"
                     ) from None
  av.logging.set_level(av.logging.PANIC)  # what it says of a damaged file is in the exception
  return av


def _size(shape: tuple[int, ...]) -> str:
  return f"{shape[1]}×{shape[0]}"
