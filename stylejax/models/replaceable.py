"""What the package's pytrees have in common; they are data classes that JAX knows."""

import dataclasses
from typing import Any, Self


class Replaceable:
  """A data class of which copies with other fields can be asked for."""

  def replace(self, **changes: Any) -> Self:
    """A copy with these fields changed."""
    return dataclasses.replace(self, **changes)  # type: ignore[type-var]
