"""Command: stylize pictures. Parses, checks nothing itself, calls stylejax.inference."""

import dataclasses
import importlib
import sys
from collections.abc import Sequence

import tyro

from stylejax.inference.options import DESCRIPTION, Options

# Commands beside painting: each module's `main` parses the rest of the line and runs it.
_COMMANDS = {
  "styles": "stylejax.inference.styles_command",
}


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  if arguments and arguments[0] in _COMMANDS:
    return importlib.import_module(_COMMANDS[arguments[0]]).main(arguments[1:])
  for flag in ("--content", "--style", "--mask"):
    times = sum(argument.split("=")[0] == flag for argument in arguments)
    if times > 1:  # the parser would keep the last and drop the others without a word
      print(f"error: {flag}: found {times} times, expected once with all of them after it",
            file=sys.stderr)
      return 2
  options = tyro.cli(Options, prog="infer.py", description=DESCRIPTION, args=arguments)
  # Imported only now: --help and a mistyped flag should not wait for JAX.
  from stylejax.inference.console import exit_status

  return exit_status(lambda: stylize(options))


def stylize(options: Options) -> int:
  """Paints what the options ask for; 1 if some pictures were skipped."""
  from stylejax.compiler import reuse_memory
  from stylejax.inference.batch import stylize_files
  from stylejax.inference.compilation import enable_cache
  from stylejax.inference.console import progress
  from stylejax.inference.files import printable

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  settings["extension"] = settings.pop("format")
  with progress() as (on_progress, on_skip):
    report = stylize_files(**settings, on_progress=on_progress, on_skip=on_skip)
  count = len(report.written)
  what = printable(report.written[0]) if count == 1 else f"{count} pictures"
  skipped = f", {len(report.skipped)} skipped" if report.skipped else ""
  print(f"wrote {what} in {report.seconds:.1f} s{skipped}")
  return 1 if report.skipped else 0


if __name__ == "__main__":
  sys.exit(main())
