"""Frames of animations (GIF, WebP, APNG, AVIF) and pages of multi-page images.

Folders of frames are in frame_folders.py, videos in video/; frames.py decides which of them a path
is. The structure of the file formats is in gif.py, apng.py and webp.py.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from stylejax.errors import InputError
from stylejax.images import apng, decode, encode, formats, gif, timing, webp
from stylejax.images.alpha import fill_invisible
from stylejax.images.apng import ApngFilm
from stylejax.images.decode import DecodedImage, as_float
from stylejax.images.frame import Frame
from stylejax.images.gif import GifFilm
from stylejax.images.pages import describe_pages, read_pages
from stylejax.images.patches import Layout, Patch, compose, upright
from stylejax.images.webp import WebpFilm
from stylejax.runtime.files import replacing

_STEP = Fraction(8, 100)  # seconds for which `write_frames` shows each frame

_FILMS = {
  "GIF": (GifFilm, timing.GIF_CLOCK),
  "WEBP": (WebpFilm, timing.WEBP_CLOCK),
  "PNG": (ApngFilm, timing.APNG_CLOCK),
}


class AnimationReader:
  """Reads the frames of a GIF, WebP, APNG or AVIF, a TIFF's pages, or any other image's one frame.

  Frames come as browsers show them: composed of the pieces that the file holds, and shown for
  100 ms if the file says 10 ms or less. Without times in the file, each is shown for 1 / rate
  seconds.

  Attributes:
    total: the number of frames.
    rate: frames a second; if lengths vary, that of the shortest frame.
    plays: how many times the animation is shown; 0 is forever.
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
    """Counts the frames; `note` is called with lines for the user.

    Raises:
      InputError: the file is not an image, damaged or larger than `max_pixels`.
    """
    self._path, self._note, self._max_pixels = path, note, max_pixels
    self._unset = 1 / rate
    described = describe_pages(path, max_pixels=max_pixels)
    self.total, self.plays, self.has_alpha = described.count, described.plays, described.has_alpha
    self._layout, lengths = _structure(path, described.form, max_pixels)
    if self._layout is not None:
      self.total, self.plays = len(self._layout.patches), self._layout.plays
      self.has_alpha = self._layout.has_alpha
      for line in self._layout.notes:
        note(line)
    elif described.form == "PNG":
      self.total = 1
    self.rate = 1 / min(map(self._shown_length, lengths), default=self._unset)

  def __iter__(self) -> Iterator[Frame]:
    seconds, hurried = Fraction(0), 0
    for image, asked in self._images():
      length = self._shown_length(asked)
      hurried += self.total > 1 and asked is not None and length != asked
      yield as_frame(image, seconds, length)
      seconds += length
    if hurried:
      self._note(
        f"{self._path}: found {hurried} of {self.total} frames that ask for 10 ms or "
        "less; each is shown for 100 ms, as in browsers"
      )

  def _shown_length(self, asked: Fraction | None) -> Fraction:
    if asked is None or (self.total == 1 and asked <= timing.QUICKEST):
      return self._unset
    return timing.shown_length(asked)

  def _images(self) -> Iterator[tuple[DecodedImage, Fraction | None]]:
    if self._layout is None:
      for number, page in enumerate(read_pages(self._path, max_pixels=self._max_pixels)):
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
  """The layout of a GIF or APNG (None for other files), and the frame lengths known so far."""
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


def as_frame(image: DecodedImage, seconds: Fraction, length: Fraction) -> Frame:
  alpha = image.alpha
  if alpha is not None and alpha.min() >= 1:
    alpha = None
  rgb = as_float(image.rgb)
  return Frame(rgb if alpha is None else fill_invisible(rgb, alpha), seconds, length, alpha)


class AnimationWriter:
  """Writes frames as a GIF, WebP or APNG at their times; at most three wait in memory."""

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
      file: a temporary path, perhaps without an extension.
      suffix: one of formats.ANIMATION_SUFFIXES.
      shape: the shape of every frame, [H, W, ...].
      note: called with lines for the user.
      alpha: whether frames may have alpha.
      plays: how many times the animation is shown; 0 is forever.
    """
    row = formats.written_as(suffix, rows=formats.ANIMATIONS)
    film, self._clock = _FILMS[row.codec]
    self._form, self._note, self._alpha, self._total = row.name, note, alpha, 0
    self._film = film(file, *shape[:2], alpha=alpha, plays=plays)
    self._timeline = timing.Timeline(self._clock)

  def write(self, frame: Frame) -> None:
    pixels = encode.as_bytes(frame.rgb)
    if frame.alpha is not None and not self._alpha:  # a video may change midway
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
        "GIF has no partly transparent pixels: those that are at least half opaque are "
        "written as opaque, the others as invisible"
      )

  def close(self) -> None:
    """Closes open files; does nothing after `finish`."""
    self._film.close()


def write_frames(
  path: str | os.PathLike,
  frames: Sequence[np.ndarray],
  *,
  alpha: np.ndarray | None = None,
  quality: int = 95,
) -> Path:
  """Writes images of one size side by side or, to a .gif or .apng, one after the other.

  Arguments and errors are those of `encode.write_image`, and so is the result for one frame. An
  animation loops forever, with 80 ms per frame.
  """
  path = Path(path)
  if path.suffix.lower() in formats.OUTPUT_FORMATS:
    alpha = alpha if alpha is None else np.concatenate([alpha] * len(frames), 1)
    whole = frames[0] if len(frames) == 1 else np.concatenate(frames, 1)
    return encode.write_image(path, whole, alpha=alpha, quality=quality)
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
