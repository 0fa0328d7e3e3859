"""Files of weights have the same bytes in every process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from stylejax.weights.safetensors_bytes import to_safetensors

METADATA = {"name": "Klänge/✓", "quoted": '"\\\n\t\x01', "z": "1", "b": "2", "a": "3", "": "4"}


@pytest.mark.parametrize("count", range(9))
def test_safetensors_reads_it(tmp_path, count):
  """With headers of every length; the arrays after them begin at a multiple of 8 bytes."""
  metadata = METADATA | {"more": "é" * count}
  arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b/c": np.float32([[1.5]])}
  content = to_safetensors(arrays, metadata=metadata)
  path = tmp_path / "file.safetensors"
  path.write_bytes(content)
  with safe_open(path, "numpy") as file:
    assert file.metadata() == metadata
  actual = safetensors.numpy.load(content)
  assert actual.keys() == arrays.keys()
  for name, array in arrays.items():
    np.testing.assert_array_equal(actual[name], array, strict=True)
  length = int.from_bytes(content[:8], "little")
  assert length % 8 == 0
  assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == sorted(metadata)


def test_processes_agree():
  """safetensors 0.8.0 writes six keys in one of 720 orders, which differs between processes."""
  code = """
import hashlib, numpy as np
from stylejax.weights.safetensors_bytes import to_safetensors
metadata = {key: key for key in "abcdef"}
print(hashlib.sha256(to_safetensors({"x": np.zeros(3)}, metadata=metadata)).hexdigest())
"""
  sums = {
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    for _ in range(3)
  }
  assert len(sums) == 1
