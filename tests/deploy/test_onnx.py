"""An exported ONNX file: onnxruntime alone stylizes with it, at any size; and what it says."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import onnx
import pytest

import infer
from stylejax import PRESETS, transfer
from stylejax.deploy import export as exporting
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

# What somebody without stylejax runs; a name that is None in sys.modules can't be imported.
STRANGER = """
import sys
for name in ("stylejax", "jax", "flax", "onnx"):
  sys.modules[name] = None
import numpy as np
arrays = np.load("in.npz")
{use}
np.save("out.npy", stylize(None, dict(arrays))[0])
"""


@pytest.fixture(scope="module")
def exported(tiny_params, tmp_path_factory):
  """(file, manifest) of the smallest preset."""
  path = tmp_path_factory.mktemp("export") / "tiny.onnx"
  return path, exporting.export(tiny_params, path, sizes=((24, 17),))


def test_larger_cells_come_out_the_same(folded_params, tmp_path):
  manifest = exporting.export(folded_params, tmp_path / "folded.onnx", sizes=((24, 17),))
  assert 0 < manifest["max_difference"]["2×24×17"] < 1e-5


def test_nets_of_coarse_cells_come_out_the_same_from_two_cells_on(coarse_params, tmp_path):
  sizes = ((33, 33), (40, 71))
  manifest = exporting.export(coarse_params, tmp_path / "coarse.onnx", sizes=sizes)
  assert manifest["smallest_side"] == 33
  differences = manifest["max_difference"]
  assert set(differences) >= {"2×33×33", "2×40×71"}
  assert all(0 < difference < 1e-5 for difference in differences.values())


# Beyond 1, where only the noise grows, and below, where the image is blended with the content.
@pytest.mark.parametrize("strength", [1.7, 0.5, 0.0])
def test_onnxruntime_alone_paints_the_same_at_another_size(
  strength, exported, tiny_params, rng, tmp_path
):
  path, manifest = exported
  content, style = rng.random((2, 37, 54, 3), np.float32), rng.random((16, 31, 3), np.float32)
  np.savez(tmp_path / "in.npz", content=content, style=style, strength=np.float32(strength))
  (tmp_path / path.name).write_bytes(path.read_bytes())
  use = "\n".join(manifest["use"][:-2])
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  result = subprocess.run(
    [sys.executable, "-P", "-c", STRANGER.format(use=use)],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr
  expected = jax.jit(transfer.stylize)(tiny_params, content, style, strength=strength)
  np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_the_metadata_is_the_manifest(exported, tiny_params):
  path, manifest = exported
  model = onnx.load(path)
  assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == manifest
  assert manifest["config"] == tiny_params.config.to_dict()
  assert manifest["opset"] == model.opset_import[0].version
  assert 0 <= manifest["max_difference"]["2×24×17"] < 1e-5
  for value, said in zip(model.graph.input, manifest["inputs"].items(), strict=True):
    shape = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    assert (value.name, shape) == (said[0], said[1]["shape"])


def test_weights_that_float16_holds_are_written_in_it(tiny_params, tmp_path):
  halves = jax.tree.map(lambda leaf: leaf.astype("float16").astype("float32"), tiny_params)
  manifest = exporting.export(halves, tmp_path / "half.onnx", sizes=((24, 17),))
  assert manifest["max_difference"]["2×24×17"] < 1e-5
  kinds = {
    tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer
  }
  assert kinds["content_encoder/Conv_0/kernel"] == onnx.TensorProto.FLOAT16


def test_a_model_that_paints_otherwise_is_not_written(tiny_params, tmp_path, monkeypatch):
  """As if the nets had changed but not the graph."""
  monkeypatch.setattr(
    "stylejax.deploy.onnx.upsampling_kernel", lambda kernel, sharp: np.zeros_like(sharp)
  )
  with pytest.raises(InputError, match="found a difference of"):
    exporting.export(tiny_params, tmp_path / "a.onnx", sizes=((24, 17),))
  assert list(tmp_path.iterdir()) == []


def test_large_nets_are_not_compared_at_sizes_that_take_minutes():
  large, base = (exporting.model_sizes(PRESETS[name]) for name in ("large", "base"))
  assert base[-2:] == ((1024, 1024), (2048, 2048))
  assert large == exporting.PROGRAM_SIZES


def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
  argv = ["export", "--output", str(tmp_path / "a.onnx")]
  assert infer.main([*argv, "--platforms", "cpu"]) == 2
  assert capsys.readouterr().err == (
    "error: platforms: found cpu, expected none for an .onnx file\n"
  )
  monkeypatch.setitem(sys.modules, "onnxruntime", None)
  assert infer.main(argv) == 2
  assert capsys.readouterr().err == (
    f"error: export: found no onnxruntime, expected it for .onnx files: {install_command('onnx')}\n"
  )
  assert list(tmp_path.iterdir()) == []
