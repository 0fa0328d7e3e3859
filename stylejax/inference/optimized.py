"""Contents given to a method without training, as `Prepared` is for the networks.

`compositing` blends by strength and applies the pixel controls, as for every image. This module
also reports progress, writes intermediate images, and saves the state to resume a killed run from.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import DecodedImage, as_float
from stylejax.inference import descent_budget
from stylejax.inference.backends.base import Band, ignore_progress
from stylejax.inference.compositing import compose, composite
from stylejax.inference.descent import Look
from stylejax.inference.method_table import METHODS
from stylejax.inference.neighbor_stages import checked_weights
from stylejax.inference.painters import PAINTERS, Work
from stylejax.inference.stylizer import MAX_STYLE_SIZE, Stylizer
from stylejax.inference.unfinished import UnfinishedImage

WATCH_EVERY = 3.0
"""Seconds between two intermediate images."""

SAVE_EVERY = 60.0
"""Minimum seconds between two saved states."""

SAVE_APART = 20.0
"""Minimum pause between two saved states, as a multiple of the time that saving one takes."""

OnDescent = Callable[[int, int, float, float], None]
"""Called with (steps done, their total, fraction of the work that is done, loss)."""


@dataclasses.dataclass(frozen=True)
class Settings:
  """How all images of a run are optimized.

  Attributes:
    method: one of `method_table.DESCENTS`.
    options: options of the method, by name; None leaves the choice to the method.
    style_size: shorter side at which styles are read; None means the content's times `stroke`.
    stroke: see style_size.
    watch: the file to which the unfinished image is written every few seconds, or None.
    quality: 1 to 100, the quality of that file.
    tile: number of pixels of a band; None takes as many as fit.
  """

  method: str
  options: Mapping[str, Any]
  style_size: int | None = None
  stroke: float = 1.0
  watch: str | os.PathLike | None = None
  quality: int = 95
  tile: int | None = None


class Optimized:
  """One content, which can be stylized several times.

  Attributes:
    unfinished: where the next image's state is saved; None doesn't save it.
  """

  def __init__(
    self,
    content: DecodedImage,
    settings: Settings,
    stylizer: Stylizer,
    *,
    name: object = "content",
    on_descent: OnDescent = lambda done, total, share, loss: None,
    on_note: Callable[[str], None] = lambda note: None,
  ):
    """Keeps what `stylize` needs.

    Args:
      content: the content at the size of the output.
      settings: the settings of the run.
      stylizer: makes the image that refine starts from.
      name: the name of the content, for messages.
      on_descent, on_note: called to report progress, and a division into bands.
    """
    self.unfinished: UnfinishedImage | None = None
    self._content, self._settings, self._stylizer = content, settings, stylizer
    self._name, self._on_descent, self._on_note = name, on_descent, on_note

  def stylize(
    self,
    styles: Sequence[DecodedImage],
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    strength: float | np.ndarray = 1.0,
    dtype: type = np.float32,
    on_progress: Callable[[float], None] | None = None,
    **controls: Any,
  ) -> list[np.ndarray]:
    """As `Prepared.stylize`, except that styles are images."""
    keep_color, most = 0.0, float(np.max(strength))
    if METHODS[self._settings.method].keeps_color and controls.get("color_mode") in (
      None,
      "luminance",
    ):
      keep_color = float(controls.pop("color", None) or 0.0)
    composition = compose(
      np.zeros((1, 1), np.float32),
      None,
      np.minimum(strength, np.float32(1)),
      self._content.rgb.shape[:2],
      controls=controls,
    )
    backend = _Descent(self, lambda: self._paint(styles, weights, max(most, 1.0), keep_color))
    return composite(backend, composition, dtype=dtype, on_progress=on_progress or ignore_progress)

  @property
  def contents(self) -> list[np.ndarray]:
    """A list of the one content, as in backends."""
    return [self._content.rgb]

  def _paint(
    self, styles: Sequence[DecodedImage], weights: Any, start_strength: float, keep_color: float
  ) -> np.ndarray:
    """The stylized image [H, W, 3], before the blend and the pixel controls."""
    styles, weights = _of_some_weight(styles, weights)
    content, settings = as_float(self._content.rgb), self._settings
    pixels = [encode.style_pixels(style, self._style_side())[None] for style in styles]
    unfinished, saved = self.unfinished, None
    if unfinished is not None and unfinished.saved is not None:
      room, saved = int(unfinished.saved[0]), unfinished.saved[1:]
    else:
      room = self._room(pixels)

    def by_networks(strength: float) -> np.ndarray:
      side = self._style_side()
      codes = [self._stylizer.encode_style(style[0], size=side) for style in pixels]
      return self._stylizer(self._content.rgb, codes, weights=weights, strength=strength)

    options = dict(settings.options)
    if options.get("start_strength") is None:
      options["start_strength"] = start_strength
    image = PAINTERS[settings.method](
      Work(
        content[None],
        pixels,
        checked_weights(weights, len(pixels), content[None]),
        options,
        keep_color,
        by_networks,
        lambda size: descent_budget.bands(size, room),
        _Watcher(self._content, settings, self._on_descent, unfinished, room),
        saved,
      )
    )
    return np.clip(np.asarray(image)[0], 0.0, 1.0)

  def _style_side(self) -> int:
    """The shorter side at which styles are read."""
    settings, shorter = self._settings, min(self._content.rgb.shape[:2])
    side = settings.style_size or max(encode.MIN_SIDE, round(settings.stroke * shorter))
    if side > MAX_STYLE_SIZE:
      raise InputError(
        f"--stroke: found {settings.stroke:g} for {self._name} of {shorter} pixels, whose styles "
        f"are read at {side}, expected at most {MAX_STYLE_SIZE}"
      )
    return side

  def _room(self, styles: Sequence[np.ndarray]) -> int:
    """`descent_budget.descent_room`; notes if the image must be divided into bands.

    Raises:
      InputError: the image doesn't fit even when divided.
    """
    size, row = self._content.rgb.shape[:2], METHODS[self._settings.method]
    style_pixels = [style.shape[1] * style.shape[2] for style in styles]
    descent_budget.check_descent(self._name, size, style_pixels, banded=row.bands)
    room = descent_budget.descent_room(size, style_pixels, tile_pixels=self._settings.tile)
    count = descent_budget.bands(size, room) if row.bands else 1
    if count > 1 and self._settings.tile is None:
      self._on_note(f"{self._name}: optimized in {count} bands of rows to save memory")
    return room


def _of_some_weight(
  styles: Sequence[DecodedImage], weights: Any
) -> tuple[Sequence[DecodedImage], np.ndarray | None]:
  """The styles with a weight above 0 anywhere, and their weights; None for a single style."""
  if weights is None:
    return styles, None
  weights = np.asarray(weights, np.float32)
  has_part = weights.reshape(len(weights), -1).max(1) > 0
  if has_part.any():
    styles = [style for style, part in zip(styles, has_part, strict=True) if part]
    weights = weights[has_part]
  return styles, weights if len(styles) > 1 else None


class _Descent:
  """A method as a backend that gives the whole image as one band."""

  def __init__(self, optimized: Optimized, paint: Callable[[], np.ndarray]):
    self.contents, self._paint = optimized.contents, paint

  def stylize(self, vector, noise_gain, *, on_progress=ignore_progress) -> Iterator[Band]:
    """As in `Backend.stylize`, but ignores the style, which `paint` knows."""
    del vector, noise_gain
    yield Band(0, 0, self._paint())


class _Watcher:
  """Reports the progress of a descent, and saves its state from time to time."""

  def __init__(
    self,
    content: DecodedImage,
    settings: Settings,
    on_descent: OnDescent,
    unfinished: UnfinishedImage | None,
    room: int,
  ):
    self._content, self._settings, self._on_descent = content, settings, on_descent
    self._unfinished, self._room = unfinished, room
    self._written = self._saved = time.monotonic()
    self._pause = SAVE_EVERY

  def __call__(self, look: Look) -> None:
    self._on_descent(look.done, look.total, look.share, look.loss)
    if self._settings.watch is not None and time.monotonic() - self._written >= WATCH_EVERY:
      self._write(np.asarray(look.image())[0])
      self._written = time.monotonic()
    if self._unfinished is not None and time.monotonic() - self._saved >= self._pause:
      started = time.monotonic()
      self._unfinished.save([np.asarray(self._room), *look.saved()])
      self._saved = time.monotonic()
      self._pause = max(SAVE_EVERY, SAVE_APART * (self._saved - started))

  def _write(self, rgb: np.ndarray) -> None:
    rgb = np.clip(rgb, 0.0, 1.0)
    rgb = encode.resize(DecodedImage(rgb, None, "RGB"), *self._content.rgb.shape[:2]).rgb
    encode.write_image(
      Path(self._settings.watch or ""),
      rgb,
      alpha=self._content.alpha,
      quality=self._settings.quality,
    )
