#!/usr/bin/env bash
# jax 0.12.0.1: `import jax` reads the metadata of every package that is installed.
#
# Expected: importing a library takes as long in a large environment as in a small one. Plugins are
# found by entry points, which jax also uses, when the first backend is created
# (https://docs.jax.dev/en/latest/installation.html).
#
# What happens: the module of jax.numpy that creates arrays looks for a ROCm plugin by name. It goes
# through all installed distributions and parses the METADATA of each, long descriptions included,
# on every platform. The time grows with the environment: about a millisecond for each package.
#
# For users: where the startup time of commands or short jobs matters, an environment for jax alone
# is quicker than one shared with hundreds of packages.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen, but for the times, which are not checked:
#   jax 0.12.0.1: 7 packages, METADATA of 7 read, 1.15 s
#   jax 0.12.0.1: 307 packages, METADATA of 307 read, 1.38 s
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.12.0.1 jaxlib==0.12.0.1
cd "$folder"
cat >count.py <<'END'
import importlib.metadata
import sys
import time

read = set()


def note(event, arguments):
  if event == "open" and str(arguments[0]).endswith("METADATA"):
    read.add(str(arguments[0]))


installed = len(list(importlib.metadata.distributions()))
sys.addaudithook(note)
start = time.process_time()
import jax

seconds = time.process_time() - start
print(f"jax {jax.__version__}: {installed} packages, METADATA of {len(read)} read, {seconds:.2f} s")
assert len(read) == installed, "the behavior is no longer what is stated"
END
venv/bin/python count.py >/dev/null # compiles the modules
venv/bin/python count.py
# 300 more packages, each only metadata with a description of 20 kB.
venv/bin/python - <<'END'
import pathlib
import sysconfig

site = pathlib.Path(sysconfig.get_path("purelib"))
for number in range(300):
  folder = site / f"other_{number}-1.0.dist-info"
  folder.mkdir()
  description = "A line of a long description.\n" * 700
  (folder / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: other-{number}\nVersion: 1.0\n\n{description}"
  )
END
venv/bin/python count.py
