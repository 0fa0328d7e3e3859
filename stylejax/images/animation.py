"""Frames as images: folders of them, and the animations GIF, WebP and APNG.

Videos are in video.py; which of them a path is, frames.py knows.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from PIL import Image

from stylejax.images import encode
from stylejax.images.decode import read_frames, read_picture
from stylejax.images.find import find_images
from stylejax.images.frame import Frame


class FolderReader:
  """The images of a folder, sorted by name.

  Attributes:
    total: how many there are.
  """

  def __init__(self, folder: Path, rate: Fraction, note: Callable[[str], None]):
    """Shows them `rate` times a second; `note` takes lines for the user.

    Raises:
      InputError: a folder without images.
    """
    self._files = find_images([folder], "--content", on_note=note)
    self._rate, self._note = rate, note
    self.total = len(self._files)

  def __iter__(self) -> Iterator[Frame]:
    for number, file in enumerate(self._files):
      yield Frame(encode.on_white(read_picture(file)), number / self._rate, 1 / self._rate)


class AnimationReader:
  """The frames of a GIF, WebP or APNG; one frame of any other image.

  Attributes:
    total: how many there are.
  """

  def __init__(self, path: Path, note: Callable[[str], None]):
    """Counts the frames; `note` takes lines for the user."""
    self._path, self._note = path, note
    self.total = sum(1 for _ in read_frames(path, decode=False))

  def __iter__(self) -> Iterator[Frame]:
    seconds = Fraction(0)
    for rgb, milliseconds in read_frames(self._path):
      length = Fraction(milliseconds, 1000)
      yield Frame(rgb, seconds, length)
      seconds += length


class FolderWriter:
  """Frames as PNG files in a folder, which is made if it isn't there."""

  def __init__(self, folder: Path, note: Callable[[str], None]):
    self._folder, self._note, self._count = folder, note, 0
    folder.mkdir(exist_ok=True)

  def write(self, frame: Frame) -> None:
    self._count += 1
    encode.write_picture(self._folder / f"{self._count:06d}.png", frame.rgb)

  def finish(self) -> None:
    pass


class GifWriter:
  """An animation; frames are kept, one byte a pixel, until all are there."""

  def __init__(self, file: Path, note: Callable[[str], None]):
    self._file, self._note, self._frames, self._lengths = file, note, [], []

  def write(self, frame: Frame) -> None:
    self._frames.append(Image.fromarray(encode.as_bytes(frame.rgb)).quantize(256))
    self._lengths.append(max(20, round(1000 * frame.length)))

  def finish(self) -> None:
    first, *others = self._frames
    first.save(self._file, "GIF", save_all=True, append_images=others, duration=self._lengths,
               loop=0)
