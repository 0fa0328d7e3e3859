"""`stylejax benchmark info`: prints versions, devices, folders and settings for a bug report.

The benchmarks themselves are in the checkout: `python -m benchmarks`.
"""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Sequence

from stylejax.cli.options import INSTALLED, Spelling, print_error, print_page
from stylejax.runtime.files import printable

_HELP = """usage: stylejax benchmark info

Print what a bug report needs: versions, devices, the cache folder and the XLA options.

The benchmarks are run in a checkout: python -m benchmarks --help
"""

_PACKAGES = (
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "grain",
  "numpy",
  "scipy",
  "pillow",
  "safetensors",
  "tyro",
  "av",
  "pillow-heif",
  "onnx",
  "onnxruntime",
)

_VARIABLES = ("STYLEJAX_", "JAX_", "XLA_", "TF_CPP_", "CUDA_VISIBLE_DEVICES", "TPU_", "OMP_")


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  if not arguments or arguments[0] in ("--help", "-h"):
    print_page(_HELP, spelling=spelling)
    return 0
  if list(arguments) != ["info"]:
    return print_error(f"benchmark: found {printable(' '.join(arguments))}, expected info")
  from stylejax.cli.console import exit_status

  return exit_status(_print_info)


def _print_info() -> int:
  rows = [*_versions(), *_machine(), *_jax()]
  width = max(len(name) for name, _ in rows)
  for name, value in rows:
    print(f"{name:{width}}  {printable(value)}")
  return 0


def _versions() -> Iterator[tuple[str, str]]:
  from stylejax import __version__

  yield "stylejax", __version__
  yield "Python", f"{platform.python_version()} ({sys.executable})"
  for package in _PACKAGES:
    try:
      yield package, importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      yield package, "not installed"


def _machine() -> Iterator[tuple[str, str]]:
  from stylejax.runtime.memory import available_bytes

  yield "system", platform.platform()
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  yield "CPU cores", f"{cores} of {os.cpu_count()} for this process"
  yield "memory", f"{available_bytes() / 2**30:.1f} GiB free for this process"


def _jax() -> Iterator[tuple[str, str]]:
  import jax

  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.jit import compiler_options

  yield "devices", ", ".join(f"{d.platform}:{d.id} ({d.device_kind})" for d in jax.devices())
  yield "cache", str(enable_cache() or "none: its folder can't be written to")
  options = compiler_options()
  yield "XLA options", " ".join(f"{name}={value}" for name, value in options.items()) or "none"
  for name in sorted(os.environ):
    if name.startswith(_VARIABLES):
      yield name, os.environ[name]
