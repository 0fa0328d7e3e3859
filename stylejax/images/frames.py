"""Sequences on disk: chooses the reader and the writer for a path.

Folders are in frame_folders.py, GIF, WebP and APNG in animation.py, videos in video/. Frames are
stylized in inference/sequence.py.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images import animation, encode, formats, video
from stylejax.images.find import find_images
from stylejax.images.frame import Frame
from stylejax.images.frame_folders import FolderReader, FolderWriter
from stylejax.images.opening import is_image
from stylejax.runtime.files import check_apart, check_writable, replacing
from stylejax.runtime.folders import check_folder, filling

ANIMATIONS = (*formats.ANIMATION_SUFFIXES, *formats.VIDEO_FORMATS)
"""Extensions of files that hold a whole sequence."""

_JPEG_STREAMS = (".mjpeg", ".mjpg")


class Source:
  """A sequence on disk: iterating over it yields its Frames, any number of times.

  Attributes:
    path: the folder, animation or video.
    total: the number of frames; for a damaged video, an upper bound.
    notes: one line for everything in the input that the output will lack or change; readers and
      writers add to it with `note`.
  """

  def __init__(
    self,
    path: Path,
    rate: float,
    *,
    output: Path | None = None,
    on_note: Callable[[str], None] = lambda line: None,
  ):
    """Opens the sequence.

    Args:
      path: a folder of images, an image file or animation, or a video.
      rate: frames a second for a folder or a file that has no times of its own.
      output: where the frames go, which decides what is kept of a video; None is for images.
      on_note: called with each new line of `notes`.

    Raises:
      InputError: the path doesn't exist or can't be read as a sequence.
    """
    self.path, self.notes, self._on_note = path, [], on_note
    rate = Fraction(rate).limit_denominator(1001)  # keeps 24000/1001 and the like exact
    if path.is_dir():
      reader = FolderReader(path, rate, self.note)
    elif not path.is_file():
      raise InputError(
        f"--content: found no file {path}, expected a folder of frames, a GIF or a video"
      )
    elif _holds_images(path):
      reader = animation.AnimationReader(path, rate, self.note)
    else:
      reader = video.VideoReader(path, self.note, output=output.suffix.lower() if output else "")
    self._reader, self.total = reader, reader.total

  def note(self, line: str) -> None:
    """Adds a line for the user unless it has been added before."""
    if line not in self.notes:
      self.notes.append(line)
      self._on_note(line)

  @property
  def rate(self) -> Fraction:
    """Frames a second; if lengths vary, that of the shortest frame."""
    return self._reader.rate

  @property
  def plays(self) -> int:
    """How many times an animation is shown; 0 is forever."""
    return getattr(self._reader, "plays", 0)

  @property
  def timed(self) -> bool:
    """Whether the file itself says how long its frames are shown."""
    return getattr(self._reader, "timed", True)

  @property
  def has_alpha(self) -> bool:
    """Whether the frames may have alpha."""
    return getattr(self._reader, "has_alpha", False)

  @property
  def video(self) -> "video.VideoReader | None":
    """The reader of a video, which also has sound, subtitles and a pixel shape; None otherwise."""
    return self._reader if isinstance(self._reader, video.VideoReader) else None

  def __iter__(self) -> Iterator[Frame]:
    shape = None
    for number, frame in enumerate(self._reader, 1):
      if shape is None:
        shape = frame.rgb.shape
      if frame.rgb.shape != shape:
        raise InputError(
          f"{self.path}, frame {number}: found {_size(frame.rgb.shape)} pixels, "
          f"expected {_size(shape)} as in the first"
        )
      yield frame
    if shape is None:
      raise InputError(f"{self.path}: found no frame that can be read, expected one or more")


@contextlib.contextmanager
def writer(output: Path, source: Source, shape: tuple[int, ...]) -> Iterator:
  """Yields an object with `write(frame)`; the output is replaced only if all goes well.

  Args:
    output: a path that `check_output` accepted.
    source: where the frames, and a video's sound, come from; notes are added to it.
    shape: the shape of every frame, [H, W, 3].
  """
  suffix = output.suffix.lower()
  if suffix not in ANIMATIONS:
    with filling(output, "output", replaces=True) as folder:
      target = FolderWriter(folder, source.note, timed=source.timed)
      yield target
      target.finish()
    return
  with replacing(output) as temporary, contextlib.ExitStack() as stack:
    if suffix in formats.ANIMATION_SUFFIXES:
      encode.check_output_size(output, *shape[:2])
      target = stack.enter_context(
        contextlib.closing(
          animation.AnimationWriter(
            temporary, suffix, shape, source.note, alpha=source.has_alpha, plays=source.plays
          )
        )
      )
    else:
      target = video.VideoWriter(
        temporary, suffix, shape, source.rate, source.video, source.note, stack
      )
    yield target
    target.finish()


def check_output(output: Path, source: Source, *, inputs: Sequence[str | os.PathLike] = ()) -> None:
  """Raises InputError unless the sequence can be written to `output`.

  Args:
    output: a folder or a file.
    source: what will be read; it gets a note if frames of an earlier run will be replaced.
    inputs: other files that are read, such as the style.
  """
  suffix, path = output.suffix.lower(), source.path
  if suffix in formats.VIDEO_FORMATS:
    video.check_available()
  if suffix in ANIMATIONS:
    check_writable(output, "output")
  elif suffix and not output.is_dir():
    raise InputError(
      f"output {output}: found extension {output.suffix!r}, expected a folder, "
      + ", ".join(ANIMATIONS)
    )
  files = find_images([path], "--content")
  check_apart(
    [output],
    [*files, *inputs],
    folders=[path] if path.is_dir() else [],
    reads=formats.READ_SUFFIXES,
  )
  if suffix not in ANIMATIONS and (old := check_folder(output, "output", replaces=True)):
    source.note(f"{output}: the {old} frames of an earlier run are replaced")


def _holds_images(path: Path) -> bool:
  """Whether a file is read as an image or animation rather than a video, judged by its bytes.

  The extension decides only when the bytes can't: a stream of JPEGs begins like a single JPEG, and
  a file that is neither an image nor a video is treated as what its extension says.
  """
  suffix = path.suffix.lower()
  if suffix in _JPEG_STREAMS:
    return False
  if is_image(path):
    return True
  named = (*formats.READ_SUFFIXES, *formats.ANIMATION_SUFFIXES)
  return suffix in named and not video.is_video(path)


def _size(shape: tuple[int, ...]) -> str:
  return f"{shape[1]}×{shape[0]}"
