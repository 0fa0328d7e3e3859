"""`infer.py export`: its options, and what it prints. What it writes is export.py's."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated

import tyro

from stylejax.runtime.extras import install_command

_DESCRIPTION = """Write one file that stylizes images of any size wherever JAX or onnxruntime is.

Examples:
  python infer.py export --output stylize.zip
  python infer.py export --output stylize.zip --weights mine.safetensors --platforms cpu cuda
  python infer.py export --output stylize.onnx

ONNX takes more packages: {install}.
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `infer.py export`."""

  output: str
  """File to write, weights inside: .zip (for JAX: the program and manifest.json) or .onnx."""
  weights: str = "base"
  """base, which come with the package, or a .safetensors file of `train.py export`."""
  platforms: Annotated[
    tuple[str, ...] | None,
    tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="(default: cpu cuda tpu)"),
  ] = None
  """Of cpu, cuda, rocm, tpu: where the program of a .zip shall run."""


def main(arguments: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  options = tyro.cli(
    Options,
    prog="infer.py export",
    args=arguments,
    description=_DESCRIPTION.format(install=install_command("onnx")),
  )
  from stylejax.cli.console import exit_status
  from stylejax.deploy.stablehlo import export
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import check_apart, printable
  from stylejax.weights.model_file import load_pretrained

  def work() -> int:
    check_apart([options.output], filter(os.path.isfile, [options.weights]))
    enable_cache()
    params = load_pretrained(options.weights)
    manifest = export(params, options.output, platforms=options.platforms)
    if "opset" in manifest:
      print(
        f"wrote {printable(options.output)}, {os.path.getsize(options.output) / 1e6:.2f} MB: "
        f"ONNX of opset {manifest['opset']}, run by onnxruntime on the CPU"
      )
    else:
      print(
        f"wrote {printable(options.output)} for {', '.join(manifest['platforms'])}: program of "
        f"{manifest['bytes'] / 1e6:.2f} MB, SHA-256 {manifest['sha256'][:16]}…"
      )
      print(_readers(manifest["readable_by_jax"]))
    for size, difference in (manifest["max_difference"] or {}).items():
      print(f"  {size}: at most {difference:.1e} from stylejax.stylize")
    if manifest["max_difference"] is None:
      print("  not compared with stylejax.stylize: it doesn't run on this machine's platform")
    return 0

  return exit_status(work)


def _readers(window: dict[str, str | None]) -> str:
  """The line that says for how long a program can be read, and from when."""
  oldest = window["oldest_tried"]
  return (
    f"  JAX promises to read it with releases of {window['released_from']} to "
    f"{window['released_until']}"
    + (f" (the oldest that did: {oldest})" if oldest else "")
    + "; later ones may want jax_export_deserialize_expired_versions"
  )
