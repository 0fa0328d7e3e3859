"""Options of the methods without training, which all commands share; it doesn't import JAX."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from stylejax.cli.options import option
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.inference import method_table

Steps = Annotated[
  int | None,
  option(
    "Total number of steps over all scales, from coarse to fine.",
    metavar="INTEGER",
    default="(default: 200 with gram; depends on the size with the others)",
  ),
]

Watch = Annotated[
  str | None,
  option(
    f"A file ({formats.WRITTEN_SUFFIXES}) to which the unfinished image is written every few "
    "seconds; it may be the output.",
    metavar="PATH",
    default="(default: none)",
  ),
]

ContentShare = Annotated[
  float | None,
  option(
    "From 0 to 1: weight of the content, against that of the image so far, in the features that "
    "are matched to the style's.",
    metavar="NUMBER",
    default="(default: 0.75, with refine 0.5)",
  ),
]

ContentWeight = Annotated[
  float | None,
  option(
    "From 0 to 1: how closely each part of the image follows the content; more preserves faces, "
    "less gives bolder strokes.",
    metavar="NUMBER",
    default="(default: 0.3)",
  ),
]

StyleWeight = Annotated[
  float | None,
  option(
    "How much the style counts relative to the content.", metavar="NUMBER", default="(default: 4)"
  ),
]

Optimizer = Annotated[
  Literal["lbfgs", "adam"] | None,
  option(
    "L-BFGS gets further in the same number of steps; Adam needs less memory.",
    metavar="{lbfgs,adam}",
    default="(default: lbfgs)",
  ),
]

StartStrength = Annotated[
  float | None,
  option(
    "Strength of the networks' output from which refine starts, 0 to 2.",
    metavar="NUMBER",
    default="(default: 1, or --strength if that is more)",
  ),
]


def take_options(settings: dict[str, Any]) -> dict[str, Any]:
  """Removes the methods' options from a command's settings and returns them by name."""
  return {name: settings.pop(name) for name in method_table.OPTIONS if name in settings}


def refuse_old_method(arguments: Sequence[str]) -> None:
  """Refuses the method's name in version 0.1, optimise or optimize, and names the current one.

  Raises:
    InputError: the old name is given.
  """
  pairs = zip(arguments, [*arguments[1:], ""])
  values = [
    after if argument == "--method" else argument.partition("=")[2]
    for argument, after in pairs
    if argument.split("=")[0] == "--method"
  ]
  for value in values:
    if value in ("optimise", "optimize"):
      raise InputError(f"--method: found {value}, a name of version 0.1, expected gram")
