"""A hash of parameters, for files that record the weights they were made with."""

import hashlib
from typing import Any

import jax
import numpy as np


def tree_hash(tree: Any) -> str:
  """Returns the SHA-256 of the paths and float32 values of all leaves.

  Args:
    tree: a pytree of arrays of any shape; they are rounded to float32.

  Returns:
    64 hexadecimal digits, the same on every platform.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.asarray(leaf, "<f4").tobytes())
  return digest.hexdigest()
