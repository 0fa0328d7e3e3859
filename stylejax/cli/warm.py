"""`stylejax warm`: compiles the programs of `paint` and `sequence` ahead of time."""

import dataclasses
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from stylejax.cli import common_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.errors import InputError
from stylejax.runtime.files import printable

_DESCRIPTION = """Compile programs ahead of time, so that no photo has to wait for it later.

An image of 8 bits per channel runs in the smallest compiled program that it fits into, unless that
would compute many more pixels than the image has. The default sizes are enough for every image of
up to 1024×1024 pixels. The programs of a film are for exactly one size, the output's, so only those
of the sizes named by --film-sizes are compiled. The programs are kept in $STYLEJAX_CACHE, or
~/.cache/stylejax, for machines with the same kind of processor and the same jax; for a container,
run this as one of the steps that build its image.

Examples:
  stylejax warm
  stylejax warm --sizes 1920x1080 1080x1920
  stylejax warm --film-sizes 640x360 1280x720
  STYLEJAX_CACHE=/opt/stylejax stylejax warm
"""

SIZES = ("384x512", "512x384", "512x512", "128x1024", "1024x128", "384x1024", "1024x384",
         "640x896", "896x640", "768x1024", "1024x768", "1024x1024")  # fmt: skip
"""Programs of these sizes serve all images of up to 1024×1024 pixels."""

_LARGEST = 4096  # pixels of a side; most machines compute larger images in tiles


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax warm`."""

  sizes: Annotated[
    tuple[str, ...], option("Sizes of images in pixels.", metavar="WIDTHxHEIGHT [WIDTHxHEIGHT ...]")
  ] = SIZES
  film_sizes: Annotated[
    tuple[str, ...],
    option("Sizes of films in pixels, as written.", metavar="WIDTHxHEIGHT [WIDTHxHEIGHT ...]"),
  ] = ()
  weights: common_options.Weights = "base"


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  try:
    options = parse(
      Options, arguments, prog=spelling.of("warm"), description=_DESCRIPTION, spelling=spelling
    )
    sizes = [_size(text, "--sizes") for text in options.sizes]
    film_sizes = [_size(text, "--film-sizes") for text in options.film_sizes]
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status

  def work() -> int:
    import numpy as np

    from stylejax.inference.stylizer import Stylizer
    from stylejax.runtime.compilation_cache import VARIABLE, enable_cache

    folder = enable_cache()
    if folder is None:
      raise InputError(
        f"{VARIABLE}: found a cache folder that can't be written to, expected a writable one"
      )
    stylizer = Stylizer(options.weights)
    # Programs for styles up to twice as long as wide, read at the default style size.
    styles = [np.zeros((*size, 3), np.float32) for size in ((320, 320), (320, 640), (640, 320))]
    codes = [stylizer.encode_style(style) for style in styles]
    for width, height in sizes:
      prepared = stylizer.prepare(np.zeros((height, width, 3), np.uint8))
      for strength in (1.0, 0.5):
        prepared.stylize(codes[:1], strength=strength, dtype=np.uint8)
      print(f"{width}×{height}: ready")
    if stylizer.params.noise_generator is not None:
      stylizer.invent_style(0)
    for width, height in film_sizes:
      _stylize_film(width, height, options.weights)
      print(f"film of {width}×{height}: ready")
    print(f"kept in {printable(folder)}")
    return 0

  return exit_status(work)


def _stylize_film(width: int, height: int, weights: str) -> None:
  """Stylizes two black frames in a temporary folder, with the programs of any film of that size."""
  import numpy as np
  from PIL import Image

  from stylejax.inference.sequence import SequenceRequest, stylize_sequence

  with tempfile.TemporaryDirectory() as name:
    film = Path(name, "film")
    film.mkdir()
    for number in range(2):
      Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(film / f"{number}.png")
    style = [film / "0.png"]
    stylize_sequence(
      SequenceRequest(content=film, style=style, output=Path(name, "output"), weights=weights)
    )


def _size(text: str, flag: str) -> tuple[int, int]:
  match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text)
  if not match or not all(16 <= int(side) <= _LARGEST for side in match.groups()):
    raise InputError(
      f"{flag}: found {printable(text)}, expected WIDTHxHEIGHT with sides of 16 to {_LARGEST}"
    )
  return int(match[1]), int(match[2])
