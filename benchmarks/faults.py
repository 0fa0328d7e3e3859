"""Does a training that is killed at any moment end with the parameters of one that never was?

    python -m benchmarks faults --kills 10 --output faults.json

One run goes through; another is killed with SIGKILL at random moments, also while it starts and
while it writes a checkpoint, and goes on each time. After each kill its newest checkpoint is
compared bit for bit with that of the first run at the same step, and at the end the whole state and
every step's losses, to which each example contributes: none was skipped or seen twice. Exits with 1
if anything differs.
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
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from benchmarks import timing
from stylejax.training import checkpoint
from stylejax.training.saved import from_saved, saved_config
from stylejax.training.state import init_state

ROOT = Path(__file__).parent.parent
# Longest lives in seconds, from the start of the process and from its first step.
STARTING, STEPPING = 6.0, 5.0


@dataclasses.dataclass(frozen=True)
class Options:
  """What to kill, and how often."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Whose training."""
  kills: int = 10
  """How often the run is killed; two in ten while the process starts, the rest among the steps."""
  steps: int = 120
  """Steps of the run; it must still be going at the last kill."""
  save_every: int = 1
  """Steps between checkpoints; with 1, one is being written most of the time."""
  seed: int = 0
  """Of the moments."""
  output: Path | None = None
  """JSON file for the result; it is printed either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be run."""
    for flag, value in (("--kills", self.kills), ("--steps", self.steps),
                        ("--save-every", self.save_every)):
      timing.at_least(flag, value, 1)


def start(options: Options, workdir: Path) -> subprocess.Popen:
  """The training command, on the package's own pictures."""
  flags = ["--preset", "tiny", "--size", "32", "--batch", "6", "--log-every", "1", "--grid-every",
           "0", "--steps", str(options.steps), "--save-every", str(options.save_every), "--keep",
           str(options.steps + 1), "--workdir", str(workdir), "--resume"]
  return subprocess.Popen(
    [sys.executable, str(ROOT / "train.py"), options.command, *flags], text=True,
    env=os.environ | {"JAX_NUM_CPU_DEVICES": "1", "STYLEJAX_CACHE": str(workdir.parent / "cache"),
                      "PYTHONPATH": str(ROOT)},
    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> None:
  """Waits for a training that nobody kills; RuntimeError with its last line if it fails."""
  _, error = process.communicate()
  if process.returncode:
    raise RuntimeError(f"training failed: {error.strip().splitlines()[-1:]}")


def steps_logged(workdir: Path) -> list[dict]:
  """The whole lines of metrics.jsonl, without the rate."""
  path = workdir / "metrics.jsonl"
  lines = path.read_text().splitlines() if path.exists() else []
  found = [json.loads(line) for line in lines if line.endswith("}")]
  return [{k: v for k, v in line.items() if k != "images_per_second"} for line in found]


def reached(workdir: Path) -> int:
  """The last step that the run has logged."""
  lines = steps_logged(workdir)
  return lines[-1]["step"] if lines else 0


def live_and_die(options: Options, workdir: Path, moments: random.Random) -> dict:
  """Starts or resumes the run and kills it at the next moment; tells what it was doing."""
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
  writing = sorted(path.name.partition(".")[0]
                   for path in (workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))
  return {"alive": alive, "moment": moment, "after_seconds": round(time.time() - born, 2),
          "step": reached(workdir), "checkpoint": checkpoint.newest_step(workdir),
          "writing": int(writing[0]) if writing else None}


def _stepped(workdir: Path, resumed: int, born: float) -> bool:
  """Whether the process born then has logged a step, and not just kept those up to resumed."""
  path = workdir / "metrics.jsonl"
  return path.exists() and path.stat().st_mtime > born and reached(workdir) > resumed


def state_at(workdir: Path, step: int) -> list[np.ndarray]:
  """All arrays of a run's checkpoint."""
  found = saved_config(workdir)
  like = jax.eval_shape(lambda: init_state(from_saved(found)))
  with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
    return [np.asarray(x) for x in jax.tree.leaves(checkpoints.restore(like, step)[0])]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
  """Whether two states are equal bit for bit."""
  return len(left) == len(right) and all(
    a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right))


def main(options: Options) -> int:
  """Runs, kills, resumes, compares; 1 if anything differs."""
  moments, kills = random.Random(options.seed), []
  with tempfile.TemporaryDirectory() as folder:
    whole, killed = Path(folder) / "whole", Path(folder) / "killed"
    finish(start(options, whole))
    print(f"not killed: {options.steps} steps", flush=True)
    while len(kills) < options.kills:
      kill = live_and_die(options, killed, moments)
      if not kill.pop("alive"):
        print("error: --steps: found a run at its end before the last kill, expected more steps",
              file=sys.stderr)
        return 2
      step = kill["checkpoint"]
      kill["equal"] = step is None or same(state_at(whole, step), state_at(killed, step))
      kills.append({"case": f"kill {len(kills) + 1}", **kill})
      print(f"kill {len(kills):2} after {kill['after_seconds']:5.2f} s, {kill['moment']}, step "
            f"{kill['step']}, " + (f"writing checkpoint {kill['writing']}" if kill["writing"]
                                   else "writing none")
            + f": checkpoint {step} {'equal' if kill['equal'] else 'DIFFERS'}", flush=True)
    finish(start(options, killed))
    losses = steps_logged(whole) == steps_logged(killed)
    final = same(*(state_at(run, options.steps) for run in (whole, killed)))
  good = losses and final and all(kill["equal"] for kill in kills)
  print(f"resumed to step {options.steps}: parameters {'equal' if final else 'DIFFER'}, losses of "
        f"every step {'equal' if losses else 'DIFFER'}")
  timing.save("faults", options, {"rows": kills, "final_state_equal": final,
                                  "losses_equal": losses})
  return int(not good)


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
