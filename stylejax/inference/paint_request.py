"""The request to a run of `stylejax.inference.batch`, its callbacks, and its report."""

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
"""The largest number of images of one interpolation."""

DESCENT_SIZE = 512
"""Shorter side in pixels to which methods without training scale larger contents, unless a size is
given."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What a run did.

  Attributes:
    written: the outputs.
    skipped: one line for each file that could not be read.
    seconds: the time from the call to the last file, including loading weights and compiling.
  """

  written: tuple[Path, ...]
  skipped: tuple[str, ...]
  seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """What to stylize, how, and where to write it.

  Attributes:
    content: files or folders.
    style: files, folders or "@name" from the library; may be empty if there is a `seed` or `mask`.
      If each has a weight ("a.jpg:0.7"), they are mixed.
    output: a file for one content in one style, else a folder, which is made if its parent exists.
      Files in it are called <content>_<style>.<extension>; if contents in different folders share
      a name, they are put into the same folders as the contents.
    mask: "MASK=STYLE" each: an image of the content's size, white where that style is applied.
      Elsewhere `style` is applied, or the content stays as it is if there is none.
    strength: 0 (the content itself) to 2; 1 is as trained.
    strength_map: an image of the content's size that scales the strength, from 0 where it is black
      to 1 where it is white.
    controls: pixel controls by name, as in `PixelControls`; numbers and names of modes.
    stroke: size of the strokes, 1/4 to 4; sets `style_size` to this multiple of its default.
    style_size: shorter side in pixels at which a style is read; larger means larger strokes.
    size: shorter side of the output in pixels, to which the content is scaled before it is
      stylized; None keeps the content's size.
    tile: millions of pixels that are computed at once: the image is stylized in tiles, with the
      same result. With None that is done only if the whole image would not fit into memory.
    seamless: "x", "y" or "xy": directions in which the content is periodic, as the outputs will be.
    shard: whether to divide the rows of each image among this machine's devices. Otherwise, each of
      several devices stylizes a different image.
    seed: adds a style that the noise generator invents, called seed<seed>.
    interpolate: number of images from the first style to the last, side by side in one file, or one
      after the other in a GIF.
    library: the file of styles called "@name"; None is the user's own.
    weights: a packaged name or a file.
    quality: 1 to 100, for JPEG and WebP.
    extension: extension of files in a folder: "png", "jpg" or "webp".
    resume: whether to skip outputs that exist, which are always complete. With a method without
      training, an image that an earlier run left unfinished is continued.
    method: what stylizes, a name of `method_table.METHODS`. Methods without training don't take
      `seamless` or `shard`. Without `size`, their outputs have the content's size, but at most
      DESCENT_SIZE; without `style_size`, they read styles at the output's size times `stroke`.
    options: options of the method, by the names of `method_table.OPTIONS`.
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
    """Raises InputError for a setting that is out of range or conflicts with another."""
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
  """The methods that take the setting tile, seamless or shard, for a message."""
  others = [method for method, row in METHODS.items() if row.bands] if name == "tile" else []
  return "--method " + " or ".join([NETWORK, *others])


class Callbacks(NamedTuple):
  """What a run calls while it works.

  Attributes:
    on_progress: called with the number of images done (or skipped) and their total.
    on_skip: called with one line for each file that is skipped.
    on_part: called with the fraction of an image in tiles that is done.
    on_note: called with one line for each thing in the inputs that is left out or ignored.
    on_descent: called by a method without training with the number of steps done for an image,
      their total, the fraction of the work that is done, and the loss (NaN before the first step).
  """

  on_progress: Callable[[int, int], None] = lambda done, total: None
  on_skip: Callable[[str], None] = lambda message: None
  on_part: Callable[[float], None] = lambda fraction: None
  on_note: Callable[[str], None] = lambda message: None
  on_descent: Callable[[int, int, float, float], None] = lambda done, total, share, loss: None
