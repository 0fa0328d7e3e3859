"""`infer.py --sequence`: its options, and what it prints."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from stylejax.cli.paint_options import option
from stylejax.images import formats
from stylejax.runtime.extras import install_command

_DESCRIPTION = """Paint a sequence of frames steadily: what stands still doesn't flicker.

Examples:
  python infer.py --sequence --content film.mp4 --style painting.jpg --output painted.mp4
  python infer.py --sequence --content frames/ --style painting.jpg --output painted/
  python infer.py --sequence --content cat.gif --style painting.jpg --output painted.gif

Videos need PyAV: {install}. A video's sound and subtitles are kept where the
output can hold them; HDR becomes SDR; what is left out is said. A run that is interrupted
leaves no half file and no half folder. A folder to write to is new or empty, or holds only what an
earlier run wrote, which is replaced.
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `infer.py --sequence`."""

  content: Annotated[
    str,
    option(
      "A folder of frames of one size, sorted by name; a GIF, WebP or PNG animation; or a video.",
      "PATH",
      "(required)",
    ),
  ]
  style: Annotated[str, option("The image whose style to take.", "PATH", "(required)")]
  output: Annotated[
    str,
    option(
      f"A folder, for PNG files, or a file to write ({formats.SEQUENCE_SUFFIXES}).",
      "PATH",
      "(required)",
    ),
  ]
  sequence: Annotated[bool, tyro.conf.arg(help="What chose this command.")] = True
  strength: Annotated[
    float, option("How far to go: 0 is the content itself, 1 as trained, 2 the most.", "NUMBER")
  ] = 1.0
  smoothing: Annotated[
    float,
    option(
      "Share of the past in each frame's statistics and in still parts of its content, 0 to 0.99; 0 "
      "paints each frame by itself.",
      "NUMBER",
    ),
  ] = 0.8
  size: Annotated[
    int | None, option("Shorter side of the output.", "PIXELS", "(default: the content's own)")
  ] = None
  style_size: Annotated[
    int,
    option(
      "Shorter side at which the style is read: larger gives larger, smoother strokes.", "PIXELS"
    ),
  ] = 320
  rate: Annotated[
    float, option("Frames a second of a folder, where the output is a GIF or a video.", "NUMBER")
  ] = 25.0
  weights: Annotated[
    str, option("base, or a .safetensors file of `train.py export`.", "NAME|FILE")
  ] = "base"


def main(arguments: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  options = tyro.cli(
    Options,
    prog="infer.py",
    args=arguments,
    description=_DESCRIPTION.format(install=install_command("video")),
  )
  from stylejax.cli.console import exit_status

  return exit_status(lambda: _run(options))


def _run(options: Options) -> int:
  from stylejax.cli.console import progress
  from stylejax.inference.sequence import stylize_sequence
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import printable
  from stylejax.runtime.jit import reuse_memory

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  del settings["sequence"]
  settings["memory"] = settings.pop("smoothing")
  with progress() as (on_progress, *_, on_note):
    report = stylize_sequence(**settings, on_progress=on_progress, on_note=on_note)
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
