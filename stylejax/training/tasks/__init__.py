"""The tasks that can be trained; each module holds one task's train step and preview.

A task consists of a module here, its settings in task_configs.py and a row in TASKS, the table that
commands, the loop and benchmarks read.
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
  """A task that can be trained.

  Attributes:
    config: the class of its settings, which also names the task and the parts it trains.
    make_train_step: config → the train step.
    preview: (params, content, style) → rows of images [R, C, S, S, 3] in [0, 1]; content and style
      are crops, uint8 [R, S, S, 3], or None.
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
  """The task that a config belongs to."""
  return TASKS[config.task]
