"""The program `stylejax`: finds the command by the first word; each is a module in this folder."""

import difflib
import importlib
import sys
from collections.abc import Sequence

from stylejax.cli.options import INSTALLED, Spelling, print_error, print_page
from stylejax.runtime import process
from stylejax.runtime.files import printable

_MEANINGS = {
  "paint": "stylize images: stylejax paint photo.jpg painting.jpg",
  "sequence": "stylize a video, an animation or a folder of frames, without flicker",
  "optimize": "stylize one image by optimizing its pixels: minutes instead of a second",
  "styles": "save styles under names, and show them on a contact sheet",
  "export": "write one file that stylizes without stylejax (StableHLO, ONNX, a page)",
  "web": "serve a page that stylizes in the browser and uploads nothing",
  "warm": "compile programs ahead of time, so that no photo has to wait",
  "train": "train on your own photos and artworks",
  "benchmark": "print what a bug report needs: stylejax benchmark info",
}

_HELP = """usage: {prog} COMMAND ...

Neural style transfer: any photo in the style of any artwork.

{commands}

  {prog} COMMAND --help   explains a command's options, with examples
  {prog} --version        prints the version
"""


def main(arguments: Sequence[str] | None = None, *, spelling: Spelling = INSTALLED) -> int:
  """Runs a command.

  Args:
    arguments: the command line; None means this process's.
    spelling: how help texts write the commands.

  Returns:
    The exit status.
  """
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  # All slow imports happen in here, so that Ctrl-C prints a single line at any time.
  return process.run(lambda: _main(arguments, spelling))


def _main(arguments: list[str], spelling: Spelling) -> int:
  name = arguments[0] if arguments else "--help"
  if name in ("--help", "-h", "help"):
    print_page(_help(spelling), spelling=spelling)
    return 0
  if name in ("--version", "-V"):
    from stylejax import __version__

    print(f"stylejax {__version__}")
    return 0
  if name not in _MEANINGS:
    near = difflib.get_close_matches(name, _MEANINGS, 1)
    known = near[0] if near else ", ".join(_MEANINGS)
    return print_error(f"command: found {printable(name)}, expected {known}")
  return importlib.import_module(f"stylejax.cli.{name}").main(arguments[1:], spelling=spelling)


def _help(spelling: Spelling) -> str:
  width = max(map(len, _MEANINGS))
  commands = "\n".join(f"  {name:{width}}  {meaning}" for name, meaning in _MEANINGS.items())
  prog = spelling.of("paint").removesuffix(" paint")
  return _HELP.format(prog=prog, commands=commands)
