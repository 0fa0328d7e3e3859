"""Reads the frames of a video file: upright, in sRGB, each with its time and length."""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from stylejax.errors import InputError
from stylejax.images.formats import VIDEO_FORMATS
from stylejax.images.frame import Frame
from stylejax.images.video import container as files
from stylejax.images.video.carried import has, lost
from stylejax.images.video.cropping import find_crop
from stylejax.images.video.speeds import has_other_speeds
from stylejax.images.video.srgb import UNSAID, ColorCodes, Tags, ToSrgb
from stylejax.images.video.tracks import left_out_of_images

# Containers that store the pixel aspect; PyAV can't write WebM's.
_WITH_PIXEL_SHAPE = (".mp4", ".mkv", ".mov")
_MAX_PIXEL_ASPECT = 10

# Codec tags of streams that players without Dolby Vision must not decode as plain HEVC or AV1.
_DOLBY_VISION = ("dvh1", "dvhe", "dav1")

# Codecs whose decoders always say BT.601, whatever the video's colors are.
_WITHOUT_MATRIX = ("vp8", "mjpeg")

_PEAK_SAMPLES = 12
_SDR_PEAK = 1.25


class VideoReader:
  """The frames of a video file.

  Attributes:
    path: the file.
    total: the number of packets with frames; slightly more than are shown if the codec hides some.
    rate: frames a second; if intervals vary, that of the shortest one.
    start: seconds on the file's own clock at which frames or sound begin.
    clock: the correction of the file's times where they restart.
    pixel_aspect: a pixel's width over its height, after rotation; 1 if the reader makes it square.
    tags: what the file says about its colors.
    has_alpha: whether the frames may have alpha.
  """

  def __init__(self, path: Path, note: Callable[[str], None], *, output: str = ""):
    """Surveys the file and decodes its first frame.

    Args:
      path: the file.
      note: called with lines for the user.
      output: extension of the video that the frames go into, or "". If its format can't store the
        pixel aspect, pixels are made square.

    Raises:
      InputError: the file can't be read as a video, or PyAV isn't installed.
    """
    self.path, self._note = path, note
    self._keep_shape, self._to_video = output in _WITH_PIXEL_SHAPE, output in VIDEO_FORMATS
    self._survey = files.survey(path)
    with files.opened(path) as (container, stream):
      aspect = Fraction(stream.sample_aspect_ratio or 1)
      self._by_order = files.is_by_order(container)
      shown = [other for other in container.streams.video if not files.is_cover(other)]
      context = stream.codec_context
      self._crop = find_crop(path, shown.index(stream), context.width, context.height)
      self._container_codes = dataclasses.replace(
        ColorCodes.of(context), first=context.name in _WITHOUT_MATRIX
      )
      self._codec, self._code = stream.codec_context.name, stream.codec_context.codec_tag
      if not self._to_video and (line := left_out_of_images(container, stream)):
        note(line)
      # Matroska's AlphaMode: alpha is stored beside the frames, and the decoder drops it.
      tags = {key.lower(): value for key, value in stream.metadata.items()}
      if tags.get("alpha_mode") == "1" and self._codec in ("vp8", "vp9"):
        note(f"the transparency of {path.name} is left out: it isn't read from VP8 and VP9")
    self.total, self.rate, self.start = self._survey.frames, self._survey.rate, self._survey.start
    self.clock = self._survey.clock
    if not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
      note(f"pixels of {_ratio(aspect)} are treated as square")
      aspect = Fraction(1)
    self._aspect, self._peak = aspect, 1.0
    first = next(self._decoded(tell=False), None)
    if first is None:
      raise InputError(f"{path}: found no frame that can be read, expected one or more")
    self._stored = first.width, first.height
    swapped = _turn(first)[0]
    self.pixel_aspect = 1 / aspect if swapped else aspect
    if not self._keep_shape:
      self.pixel_aspect = Fraction(1)
    convert = self._converter(first)
    self.tags: Tags = convert.tags
    self.has_alpha = convert.has_alpha
    if self.tags.is_hdr:
      self._peak = self._film_peak(convert)
    self._tell(first)

  def __iter__(self) -> Iterator[Frame]:
    waiting, length = None, 1 / self.rate
    convert, kind, moved = None, None, 0
    for number, image in enumerate(self._decoded()):
      seconds = self._seconds(image, number)
      if waiting is not None:
        before = waiting.seconds
        if seconds is None or seconds <= before:
          moved += seconds is not None
          seconds = before + length
        yield Frame(waiting.rgb, before, seconds - before, waiting.alpha)
      properties = (
        image.format.name,
        image.height,
        image.width,
        image.colorspace,
        image.color_range,
        image.color_primaries,
        image.color_trc,
      )
      if properties != kind:
        convert, kind = self._converter(image), properties
      rgb, alpha = convert(image)
      if self._crop and (image.width, image.height) == self._stored:
        rgb, alpha = self._cropped(rgb), None if alpha is None else self._cropped(alpha)
      turn = _turn(image)
      waiting = Frame(
        turned(rgb, turn),
        seconds if seconds is not None else Fraction(0),
        length,
        alpha if alpha is None else turned(alpha, turn),
      )
    if waiting is not None:
      yield Frame(waiting.rgb, waiting.seconds, self._survey.last_length or length, waiting.alpha)
    if moved:
      self._note(
        f"{moved} {'frame of' if moved == 1 else 'frames of'} {self.path.name} should be shown no "
        f"later than the one before: each is shown {float(length):.3g} s after it"
      )

  def _cropped(self, array: np.ndarray) -> np.ndarray:
    """Crops [H, W, ...] as the container asks."""
    height, width = array.shape[:2]  # after pixels have been made square
    scale_x, scale_y = width / self._stored[0], height / self._stored[1]
    left, top, right, bottom = self._crop
    rows = slice(round(top * scale_y), height - round(bottom * scale_y))
    return array[rows, round(left * scale_x) : width - round(right * scale_x)]

  def _seconds(self, image, number: int) -> Fraction | None:
    """When a frame is shown, in seconds from the start; None if unknown."""
    times = self._survey.times
    if self._by_order and times:
      # AVI has no times of its own; FFmpeg's are in decoding order.
      if number < len(times):
        return times[number] - self.start
      return None
    if image.pts is None or image.time_base is None:
      return None
    return image.pts * image.time_base - self.start

  def _decoded(self, tell: bool = True) -> Iterator:
    """Yields PyAV's frames in display order."""
    damaged, marked, frames, shapes = 0, 0, 0, {}
    with files.opened(self.path) as (container, stream):
      packets = self._survey.clock.corrected(container.demux(stream))
      while True:
        try:
          packet = next(packets, None)
          images = () if packet is None or files.is_repeat(packet) else packet.decode()
        except ValueError:  # PyAV raises it for damaged or invalid bytes
          damaged += 1
          continue
        if packet is None:
          break
        marked += packet.is_corrupt  # the container knows that bytes are missing
        for image in images:
          frames += 1
          if tell:
            self._tell_of_frame(image)
            shapes[stream.codec_context.sample_aspect_ratio or 1] = None
          yield image
    if tell and len(shapes) > 1:
      names = [_ratio(Fraction(shape)) for shape in shapes]
      self._note(
        f"the pixels of {self.path.name} change their shape from {names[0]} to "
        f"{', '.join(names[1:])}: all are shown as {_ratio(self._aspect)}"
      )
    if tell and damaged and frames:
      self._note(
        f"{damaged} damaged {'packet of' if damaged == 1 else 'packets of'} {self.path.name} "
        f"{'holds' if damaged == 1 else 'hold'} no frame that can be read, and "
        f"{'is' if damaged == 1 else 'are'} left out"
      )
    if tell and marked and frames:
      self._note(
        f"{marked} {'packet of' if marked == 1 else 'packets of'} {self.path.name} "
        f"{'is' if marked == 1 else 'are'} marked as damaged: frames may be missing or wrong there"
      )

  def _tell_of_frame(self, image) -> None:
    for line in lost(image):
      self._note(f"{self.path.name}: {line}")
    if image.interlaced_frame:
      self._note(f"{self.path.name} is interlaced: both fields of a frame are stylized together")

  def _film_peak(self, convert: ToSrgb) -> float:
    """The peak light over a few frames: one tone curve for the whole video doesn't flicker."""
    peaks = []
    with files.opened(self.path) as (container, stream):
      times = self._survey.times
      if self.clock.breaks:  # can't seek, because a time may occur twice
        stream.codec_context.skip_frame = "NONKEY"
        peaks = [convert.brightest(image) for image in container.decode(stream)]
        times = []
      span = times[-1] - times[0] if times else 0
      for part in range(_PEAK_SAMPLES if span else not peaks):
        if span:
          container.seek(
            int((times[0] + span * part / _PEAK_SAMPLES) / stream.time_base), stream=stream
          )
        image = next(container.decode(stream), None)
        if image is not None:
          peaks.append(convert.brightest(image))
    peak = max(peaks, default=1.0)
    return 1.0 if peak <= _SDR_PEAK else peak  # the overshoot of a codec is no highlight

  def _converter(self, image) -> ToSrgb:
    height, width = image.height, image.width
    if not self._keep_shape:
      if self._aspect > 1:
        width = round(width * self._aspect)
      else:
        height = round(height / self._aspect)
    if height * width > files.MAX_PIXELS:
      raise InputError(
        f"{self.path}: found frames of {width}×{height} square pixels, expected at "
        f"most {files.MAX_PIXELS:,}"
      )
    if _is_dolby_vision_alone(image, self._container_codes, self._code):
      raise InputError(
        f"{self.path}: found Dolby Vision of profile 5, whose colors its own players "
        "alone can decode, expected HDR10, HLG or SDR, as of profile 8"
      )
    try:
      return ToSrgb(image, self._container_codes, (height, width), self._note, peak=self._peak)
    except InputError as error:
      raise InputError(f"{self.path}: {error}") from error

  def _tell(self, image) -> None:
    survey = self._survey
    if not self._keep_shape and self._aspect != 1:
      self._note(f"pixels of {_ratio(self._aspect)} are made square")
    if survey.promised > survey.frames and not self._by_order and self._codec not in ("vp8", "vp9"):
      self._note(f"{self.path.name} declares {survey.promised} frames but holds {survey.frames}")
    if not self._to_video and self.tags.gamut in ("bt470bg", "smpte170m"):
      self._note(f"the primaries of {self.tags.gamut} are treated as sRGB's, as in players")
    if self._crop:
      left, top, right, bottom = self._crop
      width, height = self._stored
      self._note(
        f"{width}×{height} pixels are cropped to {width - left - right}×{height - top - bottom}, "
        f"as {self.path.name} asks"
      )
    if survey.damage:
      self._note(f"{self.path.name} {survey.damage}; frames may be missing or wrong there")
    if breaks := survey.clock.resumed:
      places = ", ".join(f"{float(time - self.start):.2f}" for time in breaks[:3])
      self._note(
        f"the timestamps of {self.path.name} restart {len(breaks)} "
        f"{'time' if len(breaks) == 1 else 'times'} (at {places}{' …' if breaks[3:] else ''} s): "
        "what follows continues without a gap"
      )
    late = self._seconds(image, 0) or Fraction(0)
    if not self._to_video and late > 1 / (2 * self.rate):
      self._note(
        f"the frames of {self.path.name} begin {float(late):.3g} s after its sound: without sound "
        "they begin at once"
      )
    if has_other_speeds(self.path):
      self._note(
        f"parts of {self.path.name} should be slower or faster, or stand still (edit list): they "
        "are shown at their usual speed"
      )
    if _skewed(image):
      self._note("the angle at which the video was filmed is rounded to a quarter turn")


def _ratio(aspect: Fraction) -> str:
  return f"{aspect.numerator}:{aspect.denominator}"


def _is_dolby_vision_alone(image, container: ColorCodes, code: str) -> bool:
  """Whether colors are Dolby's IPT; it has no code in H.273, so nothing is tagged."""
  codes = ColorCodes.of(image).completed(container)
  untagged = codes.matrix == UNSAID and codes.transfer == UNSAID
  return untagged and (code in _DOLBY_VISION or has(image, "DOVI_RPU_BUFFER"))


def _matrix(image) -> np.ndarray | None:
  """The display matrix m [2, 2]: x' = m00 x + m10 y, y' = m01 x + m11 y; None if there is none."""
  try:  # PyAV 18 iterates over values, 19 over keys: neither `in` nor `get` works with both
    data = image.side_data["DISPLAYMATRIX"]
  except KeyError:
    return None
  return np.frombuffer(bytes(data), np.int32, 9).reshape(3, 3)[:2, :2] / 65_536


def _turn(image) -> tuple[bool, bool, bool]:
  """(whether to swap rows and columns, then mirror left-right, then flip top-bottom)."""
  matrix = _matrix(image)
  if matrix is None or not matrix.any():
    return False, False, False
  (a, b), (c, d) = matrix
  if abs(a) + abs(d) >= abs(b) + abs(c):
    return False, bool(a < 0), bool(d < 0)
  return True, bool(c < 0), bool(b < 0)


def _skewed(image) -> bool:
  matrix = _matrix(image)
  if matrix is None or not matrix.any():
    return False
  (a, b), (c, d) = np.abs(matrix)
  straight, crossed = a + d, b + c
  return bool(min(straight, crossed) > 0.02 * max(straight, crossed))


def turned(array: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
  """Applies a `_turn` to [H, W, ...]: swaps the axes, then mirrors, then flips."""
  swapped, mirrored, upside_down = turn
  if swapped:
    array = array.swapaxes(0, 1)
  if mirrored:
    array = array[:, ::-1]
  if upside_down:
    array = array[::-1]
  return np.ascontiguousarray(array)
