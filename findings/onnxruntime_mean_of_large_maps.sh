#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU: the mean of a large map of equal numbers is off by several percent.
#
# Expected: ReduceMean over height and width of a map whose pixels are all 0.1 gives 0.1 within
# rounding, as NumPy's mean in float32 does, whose sums are pairwise
# (https://onnx.ai/onnx/operators/onnx__ReduceMean.html).
#
# What happens: over both axes at once, the pixels are added one after another to a few float32 sums,
# and each addition rounds the same way when the numbers are alike. The error grows with the number
# of pixels: 0.1 % at 1,024 x 1,024, almost 2 % at 4,096 x 4,096. GlobalAveragePool, the other way to
# write it, is off by 4 % there. Plain areas (skies, walls, bars) and quantized inputs are such maps;
# on noise, rounding errors cancel and nothing is seen. Instance normalization, AdaIN and
# squeeze-and-excitation built from these operators drift with the image's size.
# For ReduceSum: https://github.com/microsoft/onnxruntime/issues/28450.
#
# For users: reduce over the last axis, then over the one before: two nodes instead of one.
#
# Needs any Python from 3.11 (PYTHON=...). Output seen (last digits differ between processors):
#   onnxruntime 1.32.0
#   side 512: both axes at once 2.6e-04, one after the other 4.1e-06, GlobalAveragePool 6.2e-04, NumPy 1.5e-07
#   side 1024: both axes at once 1.0e-03, one after the other 9.6e-06, GlobalAveragePool 2.5e-03, NumPy 1.5e-07
#   side 2048: both axes at once 4.1e-03, one after the other 1.6e-05, GlobalAveragePool 9.9e-03, NumPy 1.5e-07
#   side 4096: both axes at once 1.7e-02, one after the other 3.8e-05, GlobalAveragePool 4.0e-02, NumPy 1.5e-07
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 onnx==1.23.2 numpy
cd "$folder"
cat >means.py <<'END'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper


def session(nodes, constants=()):
  places = [
    helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *sides])
    for name, sides in (("x", ["height", "width"]), ("mean", [1, 1]))
  ]
  graph = helper.make_graph(nodes, "means", places[:1], places[1:], constants)
  model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
  checker.check_model(model, full_check=True)
  return onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
  )


def axes(name, *numbers):
  return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)


at_once = session(
  [helper.make_node("ReduceMean", ["x", "both"], ["mean"])], [axes("both", 2, 3)]
)
in_turn = session(
  [
    helper.make_node("ReduceMean", ["x", "columns"], ["rows"]),
    helper.make_node("ReduceMean", ["rows", "lines"], ["mean"]),
  ],
  [axes("columns", 3), axes("lines", 2)],
)
pooled = session([helper.make_node("GlobalAveragePool", ["x"], ["mean"])])

print("onnxruntime", onnxruntime.__version__)
expected, held = float(np.float32(0.1)), True
for side in (512, 1024, 2048, 4096):
  x = np.full((1, 1, side, side), 0.1, np.float32)
  found = [s.run(None, {"x": x})[0].item() for s in (at_once, in_turn, pooled)] + [x.mean()]
  once, turn, pool, numpy = (abs(float(mean) / expected - 1) for mean in found)
  print(
    f"side {side}: both axes at once {once:.1e}, one after the other {turn:.1e}, "
    f"GlobalAveragePool {pool:.1e}, NumPy {numpy:.1e}"
  )
  grown = 1e-4 * (side / 512) ** 2 / 2
  held &= once > grown and pool > grown and turn < 1e-4 and numpy < 1e-6
sys.exit(not held)
END
venv/bin/python means.py
