"""What XLA and the process are told to run the nets fast; the nets themselves don't know of it.

Options go to the outermost `jax.jit` only, so whoever calls that passes them on.
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

# XLA's CPU backend hands convolutions and matrix products to YNNPACK by default; its older kernels
# run these nets faster: `python -m benchmarks choices`. Reductions are better off with YNNPACK.
FLAG = "xla_cpu_experimental_ynn_fusion_type"
CPU_OPTIONS = {FLAG: "LIBRARY_FUSION_TYPE_REDUCE"}
# XLA's older emitters of loops give LLVM less to read: stylizing compiles in two thirds of the
# newer ones' time, and runs as fast; a step of training compiles no sooner. jaxlib 0.12 has the
# newer ones alone, and runs these nets a tenth slower with CPU_OPTIONS than by its own choice.
OLDER_EMITTERS = {"xla_cpu_use_fusion_emitters": False}
# LLVM unoptimized besides.
QUICK_OPTIONS = (
  OLDER_EMITTERS | {"xla_backend_optimization_level": 0},
  {"xla_backend_optimization_level": 0},
)
# By itself XLA for these TPUs sums all gradients at the end of the backward pass. On v5e, array by
# array, the convolutions' own loops carry the sums of what is ready; on v6e SparseCores do.
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
  """Options under which the nets run fastest, for `jax.jit`.

      fast = jax.jit(stylejax.stylize, compiler_options=stylejax.compiler_options())

  The numbers that a program gives stay the same up to rounding.

  Args:
    platform: of the devices that will run the program, as `jax.Device.platform` names it; None is
      the default backend's.

  Returns:
    Options for a CPU; {} on accelerators, where there is nothing to mend, with a jaxlib that
    doesn't know them, and where XLA_FLAGS already decides.
  """
  if (platform or jax.default_backend()) != "cpu" or FLAG in os.environ.get("XLA_FLAGS", ""):
    return {}
  return CPU_OPTIONS if _known(CPU_OPTIONS) else {}


@functools.cache
def training_options(device: jax.Device) -> dict[str, str]:
  """Options for a step that sums gradients over devices like this one.

  Returns:
    `compiler_options` of its platform; on TPUs whose sums would wait for the end of the backward
    pass those that let them run beside it, unless LIBTPU_INIT_ARGS already decides or libtpu
    doesn't know them.
  """
  overlap = OVERLAP_OPTIONS.get(device.device_kind, {}) if device.platform == "tpu" else {}
  if any(name in os.environ.get("LIBTPU_INIT_ARGS", "") for name in overlap):
    overlap = {}
  options = compiler_options(device.platform)
  return options | overlap if overlap and _known(overlap, device) else options


@functools.cache
def stylizing_options() -> dict[str, Any]:
  """Options under which stylizing compiles soonest among those under which it runs fastest.

  Returns:
    Options for `jax.jit`; {} on accelerators, and with a jaxlib whose own choice is best.
  """
  options = compiler_options()
  if not options or not _known(OLDER_EMITTERS):
    return {}
  return options | OLDER_EMITTERS


@functools.cache
def quick_options() -> dict[str, Any]:
  """Options under which XLA compiles soonest for a CPU; the programs take about twice as long.

  Returns:
    Options for `jax.stages.Lowered.compile`; {} on accelerators, whose compilers take their time
    elsewhere.
  """
  if jax.default_backend() != "cpu":
    return {}
  return next(filter(_known, QUICK_OPTIONS), {})


def _known(options: dict[str, Any], device: jax.Device | None = None) -> bool:
  """Whether the compiler for the device, by default that of this jaxlib, has these options."""
  sharding = jax.sharding.SingleDeviceSharding(device) if device else None
  number = jax.ShapeDtypeStruct((), np.float32, sharding=sharding)
  try:
    jax.jit(lambda x: x).lower(number).compile(compiler_options=options)
  except jax.errors.JaxRuntimeError:
    return False
  return True


def fast_jit(function: Callable, **settings: Any) -> Callable:
  """`jax.jit` under `compiler_options`, for modules: these are asked for at the first call only.

  Asking makes JAX's backend, before which processes must have joined a cluster.
  """

  @functools.cache
  def compiled():
    return jax.jit(function, compiler_options=compiler_options(), **settings)

  @functools.wraps(function)
  def call(*arguments, **keywords):
    return compiled()(*arguments, **keywords)

  return call


M_ARENA_MAX = -8
# What glibc's mallopt sets, by its numbers in malloc.h, and to what.
MALLOC_SETTINGS = {
  -3: 2**31 - 1,  # M_MMAP_THRESHOLD
  -1: 2**31 - 1,  # M_TRIM_THRESHOLD
  -2: 2**26,  # M_TOP_PAD: the heap grows in such pieces
  M_ARENA_MAX: 1,  # that of a thread ends at 64 MB, and what is larger is given back
}


SCARCE = 4 * 2**30
"""Bytes below which freed memory is rather given back than kept."""


def reuse_memory() -> bool:
  """Makes this process keep the memory that it frees, which on a CPU under Linux saves time.

  XLA asks malloc for the temporary arrays of every call. glibc takes blocks of that size from the
  system and gives them back after the call, so that every page is zeroed and mapped anew. It
  concerns the whole process, hence it is left to the program; the commands do it, before
  they compute anything: threads that have an arena of their own by then keep it. Where memory is
  scarce only the arenas are limited, for what is kept may not be what the next call can use.

  Returns:
    Whether there is a glibc that took it.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt if sys.platform == "linux" else None
  except (OSError, AttributeError):
    return False
  settings = MALLOC_SETTINGS
  if available_bytes() < SCARCE:
    settings = {M_ARENA_MAX: MALLOC_SETTINGS[M_ARENA_MAX]}
  return mallopt is not None and all(mallopt(*setting) for setting in settings.items())
