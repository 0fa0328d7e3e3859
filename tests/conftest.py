"""Strict switches for every test: several devices on one machine, no silent rank promotion."""

import dataclasses
import importlib.util
import os
import sys
from pathlib import Path

import pytest

# Last, so that an installed package comes first and only the commands are found here.
sys.path.append(str(Path(__file__).parent.parent))

import stylejax
from stylejax.runtime.xla_flags import add_xla_flags

# Most of the suite's time is compilation: for programs this small, optimizing costs more than it
# gains, and the older emitters of loops take a fraction of the newer ones' time (jaxlib 0.12 has
# only the newer ones); dividing small programs among threads costs more than it gains, too. The
# workers and the commands that tests start inherit these flags; .ci/run also runs some as users do.
if "PYTEST_XDIST_WORKER" not in os.environ:
  add_xla_flags(
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
  )

# Must come before JAX creates its backend, which fixes the devices once per process.
import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

import numpy as np  # noqa: E402

from stylejax import PRESETS, transfer  # noqa: E402

# The longest tests come first, so that the workers finish together: one worker begins here, the
# others in the middle of the rest. Tests of one folder stay together, as they share programs.
LONGEST = ("training/", "inference/test_compositing", "examples/", "inference/backends/test_tiled")


def pytest_collection_modifyitems(items):
  folder = Path(__file__).parent

  def place(item):
    name = item.path.relative_to(folder).as_posix()
    return next((i for i, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST))

  items.sort(key=place)
  if importlib.util.find_spec("torch") is None:
    for item in items:
      if item.get_closest_marker("torch"):
        item.add_marker(
          pytest.mark.skip(reason="torch: compares with PyTorch, which is not installed")
        )


def pytest_terminal_summary(terminalreporter):
  """Says how many tests ran with PyTorch or a browser: without these, they are skipped."""
  missing = importlib.util.find_spec("torch") is None
  terminalreporter.write_line(
    f"{len(_ran(terminalreporter, 'torch'))} tests compared with PyTorch"
    + (", which is not installed" if missing else "")
  )
  skipped = _marked(terminalreporter, "skipped", "browser")
  terminalreporter.write_line(
    f"{len(_ran(terminalreporter, 'browser'))} tests ran in a browser"
    + (f", {len(skipped)} did not: {skipped[0].longrepr[2]}" if skipped else "")
  )


def _ran(terminalreporter, marker):
  """Reports of the tests with this marker that passed or failed."""
  return [
    report
    for outcome in ("passed", "failed")
    for report in _marked(terminalreporter, outcome, marker)
  ]


def _marked(terminalreporter, outcome, marker):
  """Reports with this marker; that of a module skipped as a whole has no keywords."""
  reports = terminalreporter.getreports(outcome)
  return [report for report in reports if marker in getattr(report, "keywords", ())]


@pytest.fixture(scope="session", autouse=True)
def _one_cache(tmp_path_factory, worker_id):
  """One folder of compiled programs for the tests, their workers and the commands they start.

  Tests must neither use nor fill a user's cache. $STYLEJAX_TESTS_CACHE names a folder that several
  runs share, as those of .ci/run do.
  """
  folder = tmp_path_factory.getbasetemp()
  if worker_id != "master":
    folder = folder.parent
  folder = Path(os.environ.get("STYLEJAX_TESTS_CACHE") or folder / "programs").absolute()
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # Small programs are cached too: there are thousands.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("STYLEJAX_CACHE", str(folder))
    yield


@pytest.fixture(scope="session")
def tiny_params() -> transfer.Params:
  """Random parameters of the smallest preset, with every part."""
  return _random_params(PRESETS["tiny"])


@pytest.fixture(scope="session")
def folded_params() -> transfer.Params:
  """The same, but cells of the finest map, which alone has noise, are of 4×4 pixels."""
  return _random_params(dataclasses.replace(PRESETS["tiny"], fold=4, noisy_levels=1))


@pytest.fixture(scope="session")
def coarse_params() -> transfer.Params:
  """Four levels, from cells of 4×4 pixels to cells of 32×32, larger than the smallest image."""
  return _random_params(
    dataclasses.replace(
      PRESETS["tiny"],
      fold=4,
      content_widths=(8, 8, 8, 8),
      content_blocks=(0, 0, 0, 0),
      noisy_levels=2,
    )
  )


def _random_params(config: stylejax.ModelConfig) -> transfer.Params:
  """Random parameters, also where they start at 0: the adaptation's last layer and `sharp`.

  So styles adapt to contents, and all phases of the last upsampling differ.
  """
  params = jax.jit(stylejax.init_params, static_argnums=1)(jax.random.key(0), config)
  adaptation = params.generator["adaptation"]
  kernel = adaptation["step"]["kernel"]
  step = adaptation["step"] | {"kernel": 0.05 * jax.random.normal(jax.random.key(1), kernel.shape)}
  decoder = params.generator["decoder"]
  last = decoder["UpsampleConv_0"]
  last = last | {"sharp": 0.05 * jax.random.normal(jax.random.key(2), last["sharp"].shape)}
  return params.replace(
    generator=params.generator
    | {"adaptation": adaptation | {"step": step}, "decoder": decoder | {"UpsampleConv_0": last}}
  )


@pytest.fixture
def rng() -> np.random.Generator:
  """A generator of numbers that are the same in every run."""
  return np.random.default_rng(0)
