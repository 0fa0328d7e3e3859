#!/usr/bin/env bash
# flax 0.12.12 with jax 0.12.0.1: applying a Linen module to parameters runs every initializer again.
#
# Expected: an initializer makes a parameter once, in `init`; `apply` is given the parameters
# (https://flax-linen.readthedocs.io/en/latest/guides/flax_fundamentals/flax_basics.html).
#
# What happens: `Module.param` compares the shape of the parameter that it was given with that of
# what the initializer would make, and finds the latter by tracing the initializer (jax.eval_shape)
# whenever an application is traced. Random numbers take long to trace: the usual initializers of a
# small convolutional net cost more than its layers. A constant initializer passes the same check
# and costs almost nothing.
#
# For users: nets that are traced often, as in serving or tests, start sooner if a module uses
# `nn.initializers.zeros` where `module.is_initializing()` is false.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen, but for the times, which are not checked:
#   flax 0.12.12 jax 0.12.0.1
#   init: 20 calls of initializers
#   apply: 20 calls of initializers
#   apply again, of another shape: 20 calls of initializers
#   tracing apply takes 296 ms, with zeros for initializers 184 ms
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.12.0.1 jaxlib==0.12.0.1 flax==0.12.12
cd "$folder"
venv/bin/python - <<'END'
import os
import time

os.environ["JAX_PLATFORMS"] = "cpu"
import flax
import flax.linen as nn
import jax
import jax.numpy as jnp

print("flax", flax.__version__, "jax", jax.__version__)
calls = 0


def counted(*arguments):
  global calls
  calls += 1
  return nn.initializers.lecun_normal()(*arguments)


class Net(nn.Module):
  make: callable

  @nn.compact
  def __call__(self, x):
    for _ in range(20):
      x = nn.relu(nn.Conv(8, (3, 3), kernel_init=self.make)(x))
    return x


def count(title, call):
  global calls
  calls = 0
  result = call()
  print(f"{title}: {calls} calls of initializers")
  assert calls == 20, "the behavior is no longer what is stated"
  return result


x = jnp.ones((1, 16, 16, 8))
params = count("init", lambda: Net(counted).init(jax.random.key(0), x))
count("apply", lambda: jax.eval_shape(Net(counted).apply, params, x))
count("apply again, of another shape", lambda: jax.eval_shape(Net(counted).apply, params, x[:, :9]))


def milliseconds(init, side):
  start = time.perf_counter()
  jax.eval_shape(Net(init).apply, params, jnp.ones((1, side, 16, 8)))
  return 1e3 * (time.perf_counter() - start)


def median(init):
  return sorted(milliseconds(init, side) for side in range(20, 27))[3]


random, zeros = median(nn.initializers.lecun_normal()), median(nn.initializers.zeros)
print(f"tracing apply takes {random:.0f} ms, with zeros for initializers {zeros:.0f} ms")
END
