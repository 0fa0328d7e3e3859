"""`stylize` written down as an ONNX graph, node by node, for images of any size.

The graph is built from the nets' own parameters and, for the decoder, their list of stages.
Nothing here promises that it gives the nets' numbers: export.py compares it before it is written.
"""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stylejax.controls.strength import split
from stylejax.models import noise_map
from stylejax.models.autoencoder import has_noise, modulated_maps, stages
from stylejax.models.config import ModelConfig
from stylejax.models.layers import doubling_kernel

OPSET, IR_VERSION = 18, 8
"""Old enough for any onnxruntime since 1.14 (2023)."""


@dataclasses.dataclass(frozen=True)
class _Value:
  """What a node gives; arithmetic on it adds nodes."""

  graph: "_Graph"
  name: str

  def __add__(self, other):
    return self.graph("Add", self, other)

  def __sub__(self, other):
    return self.graph("Sub", self, other)

  def __mul__(self, other):
    return self.graph("Mul", self, other)

  def __truediv__(self, other):
    return self.graph("Div", self, other)

  def __neg__(self):
    return self.graph("Neg", self)


class _Graph:
  """Nodes and constants as they are added."""

  def __init__(self):
    self.nodes: list[onnx.NodeProto] = []
    self.constants: dict[str, onnx.TensorProto] = {}

  def __call__(
    self,
    op: str,
    *inputs: _Value | str | float | list[int],
    output: str | None = None,
    **attributes: Any,
  ) -> _Value:
    """Adds a node; its inputs are values, names ("" for none) or constants."""
    names = [self._name(x) for x in inputs]
    output = output or f"{op}_{len(self.nodes)}"
    self.nodes.append(helper.make_node(op, names, [output], name=output, **attributes))
    return _Value(self, output)

  def _name(self, value: _Value | str | float | list) -> str:
    """Of an input; a number becomes a float32 constant, whole ones and lists of them int64."""
    if isinstance(value, _Value):
      return value.name
    if isinstance(value, str):
      return value
    whole = all(isinstance(n, int) for n in (value if isinstance(value, list) else [value]))
    array = np.array(value, np.int64 if whole else np.float32)
    self.constants[str(value)] = numpy_helper.from_array(array, str(value))
    return str(value)

  def weight(self, name: str, array: np.ndarray) -> _Value:
    """A parameter; one in float16 stays so in the file, and runtimes turn it once on loading."""
    self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
    if array.dtype == np.float16:
      return self("Cast", name, output=f"{name}/float32", to=TensorProto.FLOAT)
    return _Value(self, name)


def stylize_graph(parts: Mapping[str, Any], config: ModelConfig) -> onnx.ModelProto:
  """The ONNX model of `stylize`, in float32 whatever the config's dtype.

  Args:
    parts: parameters of content_encoder, style_encoder and generator, as `Params` holds them but
      NumPy arrays, float32 or float16, which is kept.
    config: their sizes.

  Returns:
    A model with the inputs content [b, h, w, 3], style [p, q, 3] and strength [], whose output is
    stylized [b, h, w, 3]; all float32, all sizes open.
  """
  g = _Graph()
  levels = _content_levels(g, parts["content_encoder"], config)
  vector = _style_vector(g, parts["style_encoder"], config)
  strength = _Value(g, "strength")
  blend, noise_gain = split(
    strength, minimum=functools.partial(g, "Min"), maximum=functools.partial(g, "Max")
  )
  image = _painting(g, parts["generator"], config, levels, vector, noise_gain)
  size = g("Shape", "content", start=1, end=3)
  painted = g("Slice", g("Transpose", image, perm=[0, 2, 3, 1]), [0, 0], size, [1, 2])
  _blended(painted, _Value(g, "content"), blend, output="stylized")

  def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

  graph = helper.make_graph(
    g.nodes,
    "stylize",
    [value("content", ["b", "h", "w", 3]), value("style", ["p", "q", 3]), value("strength", [])],
    [value("stylized", ["b", "h", "w", 3])],
    list(g.constants.values()),
  )
  model = helper.make_model(
    graph,
    producer_name="stylejax",
    ir_version=IR_VERSION,
    opset_imports=[helper.make_opsetid("", OPSET)],
  )
  onnx.checker.check_model(model, full_check=True)
  return model


def _blended(stylized: _Value, content: _Value, blend: _Value, output: str) -> _Value:
  """`controls.strength.blend_with_content`."""
  g = stylized.graph

  def light(x):
    curve = g("Pow", (x + 0.055) / 1.055, 2.4)
    return g("Where", g("LessOrEqual", x, 0.04045), x / 12.92, curve)

  mixed = blend * light(stylized) + (-blend + 1.0) * light(content)
  curve = g("Pow", mixed, 1 / 2.4) * 1.055 - 0.055
  numbers = g("Where", g("LessOrEqual", mixed, 0.0031308), mixed * 12.92, curve)
  return g("Min", numbers, 1.0, output=output)


def _content_levels(g: _Graph, part: Mapping[str, Any], config: ModelConfig) -> list[_Value]:
  """The content encoder: feature maps [B, C, h, w] from fine to coarse."""
  x, levels, number = _folded(g("Transpose", "content", perm=[0, 3, 1, 2]), config.stride), [], 0
  for level, extra in enumerate(config.content_blocks):
    for stride in (2 if level else 1, *[1] * extra):
      x = g("Relu", _conv(x, part, f"content_encoder/Conv_{number}", stride))
      number += 1
    levels.append(x)
  return levels


def _style_vector(g: _Graph, part: Mapping[str, Any], config: ModelConfig) -> _Value:
  """The style encoder: [1, D]."""
  image = g("Unsqueeze", g("Transpose", "style", perm=[2, 0, 1]), [0])
  x, moments = _folded(image, 2 ** len(config.style_widths)), []
  for level in range(len(config.style_widths)):
    x = g("Relu", _conv(x, part, f"style_encoder/Conv_{level}", 2 if level else 1))
    moments += _moments(x)
  hidden = _dense(
    g("Flatten", g("Concat", *moments, axis=1)), part["vector"], "style_encoder/vector/Dense_0"
  )
  return _dense(g("Relu", hidden), part["vector"], "style_encoder/vector/Dense_1")


def _painting(
  g: _Graph,
  part: Mapping[str, Any],
  config: ModelConfig,
  levels: list[_Value],
  vector: _Value,
  noise_gain: _Value,
) -> _Value:
  """The generator: [B, 3, h, w], of whole cells of the coarsest level."""
  layers = (f"generator/decoder/Conv_{number}" for number in itertools.count())
  maps = {f"level{i}": level for i, level in enumerate(levels)}
  numbers = {name: number for number, name in enumerate(modulated_maps(config))}
  vector = _adapted(g, part["adaptation"], vector, [m for level in levels for m in _moments(level)])

  @functools.cache
  def styled(name):
    target = _dense(vector, part, f"generator/modulation_{numbers[name]}")
    return _modulated(maps[name], target, noise_gain, has_noise(name))

  for stage in stages(config):
    x = functools.reduce(operator.add, map(styled, stage.inputs))
    if stage.rectified:
      x = g("Relu", x)
    if stage.output == "image":
      x = _doubled_conv(x, part["decoder"], "generator/decoder/UpsampleConv_0")
    elif stage.fine:
      x = _conv(x, part["decoder"], next(layers))
      x = g("Resize", x, "", [1.0, 1.0, 2.0, 2.0], mode="linear")
      x = _conv(g("Relu", x + styled(stage.fine)), part["decoder"], next(layers))
    else:
      x = _conv(x, part["decoder"], next(layers))
    maps[stage.output] = x
  return maps["image"]


def _adapted(g: _Graph, part: Mapping[str, Any], vector: _Value, moments: list[_Value]) -> _Value:
  """`Adaptation`: [1, D] and the content's moments [B, C, 1, 1] → [B, D]."""
  name = "generator/adaptation"
  seen = g("Log", g("Flatten", g("Concat", *moments, axis=1)) + 1.0)
  known = g("MatMul", seen, g.weight(f"{name}/content/kernel", part["content"]["kernel"]))
  x = g("Relu", _dense(vector, part, f"{name}/vector") + known)
  x = g("Relu", _dense(x, part, f"{name}/hidden"))
  return vector + _dense(x, part, f"{name}/step")


def _folded(image: _Value, multiple: int) -> _Value:
  """[B, 3, H, W] in [0, 1] → [B, 12, h, w] in [−1, 1], extended by mirrored pixels."""
  g = image.graph
  lacking = g("Mod", -g("Shape", image, start=2, end=4), [multiple])
  whole = g("Pad", image, g("Concat", [0, 0], lacking, axis=0), "", [2, 3], mode="reflect")
  return g("SpaceToDepth", whole * 2.0 - 1.0, blocksize=2)


def _conv(x: _Value, part: Mapping[str, Any], name: str, stride: int = 1) -> _Value:
  """A convolution and bias, 1×1 or 3×3 with mirrored borders."""
  g = x.graph
  kernel, bias = _parameters(part, name)
  if kernel.shape[0] == 3:
    x = g("Pad", x, [1, 1, 2 - stride, 2 - stride], "", [2, 3], mode="reflect")
  return g(
    "Conv",
    x,
    g.weight(f"{name}/kernel", kernel.transpose(3, 2, 0, 1)),
    g.weight(f"{name}/bias", bias),
    strides=[stride, stride],
  )


def _doubled_conv(x: _Value, part: Mapping[str, Any], name: str) -> _Value:
  """`UpsampleConv` and a sigmoid."""
  layer = part[name.split("/")[-1]]
  kernel = np.asarray(doubling_kernel(layer["kernel"], layer["sharp"]))
  x = _conv(x, {name.split("/")[-1]: {"kernel": kernel, "bias": np.tile(layer["bias"], 4)}}, name)
  return x.graph("Sigmoid", x.graph("DepthToSpace", x, blocksize=2))


def _dense(x: _Value, part: Mapping[str, Any], name: str) -> _Value:
  kernel, bias = _parameters(part, name)
  return x.graph(
    "Gemm", x, x.graph.weight(f"{name}/kernel", kernel), x.graph.weight(f"{name}/bias", bias)
  )


def _parameters(part: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
  layer = part[name.split("/")[-1]]
  return layer["kernel"], layer["bias"]


def _moments(x: _Value) -> tuple[_Value, _Value]:
  """`channel_moments`: mean and standard deviation, [B, C, 1, 1]."""
  g = x.graph
  mean = g("ReduceMean", x, [2, 3])
  beside = x - mean
  return mean, g("Sqrt", g("ReduceMean", beside * beside, [2, 3]) + 1e-5)


def _modulated(x: _Value, target: _Value, noise_gain: _Value, with_noise: bool) -> _Value:
  """`modulate`, with a target [B, 2C or 3C]: gains, biases, standard deviations of noise."""
  g = x.graph
  parts = g("Reshape", target, [0, 2 + with_noise, -1, 1, 1])
  gain, bias, *noise_std = (g("Gather", parts, part, axis=1) for part in range(2 + with_noise))
  mean, std = _moments(x)
  scale = gain / std
  moved = x * scale + (bias - mean * scale)
  return moved + noise_gain * noise_std[0] * _noise(x) if with_noise else moved


def _noise(x: _Value) -> _Value:
  """`noise_map` for a map [B, C, h, w]: [1, 1, h, w]."""
  g = x.graph
  found = g.weight("noise_map", noise_map.PATTERN[None, None])
  for axis in (2, 3):
    size = g("Squeeze", g("Shape", x, start=axis, end=axis + 1))
    found = g("Gather", found, g("Mod", g("Range", 0, size, 1), noise_map.PERIOD), axis=axis)
  return found
