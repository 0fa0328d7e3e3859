"""`stylejax train`, which train.py also runs: training, recipes, exporting weights, shards."""

import contextlib
import dataclasses
import difflib
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stylejax.cli.options import INSTALLED, OLD_FLAGS, SCRIPTS, Spelling, parse, print_page
from stylejax.errors import InputError
from stylejax.runtime import memory, process
from stylejax.runtime.files import check_apart, describe, printable

_HELP = """usage: stylejax train COMMAND ...

Train stylejax on photos and artworks, in folders or in shards.

  autoencoder  train the content encoder and the decoder to reproduce images
  transfer     train the whole system: any photo in any artwork's style
  gan          train the noise generator to invent styles
  recipe       train a whole preset in several parts, and export it
  export       write a run's weights as a file for stylejax paint --weights
  shards       pack a folder of images into a few large files

Examples:
  # See it work in a minute, on the package's few sample images.
  stylejax train transfer --preset tiny --steps 20
  # Train on your own images, which takes hours to days.
  stylejax train autoencoder --content-dir photos --style-dir artworks --workdir runs/ae
  stylejax train transfer --content-dir photos --style-dir artworks --init-from runs/ae
  stylejax train export --workdir runs/transfer --output mine.safetensors
  stylejax paint photo.jpg painting.jpg --weights mine.safetensors

stylejax train COMMAND --help   explains each setting
"""

_EXAMPLES = {
  "autoencoder": """
  # The stage before transfer, which starts from the weights learned here.
  stylejax train autoencoder --content-dir photos --style-dir artworks --workdir runs/ae
  stylejax train transfer --content-dir photos --style-dir artworks --init-from runs/ae
""",
  "transfer": """
  # See it work in a minute, on the package's few sample images.
  stylejax train transfer --preset tiny --steps 20
  # Start from the shipped weights, and train on one painter's works.
  stylejax train transfer --content-dir photos --style-dir monet --init-from base
  # Print the parameters, FLOPs and memory of a step; continue a run that was stopped.
  stylejax train transfer --content-dir photos --style-dir artworks --dry-run
  stylejax train transfer --workdir runs/transfer --resume
""",
  "gan": """
  stylejax train gan --style-dir artworks --workdir runs/gan
""",
  "recipe": """
  # Print the commands of all parts; train, or continue where the training stopped.
  stylejax train recipe large --content-dir coco --style-dir wikiart --commands
  stylejax train recipe large --content-dir coco --style-dir wikiart --workdir runs/large
""",
  "export": """
  stylejax train export --workdir runs/transfer --output mine.safetensors
  stylejax paint photo.jpg painting.jpg --weights mine.safetensors
""",
  "shards": """
  stylejax train shards --input-dir photos --output-dir photo_shards --max-side 512
  stylejax train transfer --content-dir photo_shards --style-dir artworks
""",
}

_GROUPS = {
  "data": ("content_dir", "style_dir", "size", "content_scale", "style_scale", "tar_images"),
  "run folder": ("workdir", "init_from", "resume", "log_every", "grid_every", "save_every", "keep"),
  "optimizer": (
    "optimizer",
    "learning_rate",
    "disc_learning_rate",
    "backbone_lr_scale",
    "warmup_steps",
    "decay_fraction",
    "final_rate",
    "adam_b1",
    "adam_b2",
    "clip_norm",
    "ema_decay",
  ),
  "device": ("dtype", "parallel", "slices", "accumulate", "remat", "deterministic", "workers"),
  "multi-machine": ("distributed", "coordinator", "processes", "process", "deadline"),
}


@dataclasses.dataclass(frozen=True)
class Export:
  """Write the newest checkpoint's averaged weights as a file for `stylejax paint --weights`."""

  workdir: str
  """Folder of the run; it may be at gs:// or s3://."""
  output: str
  """File to write, ending in .safetensors; it may be at gs:// or s3://."""
  float32: bool = False
  """Store 32 bits per weight; the default is 16 bits, half the size."""


def script(arguments: Sequence[str] | None = None) -> int:
  """What train.py runs: `main`, with help that names the checkout's scripts.

  Args:
    arguments: the command line; None means this process's.

  Returns:
    The exit status.
  """
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  # All slow imports happen in here, so that Ctrl-C prints a single line at any time.
  return process.run(lambda: main(arguments, spelling=SCRIPTS))


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command (training, exporting or packing) and returns its exit status."""
  try:
    options = _parse(arguments, spelling)
    return 0 if options is None else _work(options, spelling)
  except (InputError, OSError) as error:
    print(f"error: {describe(error)}", file=sys.stderr)
    code = 2
  except FloatingPointError as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    code = 1
  except KeyboardInterrupt as error:
    print(
      f"{process.stopped(error)} before saving; training continues from its newest "
      "checkpoint with --resume",
      file=sys.stderr,
    )
    code = process.status(error)
  except Exception:
    if not _several():
      raise
    traceback.print_exc()
    code = 1
  return _abandon(code)


def _several() -> bool:
  """Whether several processes train together; none do before JAX is imported."""
  if "jax" not in sys.modules:
    return False
  from stylejax.runtime import distributed

  return distributed.several()


def _abandon(code: int) -> int:
  """Calls `distributed.abandon` if several processes train together."""
  if not _several():
    return code
  from stylejax.runtime import distributed

  return distributed.abandon(code)


def _parse(arguments: Sequence[str], spelling: Spelling):
  """Parses the arguments into a training config, Export or ShardsConfig; None after help."""
  name, *flags = arguments or ["--help"]
  kinds = _kinds()
  if name in ("--help", "-h"):
    print_page(_HELP, spelling=spelling)
    return None
  if name not in kinds:
    near = difflib.get_close_matches(name, kinds, 1)
    raise InputError(
      f"command: found {printable(name)}, expected {near[0] if near else ', '.join(kinds)}"
    )
  kind, old_flags = kinds[name](), OLD_FLAGS
  if name not in ("export", "shards", "recipe"):
    from stylejax.training.config import RENAMED

    old_flags = OLD_FLAGS | _flags(RENAMED)

  def parsed(default=None):
    return parse(
      kind,
      flags,
      prog=f"{spelling.of('train')} {name}",
      description=f"{kind.__doc__.strip()}\n\nExamples:{_EXAMPLES[name]}",
      spelling=spelling,
      groups=_groups(kind),
      default=default,
      old_flags=old_flags,
    )

  options = parsed()
  if getattr(options, "resume", False):
    from stylejax.training import resume

    default = resume.with_saved(options)
    if default is not None:
      return parsed(default)  # again, since options that are not given keep the run's values
  return options


def _kinds() -> dict[str, Callable[[], type]]:
  """Functions that import the options of each command, by name."""

  def shards() -> type:
    from stylejax.data.pack_shards import ShardsConfig

    return ShardsConfig

  def config(name: str) -> Callable[[], type]:
    def imported() -> type:
      from stylejax.training import task_configs

      return task_configs.CONFIGS[name]

    return imported

  def recipe() -> type:
    from stylejax.cli.recipe import RecipeConfig

    return RecipeConfig

  return {
    **{name: config(name) for name in ("autoencoder", "transfer", "gan")},
    "recipe": recipe,
    "export": lambda: Export,
    "shards": shards,
  }


def _groups(kind: type) -> dict[str, tuple[str, ...]]:
  """Titles and fields of the boxes in a training command's --help; loss weights have a box too."""
  if kind.__module__ != "stylejax.training.task_configs":
    return {}
  names = [field.name for field in dataclasses.fields(kind)]
  groups = {
    "loss": tuple(name for name in names if name.endswith("_weight")),
    **{title: tuple(name for name in group if name in names) for title, group in _GROUPS.items()},
  }
  return {title: group for title, group in groups.items() if group}


def _flags(renamed: Mapping[str, str]) -> dict[str, str]:
  """{old flag: new flag}, from the names of fields."""
  return {
    f"--{old}".replace("_", "-"): f"--{new}".replace("_", "-") for old, new in renamed.items()
  }


def _work(options, spelling: Spelling) -> int:
  memory.check_start()
  if isinstance(options, Export):
    _silence_orbax()
    export(options)
    return 0
  from stylejax.data.pack_shards import ShardsConfig, convert

  if isinstance(options, ShardsConfig):
    convert(options)
    return 0
  from stylejax.cli import recipe
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.jit import reuse_memory
  from stylejax.training.loop import train
  from stylejax.weights.model_file import load_pretrained

  enable_cache()
  reuse_memory(one_arena=False)
  _silence_orbax()
  if isinstance(options, recipe.RecipeConfig):
    recipe.run(options, spelling=spelling)
  else:
    train(options, read_weights=load_pretrained)
  return 0


def _silence_orbax() -> None:
  """Keeps Orbax off the terminal, also while the interpreter exits.

  Only then are the writes dropped that tensorstore never began after a failed save.
  """
  from stylejax.training.checkpoint import silence_orbax

  silence_orbax()
  process.at_end(silence_orbax)


def export(options: Export) -> None:
  """Writes the weights file of a run."""
  from stylejax.runtime.stores import is_url, open_store
  from stylejax.training.loop import load_run
  from stylejax.weights.model_file import save_weights

  output = Path(options.output)
  if output.suffix != ".safetensors":
    raise InputError(f"--output: found {output}, expected a name ending in .safetensors")
  store = None
  if is_url(options.output):
    place, _, name = options.output.rpartition("/")
    store = open_store(place, flag="--output")
  elif not is_url(options.workdir):
    check_apart([output], [], folders=[Path(options.workdir) / "checkpoints"], what="--output")
  config, state = load_run(options.workdir)
  metadata = {"command": config["command"], "step": str(int(state.step))}
  with tempfile.TemporaryDirectory() if store else contextlib.nullcontext("") as folder:
    path = Path(folder, name) if store else output
    save_weights(
      path, state.ema_params, metadata=metadata, dtype="float32" if options.float32 else "float16"
    )
    if store:
      store.upload(path, name)
    size = path.stat().st_size
  print(
    f"{printable(options.output)}: {size / 1e6:.2f} MB, "
    f"{config['command']} at step {int(state.step)}"
  )
