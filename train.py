"""Train stylejax on photos and artworks, in folders or in shards.

    python train.py autoencoder --content-dir photos --style-dir artworks --workdir runs/ae
    python train.py transfer    --content-dir photos --style-dir artworks --init-from runs/ae
    python train.py gan         --style-dir artworks
    python train.py export      --workdir runs/transfer --output mine.safetensors
    python train.py shards      --input-dir photos --output-dir photo_shards --max-side 512

`python train.py COMMAND --help` explains each setting. Without folders a command trains on the
package's few sample images, to see it work: add --preset tiny --steps 20.
"""

import contextlib
import dataclasses
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from stylejax.errors import InputError
from stylejax.runtime import memory, process
from stylejax.runtime.files import check_apart, describe, printable


@dataclasses.dataclass(frozen=True)
class Export:
  """Write the newest checkpoint's averaged weights as a file for infer.py --weights."""

  workdir: str
  """Folder of the run, also at gs:// or s3://."""
  output: str
  """File to write, ending in .safetensors, also at gs:// or s3://."""
  float32: bool = False
  """Keep 32 bits per weight; by default weights are stored in 16, half the size."""


def _parse(argv: list[str] | None):
  """What the arguments ask for: the config of a training, Export or ShardsConfig."""
  import tyro

  from stylejax.data.pack_shards import ShardsConfig
  from stylejax.training import resume
  from stylejax.training.config import RENAMED, TrainConfig
  from stylejax.training.tasks import AutoencoderConfig, GanConfig, TransferConfig

  _refuse_old_flags(sys.argv[1:] if argv is None else argv, RENAMED)

  command = (
    Annotated[AutoencoderConfig, tyro.conf.subcommand("autoencoder")]
    | Annotated[GanConfig, tyro.conf.subcommand("gan")]
    | Annotated[TransferConfig, tyro.conf.subcommand("transfer")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[ShardsConfig, tyro.conf.subcommand("shards")]
  )
  options = tyro.cli(command, args=argv, description=__doc__, prog="train.py")
  if isinstance(options, TrainConfig) and options.resume:
    name, *flags = sys.argv[1:] if argv is None else argv
    default = resume.with_saved(options)
    if default is not None:
      # Once more: what is not given is as it was.
      options = tyro.cli(type(options), args=flags, default=default, prog=f"train.py {name}")
  return options


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
    check_apart([output], [], [Path(options.workdir) / "checkpoints"], what="--output")
  config, state = load_run(options.workdir)
  metadata = {"command": config["command"], "step": str(int(state.step))}
  with tempfile.TemporaryDirectory() if store else contextlib.nullcontext() as folder:
    path = Path(folder, name) if store else output
    save_weights(
      path, state.ema_params, metadata, dtype="float32" if options.float32 else "float16"
    )
    if store:
      store.upload(path, name)
    size = path.stat().st_size
  print(
    f"{printable(options.output)}: {size / 1e6:.2f} MB, "
    f"{config['command']} at step {int(state.step)}"
  )


def _refuse_old_flags(argv: Sequence[str], renamed: Mapping[str, str]) -> None:
  """Names the new flag where one is given by its name of version 0.1."""
  flags = {
    f"--{old}".replace("_", "-"): f"--{new}".replace("_", "-") for old, new in renamed.items()
  }
  for argument in argv:
    flag = argument.split("=")[0].replace("_", "-")
    if flag in flags:
      raise InputError(f"{flag}: found a name of version 0.1, expected {flags[flag]}")


def main(argv: list[str] | None = None) -> int:
  """Parses, trains, exports or packs; returns the exit code."""
  # Everything that takes time to import is imported in here, so that Ctrl-C is a line at any time.
  return process.run(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
  from stylejax.runtime import distributed

  try:
    return _work(_parse(argv))
  except (InputError, OSError) as error:
    print(f"error: {describe(error)}", file=sys.stderr)
    code = 2
  except FloatingPointError as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    code = 1
  except KeyboardInterrupt as error:
    print(
      f"{process.stopped(error)} before saving; a training goes on from its newest checkpoint "
      "with --resume",
      file=sys.stderr,
    )
    code = process.status(error)
  except Exception:
    if not distributed.several():
      raise
    traceback.print_exc()
    code = 1
  return distributed.abandon(code)


def _work(options) -> int:
  memory.check_start()
  if isinstance(options, Export):
    export(options)
    return 0
  from stylejax.data.pack_shards import ShardsConfig, convert

  if isinstance(options, ShardsConfig):
    convert(options)
    return 0
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.jit import reuse_memory
  from stylejax.training.loop import train
  from stylejax.weights.model_file import load_pretrained

  enable_cache()
  reuse_memory()
  train(options, load_pretrained)
  return 0


if __name__ == "__main__":
  sys.exit(main())
