"""Command: stylize images. Parses, checks nothing itself, calls stylejax.inference."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stylejax.runtime import process

if TYPE_CHECKING:
  from stylejax.cli.paint_options import Options

# Commands beside painting, by their first word or by a flag: each module's `main` parses and runs.
_COMMANDS = {"export": "stylejax.cli.export", "styles": "stylejax.cli.styles"}
_FLAGS = {"--method": "stylejax.cli.optimize", "--sequence": "stylejax.cli.sequence"}


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  return process.run(lambda: _main(arguments))


def _main(arguments: list[str]) -> int:
  if arguments and arguments[0] in _COMMANDS:
    return importlib.import_module(_COMMANDS[arguments[0]]).main(arguments[1:])
  for flag in ("--content", "--style", "--mask"):
    times = sum(argument.split("=")[0] == flag for argument in arguments)
    if times > 1:  # the parser would keep the last and drop the others without a word
      print(
        f"error: {flag}: found {times} times, expected once with all of them after it",
        file=sys.stderr,
      )
      return 2
  for flag in [argument.split("=")[0] for argument in arguments]:
    if flag in _FLAGS:
      return importlib.import_module(_FLAGS[flag]).main(arguments)
  # Imported only in here, so that Ctrl-C is a line at any time.
  import tyro

  from stylejax.cli.paint_options import DESCRIPTION, Options

  options = tyro.cli(Options, prog="infer.py", description=DESCRIPTION, args=arguments)
  # Imported only now: --help and a mistyped flag should not wait for JAX.
  from stylejax.cli.console import exit_status

  return exit_status(lambda: stylize(options))


def stylize(options: Options) -> int:
  """Paints what the options ask for; 1 if some images were skipped."""
  from stylejax.cli.console import exit_status, progress
  from stylejax.inference.batch import stylize_files
  from stylejax.runtime import distributed
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.jit import reuse_memory

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  settings["extension"] = settings.pop("format")
  required = settings.pop("distributed")
  cluster = [settings.pop(name) for name in ("coordinator", "processes", "process")]
  distributed.check(*cluster)
  distributed.join(required, *cluster, detect=False)
  report = None

  def paint() -> int:
    nonlocal report
    with progress() as (on_progress, on_skip, on_part, on_note):
      report = stylize_files(
        **settings,
        share=distributed.share(),
        on_progress=on_progress,
        on_skip=on_skip,
        on_part=on_part,
        on_note=on_note,
      )
    return 0

  # A mistake of one process is not raised: the others wait for its part of the sum.
  status = exit_status(paint, starts=False)
  return distributed.abandon(status) if status > 128 else _summarize(report)


def _summarize(report) -> int:
  """Prints what all processes did, once, and returns the exit status of each."""
  from stylejax.runtime import distributed
  from stylejax.runtime.files import printable

  done = (0, 0, 1) if report is None else (len(report.written), len(report.skipped), 0)
  written, skipped, failed = distributed.total(done)
  if distributed.leads() and not failed:
    alone = len(report.written) == written == 1
    what = printable(report.written[0]) if alone else f"{written} images"
    by = f" by {distributed.share()[1]} processes" if distributed.several() else ""
    rest = f", {skipped} skipped" if skipped else ""
    print(f"wrote {what} in {report.seconds:.1f} s{by}{rest}")
  return 2 if failed else 1 if skipped else 0


if __name__ == "__main__":
  sys.exit(main())
