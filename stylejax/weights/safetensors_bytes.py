"""Serializes arrays and metadata to safetensors bytes that are the same in every process."""

import json
from collections.abc import Mapping

import numpy as np
import safetensors.numpy


def to_safetensors(arrays: Mapping[str, np.ndarray], *, metadata: Mapping[str, str]) -> bytes:
  """Serializes arrays; equal arrays and metadata give equal bytes, and so equal hashes.

  safetensors 0.8.0 itself writes metadata in an order that differs from process to process.

  Args:
    arrays: arrays by name.
    metadata: strings by name.

  Returns:
    The contents of a .safetensors file.
  """
  content = safetensors.numpy.save(dict(arrays), metadata=dict(metadata))
  length = int.from_bytes(content[:8], "little")
  header = json.loads(content[8 : 8 + length])
  header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
  text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
  text = text.ljust(-(-len(text) // 8) * 8)  # aligns the arrays to 8 bytes
  return len(text).to_bytes(8, "little") + text + content[8 + length :]
