"""What runtimes on WebGPU require of the files, checked in the files.

What onnxruntime-web 1.30 does if a rule is broken: findings/onnxruntime_web_*.sh.
"""

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import stylejax
from stylejax import PRESETS
from stylejax.deploy import export as exporting
from stylejax.deploy import onnx as models
from stylejax.deploy.functions import FUNCTIONS
from stylejax.deploy.onnx_graph import Graph

# "base" has enough levels for more than seven inputs.
CONV_ATTRIBUTES = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}


@pytest.fixture(scope="module")
def base_params():
  return jax.jit(stylejax.init_params, static_argnums=1)(jax.random.key(0), PRESETS["base"])


@pytest.fixture(scope="module", params=FUNCTIONS)
def graph(request, base_params, tmp_path_factory):
  """The graph of a written file."""
  path = tmp_path_factory.mktemp("graph") / "a.onnx"
  model = models.model(
    request.param, exporting.parts_of(request.param, base_params), base_params.config
  )
  path.write_bytes(model.SerializeToString())
  return onnx.load(path).graph


def attributes(node):
  return {attribute.name for attribute in node.attribute}


def constants(graph):
  return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_pads_are_all_eight(graph):
  """With axes, WebGPU gets no session: the layout is changed, but the axes are not."""
  known = constants(graph)
  made = {node.output[0]: node for node in graph.node}
  pads = [node for node in graph.node if node.op_type == "Pad"]
  assert pads
  for node in pads:
    assert len(node.input) == 2
    if node.input[1] in known:
      assert known[node.input[1]].shape == (8,)
    else:  # six that are 0, and two that depend on the image's size
      first, second = made[node.input[1]].input
      assert known[first].tolist() == [0] * 6
      assert made[second].op_type == "Mod"


def test_every_attribute_of_a_convolution_is_written_out(graph):
  """One of onnxruntime-web's two builds for WebGPU knows no defaults."""
  convolutions = [node for node in graph.node if node.op_type == "Conv"]
  assert convolutions
  for node in convolutions:
    assert attributes(node) == CONV_ATTRIBUTES
    assert len(node.input) == 3


def test_no_node_has_more_tensors_than_a_shader_has_buffers(graph):
  """Eight, including the output; with nine the result is 0, and only the console says so."""
  for node in graph.node:
    assert len(node.input) <= 7, node.name
    assert len(node.output) <= 7, node.name
  assert any(node.op_type == "Concat" for node in graph.node)


def test_axes_are_attributes_and_means_run_along_one(graph):
  """In float32, a sum of a million numbers loses digits that a sum of sums keeps."""
  means = [node for node in graph.node if node.op_type == "ReduceMean"]
  assert means
  for node in means:
    assert len(node.input) == 1
    (axes,) = [list(a.ints) for a in node.attribute if a.name == "axes"]
    assert len(axes) == 1


def test_every_weight_is_there_once_and_used(graph):
  names = [tensor.name for tensor in graph.initializer]
  assert len(names) == len(set(names))
  used = {name for node in graph.node for name in node.input}
  assert set(names) <= used


@pytest.mark.parametrize("count", [1, 7, 8, 50])
def test_many_are_joined_in_order(count, rng):
  g = Graph()
  parts = [g("Add", "x", float(number)) for number in range(count)]
  g("Identity", g.concat(parts, axis=0), output="y")
  model = g.model("joined", {"x": (1,)}, {"y": (count,)})
  session = onnxruntime.InferenceSession(model.SerializeToString())
  (joined,) = session.run(None, {"x": np.zeros(1, np.float32)})
  np.testing.assert_array_equal(joined, np.arange(count))


def test_a_mean_over_four_million_pixels_is_exact_to_six_digits(rng):
  """Compared with float64; over both axes at once, onnxruntime's is 1e-4 off."""
  g = Graph()
  x = rng.random((1, 1, 2048, 2048), np.float32) + np.float32(10)
  mean = g.mean(g("Identity", "x"), axes=[3, 2])
  g("Identity", mean, output="y")
  model = g.model("mean", {"x": (1, 1, "h", "w")}, {"y": (1, 1, 1, 1)})
  session = onnxruntime.InferenceSession(model.SerializeToString())
  (found,) = session.run(None, {"x": x})
  np.testing.assert_allclose(found.ravel(), x.mean(dtype=np.float64), rtol=1e-6)
