"""Parameters and images for the timed cases; not a benchmark itself."""

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks.harness import command_line, timing
from stylejax.models.config import PRESETS, ModelConfig
from stylejax.models.nets import init_params
from stylejax.transfer import Params


def config(options: command_line.Settings) -> ModelConfig:
  """The preset, in the requested dtype."""
  preset = PRESETS[options.preset]
  if options.dtype == "preset":
    return preset
  return dataclasses.replace(preset, dtype=options.dtype)


def params(options: command_line.Settings) -> Params:
  """Random parameters on the requested devices: their values don't change the time."""
  fresh = jax.jit(lambda: init_params(jax.random.key(0), config(options)))()
  return timing.replicate(fresh, options.devices)


def images(options: command_line.Settings, size: int, *, seed: int = 0) -> jax.Array:
  """[batch, size, size, 3] of noise in [0, 1], spread over the requested devices."""
  noise = np.random.default_rng(seed).random((options.batch, size, size, 3), np.float32)
  return timing.place(noise, options.devices)


def about(options: command_line.Settings, size: int) -> dict[str, Any]:
  """What tells this case from others of the same name."""
  return {
    "preset": options.preset,
    "size": size,
    "batch": options.batch,
    "dtype": config(options).dtype,
    "devices": options.devices or 1,
  }
