"""Settings of XLA and of the process that make the networks run fast.

Options apply only to the outermost `jax.jit`, so its caller passes them.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from stylejax.runtime.memory import available_bytes

# By default, XLA's CPU backend uses YNNPACK for convolutions and matrix products; its older kernels
# run these networks faster (`python -m benchmarks choices`). Reductions are faster with YNNPACK.
FLAG = "xla_cpu_experimental_ynn_fusion_type"
CPU_OPTIONS = {FLAG: "LIBRARY_FUSION_TYPE_REDUCE"}
# XLA's older loop emitters give LLVM less code: stylizing compiles in two thirds of the time of the
# newer ones and runs as fast; a training step compiles no faster. jaxlib 0.12 has only the newer
# ones, and runs these networks a tenth slower with CPU_OPTIONS than with its own defaults.
OLDER_EMITTERS = {"xla_cpu_use_fusion_emitters": False}
# In addition, without LLVM optimization; the second entry is for a jaxlib without older emitters.
QUICK_OPTIONS = (
  OLDER_EMITTERS | {"xla_backend_optimization_level": 0},
  {"xla_backend_optimization_level": 0},
)
# By default, XLA for these TPUs sums all gradients at the end of the backward pass. With these
# options, sums overlap with it: on v5e in the convolutions' loops, on v6e on SparseCores.
OVERLAP_OPTIONS = {
  "TPU v5 lite": {
    "xla_jf_crs_combiner_threshold_in_bytes": "8000000",
    "xla_enable_async_all_reduce": "ENABLED",
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": "true",
  },
  "TPU v6 lite": {"xla_tpu_enable_sparse_core_collective_offload_all_reduce": "true"},
}


@functools.cache
def compiler_options(platform: str | None = None) -> dict[str, str]:
  """Options for `jax.jit` with which the networks run fastest.

      fast = jax.jit(stylejax.stylize, compiler_options=stylejax.compiler_options())

  A program's results stay the same up to rounding.

  Args:
    platform: the platform that will run the program, as in `jax.Device.platform`; None is that of
      the default backend.

  Returns:
    Options for a CPU; {} on accelerators, which need none, with a jaxlib that doesn't know them, or
    if XLA_FLAGS already sets them.
  """
  if (platform or jax.default_backend()) != "cpu" or FLAG in os.environ.get("XLA_FLAGS", ""):
    return {}
  return CPU_OPTIONS if _known(CPU_OPTIONS) else {}


@functools.cache
def training_options(device: jax.Device) -> dict[str, str]:
  """Options for a training step that sums gradients over devices like this one.

  Returns:
    The `compiler_options` of its platform. On some TPUs, also options that overlap the sums with
    the backward pass, unless LIBTPU_INIT_ARGS already sets them or libtpu doesn't know them.
  """
  overlap = OVERLAP_OPTIONS.get(device.device_kind, {}) if device.platform == "tpu" else {}
  if any(name in os.environ.get("LIBTPU_INIT_ARGS", "") for name in overlap):
    overlap = {}
  options = compiler_options(device.platform)
  return options | overlap if overlap and _known(overlap, device) else options


@functools.cache
def stylizing_options() -> dict[str, Any]:
  """Options with which stylizing compiles fastest without running slower.

  Returns:
    Options for `jax.jit`; {} on accelerators, and with a jaxlib whose defaults are best.
  """
  options = compiler_options()
  if not options or not _known(OLDER_EMITTERS):
    return {}
  return options | OLDER_EMITTERS


@functools.cache
def quick_options() -> dict[str, Any]:
  """Options with which XLA compiles fastest for a CPU; programs then run about twice as long.

  Returns:
    Options for `jax.stages.Lowered.compile`; {} on accelerators, whose compilers spend their time
    elsewhere.
  """
  if jax.default_backend() != "cpu":
    return {}
  return next(filter(_known, QUICK_OPTIONS), {})


def _known(options: dict[str, Any], device: jax.Device | None = None) -> bool:
  """Whether the compiler for the device (None: the default device) knows these options."""
  sharding = jax.sharding.SingleDeviceSharding(device) if device else None
  number = jax.ShapeDtypeStruct((), np.float32, sharding=sharding)
  try:
    jax.jit(lambda x: x).lower(number).compile(compiler_options=options)
  except jax.errors.JaxRuntimeError:
    return False
  return True


def fast_jit(function: Callable, **settings: Any) -> Callable:
  """`jax.jit` with `compiler_options`, which are computed only at the first call.

  Computing them creates JAX's backend, before which processes must join a cluster, so a module
  can't do it at import.
  """

  @functools.cache
  def compiled():
    return jax.jit(function, compiler_options=compiler_options(), **settings)

  @functools.wraps(function)
  def call(*arguments, **keywords):
    return compiled()(*arguments, **keywords)

  return call


M_ARENA_MAX = -8
# Parameters of glibc's mallopt, by their numbers in malloc.h, and their values.
MALLOC_SETTINGS = {
  -3: 2**31 - 1,  # M_MMAP_THRESHOLD
  -1: 2**31 - 1,  # M_TRIM_THRESHOLD
  -2: 2**26,  # M_TOP_PAD: the heap grows in steps of this size
  M_ARENA_MAX: 1,  # a thread's own arena ends at 64 MB, and larger blocks are given back
}


SCARCE = 4 * 2**30
"""Available bytes below which freed memory is given back to the system."""


def reuse_memory(*, one_arena: bool = True) -> bool:
  """Makes this process keep memory that it frees, which saves time on a CPU under Linux.

  XLA allocates the temporary arrays of every call with malloc. glibc takes blocks of that size from
  the system and returns them after the call, so every page is zeroed and mapped again. Because this
  affects the whole process, it is left to the program. The commands call it before they compute
  anything, since threads that already have an arena keep it. If memory is scarce, only the arenas
  are limited, because the next call may not be able to use the memory that is kept.

  Args:
    one_arena: whether all threads share malloc's main arena, so that blocks of more than 64 MB are
      kept too. Use False in a program that compiles a train step: compiling leaves so many small
      gaps in the arena that from then on malloc takes a quarter of the time.

  Returns:
    Whether glibc is present and accepted the settings.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt if sys.platform == "linux" else None
  except (OSError, AttributeError):
    return False
  settings = MALLOC_SETTINGS
  if available_bytes() < SCARCE:
    settings = {M_ARENA_MAX: MALLOC_SETTINGS[M_ARENA_MAX]}
  elif not one_arena:
    settings = {name: value for name, value in MALLOC_SETTINGS.items() if name != M_ARENA_MAX}
  return mallopt is not None and all(mallopt(*setting) for setting in settings.items())
