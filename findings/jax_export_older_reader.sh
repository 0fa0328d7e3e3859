#!/usr/bin/env bash
# jax 0.12.0.1, jax.export: whether an older release can read a program depends on operations that
# its author did not write.
#
# Expected: `x + 1` is exported twice, for 4 numbers and for any number of them (symbolic shape
# "n"). An older jax reads both or neither.
#
# What happens: jax 0.10.2 runs the first and cannot deserialize the second: "unregistered operation
# 'vhlo.custom_call_v2'". A symbolic shape adds a check of the caller's shape, which is a custom
# call; so are Cholesky and eigenvalues, for which a CPU library is called. 0.12.0.1 writes custom
# calls in a version of the operation that 0.10.2 does not know, even if they use nothing new,
# while programs without one are written as the older reader knows them. The error speaks of
# StableHLO and names neither the release that wrote the file nor one that could read it.
#
# This breaks no promise: files can be read by releases up to 3 weeks older
# (https://docs.jax.dev/en/latest/501/export.html#compatibility-guarantees), and these two are 18
# weeks apart. But that a simple program can be read proves nothing for another.
#
# For users: where readers may be older, try the program itself, with its symbolic shapes, or export
# for fixed shapes.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   written by jax 0.12.0.1
#   read by jax 0.12.0.1
#     add_fixed       runs
#     add_symbolic    runs
#     sort_fixed      runs
#     cholesky_fixed  runs
#   read by jax 0.10.2
#     add_fixed       runs
#     add_symbolic    INVALID_ARGUMENT: Failed to deserialize StableHLO
#     sort_fixed      runs
#     cholesky_fixed  INVALID_ARGUMENT: Failed to deserialize StableHLO
#         2 unregistered operation 'vhlo.custom_call_v2'
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 0.12.0.1 0.10.2; do
  "${PYTHON:-python3}" -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
    "jax==$version" "jaxlib==$version" flatbuffers==25.12.19
done
cd "$folder"
export JAX_PLATFORMS=cpu

0.12.0.1/bin/python - <<'END'
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

print("written by jax", jax.__version__)
any_length, = export.symbolic_shape("n")
PROGRAMS = {
  "add_fixed": (lambda x: x + 1, (4,)),
  "add_symbolic": (lambda x: x + 1, (any_length,)),
  "sort_fixed": (jnp.sort, (4,)),
  "cholesky_fixed": (lambda x: jnp.linalg.cholesky(jnp.diag(x)), (4,)),
}
for name, (function, shape) in PROGRAMS.items():
  program = export.export(jax.jit(function), platforms=["cpu"])(
    jax.ShapeDtypeStruct(shape, jnp.float32))
  Path(name).write_bytes(program.serialize())
END

cat > read.py <<'END'
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

print("read by jax", jax.__version__)
found = {}
for name in ("add_fixed", "add_symbolic", "sort_fixed", "cholesky_fixed"):
  try:
    export.deserialize(bytearray(Path(name).read_bytes())).call(jnp.ones(4))
    found[name] = "runs"
  except Exception as error:
    found[name] = str(error).splitlines()[0]
  print(f"  {name:15} {found[name]}")
refused = {name for name, result in found.items() if result != "runs"}
assert refused == set(sys.argv[1:]), "the behavior is no longer what is stated"
END
0.12.0.1/bin/python read.py
0.10.2/bin/python read.py add_symbolic cholesky_fixed 2>messages
grep -o "unregistered operation '[a-z_.0-9]*'" messages | sort | uniq -c
grep -q "vhlo.custom_call_v2" messages
