"""How many images a second does a train step take in, and how far is that from the machine's limit?

    python -m benchmarks.train --command transfer --preset base --batch 4 --size 128

Random pictures, no input pipeline: the step alone. Repeats alternate with a large matrix product,
whose rate in the same minutes is the limit.
"""

import dataclasses
import json
import platform
import resource
import statistics
import sys
import time
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from stylejax.data.perceptual import load_vgg
from stylejax.training import config as configs
from stylejax.training import parallel, steps
from stylejax.training.state import init_state

SIDE = 2048


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure."""

  command: Literal["autoencoder", "gan", "transfer"] = "transfer"
  """Whose step."""
  preset: Literal["tiny", "base", "large"] = "base"
  """Sizes of the nets."""
  batch: int | None = None
  """Pictures of each kind per step, over all devices. Default: the command's own."""
  size: int = 128
  """Side of the crops in pixels."""
  repeats: int = 10
  """Timed steps, after two that are not."""


def main(options: Options) -> dict:
  """Prints one JSON object with the result and returns it."""
  kind = configs.COMMANDS[options.command]
  config = kind(preset=options.preset, size=options.size, batch=options.batch or kind.batch)
  config.check()
  parallel.check_batch(config.batch, config.group)
  state = jax.jit(lambda: init_state(config, options.command))()
  if options.command == "transfer":
    state = state.replace(frozen=load_vgg())
  side = config.model.swatch_size if options.command == "gan" else config.size
  rng = np.random.default_rng(0)
  host = {name: rng.integers(0, 256, (config.batch, side, side, 3)).astype(np.uint8)
          for name in ("content", "style")}
  host["index"] = np.arange(config.batch, dtype=np.int32)
  replicas = parallel.make_replicas(config.parallel, steps.make_step(config))
  batch, state = replicas.put_batch(host), replicas.put_state(state)

  start = time.perf_counter()
  cost = replicas.step.lower(state, batch).compile().cost_analysis()
  compile_seconds = time.perf_counter() - start
  product = jax.jit(lambda a: a @ a)
  matrix = jnp.ones((SIDE, SIDE))
  step_seconds, product_seconds = [], []
  for repeat in range(options.repeats + 2):
    start = time.perf_counter()
    jax.block_until_ready(product(matrix))
    middle = time.perf_counter()
    state, metrics = replicas.step(state, batch)
    jax.block_until_ready((state, metrics))
    if repeat >= 2:
      product_seconds.append(middle - start)
      step_seconds.append(time.perf_counter() - middle)
  median = statistics.median(step_seconds)
  quartiles = statistics.quantiles(step_seconds, n=4)
  devices = len(jax.devices())
  limit = 2 * SIDE**3 / statistics.median(product_seconds)
  result = {
    "case": dataclasses.asdict(options) | {"batch": config.batch},
    "images_per_second": round(config.batch / median, 3),
    "seconds_per_step": {"median": round(median, 4),
                         "quartiles": [round(quartiles[0], 4), round(quartiles[2], 4)]},
    "compile_seconds": round(compile_seconds, 1),
    "gflop_per_step": round(cost["flops"] * devices / 1e9, 1),
    "gflop_per_second": round(cost["flops"] * devices / median / 1e9, 1),
    "matrix_product_gflop_per_second": round(limit / 1e9, 1),
    "share_of_matrix_product_rate": round(cost["flops"] / median / limit, 3),
    "peak_resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "machine": {"devices": [d.device_kind for d in jax.devices()], "platform": platform.platform(),
                "python": platform.python_version(), "jax": jax.__version__},
    "command": "python -m benchmarks.train " + " ".join(sys.argv[1:]),
  }
  print(json.dumps(result, indent=2))
  return result


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
