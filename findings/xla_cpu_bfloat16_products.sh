#!/usr/bin/env bash
# jaxlib 0.10.2 on CPUs: a matrix product of bfloat16 arrays multiplies float32 copies of them,
# unless its result is asked for in float32. (jax 0.12.0.1 reads bfloat16 either way; a convolution
# is computed in float32 by both.)
#
# Expected: jnp.dot(a, b) of bfloat16 arrays takes less time than that of float32 ones on a CPU with
# avx512_bf16, and no more memory; jnp.dot(a, b, preferred_element_type=jnp.float32), with a result
# of twice the size, is no faster than it.
#
# What happens: it is the other way round. With preferred_element_type=jnp.float32 the compiled
# program is one YNNPACK product that reads bfloat16, needs no memory beside its result, and runs
# about twice as fast as that of float32. Without, XLA first converts both arrays to float32, then
# multiplies them, then rounds the product: 48 MiB of temporaries for 2,048 × 2,048, and more
# than twice as long. A convolution is computed on float32 copies whatever is asked for.
#
# Source: the "precision" and "preferred_element_type" of
# https://docs.jax.dev/en/latest/_autosummary/jax.numpy.matmul.html say nothing of it; the programs
# are what compiled.as_text() prints.
#
# For users of Python 3.11, which newer jax has left: on CPUs
# jnp.dot(a, b, preferred_element_type=jnp.float32).astype(jnp.bfloat16) is the faster and more frugal
# way to the same numbers.
#
# Needs Python 3.11 or later (PYTHON=...). The memory is the same on every CPU and is checked; rates
# are printed only. Output seen, on two cores of an AMD EPYC with avx512_bf16:
#   float32: 0 MiB of temporaries, 194 GFLOP/s
#   bfloat16: 48 MiB of temporaries, 161 GFLOP/s
#   bfloat16 to float32: 0 MiB of temporaries, 375 GFLOP/s
#   convolution of bfloat16 to float32: 9 MiB of temporaries
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$folder"
JAX_PLATFORMS=cpu venv/bin/python - <<'END'
import time

import jax
import jax.numpy as jnp

SIDE = 2048


def compiled(function, *arguments):
  program = jax.jit(function).lower(*arguments).compile()
  return program, program.memory_analysis().temp_size_in_bytes / 2**20


def measured(name, dtype, result):
  """Temporaries in MiB; prints them and the rate of the fastest of five calls."""
  a = jax.random.normal(jax.random.key(0), (SIDE, SIDE)).astype(dtype)
  program, mib = compiled(lambda a, b: jnp.dot(a, b, preferred_element_type=result), a, a)
  seconds = []
  for _ in range(6):
    begun = time.perf_counter()
    jax.block_until_ready(program(a, a))
    seconds.append(time.perf_counter() - begun)
  print(f"{name}: {mib:.0f} MiB of temporaries, {2e-9 * SIDE**3 / min(seconds[1:]):.0f} GFLOP/s")
  return mib


def conv(x, kernel):
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
    preferred_element_type=jnp.float32,
  )


print(f"jax {jax.__version__}")
single = measured("float32", jnp.float32, None)
half = measured("bfloat16", jnp.bfloat16, None)
mixed = measured("bfloat16 to float32", jnp.bfloat16, jnp.float32)
x = jnp.ones((4, 64, 64, 128), jnp.bfloat16)
_, copies = compiled(conv, x, jnp.ones((3, 3, 128, 128), jnp.bfloat16))
print(f"convolution of bfloat16 to float32: {copies:.0f} MiB of temporaries")
assert single == mixed == 0, (single, mixed)
assert half == 3 * SIDE**2 * 4 / 2**20, half
assert copies > 8, copies
END
