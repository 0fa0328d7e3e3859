"""One hash of parameters, for every file that says by which weights it was made."""

import hashlib
from typing import Any

import jax
import numpy as np


def tree_hash(tree: Any) -> str:
  """SHA-256 over the paths and the float32 values of all leaves.

  Args:
    tree: of arrays, any shapes; rounded to float32.

  Returns:
    64 hexadecimal digits, the same on every platform.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.asarray(leaf, "<f4").tobytes())
  return digest.hexdigest()
