"""A run's config.json, read back; names that have changed since are read through RENAMED."""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.training.config import RENAMED, TrainConfig
from stylejax.training.tasks import TASKS


def saved_config(workdir: Path) -> dict[str, Any]:
  """The config.json of a run, its fields by their present names.

  Raises:
    InputError: there is none, or it is not a run's.
  """
  path = workdir / "config.json"
  try:
    fields = json.loads(path.read_text())
    ModelConfig.from_dict(fields["model"])
    if fields["command"] not in TASKS:
      raise ValueError(f"command {fields['command']!r}")
  except FileNotFoundError:
    raise InputError(f"workdir: found no config.json in {workdir}, expected a run's folder"
                     ) from None
  except (ValueError, KeyError, TypeError) as error:
    raise InputError(f"{path}: found {error}, expected a run's config") from None
  return {RENAMED.get(name, name): value for name, value in fields.items()}


def from_saved(fields: dict[str, Any]) -> TrainConfig:
  """The config that `saved_config` read; fields that this version lacks are left out."""
  kind = TASKS[fields["command"]].config
  settings = {}
  for field in dataclasses.fields(kind):
    if field.name in fields:
      value = fields[field.name]
      if isinstance(value, list):
        value = tuple(value)
      elif value is not None and Path in (field.type, *get_args(field.type)):
        value = Path(value)
      settings[field.name] = value
  config = kind(**settings)
  if config.model.to_dict() != fields["model"]:
    raise InputError(f"{config.task} run: found sizes that preset {config.preset} no longer "
                     "has, expected those of this version")
  return config
