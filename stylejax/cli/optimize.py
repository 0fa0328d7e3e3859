"""`stylejax optimize`: its options; what the methods do is in optimize_work.py, which needs JAX."""

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Annotated, Literal

from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.cli.places import assign
from stylejax.errors import InputError
from stylejax.images import formats

_DESCRIPTION = """Stylize one image by optimizing its pixels: minutes instead of 0.1 s.

Three methods: gram gives the image the Gram matrices of the style (Gatys et al. 2016), neighbors
makes every part of the image look like the most similar part of the style (Kolkin et al. 2022), and
refine does the same in fewer steps, starting from the networks' output.

Examples:
  stylejax optimize --method gram --content photo.jpg --style painting.jpg --output out.png
  stylejax optimize --method neighbors photo.jpg painting.jpg out.png --size 512
  stylejax optimize --method refine photo.jpg painting.jpg out.png --preserve-color 0.5
  # Watch its progress: look.png is rewritten every few seconds.
  stylejax optimize --method neighbors photo.jpg painting.jpg --watch look.png
"""

METHODS = ("gram", "neighbors", "refine")

OF_METHODS = {
  "style_weight": ("gram",),
  "optimizer": ("gram",),
  "content_share": ("neighbors", "refine"),
  "strength": ("refine",),
  "weights": ("refine",),
}
"""Options that mean something to some methods only; the others refuse them."""

_GROUPS = {
  "gram": ("style_weight", "optimizer"),
  "neighbors and refine": ("content_share",),
  "refine": ("strength", "weights"),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax optimize`."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The image to stylize, the image whose style to use, and the file to write; by default "
      "CONTENT_STYLE.png in this folder, under a new name.",
      metavar="CONTENT STYLE [OUTPUT]",
      default="",
      positional=True,
    ),
  ] = ()
  content: Annotated[str | None, option("The image to stylize.", metavar="PATH", default="")] = None
  style: Annotated[
    str | None, option("The image whose style to use.", metavar="PATH", default="")
  ] = None
  output: Annotated[
    str | None,
    option(
      f"The file to write ({formats.WRITTEN_SUFFIXES}).",
      metavar="PATH",
      default="(default: CONTENT_STYLE.png in this folder)",
    ),
  ] = None
  method: Annotated[
    Literal["gram", "neighbors", "refine"], option("How the image gets its style.")
  ] = "gram"
  size: Annotated[int, option("Shorter side of the output.", metavar="PIXELS")] = 384
  style_size: Annotated[
    int | None,
    option(
      "Shorter side at which the style is read: smaller gives larger strokes with gram, "
      "and smaller ones with the others.",
      metavar="PIXELS",
      default="(default: as the output)",
    ),
  ] = None
  steps: Annotated[
    int | None,
    option(
      "Number of steps in all, over the scales from coarse to fine.",
      metavar="INTEGER",
      default="(default: 200 with gram; depends on the size with the others)",
    ),
  ] = None
  preserve_color: Annotated[
    float, option("From 0, the style's colors, to 1, the content's.", metavar="NUMBER")
  ] = 0.0
  watch: Annotated[
    str | None,
    option(
      f"A file ({formats.WRITTEN_SUFFIXES}) to which the unfinished image is written every few "
      "seconds; it may be the output.",
      metavar="PATH",
    ),
  ] = None
  quality: Annotated[int, option("Quality of JPEG and WebP, 1 to 100.", metavar="INTEGER")] = 95
  style_weight: Annotated[
    float | None,
    option(
      "How much the style counts relative to the content.", metavar="NUMBER", default="(default: 4)"
    ),
  ] = None
  optimizer: Annotated[
    Literal["lbfgs", "adam"] | None,
    option(
      "L-BFGS gets further in the same number of steps; Adam needs less memory.",
      metavar="{lbfgs,adam}",
      default="(default: lbfgs)",
    ),
  ] = None
  content_share: Annotated[
    float | None,
    option(
      "From 0 to 1: share of the content, beside the image so far, in what is matched to style.",
      metavar="NUMBER",
      default="(default: 0.75, with refine 0.5)",
    ),
  ] = None
  strength: Annotated[
    float | None,
    option(
      "Strength of the networks' output from which refine starts, 0 to 2.",
      metavar="NUMBER",
      default="(default: 1)",
    ),
  ] = None
  weights: Annotated[
    str | None,
    option(
      "base, or a .safetensors file from `stylejax train export`: the networks from whose output "
      "refine starts.",
      metavar="NAME|FILE",
      default="(default: base)",
    ),
  ] = None


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  try:
    _refuse_old_method(arguments)
    options = parse(
      Options,
      arguments,
      prog=spelling.of("optimize"),
      description=_DESCRIPTION,
      spelling=spelling,
      groups=_GROUPS,
    )
    options = _placed(options)
    _check_method(options)
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status

  work = importlib.import_module("stylejax.cli.optimize_work")
  return exit_status(lambda: work.run(options))


def _refuse_old_method(arguments: Sequence[str]) -> None:
  """Names the method that version 0.1 called optimise."""
  pairs = zip(arguments, [*arguments[1:], ""])
  values = [
    after if argument == "--method" else argument.partition("=")[2]
    for argument, after in pairs
    if argument.split("=")[0] == "--method"
  ]
  for value in values:
    if value in ("optimise", "optimize"):
      raise InputError(f"--method: found {value}, a name of version 0.1, expected gram")


def _placed(options: Options) -> Options:
  """The options with every file behind its flag."""
  places = assign(
    options.files,
    (options.content,) if options.content is not None else (),
    (options.style,) if options.style is not None else (),
    options.output,
    suffix=".png",
  )
  if len(places.content) != 1 or len(places.style) != 1:
    raise InputError(
      f"found {len(places.content)} contents and {len(places.style)} styles, expected one of each"
    )
  (content,), (style,) = places.content, places.style
  return dataclasses.replace(options, files=(), content=content, style=style, output=places.output)


def _check_method(options: Options) -> None:
  """Refuses what the method doesn't know, by name."""
  for name, methods in OF_METHODS.items():
    if getattr(options, name) is not None and options.method not in methods:
      flag = "--" + name.replace("_", "-")
      raise InputError(
        f"{flag}: found it with --method {options.method}, expected --method "
        + " or ".join(methods)
      )
