"""Strict switches for every test: several devices on one machine, no silent rank promotion."""

import os
import sys
from pathlib import Path

import pytest

# Last, so that an installed package comes first and only the commands are found here.
sys.path.append(str(Path(__file__).parent.parent))

# Most of the suite's time is compilation: for programs this small, optimising costs more than it
# gains, and the older emitters of loops take a fraction of the newer ones' time. The commands that
# tests start inherit it; .ci/run also runs some as users do.
os.environ["XLA_FLAGS"] = " ".join([
  "--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false",
  os.environ.get("XLA_FLAGS", "")])

# Before JAX makes its backend: its devices are decided once per process.
import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

import numpy as np  # noqa: E402

from stylejax import PRESETS, transfer  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory, worker_id):
  """Commands keep compiled programs between runs; tests must neither use nor fill a user's."""
  folder = tmp_path_factory.getbasetemp()
  if worker_id != "master":
    folder = folder.parent  # what one worker of pytest-xdist compiles, the others need not
  before = os.environ.get("STYLEJAX_CACHE")
  os.environ["STYLEJAX_CACHE"] = str(folder / "cache")
  # Many tests build the same step anew; within the session each program is compiled once.
  jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
  yield
  if before is None:
    del os.environ["STYLEJAX_CACHE"]
  else:
    os.environ["STYLEJAX_CACHE"] = before


@pytest.fixture(scope="session")
def tiny_params() -> transfer.Params:
  """Random parameters of the smallest preset, with every part."""
  return jax.jit(transfer.init_params, static_argnums=1)(jax.random.key(0), PRESETS["tiny"])


@pytest.fixture
def rng() -> np.random.Generator:
  """Numbers that are the same on every run."""
  return np.random.default_rng(0)
