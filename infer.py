"""Command: stylize pictures. Parses, checks nothing itself, calls stylejax.inference."""

import contextlib
import dataclasses
import importlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import tyro

_DESCRIPTION = """Paint pictures in the style of other pictures.

Examples:
  # One photo in the style of one painting.
  python infer.py --content photo.jpg --style painting.jpg --output out.png
  # The same, half as strong, with larger strokes.
  python infer.py --content photo.jpg --style painting.jpg --output out.png \\
      --strength 0.5 --style-size 160
  # Every photo of a folder in two styles: stylized/<photo>_<style>.jpg.
  python infer.py --content photos --style wave.jpg irises.jpg --output stylized/ --format jpg
  # A quick look at a large photo: shorter side 384 pixels.
  python infer.py --content large.jpg --style painting.jpg --output look.webp --size 384
  # A style that nobody painted, invented by the noise generator.
  python infer.py --content photo.jpg --seed 7 --output out.png
  # With weights of your own training.
  python train.py export --workdir runs/mine --output mine.safetensors
  python infer.py --content photo.jpg --style painting.jpg --output out.png \\
      --weights mine.safetensors

Exit status: 0, all written; 1, some pictures could not be read and were skipped; 2, a mistake: one
line says what was found and what was expected, and nothing is written.

Compiled programs are kept in ~/.cache/stylejax, so that the next start is quicker; the environment
variable STYLEJAX_CACHE names another folder, or none if it is empty.
"""


def _option(meaning: str, metavar: str, default: str | None = None):
  """What --help says of an option."""
  return tyro.conf.arg(help=meaning, metavar=metavar, help_behavior_hint=default)


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of the command, as `stylejax.inference.batch.stylize_files` takes them."""

  content: Annotated[tuple[str, ...], _option(
    "Pictures to paint: files or folders (JPEG, PNG, WebP; as files also TIFF, BMP, GIF).",
    "PATH [PATH ...]", "(required)")]
  output: Annotated[str, _option(
    "The file to write (.png, .jpg, .webp) for one content in one style, else a folder. "
    "Transparency is kept in PNG and WebP and laid on white in JPEG. Inputs are never overwritten; "
    "other files are.", "PATH", "(required)")]
  style: Annotated[tuple[str, ...], _option(
    "Pictures whose style to take: files or folders. Each content is painted in each style.",
    "PATH [PATH ...]", "(required, or --seed)")] = ()
  strength: Annotated[float, _option(
    "How far to go: 0 is the content itself, 1 as trained, 2 the most.", "NUMBER")] = 1.0
  size: Annotated[int | None, _option(
    "Shorter side of the output: the content is scaled to it, up or down, and then painted.",
    "PIXELS", "(default: the content's own)")] = None
  style_size: Annotated[int, _option(
    "Shorter side at which styles are read: smaller gives larger strokes.", "PIXELS")] = 256
  seed: Annotated[int | None, _option(
    "Invent a style from this number, instead of or beside --style. Needs weights with a noise "
    "generator.", "INTEGER", "(default: none)")] = None
  weights: Annotated[str, _option(
    "base, which come with the package, or a .safetensors file of `train.py export`.",
    "NAME|FILE")] = "base"
  quality: Annotated[int, _option(
    "Of JPEG and WebP, 1 to 100. WebP at 100 is lossless; PNG always is.", "INTEGER")] = 95
  resume: Annotated[bool, _option(
    "Leave out the pictures whose outputs are there already: what a run that was killed did not "
    "get to. Outputs are whole or not there.", "")] = False
  distributed: Annotated[bool, _option(
    "Share the contents with the other processes of a TPU pod, Slurm, Open MPI or Kubernetes job; "
    "all see the same files.", "")] = False
  coordinator: Annotated[str | None, _option(
    "HOST:PORT of process 0, where JAX detects no cluster; with --processes and --process.",
    "HOST:PORT")] = None
  processes: Annotated[int | None, _option("How many share the work.", "INTEGER")] = None
  process: Annotated[int | None, _option("Number of this process, from 0.", "INTEGER")] = None
  format: Annotated[Literal["png", "jpg", "webp"], tyro.conf.arg(
    help="Format of the files when --output is a folder.")] = "png"


# Commands beside painting, by their first word or by a flag: each module's `main` parses and runs.
_COMMANDS = {"export": "stylejax.inference.export_command"}
_FLAGS = {"--sequence": "stylejax.inference.sequence_command",
          "--method": "stylejax.inference.optimise_command"}


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit status."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  if arguments and arguments[0] in _COMMANDS:
    return importlib.import_module(_COMMANDS[arguments[0]]).main(arguments[1:])
  for flag in [argument.split("=")[0] for argument in arguments]:
    if flag in _FLAGS:
      return importlib.import_module(_FLAGS[flag]).main(arguments)
  for flag in ("--content", "--style"):
    times = sum(argument.split("=")[0] == flag for argument in arguments)
    if times > 1:  # the parser would keep the last and drop the others without a word
      print(f"error: {flag}: found {times} times, expected once with all paths after it",
            file=sys.stderr)
      return 2
  options = tyro.cli(Options, prog="infer.py", description=_DESCRIPTION, args=arguments)
  # Imported only now: --help and a mistyped flag should not wait for JAX.
  from stylejax import distributed
  from stylejax.compiler import reuse_memory
  from stylejax.errors import InputError
  from stylejax.inference.batch import stylize_files
  from stylejax.inference.compilation import enable_cache
  from stylejax.inference.files import printable

  enable_cache()
  reuse_memory()
  settings = dataclasses.asdict(options)
  settings["extension"] = settings.pop("format")
  required = settings.pop("distributed")
  cluster = [settings.pop(name) for name in ("coordinator", "processes", "process")]
  try:
    distributed.check(*cluster)
    distributed.join(required, *cluster, detect=False)
    with _progress() as (on_progress, on_skip):
      report = stylize_files(
        **settings, share=distributed.share(), on_progress=on_progress, on_skip=on_skip)
  except (InputError, OSError) as error:
    print(f"error: {printable(error)}", file=sys.stderr)
    report = None
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    return distributed.abandon(130)
  return _summarize(report)


def _summarize(report) -> int:
  """Prints what all processes did, once, and returns the exit status of each."""
  from stylejax import distributed
  from stylejax.inference.files import printable

  done = (0, 0, 1) if report is None else (len(report.written), len(report.skipped), 0)
  written, skipped, failed = distributed.total(done)
  if distributed.leads() and not failed:
    alone = len(report.written) == written == 1
    what = printable(report.written[0]) if alone else f"{written} pictures"
    by = f" by {distributed.share()[1]} processes" if distributed.several() else ""
    rest = f", {skipped} skipped" if skipped else ""
    print(f"wrote {what} in {report.seconds:.1f} s{by}{rest}")
  return 2 if failed else 1 if skipped else 0


@contextlib.contextmanager
def _progress() -> Iterator[tuple]:
  """Callbacks for progress and skipped files; a bar on stderr once there is more than one."""
  from rich.console import Console
  from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

  from stylejax.inference.files import printable

  console = Console(stderr=True)
  bar = Progress(
    TextColumn("stylizing"), BarColumn(), MofNCompleteColumn(),
    TextColumn("{task.fields[rate]}"), TextColumn("left"), TimeRemainingColumn(), console=console)
  task, started = None, 0.0

  def on_progress(done: int, total: int) -> None:
    nonlocal task, started
    if total < 2:
      return
    if task is None:
      task = bar.add_task("stylizing", total=total, rate="")
      started = time.perf_counter()
      bar.start()
    rate = f"{done / (time.perf_counter() - started):.2f} images/s" if done else ""
    bar.update(task, completed=done, rate=rate)

  def on_skip(message: str) -> None:
    console.print(f"skipped: {printable(message)}", markup=False, highlight=False, soft_wrap=True)

  try:
    yield on_progress, on_skip
  finally:
    if task is not None:  # a bar that never ran would still print an empty line
      bar.stop()


if __name__ == "__main__":
  sys.exit(main())
