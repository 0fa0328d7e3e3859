"""Is anything lost or left when commands are killed, run two at once, or short of memory?

    python -m benchmarks faults --kills 10 --output faults.json
    python -m benchmarks faults --short                            # some minutes

Training: one run is left alone; another is killed with SIGKILL at random moments, also while it
starts and while it writes a checkpoint, and is resumed each time. After each kill its newest
checkpoint must equal that of the first run at the same step bit for bit, and at the end so must the
whole state and every step's losses, to which each example contributes: none was skipped or seen
twice.

Every other command (command_faults.py) is killed with SIGKILL, SIGTERM and SIGINT at random moments
and while it writes: inputs must be unchanged and each output be the old or the new one, whole;
SIGTERM and SIGINT must end it with one line; and the next run must leave no other files behind. Two
of each are run at once: nothing of either may be lost. With too little memory, an image must be
stylized in tiles or be refused in one line. Each verdict is printed; exits with 1 on any fault.
"""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from benchmarks.harness import command_line, records
from benchmarks.robustness import command_faults
from benchmarks.robustness.arena import Arena
from benchmarks.robustness.commands import CASES
from stylejax.runtime import process
from stylejax.training import checkpoint
from stylejax.training.saved import from_saved, saved_config
from stylejax.training.state import init_state

ROOT = Path(__file__).resolve().parents[2]
# Longest time to a kill in seconds, from the start of the process and from its first step.
STARTING, STEPPING = 6.0, 5.0


@dataclasses.dataclass(frozen=True)
class Options:
  """What to kill, and how often."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Which training to kill."""
  parts: tuple[Literal["training", "kills", "twice", "memory"], ...] = (
    "training",
    "kills",
    "twice",
    "memory",
  )
  """Attacks to run; kills and twice are those on commands other than training."""
  cases: tuple[str, ...] = ()
  """Attack only those other commands whose name begins so, as in "sequence"; default: all."""
  short: bool = False
  """Three kills of a training of 30 steps, two of each other command, one memory limit."""
  command_kills: int = 6
  """How often each of the other commands is killed."""
  memory: tuple[float, ...] = (1.0, 2.0, 4.0)
  """Memory limits, in GiB, within which an image is stylized."""
  image_side: int = 4000
  """Width of that image; its height is 3/4 of it."""
  kills: int = 10
  """How often the run is killed; two in ten while the process starts, the rest among the steps."""
  steps: int = 120
  """Steps of the run; it must still be going at the last kill."""
  save_every: int = 1
  """Steps between checkpoints; with 1, one is being written most of the time."""
  seed: int = 0
  """Seed of the random moments."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  @property
  def as_run(self) -> "Options":
    """These options, with the numbers of a short run if it is one."""
    return (
      dataclasses.replace(
        self, kills=3, steps=30, command_kills=2, memory=self.memory[:1], image_side=2000
      )
      if self.short
      else self
    )

  def check(self) -> None:
    """Raises InputError on the first setting that can't be run."""
    for flag, value in (
      ("--kills", self.kills),
      ("--steps", self.steps),
      ("--save-every", self.save_every),
      ("--image-side", self.image_side),
      ("--command-kills", self.command_kills),
    ):
      command_line.at_least(flag, value, 1)


def start(options: Options, workdir: Path) -> subprocess.Popen:
  """Starts the training command, on the package's own images."""
  flags = [
    "--preset",
    "tiny",
    "--size",
    "32",
    "--batch",
    "6",
    "--log-every",
    "1",
    "--grid-every",
    "0",
    "--steps",
    str(options.steps),
    "--save-every",
    str(options.save_every),
    "--keep",
    str(options.steps + 1),
    "--workdir",
    str(workdir),
    "--resume",
  ]
  return subprocess.Popen(
    [sys.executable, str(ROOT / "train.py"), options.command, *flags],
    text=True,
    env=os.environ
    | {
      "JAX_NUM_CPU_DEVICES": "1",
      "STYLEJAX_CACHE": str(workdir.parent / "cache"),
      "PYTHONPATH": str(ROOT),
    },
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
  )


def finish(run: subprocess.Popen) -> None:
  """Waits for a training to end; RuntimeError with its last line if it fails."""
  _, error = run.communicate()
  if run.returncode:
    raise RuntimeError(f"training failed: {error.strip().splitlines()[-1:]}")


def steps_logged(workdir: Path) -> list[dict]:
  """The complete lines of metrics.jsonl, without images_per_second."""
  path = workdir / "metrics.jsonl"
  lines = path.read_text().splitlines() if path.exists() else []
  entries = [json.loads(line) for line in lines if line.endswith("}")]
  return [{k: v for k, v in line.items() if k != "images_per_second"} for line in entries]


def reached(workdir: Path) -> int:
  """The last step that the run has logged."""
  lines = steps_logged(workdir)
  return lines[-1]["step"] if lines else 0


def live_and_die(options: Options, workdir: Path, moments: random.Random) -> dict:
  """Starts or resumes the run, kills it at a random moment, and returns what it was doing."""
  resumed = checkpoint.newest_step(workdir) or 0
  process, born = start(options, workdir), time.time()
  if moments.random() < 0.2:
    time.sleep(moments.uniform(0, STARTING))
    moment = "starting"
  else:
    while process.poll() is None and not _stepped(workdir, resumed, born):
      time.sleep(0.01)
    time.sleep(moments.uniform(0, STEPPING))
    moment = "stepping"
  alive = process.poll() is None
  process.send_signal(signal.SIGKILL)
  process.communicate()
  writing = sorted(
    path.name.partition(".")[0]
    for path in (workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*")
  )
  return {
    "alive": alive,
    "moment": moment,
    "after_seconds": round(time.time() - born, 2),
    "step": reached(workdir),
    "checkpoint": checkpoint.newest_step(workdir),
    "writing": int(writing[0]) if writing else None,
  }


def _stepped(workdir: Path, resumed: int, born: float) -> bool:
  """Whether the process started at `born` has logged a step after `resumed`."""
  path = workdir / "metrics.jsonl"
  return path.exists() and path.stat().st_mtime > born and reached(workdir) > resumed


def state_at(workdir: Path, step: int) -> list[np.ndarray]:
  """All arrays of a run's checkpoint."""
  config = saved_config(workdir)
  like = jax.eval_shape(lambda: init_state(from_saved(config)))
  with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
    return [np.asarray(x) for x in jax.tree.leaves(checkpoints.restore(like, step=step)[0])]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
  """Whether two states are equal bit for bit."""
  return len(left) == len(right) and all(
    a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right)
  )


def main(options: Options) -> int:
  """Runs the attacks and prints a verdict for each; returns 1 if one found a fault."""
  asked, options = options, options.as_run
  results = train(options) if "training" in options.parts else {"rows": [], "training_holds": True}
  if results is None:
    return 2
  rows = []
  for row in attacks(options):
    command_faults.show(row)
    rows.append(row)
  wrong = [row["case"] for row in rows if row["faults"]]
  good = results.pop("training_holds") and not wrong
  print(f"{len(rows)} attacks on commands: " + (f"{len(wrong)} FAULTS" if wrong else "all hold"))
  records.save("faults", asked, results | {"commands": rows})
  return int(not good)


def attacks(options: Options) -> Iterator[dict]:
  """The rows of all attacks on commands other than training."""
  moments = random.Random(options.seed)
  with tempfile.TemporaryDirectory() as folder:
    arena = Arena(Path(folder) / "arena")
    for case in CASES:
      if options.cases and not case.name.startswith(options.cases):
        continue
      if "kills" in options.parts:
        yield from command_faults.kill(arena, case, options.command_kills, moments)
      if "twice" in options.parts:
        yield command_faults.run_two(arena, case)
    for gib in options.memory if "memory" in options.parts else ():
      for group in (False, True):
        yield command_faults.limit_memory(arena, gib, options.image_side, group=group)


def train(options: Options) -> dict | None:
  """Runs, kills, resumes and compares; returns the result, or None if the settings don't fit."""
  moments, kills = random.Random(options.seed), []
  with tempfile.TemporaryDirectory() as folder:
    whole, killed = Path(folder) / "whole", Path(folder) / "killed"
    finish(start(options, whole))
    print(f"not killed: {options.steps} steps", flush=True)
    while len(kills) < options.kills:
      kill = live_and_die(options, killed, moments)
      if not kill.pop("alive"):
        print(
          "error: --steps: found a run at its end before the last kill, expected more steps",
          file=sys.stderr,
        )
        return None
      step = kill["checkpoint"]
      kill["equal"] = step is None or same(state_at(whole, step), state_at(killed, step))
      kills.append({"case": f"kill {len(kills) + 1}", **kill})
      print(
        f"kill {len(kills):2} after {kill['after_seconds']:5.2f} s, {kill['moment']}, step "
        f"{kill['step']}, "
        + (f"writing checkpoint {kill['writing']}" if kill["writing"] else "writing none")
        + f": checkpoint {step} {'equal' if kill['equal'] else 'DIFFERS'}",
        flush=True,
      )
    finish(start(options, killed))
    losses = steps_logged(whole) == steps_logged(killed)
    final = same(*(state_at(run, options.steps) for run in (whole, killed)))
  good = losses and final and all(kill["equal"] for kill in kills)
  print(
    f"resumed to step {options.steps}: parameters {'equal' if final else 'DIFFER'}, losses of "
    f"every step {'equal' if losses else 'DIFFER'}"
  )
  return {"rows": kills, "final_state_equal": final, "losses_equal": losses, "training_holds": good}


if __name__ == "__main__":
  command_line.command(lambda options: process.run(lambda: main(options)), Options, __doc__)
