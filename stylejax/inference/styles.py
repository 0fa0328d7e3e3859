"""Style codes and images of files, seeds and names in the library, each read once."""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from stylejax import transfer
from stylejax.controls.zoom import MAX_STROKE, MIN_STROKE
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.images.thumbnail import from_thumbnail
from stylejax.inference.outputs import check_number
from stylejax.inference.request import Source, StyleMix
from stylejax.inference.stylizer import MAX_STYLE_SIZE, Stylizer
from stylejax.runtime.program_cache import compiled_step
from stylejax.transfer import StyleCode
from stylejax.weights import style_library


def style_scale(stroke: float | None, style_size: int | None) -> int:
  """The shorter side in pixels at which styles are read, from --stroke or --style-size.

  Raises:
    InputError: both are given, or one is out of range.
  """
  check_number("--style-size", style_size, encode.MIN_SIDE, MAX_STYLE_SIZE)
  check_number("--stroke", stroke, MIN_STROKE, MAX_STROKE, whole=False)
  if stroke is not None and style_size is not None:
    raise InputError("--stroke: found it with --style-size, expected only one of them")
  if stroke is not None:
    return round(encode.STYLE_SIZE * stroke)
  return int(style_size or encode.STYLE_SIZE)


def _library(
  file: str | os.PathLike | None,
  saved: dict[str, style_library.SavedStyle] | None,
  stylizer: Stylizer,
) -> tuple[Path, dict[str, style_library.SavedStyle]]:
  """(the library's file, its styles); the styles are read unless they are given."""
  path = Path(file) if file is not None else style_library.default_path()
  return path, style_library.read_library(path, stylizer.params) if saved is None else saved


class StyleReader:
  """Reads style codes, each once.

  Args:
    stylizer: encodes the styles.
    style_size: shorter side in pixels at which images are read.
    library: the file of styles called "@name"; None is the user's own.
    on_note: called with one line for each thing in an image that is ignored.
  """

  def __init__(
    self,
    stylizer: Stylizer,
    style_size: int,
    *,
    library: str | os.PathLike | None = None,
    on_note: Callable[[str], None] = lambda note: None,
  ):
    self._on_note = on_note
    self._stylizer, self._style_size = stylizer, style_size
    self._library = library
    self._codes: dict[Source, StyleCode] = {}
    self._saved: dict[str, style_library.SavedStyle] | None = None

  def read(self, source: Source) -> StyleCode:
    """The code of one style.

    Raises:
      InputError: an image can't be read, or the library doesn't contain a name.
    """
    if source not in self._codes:
      self._codes[source] = self._read(source)
    return self._codes[source]

  def read_mix(self, mix: StyleMix) -> StyleCode:
    """The code of a mix's first image: the weighted average of its styles' codes.

    Raises:
      InputError: as in `read`.
    """
    codes = [self.read(source) for source in mix.sources]
    return jax.tree.map(
      lambda *leaves: sum(w * np.asarray(x) for w, x in zip(mix.mixtures[0], leaves, strict=True)),
      *codes,
    )

  def _read(self, source: Source) -> StyleCode:
    if source.path is not None:
      image = encode.read(source.path, on_note=self._on_note)
      return self._stylizer.encode_style(image.rgb, size=self._style_size)
    if source.seed is not None:
      return self._stylizer.invent_style(source.seed)
    path, self._saved = _library(self._library, self._saved, self._stylizer)
    return style_library.find(source.name, self._saved, path).code


class StyleImageReader:
  """Reads the images of styles, each once, for methods that need more than a code.

  Args:
    stylizer: its noise generator invents styles.
    library: the file of styles called "@name"; None is the user's own.
    on_note: called with one line for each thing in an image that is ignored.
  """

  def __init__(
    self,
    stylizer: Stylizer,
    *,
    library: str | os.PathLike | None = None,
    on_note: Callable[[str], None] = lambda note: None,
  ):
    self._stylizer, self._library, self._on_note = stylizer, library, on_note
    self._images: dict[Source, DecodedImage] = {}
    self._saved: dict[str, style_library.SavedStyle] | None = None

  def read(self, source: Source) -> DecodedImage:
    """The image of one style; for a seed it is the texture sample.

    Raises:
      InputError: an image can't be read, or the library doesn't contain a style or its image.
    """
    if source not in self._images:
      self._images[source] = self._read(source)
    return self._images[source]

  def _read(self, source: Source) -> DecodedImage:
    if source.path is not None:
      return encode.read(source.path, on_note=self._on_note)
    if source.seed is not None:
      key = jax.random.key(source.seed)
      texture = compiled_step(transfer.sample_texture)(self._stylizer.params, key)
      return DecodedImage(np.asarray(texture), None, "RGB")
    path, self._saved = _library(self._library, self._saved, self._stylizer)
    image = style_library.find(source.name, self._saved, path).image
    if image is None:
      raise InputError(
        f"@{source.name}: found its code without an image in {path}, expected both, which methods "
        "without training need; `stylejax styles add` adds it again"
      )
    return from_thumbnail(image, f"@{source.name} in {path}")
