#!/usr/bin/env bash
# jax 0.12.0.1 on a CPU: the first call of an exported program imports SciPy's linear algebra.
#
# Expected: a program that was exported and deserialized needs only what it computes with. This one
# adds two numbers (https://docs.jax.dev/en/latest/export/export.html).
#
# What happens: lowering the call prepares LAPACK's functions, whatever the program contains, and
# imports scipy.linalg to find them. The same function under `jax.jit`, which lowers it too, does
# not.
#
# For users: where startup time matters, `jax.experimental.serialize_executable` loads a program
# without tracing, lowering or SciPy, on machines like the one that compiled it.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen, but for the time, which is not checked:
#   jax 0.12.0.1
#   jit: 0 modules of scipy.linalg
#   deserialize: 0 modules of scipy.linalg
#   call: 41 modules of scipy.linalg, in 0.32 s
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.12.0.1 jaxlib==0.12.0.1 flatbuffers==25.12.19
cd "$folder"
export JAX_PLATFORMS=cpu
venv/bin/python - <<'END'
import jax
import jax.export

program = jax.export.export(jax.jit(lambda x: x + 1.0))(1.0).serialize()
open("program", "wb").write(program)
END
venv/bin/python - <<'END'
import sys
import time

import jax
import jax.export


def count(title, expected, after=""):
  number = sum(name.startswith("scipy.linalg") for name in sys.modules)
  print(f"{title}: {number} modules of scipy.linalg{after}")
  assert bool(number) == expected, "the behavior is no longer what is stated"


print("jax", jax.__version__)
jax.jit(lambda x: x + 1.0)(1.0).block_until_ready()
count("jit", False)
exported = jax.export.deserialize(bytearray(open("program", "rb").read()))
count("deserialize", False)
start = time.process_time()
jax.jit(exported.call)(1.0).block_until_ready()
count("call", True, f", in {time.process_time() - start:.2f} s")
END
