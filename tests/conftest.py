"""Strict switches for every test: several devices on one machine, no silent rank promotion."""

import os
import sys
from pathlib import Path

import pytest

# Last, so that an installed package comes first and only the commands are found here.
sys.path.append(str(Path(__file__).parent.parent))

# Before JAX makes its backend: its devices are decided once per process.
import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

import numpy as np  # noqa: E402

from stylejax import PRESETS, transfer  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory):
  """Commands keep compiled programs between runs; tests must neither use nor fill a user's."""
  before = os.environ.get("STYLEJAX_CACHE")
  os.environ["STYLEJAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))
  # Many tests build the same step anew; within the session each program is compiled once.
  jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs")))
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
