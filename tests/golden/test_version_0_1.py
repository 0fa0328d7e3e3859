"""Files that version 0.1 wrote can be read: a run's checkpoint, weights, a style library."""

import tarfile

import jax
import numpy as np
import pytest
from cases import HERE

import infer
import train
from stylejax.weights.model_file import load_weights

FILES = HERE / "version_0_1"


@pytest.fixture
def run_of_0_1(tmp_path):
  """Folder of a tiny transfer training that stopped at step 4."""
  with tarfile.open(FILES / "run.tar.gz") as archive:
    archive.extractall(tmp_path, filter="data")
  return tmp_path / "transfer"


def test_a_checkpoint_is_exported_to_the_same_weights(run_of_0_1, tmp_path, capsys):
  output = tmp_path / "weights.safetensors"
  assert train.main(["export", "--workdir", str(run_of_0_1), "--output", str(output)]) == 0
  assert "step 4" in capsys.readouterr().out
  actual, expected = (load_weights(path) for path in (output, FILES / "tiny.safetensors"))
  assert actual.config == expected.config
  leaves = jax.tree.leaves(expected)
  assert len(leaves) > 20
  for leaf, other in zip(jax.tree.leaves(actual), leaves, strict=True):
    np.testing.assert_array_equal(leaf, other)


def test_a_style_library_is_read(capsys):
  """With the weights that its styles were read with, which were called base then."""
  library = str(FILES / "library.safetensors")
  assert infer.main(["styles", "list", "--library", library, "--weights", "base-1"]) == 0
  assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["@wave", "@irises"]
  assert infer.main(["styles", "list", "--library", library]) == 2
  assert "or --weights base-1" in capsys.readouterr().err
