"""Winograd's filtering as ONNX nodes, beside the direct convolution."""

import jax
import numpy as np
import onnxruntime
import pytest

from stylejax.deploy import onnx_winograd
from stylejax.deploy.onnx_graph import Graph, Value
from stylejax.models import conv_cpu


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (8, 12), (17, 30), (31, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_it_is_the_direct_convolution(size, dtype, rng):
  """At any size, mirrored at the borders; the rounding error is that of F(4×4, 3×3)."""
  x = rng.standard_normal((1, 32, *size), np.float32)
  kernel = (rng.standard_normal((3, 3, 32, 40)) / 17).astype(dtype)
  bias = rng.standard_normal(40).astype(dtype)
  g = Graph()
  g("Identity", onnx_winograd.conv3x3(Value(g, "x"), kernel, bias, "layer"), output="y")
  model = g.model("conv", {"x": (1, 32, "h", "w")}, {"y": (1, 40, "h", "w")})
  assert not [node for node in model.graph.node if node.op_type == "Conv"]
  (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
  with jax.default_matmul_precision("highest"):
    y = conv_cpu.direct_conv3x3(x.transpose(0, 2, 3, 1), np.float32(kernel), padding="reflect")
  y = np.asarray(y).transpose(0, 3, 1, 2) + np.float32(bias)[:, None, None]
  np.testing.assert_allclose(found, y, atol=2e-5 * np.abs(y).max())


@pytest.mark.parametrize(
  ("kernel_shape", "stride", "expected"),
  [
    ((3, 3, 64, 64), 1, True),
    ((3, 3, 32, 64), 2, False),
    ((3, 3, 32, 12), 1, False),
    ((1, 1, 64, 64), 1, False),
  ],
)
def test_it_is_taken_where_channels_are_wide_and_nothing_is_skipped(kernel_shape, stride, expected):
  assert onnx_winograd.is_faster(kernel_shape, stride) == expected
