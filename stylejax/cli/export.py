"""`stylejax export`: its options and messages; `stylejax.deploy` writes the files."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, Literal

from stylejax.cli import common_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

_DESCRIPTION = """Write one file that stylizes images of any size, in JAX, onnxruntime or a browser.

Examples:
  stylejax export stylize.zip
  stylejax export stylize.zip --weights mine.safetensors --platforms cpu cuda
  stylejax export stylize.onnx
  stylejax export style.onnx --function encode_style
  stylejax export paint.onnx --function paint
  stylejax export page.html

For an app, the two halves encode_style and paint are better than stylize: the app reads each style
once and can mix the codes of several styles. The page is for people: a browser opens it from disk,
and no photo leaves the machine. Before a file is put in place, its output is compared with the
package's, which takes one to three minutes, or half a minute for a page. ONNX and the page need
additional packages: {install}.
"""

# The names in stylejax.deploy.functions, so that help need not import it; a test compares the two.
Function = Literal["stylize", "encode_style", "paint", "next_frame"]


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax export`."""

  file: Annotated[
    tuple[str, ...], option("The same as --output.", metavar="[FILE]", default="", positional=True)
  ] = ()
  output: Annotated[
    str | None,
    option(
      "File to write, which includes the weights: .zip (for JAX: the program and manifest.json), "
      ".onnx, or .html (a page that stylizes).",
      metavar="FILE",
      default="(required)",
    ),
  ] = None
  function: Annotated[
    Function,
    option(
      "What the file does: stylize (takes content, style, strength), encode_style (turns a style "
      "into its code), paint (takes content, code, noise gain; its output is not blended with the "
      "content) or next_frame (takes a video's frame, a code and what is known about the previous "
      "frame). A page includes all that it needs.",
      metavar="NAME",
    ),
  ] = "stylize"
  weights: common_options.Weights = "base"
  platforms: Annotated[
    tuple[str, ...] | None,
    option(
      "Platforms on which the program in a .zip will run: any of cpu, cuda, rocm, tpu.",
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
  from stylejax.deploy.export import export
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.extras import check_installed
  from stylejax.runtime.files import check_apart, printable
  from stylejax.weights.model_file import load_pretrained

  def work() -> int:
    check_apart([output], filter(os.path.isfile, [options.weights]))
    enable_cache()
    params = load_pretrained(options.weights)
    if output.endswith(".html"):
      check_installed("onnx", "export", "pages")
      from stylejax.deploy.page import export_page

      size = export_page(params, output)
      print(f"wrote a page to {printable(output)}, {size / 1e6:.2f} MB: open it in a browser")
      return 0
    manifest = export(params, output, function=options.function, platforms=options.platforms)
    if "opset" in manifest:
      print(
        f"wrote {options.function} to {printable(output)}, {os.path.getsize(output) / 1e6:.2f} MB: "
        f"ONNX opset {manifest['opset']}, run by onnxruntime on the CPU"
      )
    else:
      print(
        f"wrote {options.function} to {printable(output)} for {', '.join(manifest['platforms'])}: "
        f"program of {manifest['bytes'] / 1e6:.2f} MB, SHA-256 {manifest['sha256'][:16]}…"
      )
      print(_readers(manifest["readable_by_jax"]))
    for size, difference in (manifest["max_difference"] or {}).items():
      print(f"  {size}: differs from stylejax itself by at most {difference:.1e}")
    if manifest["max_difference"] is None:
      print("  not compared with stylejax itself: it doesn't run on this machine's platform")
    return 0

  return exit_status(work)


def _output(options: Options) -> str:
  """The output file; raises InputError unless exactly one is named."""
  named = (*options.file, *filter(None, [options.output]))
  if len(named) != 1:
    raise InputError(f"--output: found {len(named)} names, expected one file, .zip, .onnx or .html")
  if named[0].endswith(".html") and (options.function != "stylize" or options.platforms):
    flag = "--platforms" if options.platforms else "--function"
    raise InputError(f"{flag}: found it with a .html page, expected it with a .zip or .onnx file")
  return named[0]


def _readers(window: dict[str, str | None]) -> str:
  """A line that says which releases of JAX are promised to read a program."""
  oldest = window["oldest_tried"]
  return (
    f"  JAX promises to read it with releases from {window['released_from']} to "
    f"{window['released_until']}"
    + (f" (the oldest that did: {oldest})" if oldest else "")
    + "; later ones may need jax_export_deserialize_expired_versions"
  )
