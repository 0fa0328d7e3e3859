"""`stylejax styles`: its options. The work is in style_work.py, which imports JAX."""

import dataclasses
import difflib
import importlib
from collections.abc import Sequence
from typing import Annotated

from stylejax.cli import common_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error, print_page
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.files import printable

_DESCRIPTION = """Save styles under names, for `stylejax paint photo.jpg @NAME`.

Examples:
  stylejax styles add wave.jpg irises.jpg      # as @wave and @irises
  stylejax styles add painting.jpg --name bold --stroke 2
  stylejax styles add --seed 7 --name dream    # one that the noise generator invents
  stylejax styles list
  stylejax styles nearest another.jpg
  stylejax styles sheet --content photo.jpg cat.jpg --output sheet.png
  stylejax styles remove wave

A library works only with the weights that it was made with.
"""


@dataclasses.dataclass(frozen=True)
class Common:
  """Options of all `stylejax styles` commands."""

  library: Annotated[
    str | None,
    option(
      "The library's file.",
      metavar="FILE",
      default="(default: stylejax/styles.safetensors in $XDG_DATA_HOME or ~/.local/share)",
    ),
  ] = None
  weights: common_options.Weights = "base"


@dataclasses.dataclass(frozen=True)
class Add(Common):
  """Read the styles of images, or invent one, and save them; an existing name is replaced."""

  images: Annotated[
    tuple[str, ...],
    option(
      "Images: files or folders. A style gets the name of its file.",
      metavar="[PATH ...]",
      default="",
      positional=True,
    ),
  ] = ()
  name: Annotated[
    str | None,
    option(
      "Another name; only for a single style.", metavar="NAME", default="(default: the file's)"
    ),
  ] = None
  seed: Annotated[
    int | None,
    option("Invent a style from this number.", metavar="INTEGER", default="(default: none)"),
  ] = None
  stroke: Annotated[
    float | None,
    option(
      "Size of the brushstrokes, as in `stylejax paint`.", metavar="NUMBER", default="(default: 1)"
    ),
  ] = None


@dataclasses.dataclass(frozen=True)
class List(Common):
  """Print the name of each style and what it was read from."""


@dataclasses.dataclass(frozen=True)
class Remove(Common):
  """Remove styles."""

  names: Annotated[
    tuple[str, ...],
    option("Names of the styles.", metavar="NAME [...]", default="", positional=True),
  ] = ()


@dataclasses.dataclass(frozen=True)
class Nearest(Common):
  """Print the styles closest to an image's; distance 1 is the average within the library."""

  image: Annotated[
    str, option("An image file.", metavar="PATH", default="(required)", positional=True)
  ] = ""
  count: Annotated[int, option("Largest number of styles to print.", metavar="INTEGER")] = 5


@dataclasses.dataclass(frozen=True)
class Sheet(Common):
  """Stylize some photos, cut to squares, in every style of the library, as one image."""

  content: Annotated[
    tuple[str, ...],
    option("Photos: files or folders.", metavar="PATH [PATH ...]", default="(required)"),
  ] = ()
  output: Annotated[
    str,
    option(
      f"The file to write ({formats.WRITTEN_SUFFIXES}).", metavar="PATH", default="(required)"
    ),
  ] = ""
  size: Annotated[int, option("Side of each stylized photo.", metavar="PIXELS")] = 192


COMMANDS: dict[str, type[Common]] = {
  "add": Add,
  "list": List,
  "remove": Remove,
  "nearest": Nearest,
  "sheet": Sheet,
}
"""The options of each command by name, in the order in which people use them."""


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  name, *rest = arguments or ["--help"]
  if name in ("--help", "-h"):
    print_page(_help(), spelling=spelling)
    return 0
  if name not in COMMANDS:
    near = difflib.get_close_matches(name, COMMANDS, 1)
    known = near[0] if near else ", ".join(COMMANDS)
    return print_error(f"styles: found {printable(name)}, expected {known}")
  kind = COMMANDS[name]
  try:
    options = parse(
      kind,
      rest,
      prog=f"{spelling.of('styles')} {name}",
      description=str(kind.__doc__),
      spelling=spelling,
    )
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status

  work = importlib.import_module("stylejax.cli.style_work")
  return exit_status(lambda: work.COMMANDS[name](options))


def _help() -> str:
  width = max(map(len, COMMANDS))
  lines = [
    f"  {name:{width}}  {str(kind.__doc__).splitlines()[0]}" for name, kind in COMMANDS.items()
  ]
  return (
    "usage: stylejax styles COMMAND ...\n\n"
    + _DESCRIPTION
    + "\n"
    + "\n".join(lines)
    + "\n\nstylejax styles COMMAND --help   explains its options\n"
  )
