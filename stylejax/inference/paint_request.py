"""What a run of `stylejax.inference.batch` is asked for, what it calls, and what it tells."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylejax.controls.table import PixelControls
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.inference import method_table
from stylejax.inference.method_table import DESCENTS, METHODS, NETWORK
from stylejax.inference.outputs import check_number
from stylejax.inference.request import check_common

MAX_STEPS = 1_000
"""Most images of one interpolation."""

DESCENT_SIZE = 512
"""Pixels of the shorter side to which methods without training scale larger contents, if nobody
asks for another size."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What a run did.

  Attributes:
    written: the outputs.
    skipped: one line for each file that could not be read.
    seconds: from the call to the last file, weights and compilation included.
  """

  written: tuple[Path, ...]
  skipped: tuple[str, ...]
  seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """What to stylize, how, and where to write it.

  Attributes:
    content: files or folders.
    style: files, folders or "@name" of the library; may be empty when there is a `seed` or `mask`.
      With a weight behind each ("a.jpg:0.7") they are mixed.
    output: a file for one content in one style, else a folder, which is made if its parent is
      there. Files in it are called <content>_<style>.<extension>, and lie in folders as the
      contents do where contents of different folders share a name.
    mask: "MASK=STYLE" each: an image of the content's size, white where that style is applied.
      Elsewhere it is `style`, or the content itself if there is none.
    strength: 0 (the content itself) over 1 (as trained) to 2.
    strength_map: an image of the content's size; scales the strength from 0, black, to 1, white.
    controls: pixel controls by name, as in `PixelControls`; numbers and names of modes.
    stroke: size of the strokes, 1/4 to 4; the same as a `style_size` of so many times the default.
    style_size: shorter side in pixels at which a style is read; larger means larger strokes.
    size: shorter side in pixels to which the content is scaled before it is stylized, and so the
      output's; None keeps the content's own size.
    tile: pixels that are computed at once, in millions: the image is stylized in tiles, with the
      same result. None does so where the whole image would not fit into memory.
    seamless: "x", "y" or "xy": the content goes on at the other side, and so do the outputs.
    shard: the rows of each image are shared among this machine's devices. Otherwise each device
      takes an image of its own, if there are several.
    seed: adds a style that the noise generator invents, called seed<seed>.
    interpolate: so many images from the first style to the last, side by side in one file, or one
      after the other in a GIF.
    library: the file of styles called "@name"; None is the user's own.
    weights: a packaged name or a file.
    quality: 1 to 100, of JPEG and WebP.
    extension: of files in a folder: "png", "jpg" or "webp".
    resume: leaves out what is there already: outputs are whole or not there. Of a method without
      training, an image that an earlier run left unfinished is gone on with.
    method: what stylizes, a name of `method_table.METHODS`. Methods without training take no
      `seamless` and no `shard`; without `size` their outputs have the content's own, but at most
      DESCENT_SIZE, and without `style_size` they read styles at the output's, times `stroke`.
    options: of the method, by the names of `method_table.OPTIONS`.
    watch: a file to which the unfinished image of such a method is written every few seconds.
  """

  content: Sequence[str | os.PathLike]
  output: str | os.PathLike
  style: Sequence[str | os.PathLike] = ()
  mask: Sequence[str] = ()
  strength: float = 1.0
  strength_map: str | os.PathLike | None = None
  controls: PixelControls = dataclasses.field(default_factory=PixelControls)
  stroke: float | None = None
  style_size: int | None = None
  size: int | None = None
  tile: float | None = None
  seamless: str | None = None
  shard: bool = False
  seed: int | None = None
  interpolate: int | None = None
  library: str | os.PathLike | None = None
  weights: str | os.PathLike = "base"
  quality: int = 95
  extension: str = "png"
  resume: bool = False
  method: str = NETWORK
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  watch: str | os.PathLike | None = None

  def check(self) -> None:
    """Raises InputError for a setting that is out of range or fights another."""
    check_common(strength=self.strength, controls=self.controls, size=self.size, seed=self.seed)
    self._check_method()
    check_number("--tile", self.tile, 0.01, 1_000, whole=False)
    if self.seamless not in (None, "x", "y", "xy"):
      raise InputError(f"--seamless: found {self.seamless}, expected x, y or xy")
    if (self.tile is not None) + (self.seamless is not None) + self.shard > 1:
      raise InputError("--tile, --seamless, --shard: found more than one, expected one of them")
    check_number("--interpolate", self.interpolate, 2, MAX_STEPS)
    check_number("--quality", self.quality, 1, 100)

  def _check_method(self) -> None:
    method_table.check_options(self.method, self.options)
    row, beside = METHODS[self.method], f"found it with --method {self.method}"
    if self.strength > 1 and not row.noise_gain:
      raise InputError(
        f"--strength: found {self.strength:g} with --method {self.method}, expected at most 1: "
        "only the networks' brushwork gets rougher"
      )
    if self.method == NETWORK:
      if self.watch is not None:
        raise InputError(f"--watch: {beside}, expected --method {' or '.join(DESCENTS)}")
      return
    for name in ("seamless", "shard") + (() if row.bands else ("tile",)):
      if getattr(self, name):
        raise InputError(f"--{name}: {beside}, expected {_methods_with(name)}")
    if self.watch is not None and formats.written_as(Path(self.watch).suffix) is None:
      raise InputError(
        f"--watch {self.watch}: found extension {Path(self.watch).suffix!r}, expected "
        f"{formats.WRITTEN_SUFFIXES}"
      )


def _methods_with(name: str) -> str:
  """The methods that have one of the settings tile, seamless and shard, for a message."""
  others = [method for method, row in METHODS.items() if row.bands] if name == "tile" else []
  return "--method " + " or ".join([NETWORK, *others])


class Callbacks(NamedTuple):
  """What a run calls while it works.

  Attributes:
    on_progress: with the number of images done (or skipped) and their total.
    on_skip: with one line for each file that is skipped.
    on_part: with the fraction of an image in tiles that is done.
    on_note: with one line for what is left out or ignored of the inputs.
    on_descent: of a method without training, with the steps that are done of an image, their
      total, the share of the work, and the loss; NaN before the first step.
  """

  on_progress: Callable[[int, int], None] = lambda done, total: None
  on_skip: Callable[[str], None] = lambda message: None
  on_part: Callable[[float], None] = lambda fraction: None
  on_note: Callable[[str], None] = lambda message: None
  on_descent: Callable[[int, int, float, float], None] = lambda done, total, share, loss: None
