"""infer.py as a function, with tiny weights that need no training."""

import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from infer_cases import save

import stylejax

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def infer():
  spec = importlib.util.spec_from_file_location("infer", ROOT / "infer.py")
  module = importlib.util.module_from_spec(spec)
  sys.modules["infer"] = module
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="session")
def params():
  """Tiny parameters with NumPy's random numbers: JAX would compile an initializer for each."""
  config = stylejax.PRESETS["tiny"]
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), config))
  generator = np.random.default_rng(8)
  # Multiples of 1/1024 below 1 survive float16, so the file gives back these very numbers.
  return jax.tree.map(
    lambda leaf: np.float32(generator.integers(-200, 200, leaf.shape) / 1024), shapes
  )


@pytest.fixture(scope="session")
def weights(params, tmp_path_factory):
  return stylejax.save_weights(
    tmp_path_factory.mktemp("weights") / "tiny.safetensors", params, metadata={"made": "by a test"}
  )


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")


@pytest.fixture
def run(infer, weights, capsys, monkeypatch):
  """Runs the command in this process; returns (status, stdout, stderr)."""
  monkeypatch.setenv("COLUMNS", "200")

  def call(*arguments, weights=weights):
    arguments = [str(argument) for argument in arguments]
    if weights is not None:
      arguments += ["--weights", str(weights)]
    capsys.readouterr()
    try:
      status = infer.main(arguments)
    except SystemExit as exit_:  # tyro's own parse errors
      status = exit_.code
    return status, *capsys.readouterr()

  return call


@pytest.fixture
def style(tmp_path):
  return save(tmp_path / "style.png", size=(64, 64), seed=9)


_stylize = jax.jit(stylejax.stylize)
