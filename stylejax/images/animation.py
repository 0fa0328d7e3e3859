"""Frames as images: folders of them, and the animations GIF, WebP and APNG.

Videos are in video.py; which of them a path is, frames.py knows. The files' own structure is in
gif.py, apng.py and webp.py.
"""

import contextlib
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from stylejax.errors import InputError
from stylejax.images import apng, decode, encode, ffconcat, formats, gif, timing, webp
from stylejax.images.alpha import fill_invisible
from stylejax.images.apng import ApngFilm
from stylejax.images.decode import DecodedImage, as_float
from stylejax.images.find import find_images
from stylejax.images.frame import Frame
from stylejax.images.gif import GifFilm
from stylejax.images.patches import Layout, Patch, compose, upright
from stylejax.images.webp import WebpFilm
from stylejax.runtime.files import replacing

_STEP = Fraction(8, 100)  # seconds of a frame between two styles
# Seconds: a film of one rate may have its times in whole milliseconds.
_SAME_LENGTH = Fraction(11, 10_000)

_FILMS = {
  "GIF": (GifFilm, timing.GIF_CLOCK),
  "WEBP": (WebpFilm, timing.WEBP_CLOCK),
  "PNG": (ApngFilm, timing.APNG_CLOCK),
}


class FolderReader:
  """The images of a folder, sorted by name, numbers in names as numbers.

  Attributes:
    total: how many there are.
    rate: frames a second; where they vary, that of the shortest.
    timed: whether a list in the folder says how long each is shown.
    plays: how often they are shown; 0 is for ever.
    has_alpha: whether one of them may be invisible somewhere.
  """

  plays = 0

  def __init__(self, folder: Path, rate: Fraction, note: Callable[[str], None]):
    """Shows them `rate` times a second; `note` takes lines for the user.

    Raises:
      InputError: a folder without images, with one that can't be read, or with a damaged list.
    """
    files = find_images([folder], "--content", on_note=note)
    self._files = sorted(files, key=lambda file: natural_key(file.relative_to(folder)))
    self._folder, self._note, self.total = folder, note, len(files)
    self._lengths, self.timed = self._times(folder, rate, note)
    self.rate = 1 / min(self._lengths)
    pages = [decode.describe_pages(file) for file in self._files]
    self.has_alpha = any(page.has_alpha for page in pages)
    kinds = Counter(page.form for page in pages)
    if len(kinds) > 1:
      listed = ", ".join(f"{count} {form}" for form, count in kinds.most_common())
      note(
        f"{folder}: found frames in {len(kinds)} formats ({listed}); they follow each other by name"
      )
    several = [file for file, page in zip(self._files, pages) if page.count > 1]
    if several:
      note(
        f"{folder}: found {len(several)} frames with several images each ({several[0].name}"
        f"{', …' if len(several) > 1 else ''}); the first of them is taken"
      )

  def _times(
    self, folder: Path, rate: Fraction, note: Callable[[str], None]
  ) -> tuple[list[Fraction], bool]:
    """(seconds of each file, whether a list says so)."""
    lengths = ffconcat.read(folder)
    names = [str(file.relative_to(folder)) for file in self._files]
    if lengths is None or set(lengths) != set(names):
      if lengths is not None:
        note(
          f"{folder / formats.TIMES_NAME}: found the lengths of other files than are there; "
          f"each is shown for {float(1 / rate):.3g} s"
        )
      return [1 / rate] * len(names), False
    note(f"{folder}: frames are shown as long as {formats.TIMES_NAME} says")
    return [lengths[name] for name in names], True

  def __iter__(self) -> Iterator[Frame]:
    seconds = Fraction(0)
    for file, length in zip(self._files, self._lengths, strict=True):
      image = decode.read_image(file)
      for line in image.notes:
        if "the first is taken" not in line:  # said of all at once
          self._note(f"{self._folder}: {line}")
      yield _frame(image, seconds, length)
      seconds += length


def natural_key(path: Path) -> tuple:
  """A key that sorts names as people count: frame2 before frame10, img007 as img7."""
  numbers = [
    [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", part)]
    for part in path.parts
  ]
  return numbers, path.parts


class AnimationReader:
  """The frames of a GIF, WebP, APNG or AVIF, the pages of a TIFF; one frame of any other image.

  Frames come as browsers show them: put together from the pieces that the file holds, and those of
  10 ms or less for 100 ms. Of a file without times each is shown for 1 / rate seconds.

  Attributes:
    total: how many there are.
    rate: frames a second; where they vary, that of the shortest.
    plays: how often they are shown; 0 is for ever.
    has_alpha: whether a pixel may be invisible.
  """

  def __init__(
    self,
    path: Path,
    rate: Fraction,
    note: Callable[[str], None],
    *,
    max_pixels: int = formats.MAX_PIXELS,
  ):
    """Counts the frames; `note` takes lines for the user.

    Raises:
      InputError: not an image, damaged or of more than `max_pixels`.
    """
    self._path, self._note, self._max_pixels = path, note, max_pixels
    self._unset = 1 / rate
    pages = decode.describe_pages(path, max_pixels=max_pixels)
    self.total, self.plays, self.has_alpha = pages.count, pages.plays, pages.has_alpha
    self._layout, lengths = _structure(path, pages.form, max_pixels)
    if self._layout is not None:
      self.total, self.plays = len(self._layout.patches), self._layout.plays
      self.has_alpha = self._layout.has_alpha
      for line in self._layout.notes:
        note(line)
    elif pages.form == "PNG":
      self.total = 1
    self.rate = 1 / min(map(self._shown_length, lengths), default=self._unset)

  def __iter__(self) -> Iterator[Frame]:
    seconds, hurried = Fraction(0), 0
    for image, asked in self._images():
      length = self._shown_length(asked)
      hurried += self.total > 1 and asked is not None and length != asked
      yield _frame(image, seconds, length)
      seconds += length
    if hurried:
      self._note(
        f"{self._path}: found {hurried} of {self.total} frames that ask for 10 ms or "
        "less; each is shown for 100 ms, as browsers do"
      )

  def _shown_length(self, asked: Fraction | None) -> Fraction:
    if asked is None or (self.total == 1 and asked <= timing.QUICKEST):
      return self._unset
    return timing.shown_length(asked)

  def _images(self) -> Iterator[tuple[DecodedImage, Fraction | None]]:
    if self._layout is None:
      for number, page in enumerate(decode.read_pages(self._path, max_pixels=self._max_pixels)):
        if number < self.total:
          for note in page[0].notes:
            self._note(f"{self._path}: {note}")
          yield page
      return
    frames = compose(self._layout, self._decode)
    for frame, patch in zip(frames, self._layout.patches, strict=True):
      frame = upright(frame, self._layout.orientation)
      rgb, alpha = np.ascontiguousarray(frame[..., :3]), np.ascontiguousarray(frame[..., 3])
      yield DecodedImage(rgb, alpha, "RGBA"), patch.seconds

  def _decode(self, patch: Patch) -> DecodedImage:
    image = decode.read_image(patch, max_pixels=self._max_pixels)
    for note in image.notes:
      self._note(f"{self._path}: {note}")
    return image


def _structure(path: Path, form: str, max_pixels: int) -> tuple[Layout | None, list[Fraction]]:
  """Where the frames of a GIF or APNG are, None for all else, and lengths that are known so far."""
  if form not in ("GIF", "PNG", "WEBP"):
    return None, []
  data = path.read_bytes()
  try:
    if form == "WEBP":
      return None, webp.read_lengths(data)
    layout = (gif.read_layout if form == "GIF" else apng.read_layout)(data, str(path))
  except InputError:
    raise
  except (struct.error, ValueError, IndexError, SyntaxError) as error:
    raise InputError(
      f"{path}: found a damaged image ({error}), expected a whole "
      f"{formats.names([row for row in formats.ANIMATIONS if row.codec == form])}"
    ) from error
  if layout is None:
    return None, []
  if layout.width * layout.height > max_pixels:
    raise InputError(
      f"{path}: found {layout.width}×{layout.height} pixels, expected at most "
      f"{max_pixels / 1e6:g} megapixels"
    )
  return layout, [patch.seconds for patch in layout.patches]


def _frame(image: DecodedImage, seconds: Fraction, length: Fraction) -> Frame:
  alpha = image.alpha
  if alpha is not None and alpha.min() >= 1:
    alpha = None
  rgb = as_float(image.rgb)
  return Frame(rgb if alpha is None else fill_invisible(rgb, alpha), seconds, length, alpha)


class FolderWriter:
  """Frames as PNG files in a folder, which is made if it isn't there."""

  def __init__(self, folder: Path, note: Callable[[str], None], *, timed: bool = True):
    """`timed` says that the frames' lengths are the input's own, which a folder doesn't hold."""
    self._folder, self._note, self._timed = folder, note, timed
    self._names, self._lengths = [], []
    folder.mkdir(exist_ok=True)

  def write(self, frame: Frame) -> None:
    self._names.append(f"{len(self._names) + 1:06d}.png")
    self._lengths.append(frame.length)
    encode.write_image(self._folder / self._names[-1], frame.rgb, frame.alpha)

  def finish(self) -> None:
    """Says how long the frames are shown, in a list beside them where they differ."""
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


class AnimationWriter:
  """Frames as a GIF, WebP or APNG, each as long as it should be; memory holds three of them."""

  def __init__(
    self,
    file: Path,
    suffix: str,
    shape: tuple[int, ...],
    note: Callable[[str], None],
    *,
    alpha: bool = False,
    plays: int = 0,
  ):
    """Writes to `file` in the format of `suffix`.

    Args:
      file: a temporary name, perhaps without an extension.
      suffix: one of formats.ANIMATION_SUFFIXES.
      shape: of every frame, [H, W, ...].
      note: takes lines for the user.
      alpha: whether frames may have alpha.
      plays: how often the film is shown; 0 is for ever.
    """
    row = formats.written_as(suffix, formats.ANIMATIONS)
    film, self._clock = _FILMS[row.codec]
    self._form, self._note, self._alpha, self._total = row.name, note, alpha, 0
    self._film = film(file, *shape[:2], alpha=alpha, plays=plays)
    self._timeline = timing.Timeline(self._clock)

  def write(self, frame: Frame) -> None:
    pixels = encode.as_bytes(frame.rgb)
    if frame.alpha is not None and not self._alpha:  # a video may change on its way
      self._note("a later frame is partly invisible, unlike the first: it is laid on white")
      pixels = encode.as_bytes(encode.on_white(DecodedImage(frame.rgb, frame.alpha, "RGBA")))
    elif frame.alpha is not None:
      pixels = np.concatenate([pixels, encode.as_bytes(frame.alpha)[..., None]], -1)
    self._total += 1
    for item, length in self._timeline.add(pixels, frame.seconds, frame.length):
      self._film.add(item, length)

  def finish(self) -> None:
    for item, length in self._timeline.close():
      self._film.add(item, length)
    self._film.finish()
    if self._timeline.dropped:
      self._note(
        f"left out {self._timeline.dropped} of {self._total} frames: {self._form} shows "
        f"at most {int(1 / self._clock.shortest)} a second"
      )
    if getattr(self._film, "partial", False):
      self._note(
        "GIF has no partly transparent pixels: those from half on are written as "
        "opaque, the others as invisible"
      )

  def close(self) -> None:
    """Closes what is open; after `finish` it does nothing."""
    self._film.close()


def write_frames(
  path: str | os.PathLike,
  frames: Sequence[np.ndarray],
  alpha: np.ndarray | None = None,
  *,
  quality: int = 95,
) -> Path:
  """Writes images of one size side by side or, to a .gif or .apng, one after the other.

  Arguments and errors as `encode.write_image`, which this is for one frame. An animation runs for
  ever, 80 ms a frame.
  """
  path = Path(path)
  if path.suffix.lower() in formats.OUTPUT_FORMATS:
    alpha = alpha if alpha is None else np.concatenate([alpha] * len(frames), 1)
    whole = frames[0] if len(frames) == 1 else np.concatenate(frames, 1)
    return encode.write_image(path, whole, alpha, quality=quality)
  for rgb in frames:
    encode.check_finite(path, rgb)
  with (
    replacing(path) as temporary,
    contextlib.closing(
      AnimationWriter(
        temporary, path.suffix, frames[0].shape, lambda line: None, alpha=alpha is not None
      )
    ) as film,
  ):
    for number, rgb in enumerate(frames):
      film.write(Frame(rgb, number * _STEP, _STEP, alpha))
    film.finish()
  return path
