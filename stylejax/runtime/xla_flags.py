"""Sets XLA_FLAGS without the risk of ending the process.

XLA reads the variable once, when JAX creates its first backend, and ends the process ("Unknown flag
in XLA_FLAGS") for a flag that the installed jaxlib doesn't know; flags come and go with releases.
Options of a single `jax.jit` are in `stylejax.runtime.jit`.
"""

import os
import subprocess
import sys

VARIABLE = "XLA_FLAGS"

# Creates the smallest possible client, which reads the flags. An abort must leave no core file.
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
  """Adds flags to XLA_FLAGS, except those that the installed jaxlib refuses.

  Call it before JAX creates a backend; later calls have no effect. Whether jaxlib accepts the flags
  is tried in a separate process, which takes half a second, and as much again for each flag if any
  is refused.

  Args:
    flags: names with values, such as "--xla_backend_optimization_level=0".
    override: whether to replace a flag of the same name that is already in XLA_FLAGS. By default
      it stays, since the user set it.

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
  """Whether a process with only these flags survives."""
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
