"""Content and style codes, the encoders' outputs, as pytrees; without the nets, a slow import."""

import dataclasses
from collections.abc import Sequence

import jax

from stylejax.models.padding import Edges
from stylejax.models.replaceable import Replaceable

ContentMoments = Sequence[tuple[jax.Array, jax.Array]]
"""(mean, std), both [B, 1, 1, C], of each level of a content code, from fine to coarse."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StyleCode(Replaceable):
  """The style of an image as a pytree of arrays; average two codes to mix two styles.

  Attributes:
    moments: for each level of the style encoder (mean, std), both [B, 1, 1, C] (or [1, 1, C] for a
      single image), float32.
    vector: [B, D] (or [D]), the style vector, which the generator's modulation reads.
  """

  moments: tuple[tuple[jax.Array, jax.Array], ...]
  vector: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ContentCode(Replaceable):
  """What an image shows, at several scales.

  Attributes:
    levels: feature maps from fine to coarse, each half as large as the one before; the first is
      [B, H/fold, W/fold, C1] (without B for a single image), H and W rounded up to the config's
      stride.
    image: the image itself, [B, H, W, 3]; no net reads it, but strengths below 1 blend with it.
    size: (H, W) of the image, static.
    edges: what lies beyond the edges of the maps; None: their mirror image.
  """

  levels: tuple[jax.Array, ...]
  image: jax.Array
  size: tuple[int, int] = dataclasses.field(metadata={"static": True})
  edges: Edges | None = None
