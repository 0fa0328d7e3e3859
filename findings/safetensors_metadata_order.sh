#!/usr/bin/env bash
# safetensors 0.8.0: the same arrays and metadata give different bytes in each process.
#
# Expected: the file depends only on what is saved. Tensors are laid out in a fixed order, so that
# hashes of files tell whether weights are the same
# (https://huggingface.co/docs/safetensors/index, https://github.com/huggingface/safetensors).
#
# What happens: entries of `metadata` are written in an order that changes from process to process
# (and from call to call), whatever their order in the dict. Files of equal weights differ in their
# bytes and hashes, which affects content-addressed stores, caches and signatures.
#
# For users: hash arrays instead of files, keep metadata in a single entry, or rewrite the header
# with its keys sorted.
#
# Needs any Python from 3.10 (PYTHON=...). Output seen, but for the number of files, which is
# checked to be more than one:
#   safetensors 0.8.0
#   one entry of metadata: 1 different file of 12 processes
#   six entries of metadata: 11 different files of 12 processes
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy
cd "$folder"
cat >write.py <<'END'
import hashlib
import sys

import numpy as np
from safetensors.numpy import save

keys = [f"key{number}" for number in range(int(sys.argv[1]))]
content = save({"x": np.zeros(3, np.float32)}, metadata={key: "value" for key in keys})
print(hashlib.sha256(content).hexdigest())
END
count() {
  for _ in $(seq 12); do venv/bin/python write.py "$1"; done | sort -u | wc -l | tr -d ' '
}
venv/bin/python -c 'import safetensors; print("safetensors", safetensors.__version__)'
one=$(count 1)
six=$(count 6)
echo "one entry of metadata: $one different file of 12 processes"
echo "six entries of metadata: $six different files of 12 processes"
[ "$one" = 1 ] && [ "$six" -gt 1 ]
