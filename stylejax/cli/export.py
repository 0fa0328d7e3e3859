"""`stylejax export`: its options, and what it prints. What it writes is `stylejax.deploy`'s."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated

from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

_DESCRIPTION = """Write one file that stylizes images of any size wherever JAX or onnxruntime is.

Examples:
  stylejax export stylize.zip
  stylejax export stylize.zip --weights mine.safetensors --platforms cpu cuda
  stylejax export stylize.onnx

ONNX takes more packages: {install}.
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax export`."""

  file: Annotated[
    tuple[str, ...], option("The same as --output.", metavar="[FILE]", default="", positional=True)
  ] = ()
  output: Annotated[
    str | None,
    option(
      "File to write, weights inside: .zip (for JAX: the program and manifest.json) or .onnx.",
      metavar="FILE",
      default="(required)",
    ),
  ] = None
  weights: Annotated[
    str,
    option(
      "base, which come with the package, or a .safetensors file of `stylejax train export`.",
      metavar="NAME|FILE",
    ),
  ] = "base"
  platforms: Annotated[
    tuple[str, ...] | None,
    option(
      "Of cpu, cuda, rocm, tpu: where the program of a .zip shall run.",
      metavar="NAME [NAME ...]",
      default="(default: cpu cuda tpu)",
    ),
  ] = None


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  try:
    options = parse(
      Options,
      arguments,
      prog=spelling.of("export"),
      description=_DESCRIPTION.format(install=install_command("onnx")),
      spelling=spelling,
    )
    output = _output(options)
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status
  from stylejax.deploy.stablehlo import export
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import check_apart, printable
  from stylejax.weights.model_file import load_pretrained

  def work() -> int:
    check_apart([output], filter(os.path.isfile, [options.weights]))
    enable_cache()
    params = load_pretrained(options.weights)
    manifest = export(params, output, platforms=options.platforms)
    if "opset" in manifest:
      print(
        f"wrote {printable(output)}, {os.path.getsize(output) / 1e6:.2f} MB: "
        f"ONNX of opset {manifest['opset']}, run by onnxruntime on the CPU"
      )
    else:
      print(
        f"wrote {printable(output)} for {', '.join(manifest['platforms'])}: program of "
        f"{manifest['bytes'] / 1e6:.2f} MB, SHA-256 {manifest['sha256'][:16]}…"
      )
      print(_readers(manifest["readable_by_jax"]))
    for size, difference in (manifest["max_difference"] or {}).items():
      print(f"  {size}: at most {difference:.1e} from stylejax.stylize")
    if manifest["max_difference"] is None:
      print("  not compared with stylejax.stylize: it doesn't run on this machine's platform")
    return 0

  return exit_status(work)


def _output(options: Options) -> str:
  """The one file that is named."""
  named = (*options.file, *filter(None, [options.output]))
  if len(named) != 1:
    raise InputError(f"--output: found {len(named)} names, expected one file, .zip or .onnx")
  return named[0]


def _readers(window: dict[str, str | None]) -> str:
  """The line that says for how long a program can be read, and from when."""
  oldest = window["oldest_tried"]
  return (
    f"  JAX promises to read it with releases of {window['released_from']} to "
    f"{window['released_until']}"
    + (f" (the oldest that did: {oldest})" if oldest else "")
    + "; later ones may want jax_export_deserialize_expired_versions"
  )
