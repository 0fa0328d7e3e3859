"""Folders of frames: images in the order of their names, and the list of their lengths.

Animations are in animation.py; frames.py decides which of them a path is.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images import ffconcat, formats
from stylejax.images.animation import as_frame
from stylejax.images.decode import read_image
from stylejax.images.encode import write_image
from stylejax.images.find import find_images
from stylejax.images.frame import Frame
from stylejax.images.opening import EXPECTED
from stylejax.images.pages import Pages, describe_pages
from stylejax.images.whole import is_cut

# In seconds: lengths of a constant frame rate may be rounded to whole milliseconds.
_SAME_LENGTH = Fraction(11, 10_000)
_NAMED = 3  # how many missing numbers a note names


class FolderReader:
  """Reads the images of a folder, sorted by name, with numbers in names sorted by value.

  Attributes:
    total: the number of frames.
    rate: frames a second; if lengths vary, that of the shortest frame.
    timed: whether a list in the folder says how long each frame is shown.
    plays: how many times the sequence is shown; 0 is forever.
    has_alpha: whether any frame may have invisible pixels.
  """

  plays = 0

  def __init__(self, folder: Path, rate: Fraction, note: Callable[[str], None]):
    """Shows `rate` frames a second unless a list gives lengths; `note` takes lines for the user.

    Raises:
      InputError: the folder has no images, an image is unreadable, truncated or of another size, or
        the list is damaged.
    """
    files = find_images([folder], "--content", on_note=note)
    self._files = sorted(files, key=lambda file: natural_key(file.relative_to(folder)))
    self._folder, self._note, self.total = folder, note, len(files)
    self._lengths, self.timed = self._times(folder, rate, note)
    self.rate = 1 / min(self._lengths)
    pages = self._checked()
    if not self.timed:
      self._tell_of_holes()
    self.has_alpha = any(page.has_alpha for page in pages)
    kinds = Counter(page.form for page in pages)
    if len(kinds) > 1:
      listed = ", ".join(f"{count} {form}" for form, count in kinds.most_common())
      note(f"{folder}: found frames in {len(kinds)} formats ({listed}); they are ordered by name")
    several = [file for file, page in zip(self._files, pages) if page.count > 1]
    if several:
      note(
        f"{folder}: found {len(several)} frames with several images each ({several[0].name}"
        f"{', …' if len(several) > 1 else ''}); the first image of each is used"
      )

  def _checked(self) -> list[Pages]:
    """Reads all headers before any frame is stylized: one size for all, and no truncated file."""
    described = []
    for number, file in enumerate(self._files, 1):
      described.append(describe_pages(file))
      if is_cut(file):
        raise InputError(f"{file}: found a damaged image (the file is truncated), {EXPECTED}")
      size, first = described[-1].size, described[0].size
      if size != first:
        raise InputError(
          f"{self._folder}, frame {number} ({file.name}): found {size[0]}×{size[1]} pixels, "
          f"expected {first[0]}×{first[1]} as in the first ({self._files[0].name})"
        )
    return described

  def _tell_of_holes(self) -> None:
    """Notes which numbers are missing, if the file names differ only in their number."""
    split = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name) for file in self._files]
    if len(split) < 3 or not all(split):
      return
    if (
      len({(file.parent, match[1], match[3].lower()) for file, match in zip(self._files, split)})
      > 1
    ):
      return
    numbers = [int(match[2]) for match in split]
    steps = [later - number for number, later in itertools.pairwise(numbers)]
    step = min(steps)
    if step < 1 or max(steps) == step or any(distance % step for distance in steps):
      return
    missing = [n for n in range(numbers[0], numbers[-1] + 1, step) if n not in set(numbers)]
    listed = ", ".join(map(str, missing[:_NAMED])) + (", …" if len(missing) > _NAMED else "")
    self._note(
      f"{self._folder}: {len(missing)} of the numbers from {numbers[0]} to {numbers[-1]} have no "
      f"frame ({listed}); the others follow each other without a gap"
    )

  def _times(
    self, folder: Path, rate: Fraction, note: Callable[[str], None]
  ) -> tuple[list[Fraction], bool]:
    """(seconds for each file, whether they come from a list)."""
    lengths = ffconcat.read(folder)
    names = [str(file.relative_to(folder)) for file in self._files]
    if lengths is None or set(lengths) != set(names):
      if lengths is not None:
        note(
          f"{folder / formats.TIMES_NAME}: found durations of other files than are there; "
          f"each is shown for {float(1 / rate):.3g} s"
        )
      return [1 / rate] * len(names), False
    note(f"{folder}: frames are shown for as long as {formats.TIMES_NAME} says")
    return [lengths[name] for name in names], True

  def __iter__(self) -> Iterator[Frame]:
    seconds = Fraction(0)
    for file, length in zip(self._files, self._lengths, strict=True):
      image = read_image(file)
      for line in image.notes:
        if "the first is used" not in line:  # said of all at once
          self._note(f"{self._folder}: {line}")
      yield as_frame(image, seconds, length)
      seconds += length


def natural_key(path: Path) -> tuple:
  """A sort key that compares numbers by value: frame2 before frame10, img007 like img7."""
  numbers = [
    [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", part)]
    for part in path.parts
  ]
  return numbers, path.parts


class FolderWriter:
  """Writes frames as PNG files to a folder, which is created if needed."""

  def __init__(self, folder: Path, note: Callable[[str], None], *, timed: bool = True):
    """`timed` says that frame lengths come from the input, which a folder can't hold by itself."""
    self._folder, self._note, self._timed = folder, note, timed
    self._names, self._lengths = [], []
    folder.mkdir(exist_ok=True)

  def write(self, frame: Frame) -> None:
    self._names.append(f"{len(self._names) + 1:06d}.png")
    self._lengths.append(frame.length)
    write_image(self._folder / self._names[-1], frame.rgb, alpha=frame.alpha)

  def finish(self) -> None:
    """Notes the frame rate; if frame lengths differ, writes them to a list in the folder."""
    if not self._timed or not self._lengths:
      return
    if max(self._lengths) - min(self._lengths) <= _SAME_LENGTH:
      rate = len(self._lengths) / sum(self._lengths)
      self._note(
        f"a folder holds no times: its {len(self._lengths)} frames are meant to be shown "
        f"at {float(rate):.5g} a second"
      )
      return
    ffconcat.write(self._folder, self._names, self._lengths)
    self._note(
      f"a folder holds no times: {formats.TIMES_NAME} beside the frames says how long each is shown"
    )
