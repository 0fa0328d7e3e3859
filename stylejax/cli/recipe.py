"""`stylejax train recipe`: a training in several parts, from the first images to a weights file."""

import dataclasses
import shlex
from typing import Annotated

from stylejax.cli.options import Spelling, option
from stylejax.errors import InputError
from stylejax.runtime.files import printable
from stylejax.training.config import TrainConfig
from stylejax.training.recipes import RECIPES, configs

_SAME_FOR_ALL = (
  "workers",
  "slices",
  "accumulate",
  "distributed",
  "coordinator",
  "processes",
  "process",
)
"""Settings that all parts take from the recipe's."""


@dataclasses.dataclass(frozen=True)
class RecipeConfig:
  """Train one of the presets in several parts, and export its weights. Run it again to continue."""

  name: Annotated[
    str,
    option("Name of the preset to train.", metavar="{" + ",".join(RECIPES) + "}", positional=True),
  ]
  content_dir: str
  """Photos: a folder of images, or a folder or pattern of shards, which may be at gs:// or s3://."""
  style_dir: str
  """Artworks, given like --content-dir."""
  workdir: str | None = None
  """Folder of the parts' runs; it may be at gs:// or s3://. Default: runs/NAME."""
  batch: int = 256
  """Photos per step over all devices together, and as many artworks. The number of steps and the
  step size follow from it."""
  workers: int = 0
  """Processes on each host that decode images; 0 decodes in threads."""
  slices: int | None = None
  """Number of equal groups of devices with fast links within each. Default: the slices of a TPU job
  or the hosts of a GPU cluster, else 1."""
  accumulate: int = 1
  """Number of parts into which each device divides its share of a step, to save memory."""
  distributed: bool = False
  """Train with the other processes of a TPU pod, Slurm, Open MPI or Kubernetes. The flag is not
  needed where JAX detects more than one process."""
  coordinator: str | None = None
  """HOST:PORT of process 0, for use with --processes and --process where JAX detects no cluster."""
  processes: int | None = None
  """How many processes train together."""
  process: int | None = None
  """Number of this process, from 0."""
  commands: bool = False
  """Print the commands that train the parts, to change or to schedule them, and stop."""
  dry_run: bool = False
  """Compile the step of each part, print its parameters, FLOPs and memory, and stop."""

  def check(self) -> None:
    """Raises InputError for the first setting that is out of range."""
    if self.name not in RECIPES:
      raise InputError(f"recipe: found {printable(self.name)}, expected {', '.join(RECIPES)}")
    if self.batch < 1:
      raise InputError(f"--batch: found {self.batch}, expected 1 or more")

  @property
  def folder(self) -> str:
    """Folder of the parts' runs."""
    return self.workdir or f"runs/{self.name}"

  @property
  def output(self) -> str:
    """File of the trained weights."""
    return f"{self.folder.rstrip('/')}/{self.name}.safetensors"


def parts(recipe: RecipeConfig) -> list[TrainConfig]:
  """The settings of each part."""
  return configs(
    RECIPES[recipe.name],
    batch=recipe.batch,
    content_dir=recipe.content_dir,
    style_dir=recipe.style_dir,
    workdir=recipe.folder,
    **{name: getattr(recipe, name) for name in _SAME_FOR_ALL},
    dry_run=recipe.dry_run,
  )


def run(recipe: RecipeConfig, *, spelling: Spelling) -> None:
  """Trains the parts one after another, each from where it stopped, and exports the last.

  Raises:
    InputError: as `stylejax.training.loop.train`; an option is invalid.
  """
  recipe.check()
  made = parts(recipe)
  for config in made:
    config.check()
  if recipe.commands:
    for config in made:
      print(f"{spelling.of('train')} {command(config)}")
    print(f"{spelling.of('train')} export --workdir {made[-1].workdir} --output {recipe.output}")
    return
  from stylejax.cli.train import Export, export
  from stylejax.runtime import distributed
  from stylejax.training.loop import train
  from stylejax.weights.model_file import load_pretrained

  for number, config in enumerate(made, 1):
    distributed.say(f"part {number} of {len(made)}: {config.workdir}")
    reached = train(config, read_weights=load_pretrained)
    if reached < config.steps and not recipe.dry_run:
      distributed.say(f"{recipe.folder}: not finished; run the same command again to continue")
      return
  if not recipe.dry_run and distributed.leads():
    export(Export(made[-1].workdir, recipe.output))


def command(config: TrainConfig) -> str:
  """The command line, after `stylejax train`, that trains with these settings."""
  words = [config.task]
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if value == field.default:
      continue
    words.append("--" + field.name.replace("_", "-"))
    if isinstance(value, tuple):
      words += [f"{each:g}" if isinstance(each, float) else str(each) for each in value]
    elif value is not True:
      words.append(f"{value:g}" if isinstance(value, float) else str(value))
  return shlex.join(words)
