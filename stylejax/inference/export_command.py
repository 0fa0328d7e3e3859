"""`infer.py export`: its options, and what it prints. What it writes is export.py's."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

_DESCRIPTION = """Write one file that stylizes pictures of any size wherever JAX is installed.

Examples:
  python infer.py export --output stylize.zip
  python infer.py export --output stylize.zip --weights mine.safetensors --platforms cpu cuda
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `infer.py export`."""

  output: str
  """File to write, ending in .zip: the program, weights inside, and manifest.json."""
  weights: str = "base"
  """base, which come with the package, or a .safetensors file of `train.py export`."""
  platforms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = (
    "cpu", "cuda", "tpu")
  """Of cpu, cuda, rocm, tpu: where the program shall run."""


def main(arguments: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  options = tyro.cli(Options, prog="infer.py export", description=_DESCRIPTION, args=arguments)
  from stylejax.errors import InputError
  from stylejax.inference.compilation import enable_cache
  from stylejax.inference.export import export
  from stylejax.inference.files import printable
  from stylejax.inference.weights import load_pretrained

  enable_cache()
  try:
    params = load_pretrained(options.weights)
    manifest = export(params, options.output, platforms=options.platforms)
  except (InputError, OSError) as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    return 2
  print(f"wrote {printable(options.output)} for {', '.join(manifest['platforms'])}: program of "
        f"{manifest['bytes'] / 1e6:.2f} MB, SHA-256 {manifest['sha256'][:16]}…")
  for size, difference in (manifest["max_difference"] or {}).items():
    print(f"  {size}: at most {difference:.1e} from stylejax.stylize")
  if manifest["max_difference"] is None:
    print("  not compared with stylejax.stylize: it doesn't run on this machine's platform")
  return 0
