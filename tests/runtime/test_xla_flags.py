"""Flags that jaxlib refuses stay out of XLA_FLAGS; the others reach XLA."""

import subprocess
import sys

import pytest

from stylejax.errors import InputError
from stylejax.runtime import xla_flags
from stylejax.training import replicas

KNOWN, UNKNOWN = "--xla_backend_optimization_level=0", "--xla_cpu_no_such_flag=1"


def start_jax(flags):
  """What happens to a process that creates JAX's backend under these flags."""
  return subprocess.run(
    [sys.executable, "-c", "import jax; print(jax.devices())"],
    check=False,
    capture_output=True,
    text=True,
    env=xla_flags.os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
  )


def test_xla_ends_the_process_for_a_flag_that_it_does_not_know():
  # jaxlib 0.10.2 and 0.12.0.1, xla/parse_flags_from_env.cc: the reason for this module.
  actual = start_jax(UNKNOWN)
  assert actual.returncode != 0 and "CpuDevice" not in actual.stdout
  assert "Unknown flag in XLA_FLAGS" in actual.stderr


def test_unknown_flags_are_left_out_and_named(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=")
  assert xla_flags.add_xla_flags(UNKNOWN, KNOWN) == [UNKNOWN]
  assert xla_flags.os.environ["XLA_FLAGS"] == f"--xla_dump_to= {KNOWN}"
  assert start_jax(xla_flags.os.environ["XLA_FLAGS"]).returncode == 0


def test_a_value_that_xla_cannot_read_is_left_out(monkeypatch):
  monkeypatch.delenv("XLA_FLAGS", raising=False)
  flag = "--xla_backend_optimization_level=fast"
  assert start_jax(flag).returncode != 0
  assert xla_flags.add_xla_flags(flag) == [flag]
  assert "XLA_FLAGS" not in xla_flags.os.environ


def test_flags_of_the_user_stay_unless_overridden(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
  assert xla_flags.add_xla_flags(KNOWN) == []
  assert xla_flags.os.environ["XLA_FLAGS"] == "--xla_backend_optimization_level=3"
  assert xla_flags.add_xla_flags(KNOWN, override=True) == []
  assert xla_flags.os.environ["XLA_FLAGS"] == KNOWN


def test_an_unknown_flag_of_the_user_is_not_blamed_on_others(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", UNKNOWN)
  assert xla_flags.add_xla_flags(KNOWN) == []


def test_determinism_is_not_promised_by_a_jaxlib_without_it(monkeypatch):
  monkeypatch.setattr(replicas, "add_xla_flags", lambda *flags, override: list(flags))
  with pytest.raises(InputError, match="which refuses --xla_gpu_deterministic_ops=true"):
    replicas.require_determinism()
