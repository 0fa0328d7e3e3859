"""compiler_options: accepted by XLA, silent where they mean nothing, without effect on numbers."""

import jax
import numpy as np
import pytest

from stylejax import compiler, transfer


@pytest.fixture(autouse=True)
def _asked_anew():
  compiler.compiler_options.cache_clear()
  yield
  compiler.compiler_options.cache_clear()


def test_a_cpu_gets_options_that_xla_takes(tiny_params, rng):
  options = compiler.compiler_options()
  assert options == compiler.CPU_OPTIONS
  content, style = (rng.random((40, 52, 3), np.float32) for _ in range(2))
  plain = jax.jit(transfer.stylize)(tiny_params, content, style)
  fast = jax.jit(transfer.stylize, compiler_options=options)(tiny_params, content, style)
  np.testing.assert_allclose(fast, plain, atol=1e-5)


def test_flags_of_the_user_decide(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", f"--{compiler.FLAG}=")
  assert compiler.compiler_options() == {}


def test_an_accelerator_gets_none(monkeypatch):
  # Also one that is only compiled for, on a machine that has none.
  assert compiler.compiler_options("tpu") == {}
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert compiler.compiler_options() == {}
  assert compiler.compiler_options("cpu") == compiler.CPU_OPTIONS


@pytest.mark.parametrize("unknown", [
  {"xla_cpu_no_such_option": "1"}, {compiler.FLAG: "LIBRARY_FUSION_TYPE_NONE_SUCH"}])
def test_a_jaxlib_without_them_gets_none(monkeypatch, unknown):
  monkeypatch.setattr(compiler, "CPU_OPTIONS", unknown)
  assert compiler.compiler_options() == {}
