"""`stylejax optimize`: `stylejax paint --method` for one image, with the defaults it always had."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from stylejax.cli import method_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.cli.paint import run
from stylejax.cli.places import assign
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.inference.method_table import DESCENTS
from stylejax.inference.outputs import check_number

_DESCRIPTION = """Stylize one image by optimizing its pixels, which takes minutes instead of 0.1 s.

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

_GROUPS = {
  "gram": ("style_weight", "optimizer"),
  "neighbors and refine": ("content_share", "content_weight"),
  "refine": ("strength", "weights"),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax optimize`."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The image to stylize, the image whose style to use, and the file to write; by default "
      "CONTENT_STYLE.png in this folder, with a number if that exists.",
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
    Literal[*sorted(DESCENTS)],  # type: ignore[valid-type]
    option("How the image is stylized."),
  ] = "gram"
  size: Annotated[int, option("Shorter side of the output.", metavar="PIXELS")] = 384
  style_size: Annotated[
    int | None,
    option(
      "Shorter side at which the style is read: smaller gives larger strokes with gram, "
      "and smaller ones with the others.",
      metavar="PIXELS",
      default="(default: the output's)",
    ),
  ] = None
  steps: method_options.Steps = None
  preserve_color: Annotated[
    float,
    option("Which colors to use: from 0, the style's, to 1, the content's.", metavar="NUMBER"),
  ] = 0.0
  watch: method_options.Watch = None
  quality: Annotated[int, option("Quality of JPEG and WebP, 1 to 100.", metavar="INTEGER")] = 95
  style_weight: method_options.StyleWeight = None
  optimizer: method_options.Optimizer = None
  content_share: method_options.ContentShare = None
  content_weight: method_options.ContentWeight = None
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
    method_options.refuse_old_method(arguments)
    options = parse(
      Options,
      arguments,
      prog=spelling.of("optimize"),
      description=_DESCRIPTION,
      spelling=spelling,
      groups=_GROUPS,
    )
    options = _placed(options)
    settings = _settings(options)
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status

  return exit_status(lambda: run(settings))


def _placed(options: Options) -> Options:
  """The options with every file assigned to its flag."""
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


def _settings(options: Options) -> dict[str, Any]:
  """The settings for `paint` that these options amount to.

  Raises:
    InputError: an option is out of range, or the method doesn't take it.
  """
  for name in ("strength", "weights"):
    if getattr(options, name) is not None and options.method != "refine":
      raise InputError(
        f"--{name}: found it with --method {options.method}, expected --method refine"
      )
  check_number("--size", options.size, 64, 4096)
  check_number("--style-size", options.style_size, 64, 4096)
  check_number("--strength", options.strength, 0, 2, whole=False)
  settings = dataclasses.asdict(options)
  del settings["files"]
  for name in ("content", "style"):
    settings[name] = (settings[name],)
  # Here the strength is only that of the networks' output; nothing is blended afterwards.
  start_strength = settings.pop("strength")
  settings["options"] = method_options.take_options(settings)
  if options.method == "refine":
    settings["options"]["start_strength"] = 1.0 if start_strength is None else start_strength
  settings["controls"] = {"color": settings.pop("preserve_color")}
  return settings | {"weights": options.weights or "base"}
