"""The tasks that can be trained, one module each: its train step and preview.

A task is a module here, its settings in task_configs.py and a row in TASKS; commands, the loop and
benchmarks read the table.
"""

import dataclasses
from collections.abc import Callable

from stylejax.training.config import TrainConfig
from stylejax.training.step_utils import Step
from stylejax.training.task_configs import AutoencoderConfig, GanConfig, TransferConfig
from stylejax.training.tasks import autoencoder, gan, transfer

__all__ = ["TASKS", "AutoencoderConfig", "GanConfig", "Task", "TransferConfig", "task_of"]


@dataclasses.dataclass(frozen=True)
class Task:
  """What can be trained.

  Attributes:
    config: its settings, with the name and the parts it trains as class attributes.
    make_train_step: config → the train step.
    preview: (params, content, style), crops uint8 [R, S, S, 3] or None → rows of images
      [R, C, S, S, 3] in [0, 1].
  """

  config: type[TrainConfig]
  make_train_step: Callable[[TrainConfig], Step]
  preview: Callable


TASKS = {
  module_config.task: Task(module_config, module.make_train_step, module.preview)
  for module, module_config in (
    (autoencoder, AutoencoderConfig),
    (gan, GanConfig),
    (transfer, TransferConfig),
  )
}


def task_of(config: TrainConfig) -> Task:
  """The task of a config."""
  return TASKS[config.task]
