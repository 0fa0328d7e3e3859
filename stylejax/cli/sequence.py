"""`stylejax sequence`: its options, and what it prints."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error, repeated_flag
from stylejax.cli.places import assign
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.extras import install_command

_DESCRIPTION = """Stylize a sequence of frames steadily: what stands still doesn't flicker.

Examples:
  stylejax sequence film.mp4 painting.jpg
  stylejax sequence film.mp4 painting.jpg stylized.mp4 --size 480
  stylejax sequence frames/ painting.jpg stylized/
  stylejax sequence --content cat.gif --style painting.jpg --output stylized.gif
  stylejax sequence --content film.mp4 --style wave.jpg:0.7 @irises:0.3 --output mixed.mp4

Videos need PyAV: {install}. A video's sound and subtitles are kept where the
output can hold them; HDR becomes SDR; what is left out is said. A run that is interrupted
leaves no half file and no half folder. A folder to write to is new or empty, or holds only what an
earlier run wrote, which is replaced.
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax sequence`."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The frames, the image whose style to take, and what to write; by default CONTENT_STYLE in "
      "this folder, of the content's kind, under a new name.",
      metavar="CONTENT STYLE [OUTPUT]",
      default="",
      positional=True,
    ),
  ] = ()
  content: Annotated[
    str | None,
    option(
      "A folder of frames of one size, sorted by name; a GIF, WebP or PNG animation; or a video.",
      metavar="PATH",
      default="",
    ),
  ] = None
  style: Annotated[
    tuple[str, ...],
    option(
      "The image whose style to take, or @NAME from the library of `stylejax styles`; several with "
      "a weight behind each, as in a.jpg:0.7 b.jpg:0.3, are mixed.",
      metavar="PATH[:WEIGHT] [...]",
      default="",
    ),
  ] = ()
  output: Annotated[
    str | None,
    option(
      f"A folder, for PNG files, or a file to write ({formats.SEQUENCE_SUFFIXES}).",
      metavar="PATH",
      default="(default: CONTENT_STYLE in this folder)",
    ),
  ] = None
  strength: Annotated[
    float,
    option("How far to go: 0 is the content itself, 1 as trained, 2 the most.", metavar="NUMBER"),
  ] = 1.0
  smoothing: Annotated[
    float,
    option(
      "Share of the past in each frame's statistics and in still parts of its content, 0 to 0.99; "
      "0 stylizes each frame by itself.",
      metavar="NUMBER",
    ),
  ] = 0.8
  size: Annotated[
    int | None,
    option("Shorter side of the output.", metavar="PIXELS", default="(default: the content's own)"),
  ] = None
  seed: Annotated[
    int | None,
    option(
      "Invent a style from this number, instead of --style.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  library: Annotated[
    str | None,
    option("File of the styles called @NAME.", metavar="FILE", default="(default: the user's)"),
  ] = None
  stroke: Annotated[
    float | None,
    option(
      "Size of the strokes, 0.25 to 4: 2 reads the style at twice --style-size's default.",
      metavar="NUMBER",
      default="(default: 1)",
    ),
  ] = None
  style_size: Annotated[
    int | None,
    option(
      "The same in pixels: shorter side at which the style is read. Larger gives larger, smoother "
      "strokes.",
      metavar="PIXELS",
      default="(default: 320)",
    ),
  ] = None
  rate: Annotated[
    float,
    option("Frames a second of a folder, where the output is a GIF or a video.", metavar="NUMBER"),
  ] = 25.0
  weights: Annotated[
    str, option("base, or a .safetensors file of `stylejax train export`.", metavar="NAME|FILE")
  ] = "base"


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  wrong = repeated_flag(arguments, ("--content", "--style"))
  if wrong:
    return print_error(wrong)
  try:
    options = parse(
      Options,
      [argument for argument in arguments if argument != "--sequence"],  # what chose this command
      prog=spelling.of("sequence"),
      description=_DESCRIPTION.format(install=install_command("video")),
      spelling=spelling,
    )
    options = _placed(options)
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status

  return exit_status(lambda: _run(options))


def _placed(options: Options) -> Options:
  """The options with every file behind its flag."""
  suffix = Path(options.content or (options.files or [""])[0]).suffix.lower()
  places = assign(
    options.files,
    (options.content,) if options.content is not None else (),
    options.style,
    options.output,
    suffix=suffix if suffix in formats.SEQUENCE_SUFFIXES.split(", ") else ".mp4",
    other_style=None if options.seed is None else f"seed{options.seed}",
    folders=True,
  )
  if len(places.content) != 1:
    raise InputError(f"--content: found {len(places.content)}, expected one sequence")
  return dataclasses.replace(
    options, files=(), content=places.content[0], style=places.style, output=places.output
  )


def _run(options: Options) -> int:
  from stylejax.cli.console import progress
  from stylejax.inference.sequence import SequenceRequest, stylize_sequence
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import printable
  from stylejax.runtime.jit import reuse_memory

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  del settings["files"]
  settings["memory"] = settings.pop("smoothing")
  with progress() as (on_progress, *_, on_note):
    report = stylize_sequence(SequenceRequest(**settings), on_progress=on_progress, on_note=on_note)
  found = (
    "nothing stands still"
    if report.flicker is None
    else (
      f"flicker {report.flicker:.4f} over the {report.still:.0%} of the pixels that stand still"
    )
  )
  print(
    f"wrote {printable(options.output)}: {report.frames} frames in {report.seconds:.1f} s, {found}"
  )
  return 0
