"""How much faster do several devices run a train step than one?

    python -m benchmarks scaling --command transfer --batch 16

On a CPU the devices are emulated and share the same cores: the figure is then what splitting
costs, not what more hardware gives.
"""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from benchmarks import timing


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to keep it."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Whose step."""
  preset: Literal["tiny", "base", "large"] = "base"
  """Sizes of the nets."""
  batch: int = 8
  """Pictures of each kind per step, over all devices: the same for every count."""
  size: int = 128
  """Side of the crops in pixels."""
  counts: tuple[int, ...] = (1, 2)
  """Numbers of devices; those that the machine lacks are skipped, unless it is a CPU."""
  repeats: int = 10
  """Timed rounds, after two that are not."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""


def run_on(options: Options, count: int) -> dict:
  """The row of one count of devices, measured by `benchmarks.train` in a process of its own."""
  backend, found = _machine()
  on_cpu = backend == "cpu"
  if not on_cpu and count > found:
    return {"case": f"{options.command} step", "devices": count,
            "skipped": f"found {found} devices"}
  environment = dict(os.environ)
  if on_cpu:
    environment["XLA_FLAGS"] = (environment.get("XLA_FLAGS", "")
                                + f" --xla_force_host_platform_device_count={count}")
  else:
    chosen = ",".join(str(i) for i in range(count))
    environment |= {"CUDA_VISIBLE_DEVICES": chosen, "TPU_VISIBLE_DEVICES": chosen}
  with tempfile.TemporaryDirectory() as folder:
    output = Path(folder) / "train.json"
    run = subprocess.run(
      [sys.executable, "-m", "benchmarks", "train", "--commands", options.command,
       "--preset", options.preset, "--batch", str(options.batch), "--size", str(options.size),
       "--repeats", str(options.repeats), "--output", str(output)],
      env=environment, capture_output=True, text=True)
    if run.returncode:
      last = run.stderr.strip().splitlines()[-1:] or ["no message"]
      return {"case": f"{options.command} step", "devices": count, "skipped": last[0]}
    return json.loads(output.read_text())["rows"][0]


@functools.cache
def _machine() -> tuple[str, int]:
  """(backend, devices), asked in another process: a TPU belongs to one process at a time."""
  run = subprocess.run(
    [sys.executable, "-c", "import jax; print(jax.default_backend(), len(jax.devices()))"],
    capture_output=True, text=True, check=True)
  backend, found = run.stdout.split()
  return backend, int(found)


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  rows = [run_on(options, count) for count in options.counts]
  one = next((row for row in rows if "seconds" in row and row["devices"] == 1), None)
  for row in rows:
    if one and "seconds" in row:
      row["ratio"] = row["images_per_second"] / one["images_per_second"]
  return timing.report("scaling", options, {"rows": rows})


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
