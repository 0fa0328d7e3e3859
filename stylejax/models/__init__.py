"""Pure Flax Linen modules; no files and no training configs.

`nets`, and with it Flax, is imported on first use: a process that finds its programs on disk needs
neither, and importing Flax takes as long as stylizing an image.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from stylejax.models import nets as nets


def __getattr__(name: str):
  if name == "nets":
    return importlib.import_module("stylejax.models.nets")
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
