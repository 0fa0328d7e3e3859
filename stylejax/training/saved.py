"""Reads a run's config.json back; RENAMED translates field names of earlier versions."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, get_args

from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.training.config import RENAMED, TrainConfig
from stylejax.training.tasks import TASKS


def saved_config(workdir: str | os.PathLike) -> dict[str, Any]:
  """Reads the config.json of a run's local folder, as `parsed_config` does."""
  path = Path(workdir) / "config.json"
  return parsed_config(path.read_text() if path.is_file() else None, workdir)


def parsed_config(text: str | None, place: str | os.PathLike) -> dict[str, Any]:
  """The fields of a run's config.json by their current names.

  Args:
    text: the file's text, or None if there is no file.
    place: the folder, for messages.

  Raises:
    InputError: there is no file, or it is not the config of a run.
  """
  if text is None:
    raise InputError(f"workdir: found no config.json in {place}, expected a run's folder")
  try:
    fields = json.loads(text)
    ModelConfig.from_dict(fields["model"])
    if fields["command"] not in TASKS:
      raise ValueError(f"command {fields['command']!r}")
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
    raise InputError(f"{place}/config.json: found {error}, expected a run's config") from None
  return {RENAMED.get(name, name): value for name, value in fields.items()}


def from_saved(fields: dict[str, Any]) -> TrainConfig:
  """The config of fields that `saved_config` read; fields this version lacks are ignored."""
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
  config, model = kind(**settings), ModelConfig.from_dict(fields["model"])
  if config.preset == "base" and config.model != model:  # a run from when base-1 was base
    config = dataclasses.replace(config, preset="base-1")
  if config.model != model:
    raise InputError(
      f"{config.task} run: found sizes that preset {fields['preset']} no longer "
      "has, expected those of this version"
    )
  return config
