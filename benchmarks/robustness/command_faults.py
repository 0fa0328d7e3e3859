"""Attacks on commands: killed at random moments, run two at once, limited to little memory.

How commands are attacked and what must hold is here; faults.py chooses attacks and does training.
Each attack is one row: the case, what was done, and the faults (none, if it held).
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.robustness.arena import SAMPLES, Arena, digests, finish
from benchmarks.robustness.commands import CASES, Case

_GIB = 2**30


def kill(arena: Arena, case: Case, times: int, moments: random.Random) -> Iterator[dict]:
  """Kills a command at random moments, then lets it end; yields a row for each run.

  Half of the time, the output folder contains what an earlier run with other inputs wrote.
  """
  expected, seconds = arena.whole(case, "a")
  earlier = {} if case.refuses else arena.whole(case, "b")[0]
  for turn in range(times):
    old = earlier if turn % 4 in (1, 2) else {}
    if old and case.name == "sequence to a folder":
      arena.whole(case, "b", rerun=True)  # its list knows when each file was written
    else:
      arena.reset(case, old)
    before = arena.outputs()
    number = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[turn % 4]
    process, started = arena.start(case, "a"), time.monotonic()
    moment = _wait(arena, process, moments, seconds)
    done = _holds(arena.outputs(), expected)
    alive = process.poll() is None
    process.send_signal(number)
    status, lines = finish(process)
    faults = arena.faults(left=number != signal.SIGKILL)
    faults += _not_whole(arena.outputs(), [before, expected])
    if alive and number != signal.SIGKILL:
      faults += _not_stopped(status, lines, number, done=done)
    yield {
      "case": f"{case.name}, {signal.Signals(number).name} {moment} after "
      f"{time.monotonic() - started:.2f} s",
      "alive": alive,
      "faults": faults,
    }
  if case.refuses:
    arena.reset(case)
  status, lines = finish(arena.start(case, "a"))
  faults = arena.faults(left=True)
  if status:
    faults.append(f"exit status {status}: {lines[-1:]}")
  if case.files_apart:  # what an earlier run wrote under other names stays
    expected = before | expected
  if not case.joins and arena.outputs() != expected:
    faults.append("another output than that of a run that was never killed")
  yield {"case": f"{case.name}, run again to its end", "alive": True, "faults": faults}


def _not_stopped(status: int, lines: list[str], number: int, *, done: bool) -> list[str]:
  """What is wrong with how a command ended after a signal; `done`: all was written before it."""
  name = signal.Signals(number).name
  if status not in (128 + number, -number, 0):
    return [f"exit status {status} after {name}: {lines[-1:]}"]
  if status == 0 and not done:
    return [f"went on after {name} as if there had been none"]
  # Where the command has not begun yet, Python's own messages come with the status -number.
  said = [line for line in lines if line.startswith(("Traceback", "Exception ignored"))]
  return [f"more than a line after {name}: {said}"] if said and status == 128 + number else []


def _wait(arena: Arena, process: subprocess.Popen, moments: random.Random, seconds: float) -> str:
  """Waits for a random moment of the whole run or of its writing; returns which."""
  if moments.random() < 0.4:
    end = time.monotonic() + moments.uniform(0, seconds)
    while time.monotonic() < end and process.poll() is None:
      time.sleep(0.01)
    return "at any time"
  while process.poll() is None and not any(
    name.endswith((".tmp", ".lock")) for name in _listed(arena.out, arena.folder)
  ):
    time.sleep(0.0005)
  time.sleep(moments.choice([0, 0.002, 0.02, 0.2]) * moments.random())
  return "while writing"


def _listed(*folders: Path) -> Iterator[str]:
  for folder in folders:
    with contextlib.suppress(OSError):
      yield from os.listdir(folder)


def _holds(outputs: dict[str, bytes], expected: dict[str, bytes]) -> bool:
  """Whether all that a command writes is there."""
  return all(outputs.get(name) == data for name, data in expected.items())


def _not_whole(outputs: dict[str, bytes], whole: list[dict[str, bytes]]) -> list[str]:
  """Files that are equal to none of those that may be there under their name."""
  return [
    f"{name} is no whole file"
    for name, data in outputs.items()
    if not any(each.get(name) == data for each in whole)
  ]


def run_two(arena: Arena, case: Case) -> dict:
  """Starts both versions of a command at once, with the same output; returns a row."""
  whole = [arena.whole(case, version)[0] for version in "ab"]
  arena.reset(case)
  ends = [finish(process) for process in [arena.start(case, version) for version in "ab"]]
  faults, outputs = arena.faults(left=True), arena.outputs()
  for status, lines in ends:
    refused = case.refuses and status == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    if status and not refused:
      faults.append(f"exit status {status}: {lines[-1:]}")
  if all(status for status, _ in ends):
    faults.append("neither came to its end")
  if case.joins:
    faults += [
      f"style @{name} is lost"
      for name in "ab"
      if f'\\"{name}\\"'.encode() not in outputs["styles.safetensors"]
    ]
  elif case.files_apart:
    faults += _not_whole(outputs, whole)
    faults += [f"{name} is lost" for each in whole for name in each if name not in outputs]
  elif outputs not in whole:
    faults.append("the output is neither one's nor the other's")
  return {
    "case": f"{case.name}, two at once: exit {', '.join(str(end[0]) for end in ends)}",
    "alive": True,
    "faults": faults,
  }


def limit_memory(arena: Arena, gib: float, side: int, *, group: bool) -> dict:
  """Stylizes an image within a memory limit, by RLIMIT_AS or in a cgroup; returns a row.

  The output must be that without a limit (within 2 levels of 8 bits, by tiles or whole), or the
  command must refuse in one line: no signal, no abort, no partial file.
  """
  case = CASES[0]
  how = "a memory cgroup" if group else "RLIMIT_AS"
  name = f"one image of {side}×{side * 3 // 4} in {gib:g} GiB by {how}"
  Image.open(min((SAMPLES / "content").iterdir())).convert("RGB").resize(
    (side, side * 3 // 4)
  ).save(arena.folder / "photos" / "1.png", compress_level=1)
  arena.inputs = digests(arena.folder)
  expected = arena.whole(case, "a", rerun=True)[0]
  arena.reset(case)
  with contextlib.ExitStack() as stack:
    if group:
      try:
        join = stack.enter_context(_memory_group(int(gib * _GIB)))
      except OSError as error:
        return {
          "case": f"{name}: not run, no cgroup can be made here ({error.strerror})",
          "alive": True,
          "faults": [],
        }
    else:

      def join() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gib * _GIB),) * 2)

    status, lines = finish(arena.start(case, "a", before=join))
  faults = arena.faults(left=True)
  if status == 0:
    difference = np.abs(
      _pixels(arena.out / "one.png") - _pixels_of(expected["one.png"], arena.folder)
    ).max()
    if difference > 2:
      faults.append(f"another image than without a limit, by {difference} levels")
  elif status != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
    faults.append(f"exit status {status}: {lines[-1:]}")
  elif arena.outputs():
    faults.append("refused, and a file is there")
  said = f": {lines[0]}" if lines and status == 2 else ""
  return {"case": f"{name}: exit {status}{said}", "alive": True, "faults": faults}


def _pixels(path: Path) -> np.ndarray:
  return np.int16(Image.open(path))


def _pixels_of(data: bytes, folder: Path) -> np.ndarray:
  path = folder / "tmp" / "expected.png"
  path.write_bytes(data)
  try:
    return _pixels(path)
  finally:
    path.unlink()


@contextlib.contextmanager
def _memory_group(limit: int) -> Iterator[Callable[[], None]]:
  """A new memory cgroup, v2 or v1; yields the function that a child process calls to join it.

  Raises:
    OSError: no cgroup can be created here.
  """
  root, file = Path("/sys/fs/cgroup"), "memory.max"
  if not (root / "cgroup.controllers").exists():
    root, file = root / "memory", "memory.limit_in_bytes"
  folder = root / f"stylejax-faults-{os.getpid()}"
  folder.mkdir()
  try:
    (folder / file).write_text(str(limit))
    yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
  finally:
    for _ in range(50):
      try:
        folder.rmdir()
        break
      except OSError:  # a process in it is still ending
        time.sleep(0.1)


def show(row: dict) -> None:
  """Prints the verdict of a row."""
  verdict = "holds" if not row["faults"] else "FAULT: " + "; ".join(row["faults"])
  print(f"{row['case']}{'' if row['alive'] else ' (it had ended)'}: {verdict}", flush=True)
