"""Builds ONNX nodes in a form that every runtime accepts; the networks are in onnx.py.

The rules, for onnxruntime-web with WebGPU (findings/onnxruntime_web_*.sh) and for accuracy:

- Pad has all eight pads: with axes it is refused, because the layout is changed and they aren't.
- Conv has every attribute: one of the two builds doesn't accept defaults.
- No node has more than MOST_TENSORS inputs or outputs: each is a storage buffer, of which a shader
  has eight; one more gives a wrong image and a message in the console.
- Means are taken along one axis at a time: in float32 a sum over a million pixels loses precision
  that a sum of a thousand sums keeps, on CPUs as well.
- In this opset the axes of ReduceMean are an attribute, not a tensor.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Union

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
"""Old enough for any onnxruntime since 1.12 (2022)."""

MOST_TENSORS = 7
"""The most inputs, or outputs, of a node; with one output, or input, that makes eight tensors."""

Input = Union["Value", str, int, float, list[int], list[float]]


@dataclasses.dataclass(frozen=True)
class Value:
  """The output of a node; arithmetic on it adds nodes."""

  graph: "Graph"
  name: str

  def __add__(self, other: Input) -> "Value":
    return self.graph("Add", self, other)

  def __sub__(self, other: Input) -> "Value":
    return self.graph("Sub", self, other)

  def __mul__(self, other: Input) -> "Value":
    return self.graph("Mul", self, other)

  def __truediv__(self, other: Input) -> "Value":
    return self.graph("Div", self, other)

  def __neg__(self) -> "Value":
    return self.graph("Neg", self)


class Graph:
  """A graph to which nodes and constants are added.

  Attributes:
    winograd: whether 3×3 convolutions use Winograd's algorithm (onnx_winograd.py) if that is faster
      in WebAssembly.
  """

  def __init__(self, *, winograd: bool = False) -> None:
    self.winograd = winograd
    self.nodes: list[onnx.NodeProto] = []
    self.constants: dict[str, onnx.TensorProto] = {}

  def __call__(
    self, op: str, *inputs: Input, output: str | None = None, **attributes: Any
  ) -> Value:
    """Adds a node; its inputs are values, names ("" for none) or constants."""
    names = [self._name(x) for x in inputs]
    output = output or f"{op}_{len(self.nodes)}"
    self.nodes.append(helper.make_node(op, names, [output], name=output, **attributes))
    return Value(self, output)

  def first(self, op: str, *inputs: Input, **attributes: Any) -> Value:
    """Adds a node with two outputs and returns the first."""
    value = self(op, *inputs, **attributes)
    self.nodes[-1].output.append(f"{value.name}/second")
    return value

  def _name(self, value: Input) -> str:
    """The name of an input; numbers become float32 constants, integers and lists of them int64."""
    if isinstance(value, Value):
      return value.name
    if isinstance(value, str):
      return value
    whole = all(isinstance(n, int) for n in (value if isinstance(value, list) else [value]))
    array = np.array(value, np.int64 if whole else np.float32)
    self.constants[str(value)] = numpy_helper.from_array(array, str(value))
    return str(value)

  def weight(self, name: str, array: np.ndarray) -> Value:
    """Adds a parameter; float16 is kept in the file, and runtimes convert it once when loading."""
    self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
    if array.dtype == np.float16:
      return self("Cast", name, output=f"{name}/float32", to=TensorProto.FLOAT)
    return Value(self, name)

  def concat(self, values: Sequence[Input], *, axis: int) -> Value:
    """Concatenates values along an axis, with as many nodes as that takes."""
    joined = [
      self("Concat", *values[i : i + MOST_TENSORS], axis=axis)
      for i in range(0, len(values), MOST_TENSORS)
    ]
    return joined[0] if len(joined) == 1 else self.concat(joined, axis=axis)

  def mean(self, x: Value, *, axes: Sequence[int]) -> Value:
    """The mean over axes, taken one after the other; they are kept, with size 1."""
    for axis in axes:
      x = self("ReduceMean", x, axes=[axis], keepdims=1)
    return x

  def pad(self, x: Value, before: Sequence[int], after: Sequence[int], *, mode: str) -> Value:
    """Pads [B, C, H, W] with (rows, columns) at the beginning and at the end."""
    return self("Pad", x, [0, 0, *before, 0, 0, *after], mode=mode)

  def conv(self, x: Value, kernel: Value, bias: Value, *, side: int, stride: int) -> Value:
    """A convolution with a square kernel [Cout, Cin, side, side], without padding."""
    return self(
      "Conv",
      x,
      kernel,
      bias,
      auto_pad="NOTSET",
      dilations=[1, 1],
      group=1,
      kernel_shape=[side, side],
      pads=[0, 0, 0, 0],
      strides=[stride, stride],
    )

  def model(
    self,
    name: str,
    inputs: Mapping[str, tuple[str | int, ...]],
    outputs: Mapping[str, tuple[str | int, ...]],
    *,
    whole: Collection[str] = (),
  ) -> onnx.ModelProto:
    """The checked model, with inputs and outputs of these shapes; letters are open sizes.

    All are float32, except for inputs named in `whole`, which are int64.
    """

    def tensors(shapes: Mapping[str, tuple[str | int, ...]]) -> list[onnx.ValueInfoProto]:
      return [
        helper.make_tensor_value_info(
          tensor, TensorProto.INT64 if tensor in whole else TensorProto.FLOAT, shape
        )
        for tensor, shape in shapes.items()
      ]

    graph = helper.make_graph(
      self.nodes, name, tensors(inputs), tensors(outputs), list(self.constants.values())
    )
    model = helper.make_model(
      graph,
      producer_name="stylejax",
      ir_version=IR_VERSION,
      opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model
