"""Options that XLA takes, silent where they mean nothing; memory that malloc keeps."""

import dataclasses
import platform
import subprocess
import sys

import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.runtime import jit

ASKED = (jit.compiler_options, jit.stylizing_options, jit.quick_options, jit.training_options)


@dataclasses.dataclass(frozen=True)
class Device:
  """The attributes of a device that the options depend on."""

  platform: str
  device_kind: str


@pytest.fixture(autouse=True)
def _asked_anew():
  for asked in ASKED:
    asked.cache_clear()
  yield
  for asked in ASKED:
    asked.cache_clear()


def test_a_cpu_gets_options_that_xla_takes(tiny_params, rng):
  options = jit.compiler_options()
  assert options == jit.CPU_OPTIONS
  content, style = (rng.random((40, 52, 3), np.float32) for _ in range(2))
  plain = jax.jit(transfer.stylize)(tiny_params, content, style)
  fast = jax.jit(transfer.stylize, compiler_options=options)(tiny_params, content, style)
  np.testing.assert_allclose(fast, plain, atol=1e-5)


def test_flags_of_the_user_decide(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", f"--{jit.FLAG}=")
  assert jit.compiler_options() == {}


def test_an_accelerator_gets_none(monkeypatch):
  # Also for a device that this machine lacks and that is only compiled for.
  assert jit.compiler_options("tpu") == {}
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert jit.compiler_options() == {}
  assert jit.compiler_options("cpu") == jit.CPU_OPTIONS


def test_training_on_a_cpu_takes_its_options():
  assert jit.training_options(jax.devices()[0]) == jit.compiler_options()


def test_training_on_some_tpus_lets_sums_run_beside_the_backward_pass(monkeypatch):
  asked = []
  monkeypatch.setattr(jit, "_known", lambda options, device: asked.append(device) or True)
  v5e, v6e, other = (Device("tpu", kind) for kind in ("TPU v5 lite", "TPU v6 lite", "TPU7x"))
  assert jit.training_options(v5e) == jit.OVERLAP_OPTIONS["TPU v5 lite"]
  assert jit.training_options(v6e) == jit.OVERLAP_OPTIONS["TPU v6 lite"]
  assert jit.training_options(other) == {}
  assert asked == [v5e, v6e]
  # The user's own choice, and a libtpu that doesn't know them.
  jit.training_options.cache_clear()
  name = next(iter(jit.OVERLAP_OPTIONS["TPU v6 lite"]))
  monkeypatch.setenv("LIBTPU_INIT_ARGS", f"--{name}=false")
  assert jit.training_options(v6e) == {}
  monkeypatch.setattr(jit, "_known", lambda options, device: False)
  assert jit.training_options(v5e) == {}


@pytest.mark.parametrize(
  "unknown", [{"xla_cpu_no_such_option": "1"}, {jit.FLAG: "LIBRARY_FUSION_TYPE_NONE_SUCH"}]
)
def test_a_jaxlib_without_them_gets_none(monkeypatch, unknown):
  monkeypatch.setattr(jit, "CPU_OPTIONS", unknown)
  assert jit.compiler_options() == {}


def test_stylizing_takes_the_older_emitters_where_there_are_some(monkeypatch):
  assert jit.stylizing_options() in ({}, jit.CPU_OPTIONS | jit.OLDER_EMITTERS)
  monkeypatch.setattr(jit, "OLDER_EMITTERS", {"xla_cpu_no_such_option": False})
  jit.stylizing_options.cache_clear()
  assert jit.stylizing_options() == {}
  jit.stylizing_options.cache_clear()
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert jit.stylizing_options() == {}


def test_quick_options_are_the_quickest_that_xla_takes(monkeypatch):
  assert jit.quick_options() in jit.QUICK_OPTIONS
  unknown, known = {"xla_cpu_no_such_option": True}, jit.QUICK_OPTIONS[-1]
  monkeypatch.setattr(jit, "QUICK_OPTIONS", (unknown, known))
  jit.quick_options.cache_clear()
  assert jit.quick_options() == known
  jit.quick_options.cache_clear()
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert jit.quick_options() == {}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another libc than glibc")
def test_freed_memory_is_used_again_instead_of_faulted_in():
  code = """
import resource, sys, threading
import numpy as np
from stylejax.runtime import jit as compiler
if sys.argv[1] == "reuse":
  assert compiler.reuse_memory()
found = []
def work():
  for _ in range(4):
    np.ones(2**25)
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
thread = threading.Thread(target=work)  # as XLA's do
thread.start()
thread.join()
print(found[-1] - found[0])
"""
  plain, reusing = (
    int(
      subprocess.run(
        [sys.executable, "-c", code, how], text=True, check=True, stdout=subprocess.PIPE
      ).stdout
    )
    for how in ("not", "reuse")
  )
  assert reusing < plain / 10, (plain, reusing)


@pytest.mark.parametrize(
  ("available", "one_arena", "expected"),
  [
    (2**40, True, {-1, -2, -3, jit.M_ARENA_MAX}),
    (2**40, False, {-1, -2, -3}),
    (2**30, True, {jit.M_ARENA_MAX}),
    (2**30, False, {jit.M_ARENA_MAX}),
  ],
)
def test_arenas_of_malloc(available, one_arena, expected, monkeypatch):
  """A training leaves the number of arenas alone, unless memory is scarce.

  With glibc 2.36 and jax 0.10.2, a train step of 256-pixel crops took 2.8 to 3.0 images a second
  with one arena after it was compiled, 3.6 to 4.5 if it came from the compilation cache, and 4.3 in
  any case with as many arenas as glibc likes; malloc took a quarter of the time. MALLOC_ARENA_MAX=1
  before `python train.py transfer` shows it again.
  """
  found = {}

  class Libc:
    @staticmethod
    def mallopt(name, value):
      found[name] = value
      return 1

  monkeypatch.setattr(jit.sys, "platform", "linux")
  monkeypatch.setattr(jit.ctypes, "CDLL", lambda _: Libc)
  monkeypatch.setattr(jit, "available_bytes", lambda: available)
  assert jit.reuse_memory(one_arena=one_arena)
  assert set(found) == expected


def test_other_systems_are_left_alone(monkeypatch):
  monkeypatch.setattr(jit.sys, "platform", "darwin")
  assert not jit.reuse_memory()
