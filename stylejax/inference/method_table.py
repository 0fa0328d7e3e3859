"""The table of the methods that stylize an image, and of the options that some of them have.

The command, its checks and its help read from here; `stylejax.inference.painters` runs the methods.
It doesn't import JAX, so that --help is quick.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from stylejax.errors import InputError
from stylejax.inference.outputs import check_number

NETWORK = "network"
"""The method that needs training: one forward pass."""


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of the table.

  Attributes:
    help: a sentence of --help whose subject is the method's name.
    options: the names in OPTIONS that it takes.
    noise_gain: whether it takes a strength above 1.
    keeps_color: whether it keeps the content's colors itself, in the color mode "luminance".
    bands: whether it can work in bands of rows, to save memory.
    needs_networks: whether it needs networks other than those that invent a style.
  """

  help: str
  options: tuple[str, ...] = ()
  noise_gain: bool = False
  keeps_color: bool = False
  bands: bool = False
  needs_networks: bool = False


METHODS = {
  NETWORK: Method("is one forward pass", noise_gain=True, needs_networks=True),
  "refine": Method(
    "improves the output of network in a few steps of neighbors",
    ("steps", "content_share", "content_weight", "start_strength"),
    noise_gain=True,
    keeps_color=True,
    bands=True,
    needs_networks=True,
  ),
  "neighbors": Method(
    "makes every part of the image look like the most similar part of the style (Kolkin et al. "
    "2022)",
    ("steps", "content_share", "content_weight"),
    keeps_color=True,
    bands=True,
  ),
  "gram": Method(
    "gives the image the Gram matrices of the style (Gatys et al. 2016)",
    ("steps", "style_weight", "optimizer"),
  ),
}
"""The methods by name."""

DESCENTS = tuple(name for name in METHODS if name != NETWORK)
"""Methods without training, which optimize the pixels."""

MOST_STEPS = 100_000

OPTIONS: dict[str, Mapping[str, Any]] = {
  "steps": {"low": 3, "high": MOST_STEPS},
  "content_share": {"low": 0, "high": 1, "whole": False},
  "content_weight": {"low": 0, "high": 1, "whole": False},
  "style_weight": {"low": 0, "high": 1e6, "whole": False},
  "optimizer": {"choices": ("lbfgs", "adam")},
  "start_strength": {"low": 0, "high": 2, "whole": False},
}
"""Ranges of the methods' options, by name; None always leaves the choice to the method."""


def methods_of(option: str) -> str:
  """Names of the methods that have an option, for a message."""
  return " or ".join(sorted(name for name, row in METHODS.items() if option in row.options))


def check_options(method: str, options: Mapping[str, Any]) -> None:
  """Raises InputError for an option that the method doesn't have, or one out of range.

  Args:
    method: a name in METHODS.
    options: values by name; None for an option that isn't given.
  """
  if method not in METHODS:
    raise InputError(f"--method: found {method}, expected {', '.join(METHODS)}")
  for name, value in options.items():
    if value is None:
      continue
    flag = "--" + name.replace("_", "-")
    if name not in OPTIONS:
      raise InputError(f"{flag}: found no such option, expected one of {', '.join(OPTIONS)}")
    if name not in METHODS[method].options:
      raise InputError(
        f"{flag}: found it with --method {method}, expected --method {methods_of(name)}"
      )
    limits = dict(OPTIONS[name])
    choices = limits.pop("choices", None)
    if choices is None:
      check_number(flag, value, **limits)
    elif value not in choices:
      raise InputError(f"{flag}: found {value}, expected {' or '.join(choices)}")
