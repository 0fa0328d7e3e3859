"""Style codes for files, seeds and names of the library, each read once."""

import os
from collections.abc import Callable
from pathlib import Path

import jax

from stylejax import transfer
from stylejax.controls import MAX_STROKE, MIN_STROKE
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.inference.outputs import check_number
from stylejax.inference.style_mixes import Source
from stylejax.inference.trace_cache import compiled_step
from stylejax.weights import style_library

MAX_STYLE_SIZE = 4_096
"""Largest shorter side at which a style may be read, in pixels."""


def style_scale(stroke: float | None, style_size: int | None) -> int:
  """The shorter side in pixels at which styles are read, of --stroke or --style-size.

  Raises:
    InputError: both are given, or one is out of range.
  """
  check_number("--style-size", style_size, encode.MIN_SIDE, MAX_STYLE_SIZE)
  check_number("--stroke", stroke, MIN_STROKE, MAX_STROKE, whole=False)
  if stroke is not None and style_size is not None:
    raise InputError("--stroke: found beside --style-size, expected one of them")
  if stroke is not None:
    return round(encode.STYLE_SIZE * stroke)
  return int(style_size or encode.STYLE_SIZE)


class Codes:
  """Reads style codes, and remembers them."""

  def __init__(
    self,
    params: transfer.Params,
    style_size: int,
    library: str | os.PathLike | None = None,
    *,
    on_note: Callable[[str], None] = lambda note: None,
  ):
    self._on_note = on_note
    self._params, self._style_size = params, style_size
    self._library = library
    self._codes: dict[Source, transfer.StyleCode] = {}
    self._saved: dict[str, style_library.SavedStyle] | None = None

  def read(self, source: Source) -> transfer.StyleCode:
    """The code of one style.

    Raises:
      InputError: an image that can't be read, or a name that the library doesn't hold.
    """
    if source not in self._codes:
      self._codes[source] = self._read(source)
    return self._codes[source]

  def _read(self, source: Source) -> transfer.StyleCode:
    if source.path is not None:
      pixels = encode.style_pixels(
        encode.read(source.path, on_note=self._on_note), self._style_size
      )
      return compiled_step(transfer.encode_style)(self._params, pixels)
    if source.seed is not None:
      return compiled_step(transfer.sample_style)(self._params, jax.random.key(source.seed))
    path = Path(self._library) if self._library is not None else style_library.default_path()
    if self._saved is None:
      self._saved = style_library.read_library(path, self._params)
    return style_library.find(source.name, self._saved, path).code
