"""What a recipe is, and its parts as settings for a batch of any size."""

import dataclasses
import math
from typing import Any

from stylejax.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Part:
  """One training of a recipe; a transfer starts from the weights of the part before it.

  Attributes:
    name: the name of its run's folder.
    config: the class of its settings, which says what it trains.
    crops: the number of photos, and of artworks, that it sees.
    rate: its peak step size at the recipe's batch.
    settings: fields of its config that differ from the defaults.
  """

  name: str
  config: type[TrainConfig]
  crops: int
  rate: float
  settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A training in several parts, one after another.

  Attributes:
    parts: in their order.
    batch: the batch for which the parts' rates are given.
    largest_rate: the limit of step sizes for larger batches.
  """

  parts: tuple[Part, ...]
  batch: int
  largest_rate: float


def configs(
  recipe: Recipe, *, batch: int, content_dir: str, style_dir: str, workdir: str, **settings: Any
) -> list[TrainConfig]:
  """The settings of each part, which resume it where it stopped.

  The number of crops is the same for every batch. The step size grows with the square root of the
  batch, as Adam's noise requires (Malladi et al. 2022, arXiv:2205.10287), up to the recipe's limit;
  warm-up, decay and the average of the weights are fractions of the run.

  Args:
    recipe: the recipe.
    batch: images of each kind per step, over all devices.
    content_dir: photos; see `TrainConfig`.
    style_dir: artworks.
    workdir: the folder of all runs, each of which has the name of its part.
    settings: more fields of `TrainConfig`, the same for all parts.
  """
  largest = max(part.rate for part in recipe.parts)
  scale = min(math.sqrt(batch / recipe.batch), recipe.largest_rate / largest)
  made: list[TrainConfig] = []
  for part in recipe.parts:
    steps = math.ceil(part.crops / batch)
    fiftieth = max(1, steps // 50)
    before = {"init_from": made[-1].workdir} if made and part.config.task == "transfer" else {}
    fields: dict[str, Any] = {
      "batch": batch,
      "steps": steps,
      "learning_rate": float(f"{part.rate * scale:.2g}"),
      "warmup_steps": fiftieth,
      "decay_fraction": 0.5,
      "ema_decay": float(f"{max(0.0, 1 - 100 / steps):.5g}"),
      "save_every": fiftieth,
      "content_dir": content_dir,
      "style_dir": style_dir,
      "workdir": f"{workdir.rstrip('/')}/{part.name}",
      "resume": True,
    }
    made.append(part.config(**fields | before | part.settings | settings))
  return made
