"""`stylejax sequence`: its options and messages; `stylejax.inference.sequence` does the work."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from stylejax.cli import common_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error, repeated_flag
from stylejax.cli.pixel_options import take_controls, with_pixel_controls
from stylejax.cli.places import assign
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.extras import install_command

if TYPE_CHECKING:
  from stylejax.inference.sequence import SequenceReport

MOST_CUTS = 8
"""The largest number of cuts whose frames are printed."""

_DESCRIPTION = """Stylize a video, an animation or a folder of frames, steadily along the motion.

Examples:
  stylejax sequence film.mp4 painting.jpg
  stylejax sequence film.mp4 painting.jpg stylized.mp4 --size 480
  stylejax sequence frames/ painting.jpg stylized/
  stylejax sequence --content cat.gif --style painting.jpg --output stylized.gif
  stylejax sequence film.mp4 painting.jpg colors.mp4 --preserve-color 1
  stylejax sequence --content film.mp4 --style wave.jpg:0.7 @irises:0.3 --output mixed.mp4
  stylejax sequence film.mp4 painting.jpg --over-time strength=1:0,48:1
  stylejax sequence film.mp4 painting.jpg out.mp4 --method neighbors --keyframes 24 --resume

Videos need PyAV: {install}. A video's sound and subtitles are kept where the
output can hold them; HDR becomes SDR; a line names what is left out. A run that is interrupted
leaves no partial file or folder, except for what --resume keeps. The output folder must be new or
empty, or hold only what an earlier run wrote, which is replaced.

--preserve-color works on each frame by itself: with --color-mode moments, colors may change a
little from frame to frame, as the video's own do.
"""


@with_pixel_controls
@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax sequence`."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The frames, the image whose style to use, and what to write; by default CONTENT_STYLE in "
      "this folder, in the content's format, with a number if that exists.",
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
      "The image whose style to use, or @NAME from the library of `stylejax styles`; several with "
      "a weight after each, as in a.jpg:0.7 b.jpg:0.3, are mixed.",
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
  strength: common_options.Strength = 1.0
  smoothing: Annotated[
    float,
    option(
      "Weight of earlier frames, 0 to 0.99, in each frame's channel statistics and in the parts of "
      "the image that were there before; 0 stylizes each frame by itself.",
      metavar="NUMBER",
    ),
  ] = 0.9
  motion: Annotated[
    Literal["followed", "ignored"],
    option(
      "Whether what moves keeps its strokes too (followed), or only what stands still (ignored), "
      "which is faster."
    ),
  ] = "followed"
  method: Annotated[
    Literal["network", "neighbors", "refine"],
    option(
      "How to stylize: network stylizes each frame; neighbors and refine, methods of `stylejax "
      "optimize`, stylize only the keyframes, which are carried along the motion to the frames "
      "between them. A keyframe takes minutes, during which the progress bar stands still."
    ),
  ] = "network"
  keyframes: Annotated[
    int | None,
    option(
      "Number of frames from one keyframe to the next, with --method neighbors or refine.",
      metavar="INTEGER",
      default="(default: 24)",
    ),
  ] = None
  over_time: Annotated[
    tuple[str, ...],
    option(
      "Numbers that change over time, instead of --strength, --smoothing or --preserve-color: each "
      "is given at some frames, counted from 1, is interpolated linearly between them, and stays "
      "the same before the first and after the last. Several settings follow each other: "
      "strength=1:0,48:1 preserve-color=1:1,48:0.",
      metavar="NAME=FRAME:NUMBER,... [...]",
      default="",
    ),
  ] = ()
  resume: Annotated[
    bool,
    option(
      "Keep frames in OUTPUT.unfinished until the film is complete, and continue from those that a "
      "stopped run with this flag and the same settings left there. The film is the same as that "
      "of a run that wasn't stopped."
    ),
  ] = False
  size: common_options.Size = None
  seed: Annotated[
    int | None,
    option(
      "Invent a style from this number, instead of --style.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  library: common_options.Library = None
  stroke: common_options.Stroke = None
  style_size: common_options.StyleSize = None
  rate: Annotated[
    float,
    option("Frames per second of a folder, if the output is a GIF or a video.", metavar="NUMBER"),
  ] = 25.0
  weights: common_options.Weights = "base"


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  wrong = repeated_flag(arguments, ("--content", "--style", "--over-time"))
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
  """The options with every file assigned to its flag."""
  swallowed = [text for text in options.over_time if "=" not in text]
  if swallowed:
    raise InputError(
      f"--over-time: found {swallowed[0]}, expected NAME=FRAME:NUMBER,...; files come before it"
    )
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
  from stylejax.inference.over_time import parse_curves
  from stylejax.inference.sequence import SequenceRequest, stylize_sequence
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import printable
  from stylejax.runtime.jit import reuse_memory

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  del settings["files"]
  settings["controls"] = take_controls(settings)
  settings["memory"] = settings.pop("smoothing")
  settings["over_time"] = parse_curves(settings["over_time"])
  started, seconds = time.perf_counter(), dict[int, float]()
  with progress("frames") as (show_progress, *_, on_note):

    def on_progress(done: int, total: int) -> None:
      seconds.setdefault(done, time.perf_counter() - started)
      show_progress(done, total)

    report = stylize_sequence(SequenceRequest(**settings), on_progress=on_progress, on_note=on_note)
  first = seconds.get(report.kept + 1, 0.0)
  print(f"wrote {printable(options.output)}: {_count(report, first)}")
  print("; ".join(_findings(report)))
  return 0


def _count(report: "SequenceReport", first: float) -> str:
  """How many frames there are, and how fast new ones came after the first, for which programs may
  have been compiled; `first` is the number of seconds until that was done."""
  new = report.frames - report.kept
  rate = ""
  if new > 1:
    per_second = (new - 1) / (report.seconds - first)
    rate = f" (the first after {first:.1f} s, then {per_second:.2f} frames/s)"
  kept = f", {report.kept} of them kept by an earlier run," if report.kept else ""
  return f"{report.frames} frames{kept} in {report.seconds:.1f} s{rate}"


def _findings(report: "SequenceReport") -> list[str]:
  """What is printed about a film: its cuts, how much was held, how steady it is."""
  cuts = ", ".join(map(str, report.cuts[:MOST_CUTS])) + (", ..." * (len(report.cuts) > MOST_CUTS))
  findings = [
    f"cuts: {f'{len(report.cuts)}, before frame {cuts}' if report.cuts else 'none'}",
    f"{report.held:.0%} of the pixels held",
    "nothing stands still"
    if report.flicker is None
    else (
      f"flicker {report.flicker:.4f} over the {report.still:.0%} of the pixels that stand still"
    ),
  ]
  if report.warping_error is not None:
    findings.append(f"warping error {report.warping_error:.4f} along the motion")
  return findings
