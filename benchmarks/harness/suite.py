"""Runs the main benchmarks of time and memory in turn, with one JSON file for each.

    python -m benchmarks suite --folder results
    python -m benchmarks suite --folder results --short

If a benchmark can't run here (peers without its extra), it says why and the next one runs. Tables
and plots are drawn from the files by `python -m benchmarks report`.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import command_line

CASES = {
  "encode": ["--sizes", "128", "256", "512", "--batch", "4"],
  "generate": ["--sizes", "256", "512", "1024"],
  "stylize": ["--sizes", "256", "512", "1024"],
  "train": ["--losses"],
  "input": [],
  "compile": ["--sizes", "512", "--repeats", "5"],
  "memory": ["--sizes", "512", "1024", "2048"],
  "scaling": ["--counts", "1", "2"],
  "checkpointing": [],
  "choices": [],
  "peers": [],
}
SHORT = {
  "stylize": ["--sizes", "128", "--repeats", "3"],
  "train": ["--commands", "autoencoder", "--preset", "tiny", "--size", "32", "--repeats", "3"],
  "input": ["--size", "64", "--workers", "0", "--batches", "3", "--repeats", "2", "--no-step"],
}


@dataclasses.dataclass(frozen=True)
class Options:
  """What to run and where to keep it."""

  folder: Path
  """Folder for the JSON files; created if needed."""
  short: bool = False
  """Run for about a minute at small sizes, as a first look or in continuous integration."""


def main(options: Options) -> int:
  """Runs each benchmark in a process of its own; 1 if any failed."""
  failed = []
  for name, flags in (SHORT if options.short else CASES).items():
    command = [
      sys.executable,
      "-m",
      "benchmarks",
      name,
      *flags,
      "--output",
      str(options.folder / f"{name}.json"),
    ]
    print(f"# python -m benchmarks {' '.join(command[3:])}", flush=True)
    if subprocess.run(command).returncode:
      failed.append(name)
  if failed:
    print(f"error: benchmarks that failed: {', '.join(failed)}", file=sys.stderr)
  return int(bool(failed))


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
