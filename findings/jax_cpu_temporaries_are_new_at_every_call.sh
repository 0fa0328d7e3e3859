#!/usr/bin/env bash
# jaxlib 0.10.2 on CPUs with glibc 2.36 on Linux (jax 0.12.0.1 too): where temporaries take more than
# 32 MiB, every call of a compiled program gets new pages from the kernel for all of them.
#
# Expected: a program that was called before already has its memory. Its temporaries are one
# allocation, of the size that compiled.memory_analysis() reports; XLA frees it after the call and
# asks for as much again at the next, and malloc keeps what was freed.
#
# What happens: malloc keeps it only below 32 MiB. Larger allocations are mapped from the kernel and
# given back at once: the threshold grows with what is freed, but only up to
# DEFAULT_MMAP_THRESHOLD_MAX (mallopt(3), "M_MMAP_THRESHOLD"). So each call takes one page fault for
# every 4 KiB, and the kernel clears the page: a program of 256 MiB has 65,536 faults in every call,
# one of 24 MiB between none and half of its 6,144. (Up to about 64 MiB there may be room in what
# malloc holds for other things.) A loop of ten rounds inside the program has as many faults as a
# single round.
#
# Source: https://man7.org/linux/man-pages/man3/mallopt.3.html; glibc manual, "Memory Allocation
# Tunables", glibc.malloc.hugetlb.
#
# For users: a call takes time in the kernel besides its arithmetic, and a benchmark that calls a
# program ten times measures something other than one that loops ten times inside. Loop inside the
# program (lax.fori_loop, lax.scan) where possible. With GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the
# environment, which malloc reads only when a process starts, pages have 2 MiB if the kernel allows
# it (/sys/kernel/mm/transparent_hugepage/enabled: madvise or always), and 256 MiB take about 400
# faults.
#
# Needs Linux with glibc and Python 3.11 or later (PYTHON=...); pages of 4 KiB, huge pages not on
# "always". Output seen (MiB of temporaries, page faults a call):
#   one round, 24 MiB: 3,076
#   one round, 256 MiB: 65,537
#   ten rounds, 256 MiB: 66,050
set -euo pipefail

if grep -q '\[always\]' /sys/kernel/mm/transparent_hugepage/enabled; then
  echo "huge pages are on for all memory: nothing to be seen here" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$folder"
env -u GLIBC_TUNABLES -u MALLOC_MMAP_THRESHOLD_ JAX_PLATFORMS=cpu venv/bin/python - <<'END'
import resource

import jax
import jax.numpy as jnp
import numpy as np

CALLS = 10


def one(x, into, out):
  return jnp.tanh(x @ into) @ out


def ten(x, into, out):
  def again(_, x):
    return x + 1e-9 * one(x, into, out) @ jnp.ones((8, 64))

  return jax.lax.fori_loop(0, 10, again, x)


def faults(function, mib):
  """Page faults of a call, with so much memory for what lies between the two products."""
  rng = np.random.default_rng(0)
  shapes = ((mib * 256, 64), (64, 1024), (1024, 8))
  arguments = [jnp.asarray(rng.standard_normal(shape, dtype=np.float32)) for shape in shapes]
  compiled = jax.jit(function).lower(*arguments).compile()
  assert abs(compiled.memory_analysis().temp_size_in_bytes / 2**20 - mib) < 3
  for _ in range(CALLS):
    jax.block_until_ready(compiled(*arguments))
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  for _ in range(CALLS):
    jax.block_until_ready(compiled(*arguments))
  return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / CALLS


small, large, rounds = faults(one, 24), faults(one, 256), faults(ten, 256)
print(f"jax {jax.__version__}")
print(f"one round, 24 MiB: {small:,.0f}")
print(f"one round, 256 MiB: {large:,.0f}")
print(f"ten rounds, 256 MiB: {rounds:,.0f}")
pages = 256 * 2**20 / 4096
assert small < 0.7 * 24 * 2**20 / 4096, small
assert pages <= large < 1.1 * pages, large
assert pages <= rounds < 1.1 * pages, rounds
END
