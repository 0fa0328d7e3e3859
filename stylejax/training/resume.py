"""Resuming a run: which settings it keeps, which may change, and how changes are recorded."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from stylejax.errors import InputError
from stylejax.training.config import TrainConfig
from stylejax.training.folder import open_folder
from stylejax.training.saved import from_saved, parsed_config

# Settings of a single start, not of the run.
_OF_A_START = (
  "workdir",
  "resume",
  "dry_run",
  "distributed",
  "coordinator",
  "processes",
  "process",
  "deadline",
)
# Settings that can't change, because what a checkpoint holds depends on them.
_KEPT = ("seed", "batch", "init_from", "optimizer")


def with_saved(config: TrainConfig) -> TrainConfig | None:
  """The settings of the run in the config's workdir, with those of a single start from the config.

  Returns:
    The config, or None if there is no run, or one of another task, which `merge_saved` refuses.

  Raises:
    InputError: config.json is not the config of a run.
  """
  folder = open_folder(config.workdir)
  text = folder.config_text()
  if text is None:
    return None
  saved = from_saved(parsed_config(text, folder.name))
  if type(saved) is not type(config):
    return None
  return dataclasses.replace(saved, **{name: getattr(config, name) for name in _OF_A_START})


def merge_saved(config: TrainConfig, saved: TrainConfig, place: str) -> TrainConfig:
  """The config to resume with; content_dir, style_dir and init_from default to the run's.

  Args:
    config: the requested settings.
    saved: the settings that the run was started with.
    place: the run's folder, for messages.

  Raises:
    InputError: a setting that a run keeps differs.
  """
  if config.task != saved.task:
    raise InputError(
      f"--workdir: found a run of {saved.task} in {place}, expected one of {config.task}"
    )
  config = dataclasses.replace(
    config,
    **{
      field.name: getattr(saved, field.name)
      for field in dataclasses.fields(config)
      if field.name in ("content_dir", "style_dir", "init_from")
      and getattr(config, field.name) is None
    },
  )
  for name, value in config.model.to_dict().items():
    saved_value = saved.model.to_dict()[name]
    if value != saved_value and name != "name":
      flags = "--dtype or --preset" if name == "dtype" else "--preset or --model-sizes"
      raise InputError(
        f"{flags}: found {name} {value}, expected {saved_value} as in {place}/config.json; "
        f"a run keeps its preset, here {saved.preset}, and its sizes"
      )
  for name in _KEPT:
    value, saved_value = getattr(config, name, None), getattr(saved, name, None)
    if value != saved_value:
      raise InputError(
        f"--{name.replace('_', '-')}: found {value}, expected {saved_value} as in "
        f"{place}/config.json; a run keeps it"
      )
  return config


def changes(config: TrainConfig, saved: TrainConfig) -> dict[str, list[Any]]:
  """The settings of the run that differ, as {name: [before, now]}."""
  new, old = (json.loads(c.to_json()) for c in (config, saved))
  return {
    name: [old.get(name), value]
    for name, value in new.items()
    if name not in (*_OF_A_START, "model", "preset", "model_sizes", "dtype")
    and old.get(name) != value
  }


def line(changed: dict[str, list[Any]]) -> str:
  """The changes in words."""
  return ", ".join(f"{name} {before} → {now}" for name, (before, now) in changed.items())


def record(folder: Path, step: int, changed: dict[str, list[Any]]) -> None:
  """Appends the changes to changes.jsonl in a run's folder."""
  with (folder / "changes.jsonl").open("a") as file:
    file.write(json.dumps({"step": step, "changes": changed}) + "\n")
