"""Going on with a run: which settings it keeps, which may change, and what is noted of that."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from stylejax.errors import InputError
from stylejax.training.config import TrainConfig
from stylejax.training.folder import open_folder
from stylejax.training.saved import from_saved, parsed_config

# Of one start and not of the run.
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
# A checkpoint's position and weights mean something else with others.
_KEPT = ("seed", "batch", "init_from")


def with_saved(config: TrainConfig) -> TrainConfig | None:
  """The settings of the run in a config's workdir, but for those that are of one start only.

  Returns:
    None where there is no such run, or one of another command, which `merge_saved` refuses.

  Raises:
    InputError: its config.json is none.
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
  """The config to go on with; folders that are not given are those of the run.

  Args:
    config: what is asked for.
    saved: what the run was started with.
    place: the run's folder, for messages.

  Raises:
    InputError: a setting that a run keeps is another one.
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
        "a run keeps it"
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
  """[before, now] by the name of each setting of the run that differs."""
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
