"""What XLA is told when it compiles the nets; the nets themselves don't know of it.

Options go to the outermost `jax.jit` only, so whoever calls that passes them on.
"""

import functools
import os

import jax

# XLA's CPU backend hands convolutions and matrix products to YNNPACK by default; its older kernels
# run these nets a quarter to a third faster. Reductions are better off with YNNPACK.
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
