"""Runs processes of this or another revision of stylejax, and measures their time."""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import timing
from stylejax.errors import InputError

BEFORE = "before, "
"""Prefix of the names of another revision's cases, which are otherwise this one's."""


def check_checkout(against: Path | None) -> None:
  """Raises InputError if a folder of another revision is given that has no infer.py."""
  if against is not None and not (against / "infer.py").is_file():
    raise InputError(f"--against: found {against}, expected a folder with infer.py")


def alternate(cases: Mapping[str, Callable[[], float]], rounds: int) -> list[dict[str, Any]]:
  """Runs every case once in each round, in turn.

  Args:
    cases: functions that run a process and return its processor seconds.
    rounds: number of rounds.

  Returns:
    Rows of case, seconds (of the processor) and wall_seconds, each {"median", "low", "high"}, and,
    for cases that another revision has too, the ratio of the medians.
  """
  seconds: dict[str, list[float]] = {case: [] for case in cases}
  walls: dict[str, list[float]] = {case: [] for case in cases}
  for _ in range(rounds):
    for case, run in cases.items():
      start = time.perf_counter()
      seconds[case].append(run())
      walls[case].append(time.perf_counter() - start)
  rows = []
  for case, times in seconds.items():
    row: dict[str, Any] = {"case": case, "seconds": timing.spread(times)}
    row["wall_seconds"] = timing.spread(walls[case])
    before = seconds.get(BEFORE + case)
    if before:
      row["ratio"] = row["seconds"]["median"] / timing.spread(before)["median"]
    rows.append(row)
  return rows


def environment(checkout: Path, cache: Path | None) -> dict[str, str]:
  """The environment of a checkout's process: its package, the cache or none, JAX's defaults."""
  variables = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
  return variables | {
    "STYLEJAX_CACHE": "" if cache is None else str(cache),
    "PYTHONPATH": str(checkout),
  }


def processor_seconds(command: Sequence[str], environment: dict[str, str]) -> float:
  """User and system seconds of a process and of those that it started.

  Raises:
    InputError: it ended with a status other than 0.
  """
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  if done.returncode:
    last = done.stderr.strip().splitlines()[-1:] or [str(done.returncode)]
    raise InputError(f"{command[1]}: found {last[0]}, expected it to run")
  return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
