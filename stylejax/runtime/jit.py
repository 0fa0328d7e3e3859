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

from stylejax.runtime.memory import available_bytes

# XLA's CPU backend hands convolutions and matrix products to YNNPACK by default; its older kernels
# run these nets faster: `python -m benchmarks choices`. Reductions are better off with YNNPACK.
FLAG = "xla_cpu_experimental_ynn_fusion_type"
CPU_OPTIONS = {FLAG: "LIBRARY_FUSION_TYPE_REDUCE"}


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
  try:
    jax.jit(lambda x: x, compiler_options=CPU_OPTIONS).lower(0.0).compile()
  except jax.errors.JaxRuntimeError:
    return {}
  return CPU_OPTIONS


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
