"""The base class of the package's pytrees, which are data classes registered with JAX."""

import dataclasses
from typing import Any, Self


class Replaceable:
  """A data class that can be copied with some fields changed."""

  def replace(self, **changes: Any) -> Self:
    """A copy with these fields changed."""
    return dataclasses.replace(self, **changes)  # type: ignore[type-var]
