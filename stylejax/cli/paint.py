"""`stylejax paint`, which infer.py also runs: images in the style of other images.

It parses and prints; `stylejax.inference.batch` does the work. Its options are in paint_options.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stylejax.cli import options as command_line
from stylejax.errors import InputError
from stylejax.runtime import process

if TYPE_CHECKING:
  from stylejax.cli.paint_options import Options

# Other commands, by their first word or by a flag; each module's `main` parses and runs.
_COMMANDS = {"export": "stylejax.cli.export", "styles": "stylejax.cli.styles"}
_FLAGS = {"--sequence": "stylejax.cli.sequence"}


def infer(arguments: Sequence[str] | None = None) -> int:
  """What infer.py runs: `main` or another command, with help that names the checkout's scripts.

  Args:
    arguments: the command line; None means this process's.

  Returns:
    The exit status.
  """
  arguments = list(sys.argv[1:] if arguments is None else arguments)

  def run() -> int:
    if arguments and arguments[0] in _COMMANDS:
      module = importlib.import_module(_COMMANDS[arguments[0]])
      return module.main(arguments[1:], spelling=command_line.SCRIPTS)
    return main(arguments, spelling=command_line.SCRIPTS)

  return process.run(run)


def main(
  arguments: Sequence[str], *, spelling: command_line.Spelling = command_line.INSTALLED
) -> int:
  """Runs the command and returns its exit status."""
  wrong = command_line.repeated_flag(arguments, ("--content", "--style", "--mask"))
  if wrong:
    return command_line.print_error(wrong)
  for flag in [argument.split("=")[0] for argument in arguments]:
    if flag in _FLAGS:
      return importlib.import_module(_FLAGS[flag]).main(arguments, spelling=spelling)
  # Imported only in here, so that Ctrl-C prints a single line at any time.
  from stylejax.cli import paint_options
  from stylejax.cli.method_options import refuse_old_method

  try:
    refuse_old_method(arguments)
    options = command_line.parse(
      paint_options.Options,
      arguments,
      prog=spelling.of("paint"),
      description=paint_options.DESCRIPTION,
      spelling=spelling,
      groups=paint_options.GROUPS,
    )
    options = _placed(options)
  except InputError as error:
    return command_line.print_error(error)
  # Imported only now: --help and a mistyped flag should not wait for JAX.
  from stylejax.cli.console import exit_status

  return exit_status(lambda: stylize(options))


def _placed(options: Options) -> Options:
  """The options with every file assigned to its flag."""
  from stylejax.cli.places import assign

  other = f"seed{options.seed}" if options.seed is not None else "regions" if options.mask else None
  if options.output is None and (options.resume or options.interpolate is not None):
    flag = "--resume" if options.resume else "--interpolate"
    raise InputError(f"--output: found none with {flag}, expected a file or a folder")
  places = assign(
    options.files,
    options.content,
    options.style,
    options.output,
    suffix=f".{options.format}",
    other_style=other,
  )
  return dataclasses.replace(options, files=(), **dataclasses.asdict(places))


def stylize(options: Options) -> int:
  """Stylizes what the options ask for; returns the exit status, 1 if images were skipped."""
  from stylejax.cli.method_options import take_options
  from stylejax.cli.pixel_options import take_controls
  from stylejax.runtime import distributed

  settings = dataclasses.asdict(options)
  del settings["files"]
  settings["controls"] = take_controls(settings)
  settings["options"] = take_options(settings)
  settings["extension"] = settings.pop("format")
  required = settings.pop("distributed")
  cluster = {name: settings.pop(name) for name in ("coordinator", "processes", "process")}
  distributed.check(**cluster)
  distributed.join(required=required, **cluster, detect=False)
  return run(settings, compiling=lambda: _quickly(options))


def run(
  settings: dict[str, Any],
  *,
  compiling: Callable[[], contextlib.AbstractContextManager[Sequence]] | None = None,
) -> int:
  """Stylizes files and prints what was written.

  Args:
    settings: the fields of a `stylejax.inference.batch.Request`.
    compiling: makes a context in which programs are compiled, if any; it gives those to be compiled
      again later.

  Returns:
    The exit status.
  """
  from stylejax.cli.console import exit_status, progress
  from stylejax.inference.batch import Callbacks, Request, stylize_files
  from stylejax.runtime import distributed
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.jit import reuse_memory

  enable_cache()
  reuse_memory()
  report = None

  def stylize_all() -> int:
    nonlocal report
    with progress() as (on_progress, on_skip, on_part, on_descent, on_note):
      callbacks = Callbacks(on_progress, on_skip, on_part, on_note, on_descent)
      report = stylize_files(Request(**settings), process=distributed.share(), callbacks=callbacks)
    return 0

  # A mistake in one process is not raised, since the others wait for its part of the sum.
  with contextlib.nullcontext(()) if compiling is None else compiling() as pending:
    status = exit_status(stylize_all, starts=False)
  if status > 128:
    return distributed.abandon(status)
  status = _summarize(report)
  if pending:
    from stylejax.runtime.later import compile_later

    compile_later()
    print("faster programs for later starts are being compiled in the background", file=sys.stderr)
  return status


def _quickly(options: Options) -> contextlib.AbstractContextManager[Sequence]:
  """Compiles quickly first if a person waits for a single image and memory isn't scarce."""
  from stylejax.runtime import distributed, memory
  from stylejax.runtime.jit import SCARCE
  from stylejax.runtime.program_cache import quick_first

  alone = len(options.content) == 1 and os.path.isfile(options.content[0])
  waits = sys.stderr.isatty() and not distributed.several()
  if waits and alone and memory.available_bytes() > SCARCE:
    return quick_first()
  return contextlib.nullcontext(())


def _summarize(report) -> int:
  """Prints, once, what all processes did, and returns the exit status, which all share."""
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
