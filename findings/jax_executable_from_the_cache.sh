#!/usr/bin/env bash
# jax 0.12.0.1 (0.10.2 too) on a CPU: a program that JAX took from its compilation cache is serialized
# without its functions, which the reader notices only when the program is called.
#
# Expected: jax.experimental.serialize_executable serializes a compiled program, whether JAX has just
# compiled it or found it in its persistent cache
# (https://docs.jax.dev/en/latest/jax.experimental.serialize_executable.html,
# https://docs.jax.dev/en/latest/persistent_compilation_cache.html).
#
# What happens: the first process compiles and fills the cache, and what it serializes runs
# elsewhere. The second process gets the same program from the cache and calls it with the right
# result. `serialize` succeeds, and so does `deserialize_and_load` in a third process, but the call
# raises "Function ... not found".
#
# For users: serialize only what was compiled with the persistent cache off
# (jax_enable_compilation_cache, and reset_cache(), since JAX reads the setting only once), or read
# and call a serialized program once before keeping it.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   jax 0.12.0.1
#   compiled now: 1799.001, serialized
#   read: 1799.001
#   compiled from the cache: 1799.001, serialized
#   read, called: INTERNAL: Error dispatching computation: Function sine_bitcast_fusion not found
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.12.0.1 jaxlib==0.12.0.1
cd "$folder"
export JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR="$folder/cache"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

cat >write.py <<'END'
import pickle
import sys

import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable

hits = []
jax.monitoring.register_event_listener(
  lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None
)
compiled = jax.jit(lambda x: jnp.cumsum(jnp.sin(x)) + jnp.tanh(x).mean()).lower(jnp.ones(64)).compile()
value = float(compiled(jnp.ones(64)).sum())
source = "from the cache" if hits else "now"
payload = serialize_executable.serialize(compiled)
with open(sys.argv[1], "wb") as file:
  pickle.dump(payload, file)
print(f"compiled {source}: {value:.3f}, serialized")
END
cat >read.py <<'END'
import pickle
import sys

import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable

with open(sys.argv[1], "rb") as file:
  compiled = serialize_executable.deserialize_and_load(*pickle.load(file))
try:
  print(f"read: {float(compiled(jnp.ones(64)).sum()):.3f}")
except jax.errors.JaxRuntimeError as error:
  print("read, called:", str(error).split(" (")[0])
END

{
  venv/bin/python -c 'import jax; print("jax", jax.__version__)'
  venv/bin/python write.py first
  venv/bin/python read.py first
  venv/bin/python write.py second
  venv/bin/python read.py second
} | tee output
grep -q '^compiled now: .*, serialized$' output
grep -q '^read: ' output
grep -q '^compiled from the cache: .*, serialized$' output
grep -q '^read, called: .*not found' output
