"""Setting XLA_FLAGS without ending the process.

XLA reads the variable once, when JAX makes its first backend, and ends the process ("Unknown flag
in XLA_FLAGS") for a flag that the installed jaxlib doesn't know; flags come and go with releases.
Options of a single `jax.jit` are in `stylejax.runtime.jit`.
"""

import os
import subprocess
import sys

VARIABLE = "XLA_FLAGS"

# Makes the smallest client there is, which reads the flags. An abort must leave no core file.
_PROBE = """
try:
  import resource
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError):
  pass
from jaxlib import xla_client
xla_client.make_cpu_client()
"""


def add_xla_flags(*flags: str, override: bool = False) -> list[str]:
  """Puts flags into XLA_FLAGS, except those that the installed jaxlib refuses.

  Call it before JAX makes a backend: later ones change nothing. Whether jaxlib takes a flag is
  tried in a process of its own, which costs half a second for all flags that it takes and as much
  again for each one if it refuses any.

  Args:
    flags: with names and values, as "--xla_backend_optimization_level=0".
    override: whether a flag of the same name that XLA_FLAGS holds already gives way. By default
      it stays as it is, since the user set it.

  Returns:
    The flags that jaxlib refuses, which were left out.
  """
  present = os.environ.get(VARIABLE, "").split()
  wanted = [
    flag for flag in flags if override or not any(_name(flag) == _name(other) for other in present)
  ]
  refused = [] if _takes(wanted) else [flag for flag in wanted if not _takes([flag])]
  added = [flag for flag in wanted if flag not in refused]
  others = [flag for flag in present if _name(flag) not in map(_name, added)]
  if added:
    os.environ[VARIABLE] = " ".join([*others, *added])
  return refused


def _name(flag: str) -> str:
  return flag.split("=")[0]


def _takes(flags: list[str]) -> bool:
  """Whether a process with these flags and no others lives."""
  if not flags:
    return True
  environment = os.environ | {VARIABLE: " ".join(flags), "JAX_PLATFORMS": "cpu"}
  return (
    subprocess.run(
      [sys.executable, "-c", _PROBE],
      env=environment,
      check=False,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    ).returncode
    == 0
  )
