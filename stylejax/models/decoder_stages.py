"""The decoder's plan: which stage reads which maps, and which maps are modulated."""

import dataclasses

from stylejax.models.config import ModelConfig


def modulated_levels(config: ModelConfig) -> tuple[int, ...]:
  """The content level of each modulated layer of the decoder, in the decoder's order."""
  coarsest = len(config.content_widths) - 1
  finer = [level for level in reversed(range(coarsest)) for _ in range(2)]
  return (coarsest,) * (1 + 2 * config.decoder_blocks) + tuple(finer)


@dataclasses.dataclass(frozen=True)
class Stage:
  """What the decoder does between two uses of the moments of a whole map.

  A stage is local: each row of its output depends on the coarsest input only up to one row to
  either side.

  Attributes:
    inputs: names of the modulated maps that it adds up, without `fine`.
    rectified: whether the sum goes through a ReLU.
    fine: name of the finer map that is added after the sum is upsampled, or None.
    output: name of the map that it makes.
  """

  inputs: tuple[str, ...]
  rectified: bool
  fine: str | None
  output: str


def stages(config: ModelConfig) -> tuple[Stage, ...]:
  """The decoder's stages, in order.

  Maps are named level0, level1, ... (the content's), block0.first, block0.second, ..., merged1,
  merged0 and image.
  """
  last = len(config.content_widths) - 1
  all_stages: list[Stage] = []
  trunk: tuple[str, ...] = (f"level{last}",)
  for block in range(config.decoder_blocks):
    first, second = f"block{block}.first", f"block{block}.second"
    all_stages += [Stage(trunk, False, None, first), Stage((first,), True, None, second)]
    trunk = (*trunk, second)
  for level in reversed(range(last)):
    all_stages.append(Stage(trunk, level < last - 1, f"level{level}", f"merged{level}"))
    trunk = (f"merged{level}",)
  return (*all_stages, Stage(trunk, True, None, "image"))


def modulated_maps(config: ModelConfig) -> tuple[str, ...]:
  """Names of the modulated maps, in the order of `modulated_levels`."""
  names = []
  for stage in stages(config):
    names += [name for name in (*stage.inputs, stage.fine) if name and name not in names]
  return tuple(names)


def has_noise(config: ModelConfig, name: str) -> bool:
  """Whether a modulated map gets noise: the content's finest maps do, the decoder's own don't."""
  if not name.startswith("level"):
    return False
  noisy = config.noisy_levels or len(config.content_widths)
  return int(name.removeprefix("level")) < noisy
