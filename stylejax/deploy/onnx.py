"""The exported functions as ONNX graphs, node by node, for images of any size.

The graphs are built from the nets' parameters and, for the decoder, their list of stages. Nothing
here guarantees that they compute the same as the nets: export.py compares them before they are
written. onnx_graph.py has the rules that nodes must follow.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from stylejax import temporal
from stylejax.controls.strength import split
from stylejax.deploy import onnx_winograd
from stylejax.deploy.functions import FUNCTIONS, moment_widths
from stylejax.deploy.onnx_graph import OPSET as OPSET
from stylejax.deploy.onnx_graph import Graph, Value
from stylejax.models import noise_map
from stylejax.models.config import ModelConfig
from stylejax.models.decoder_stages import has_noise, modulated_maps, stages
from stylejax.models.layers import upsampling_kernel

Moments = tuple[Value, Value]
"""Mean and standard deviation of a map's channels, both [B, C, 1, 1]."""

MomentsOf = Callable[[str, Value], Moments]
"""(name of a map, the map) → the moments that its modulation starts from."""


def model(name: str, parts: Mapping[str, Any], config: ModelConfig) -> onnx.ModelProto:
  """The ONNX model of one function, in float32 whatever the config's dtype.

  Args:
    name: a name in FUNCTIONS.
    parts: the parameters that the function needs, as in `Params` but as NumPy arrays in float32 or
      float16, a dtype that is kept.
    config: the config of the nets.

  Returns:
    A model with the function's inputs and outputs, all float32.
  """
  g = Graph()
  _BUILDERS[name](g, parts, config)
  signature = FUNCTIONS[name].signature(config)
  inputs, outputs = (
    {tensor: what.shape for tensor, what in tensors.items()}
    for tensors in (signature.inputs, signature.outputs)
  )
  return g.model(name, inputs, outputs)


def _stylize(g: Graph, parts: Mapping[str, Any], config: ModelConfig) -> None:
  vector = _style_vector(g, parts["style_encoder"], config)
  blend, noise_gain = _split(Value(g, "strength"))
  painted = _painted(g, parts, config, vector, noise_gain)
  _blended(painted, Value(g, "content"), blend, output="stylized")


def _encode_style(g: Graph, parts: Mapping[str, Any], config: ModelConfig) -> None:
  vector = _style_vector(g, parts["style_encoder"], config)
  g("Squeeze", vector, [0], output="code")


def _paint(g: Graph, parts: Mapping[str, Any], config: ModelConfig) -> None:
  _painted(g, parts, config, _code(g), Value(g, "noise_gain"), output="stylized")


def _next_frame(g: Graph, parts: Mapping[str, Any], config: ModelConfig) -> None:
  """`temporal.next_frame`."""
  frame, last = (nchw(g, name) for name in ("frame", "previous_frame"))
  change = g.mean(g("Abs", frame - last), axes=[1])
  same = g("Less", g.mean(change, axes=[3, 2]), temporal.CUT)
  keep = Value(g, "memory") * g("Cast", same, to=onnx.TensorProto.FLOAT)
  still, keep_moments = keep * _stillness(change), g("Pow", keep, 1 / temporal.SLOWER)

  widths = moment_widths(config)
  ends = list(itertools.accumulate(widths))
  before = [
    g("Reshape", g("Slice", "previous_moments", [end - width], [end], [0]), [1, width, 1, 1])
    for width, end in zip(widths, ends)
  ]
  names = modulated_maps(config)
  old = dict(zip(names, zip(before[::2], before[1::2]), strict=True))
  averaged: dict[str, Moments] = {}

  def moments_of(name: str, x: Value) -> Moments:
    if name not in averaged:
      pairs = zip(old[name], _moments(x))
      averaged[name] = tuple(new + keep_moments * (before - new) for before, new in pairs)
    return averaged[name]

  blend, noise_gain = _split(Value(g, "strength"))
  levels = content_levels(g, parts["content_encoder"], config, frame)
  image = _generated(g, parts["generator"], config, levels, _code(g), noise_gain, moments_of)
  image = _cut(image, frame)
  image = image + still * (nchw(g, "previous_stylized") - image)
  stylized = g("Squeeze", g("Transpose", image, perm=[0, 2, 3, 1]), [0], output="stylized")
  _blended(stylized, Value(g, "frame"), blend, output="image")
  after = g.concat([moment for name in names for moment in averaged[name]], axis=1)
  g("Reshape", after, [-1], output="moments")


_BUILDERS = {
  "stylize": _stylize,
  "encode_style": _encode_style,
  "paint": _paint,
  "next_frame": _next_frame,
}


def nchw(g: Graph, image: str) -> Value:
  """An input [H, W, 3] as [1, 3, H, W]."""
  return g("Unsqueeze", g("Transpose", image, perm=[2, 0, 1]), [0])


def _code(g: Graph) -> Value:
  """The input [D] as [1, D]."""
  return g("Unsqueeze", "code", [0])


def _split(strength: Value) -> tuple[Value, Value]:
  """`controls.strength.split`: (blend, noise gain)."""
  g = strength.graph
  return split(strength, minimum=functools.partial(g, "Min"), maximum=functools.partial(g, "Max"))


def _stillness(change: Value) -> Value:
  """The stillness of `temporal` for changes [1, 1, H, W]."""
  g, reach = change.graph, temporal.REACH
  edge = [reach // 2] * 2
  near = g(
    "AveragePool",
    g.pad(change, edge, edge, mode="edge"),
    auto_pad="NOTSET",
    ceil_mode=0,
    count_include_pad=0,
    kernel_shape=[reach, reach],
    pads=[0, 0, 0, 0],
    strides=[1, 1],
  )
  last = 2**31 - 1
  values = g("Reshape", g("Slice", near, [0, 0], [last, last], [2, 3], [reach, reach]), [-1])
  end = g("Shape", values) - [1]
  place = g("Cast", end, to=onnx.TensorProto.FLOAT) * 0.1
  below = g("Cast", g("Floor", place), to=onnx.TensorProto.INT64)
  above = g("Min", g("Add", below, [1]), end)
  smallest = g.first("TopK", values, g("Add", above, [1]), axis=0, largest=0, sorted=1)
  low, high = (g("Gather", smallest, index, axis=0) for index in (below, above))
  floor = low + (high - low) * (place - g("Floor", place))
  noise = g("Min", floor * 1.5 + temporal.ROUNDING, temporal.LOUDEST)
  return g("Max", g("Min", -(near / noise) + 2.0, 1.0), 0.0)


def _blended(stylized: Value, content: Value, blend: Value, output: str) -> Value:
  """`controls.strength.blend_with_content`."""
  g = stylized.graph

  def light(x):
    curve = g("Pow", (x + 0.055) / 1.055, 2.4)
    return g("Where", g("LessOrEqual", x, 0.04045), x / 12.92, curve)

  mixed = blend * light(stylized) + (-blend + 1.0) * light(content)
  curve = g("Pow", mixed, 1 / 2.4) * 1.055 - 0.055
  numbers = g("Where", g("LessOrEqual", mixed, 0.0031308), mixed * 12.92, curve)
  return g("Min", numbers, 1.0, output=output)


def _painted(
  g: Graph,
  parts: Mapping[str, Any],
  config: ModelConfig,
  vector: Value,
  noise_gain: Value,
  output: str | None = None,
) -> Value:
  """The input content, stylized with a style vector and not blended: [B, H, W, 3]."""
  content = g("Transpose", "content", perm=[0, 3, 1, 2])
  levels = content_levels(g, parts["content_encoder"], config, content)
  found: dict[str, Moments] = {}

  def moments_of(name: str, x: Value) -> Moments:
    if name not in found:
      found[name] = _moments(x)
    return found[name]

  image = _generated(g, parts["generator"], config, levels, vector, noise_gain, moments_of)
  return g("Transpose", _cut(image, content), perm=[0, 2, 3, 1], output=output)


def _cut(image: Value, content: Value) -> Value:
  """Cuts an image [B, 3, h, w] to the size of the content [B, 3, H, W]."""
  g = image.graph
  return g("Slice", image, [0, 0], g("Shape", content, start=2, end=4), [2, 3])


def content_levels(
  g: Graph, part: Mapping[str, Any], config: ModelConfig, content: Value
) -> list[Value]:
  """The content encoder: [B, 3, H, W] → feature maps [B, C, h, w] from fine to coarse."""
  x, levels, number = _folded(content, config.stride, config.fold), [], 0
  for level, extra in enumerate(config.content_blocks):
    for stride in (2 if level else 1, *[1] * extra):
      x = g("Relu", conv(x, part, f"content_encoder/Conv_{number}", stride=stride))
      number += 1
    levels.append(x)
  return levels


def _style_vector(g: Graph, part: Mapping[str, Any], config: ModelConfig) -> Value:
  """The style encoder: the input style → its vector [1, D]."""
  x, moments = _folded(nchw(g, "style"), config.style_stride, 2), []
  for level in range(len(config.style_widths)):
    x = g("Relu", conv(x, part, f"style_encoder/Conv_{level}", stride=2 if level else 1))
    moments += _moments(x)
  flat = g("Flatten", g.concat(moments, axis=1), axis=1)
  hidden = dense(flat, part["vector"], "style_encoder/vector/Dense_0")
  return dense(g("Relu", hidden), part["vector"], "style_encoder/vector/Dense_1")


def _generated(
  g: Graph,
  part: Mapping[str, Any],
  config: ModelConfig,
  levels: list[Value],
  vector: Value,
  noise_gain: Value,
  moments_of: MomentsOf,
) -> Value:
  """The generator: [B, 3, h, w], sized in whole cells of the coarsest level."""
  layers = (f"generator/decoder/Conv_{number}" for number in itertools.count())
  maps = {f"level{i}": level for i, level in enumerate(levels)}
  numbers = {name: number for number, name in enumerate(modulated_maps(config))}
  seen = [moment for name, level in maps.items() for moment in moments_of(name, level)]
  vector = adapted(g, part["adaptation"], vector, seen)

  @functools.cache
  def styled(name):
    target = dense(vector, part, f"generator/modulation_{numbers[name]}")
    moments = moments_of(name, maps[name])
    return _modulated(maps[name], moments, target, noise_gain, has_noise(config, name))

  for stage in stages(config):
    x = functools.reduce(operator.add, map(styled, stage.inputs))
    if stage.rectified:
      x = g("Relu", x)
    if stage.output == "image":
      x = upsampled_conv(x, part["decoder"], "generator/decoder/UpsampleConv_0")
    elif stage.fine:
      x = doubled(conv(x, part["decoder"], next(layers)))
      x = conv(g("Relu", x + styled(stage.fine)), part["decoder"], next(layers))
    else:
      x = conv(x, part["decoder"], next(layers))
    maps[stage.output] = x
  return maps["image"]


def adapted(g: Graph, part: Mapping[str, Any], vector: Value, moments: list[Value]) -> Value:
  """`Adaptation`: [1, D] and the content's moments [B, C, 1, 1] → [B, D]."""
  name = "generator/adaptation"
  seen = g("Log", g("Flatten", g.concat(moments, axis=1), axis=1) + 1.0)
  known = g("MatMul", seen, g.weight(f"{name}/content/kernel", part["content"]["kernel"]))
  x = g("Relu", dense(vector, part, f"{name}/vector") + known)
  x = g("Relu", dense(x, part, f"{name}/hidden"))
  return vector + dense(x, part, f"{name}/step")


def finest_level(g: Graph, part: Mapping[str, Any], config: ModelConfig, image: Value) -> Value:
  """The first map of `content_levels`, if a single convolution computes it."""
  return g("Relu", conv(_folded(image, config.fold, config.fold), part, "content_encoder/Conv_0"))


def _folded(image: Value, multiple: int, side: int) -> Value:
  """[B, 3, H, W] in [0, 1] → [B, 3·side², h, w] in [−1, 1], padded by mirrored pixels."""
  g = image.graph
  lacking = g("Mod", -g("Shape", image, start=2, end=4), [multiple], fmod=0)
  pads = g.concat([[0, 0, 0, 0, 0, 0], lacking], axis=0)
  return g("SpaceToDepth", g("Pad", image, pads, mode="reflect") * 2.0 - 1.0, blocksize=side)


def doubled(x: Value) -> Value:
  """`upsample2`."""
  return x.graph(
    "Resize",
    x,
    "",
    [1.0, 1.0, 2.0, 2.0],
    mode="linear",
    coordinate_transformation_mode="half_pixel",
  )


def conv(x: Value, part: Mapping[str, Any], name: str, *, stride: int = 1) -> Value:
  """A convolution and bias, 1×1 or 3×3 with mirrored borders."""
  g = x.graph
  kernel, bias = _parameters(part, name)
  side = kernel.shape[0]
  if g.winograd and onnx_winograd.is_faster(kernel.shape, stride):
    return onnx_winograd.conv3x3(x, kernel, bias, name)
  if side == 3:
    x = g.pad(x, [1, 1], [2 - stride, 2 - stride], mode="reflect")
  kernel = g.weight(f"{name}/kernel", kernel.transpose(3, 2, 0, 1))
  return g.conv(x, kernel, g.weight(f"{name}/bias", bias), side=side, stride=stride)


def upsampled_conv(x: Value, part: Mapping[str, Any], name: str) -> Value:
  """`UpsampleConv` and a sigmoid."""
  g, layer = x.graph, part[name.split("/")[-1]]
  kernel = np.asarray(upsampling_kernel(layer["kernel"], layer["sharp"]))
  phases = kernel.shape[3] // layer["bias"].size
  phase = {"kernel": kernel, "bias": np.tile(layer["bias"], phases)}
  x = conv(x, {name.split("/")[-1]: phase}, name)
  return g("Sigmoid", g("DepthToSpace", x, blocksize=math.isqrt(phases), mode="DCR"))


def dense(x: Value, part: Mapping[str, Any], name: str) -> Value:
  kernel, bias = _parameters(part, name)
  weights = (x.graph.weight(f"{name}/kernel", kernel), x.graph.weight(f"{name}/bias", bias))
  return x.graph("Gemm", x, *weights, alpha=1.0, beta=1.0, transA=0, transB=0)


def _parameters(part: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
  layer = part[name.split("/")[-1]]
  return layer["kernel"], layer["bias"]


def _moments(x: Value) -> Moments:
  """`channel_moments`."""
  g = x.graph
  mean = g.mean(x, axes=[3, 2])
  beside = x - mean
  return mean, g("Sqrt", g.mean(beside * beside, axes=[3, 2]) + 1e-5)


def _modulated(
  x: Value, moments: Moments, target: Value, noise_gain: Value, with_noise: bool
) -> Value:
  """`modulate`, with a target [B, 2C or 3C]: gains, biases and, with noise, its deviations."""
  g, (mean, std) = x.graph, moments
  parts = g("Reshape", target, [0, 2 + with_noise, -1, 1, 1])
  gain, bias, *noise_std = (g("Gather", parts, part, axis=1) for part in range(2 + with_noise))
  scale = gain / std
  moved = x * scale + (bias - mean * scale)
  return moved + noise_gain * noise_std[0] * _noise(x) if with_noise else moved


def _noise(x: Value) -> Value:
  """`noise_map` for a map [B, C, h, w]: [1, 1, h, w]."""
  g = x.graph
  places = [
    g("Range", 0, g("Squeeze", g("Shape", x, start=axis, end=axis + 1)), 1) for axis in (2, 3)
  ]

  def tiled(name: str, pattern: np.ndarray) -> Value:
    found = g.weight(name, pattern[None, None])
    for axis, place in zip((2, 3), places, strict=True):
      found = g("Gather", found, g("Mod", place, len(pattern)), axis=axis)
    return found

  values = tiled("noise_map", noise_map.PATTERN)
  is_beyond = [g("GreaterOrEqual", place, len(noise_map.PATTERN)) for place in places]
  beyond = g("Or", g("Reshape", is_beyond[0], [1, 1, -1, 1]), is_beyond[1])
  return g("Where", beyond, values * tiled("noise_signs", noise_map.SIGNS), values)
