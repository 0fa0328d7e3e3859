"""The command line of a benchmark: the options that all share, their checks, the exit status.

Timing is in timing.py, writing results in records.py.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import tyro

from benchmarks.harness import records, timing
from stylejax.errors import InputError
from stylejax.models.config import Preset
from stylejax.runtime.files import check_writable, printable
from stylejax.runtime.jit import reuse_memory
from stylejax.transfer import MIN_SIDE


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to compile, and where to save the result."""

  sizes: tuple[int, ...] = (256, 512, 1024)
  """Sides of the square images, in pixels."""
  batch: int = 1
  """Images per call, over all devices."""
  preset: Preset = "base"
  """Sizes of the nets; parameters are random."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Data type of the activations."""
  devices: int | None = None
  """Local devices to divide the batch among; None is one. On a CPU there are as many as
  XLA_FLAGS=--xla_force_host_platform_device_count=N says."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    all_at_least("--sizes", self.sizes, MIN_SIDE)
    count = at_least("--devices", 1 if self.devices is None else self.devices, 1)
    if count > len(jax.local_devices()):
      raise InputError(f"--devices: found {count}, expected at most {len(jax.local_devices())}")
    if at_least("--batch", self.batch, 1) % count:
      raise InputError(f"--batch: found {self.batch}, expected a multiple of the {count} devices")


@dataclasses.dataclass(frozen=True)
class Options(Settings):
  """What to measure, and where to save the result."""

  repeats: int = 10
  """Timed rounds, after two untimed ones."""
  trace: Path | None = None
  """Folder for a jax.profiler trace of each case, in a subfolder of its name, for XProf."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    super().check()
    at_least("--repeats", self.repeats, 1)


def at_least(flag: str, value: float, smallest: float) -> float:
  """Returns the value; InputError if it is smaller, or NaN."""
  if not value >= smallest:
    raise InputError(f"{flag}: found {value}, expected at least {smallest}")
  return value


def all_at_least(flag: str, values: Sequence[int], smallest: int) -> None:
  """Raises InputError if there are no values, or one is smaller."""
  if not values:
    raise InputError(f"{flag}: found none, expected one or more")
  at_least(flag, min(values), smallest)


def command(
  main: Callable[[Any], Any],
  options: type,
  description: str,
  *,
  alone: bool = True,
  trains: bool = False,
) -> None:
  """Parses the command line, runs main and exits with its status; reports user errors in one line.

  Options that have a `check` are checked first, then whether outputs can be written. Memory is
  reused as in infer.py, or as in train.py (trains=True), unless other libraries run in the same
  process (alone=False), which would be affected too.
  """
  if alone:
    reuse_memory(one_arena=not trains)
  try:
    name = Path(sys.argv[0]).stem
    given = tyro.cli(options, description=description, prog=f"python -m benchmarks {name}")
    getattr(given, "check", lambda: None)()
    _check_places(given)
    status = main(given)
  except (InputError, OSError) as error:
    sys.exit(_fail(error))
  sys.exit(status if isinstance(status, int) else 0)


def run_cases(
  name: str, cases: Callable[[Options], Sequence[timing.Case]], description: str
) -> None:
  """The command of a benchmark that consists of cases alone: times them and reports."""

  def main(options: Options) -> None:
    records.report(
      name, options, timing.measure(cases(options), options.repeats, trace=options.trace)
    )

  command(main, Options, description)


def _check_places(options: Any) -> None:
  """Creates the folders that options name; InputError if no file can be written to them."""
  for field in ("output", "trace", "folder"):
    path = getattr(options, field, None)
    if path is None:
      continue
    folder = path.parent if field == "output" else path
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise InputError(
        f"--{field}: found {path} ({error.strerror}), expected a place that can be written to"
      ) from None
    check_writable(path if field == "output" else path / "x", f"--{field}")


def _fail(error: Exception) -> int:
  print(f"error: {printable(error)}", file=sys.stderr)
  return 2
