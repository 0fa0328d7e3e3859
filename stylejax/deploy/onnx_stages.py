"""The halves of `stylize` divided into stages, for images that are stylized in tiles.

A runtime with little memory, such as a page in a browser, stylizes an image as
`stylejax.inference.backends.tiled` does: stage by stage, each over all tiles, with the moments of
the whole map computed between stages. Here each stage is an ONNX model; the code that runs the
models decides on tiles and on what to keep of them (stylejax/deploy/web/tiles.mjs).
"""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Mapping
from typing import Any

import onnx

from stylejax.deploy import onnx as models
from stylejax.deploy.onnx_graph import Graph, Value
from stylejax.models.config import ModelConfig
from stylejax.models.decoder_stages import Stage, has_noise, modulated_maps, stages

Shapes = dict[str, tuple[str | int, ...]]
"""Shapes of a model's inputs or outputs, by name."""


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is needed to run the models, as plain values for JSON.

  Attributes:
    fold: side in pixels of a cell of the finest map.
    stride: side in pixels of a cell of the coarsest map; images are mirrored at their lower and
      right edges to whole cells.
    halo: number of coarsest cells at a cut that the encoder gets wrong; stages get one cell wrong.
    levels: channel counts of the content's maps, from fine to coarse; the first map is not kept,
      since a stage computes it again from pixels.
    maps: for each modulated map its channel count, its depth (0 for the finest level), and whether
      noise is added to it, in the order of the model "targets".
    stages: for each stage its inputs, the finer map that it adds (or None), its output, how much
      finer that is than its first input, and its share of the work.
    encoder_work: the encoder's share of the work.
  """

  fold: int
  stride: int
  halo: int
  levels: list[int]
  maps: dict[str, dict[str, Any]]
  stages: list[dict[str, Any]]
  encoder_work: float

  def cell(self, depth: int) -> int:
    """Side in pixels of a cell of a map at this depth."""
    return self.fold * 2**depth


def plan(config: ModelConfig) -> Plan:
  """The plan for the models of a config."""
  widths = config.content_widths
  depth = {f"level{i}": i for i in range(len(widths))}
  for stage in stages(config):
    depth[stage.output] = depth[stage.fine or stage.inputs[0]]
  costs = [_cost(stage, config, depth) for stage in stages(config)]
  before = (3 * config.fold**2, *widths)
  encoder = sum(
    9 * width * (before[i] + config.content_blocks[i] * width) / config.cell(i) ** 2
    for i, width in enumerate(widths)
  )
  total = encoder + sum(costs)
  return Plan(
    fold=config.fold,
    stride=config.stride,
    halo=_halo(config),
    levels=list(widths),
    maps={
      name: {
        "channels": widths[depth[name]],
        "depth": depth[name],
        "noise": has_noise(config, name),
      }
      for name in modulated_maps(config)
    },
    stages=[
      {
        "inputs": list(stage.inputs),
        "fine": stage.fine,
        "output": stage.output,
        "finer": config.fold if stage.output == "image" else 2 if stage.fine else 1,
        "work": cost / total,
      }
      for stage, cost in zip(stages(config), costs, strict=True)
    ],
    encoder_work=encoder / total,
  )


def stage_models(parts: Mapping[str, Any], config: ModelConfig) -> dict[str, onnx.ModelProto]:
  """The models by name: "encoder", "targets", "stage0", "stage1", …

  All tensors are float32 except `rows` and `columns`, which are int64: the first row of a map that
  is exact and the one after the last, counted in the tile. A map is [1, C, h, w].

  - encoder: `pixels` [h, w, 3] of a tile, of whole cells, and for each level its exact part,
    `rows0`, `columns0`, … → `level1`, `level2`, … cut to that, and for every level the mean and
    variance of that part, [C].
  - targets: the style's `code` [D], and for each level its mean and standard deviation over the
    whole image → for each modulated map `NAME/gain`, `NAME/bias` and, with noise, `NAME/noise_std`,
    all [C].
  - stage: each input map with `NAME/scale` and `NAME/shift` [C], the affine map that moves its
    moments, and with noise `NAME/noise` [1, 1, h, w] and `NAME/noise_std` [C]; `rows`, `columns` of
    the output → `output` cut to that, its `mean` and `variance`. The finest level is not an input;
    the `pixels` of the tile are given instead. The last stage gives `image` [h, w, 3].

  Args:
    parts: parameters of content_encoder and generator, as in `onnx.model`.
    config: the config of the nets, with one convolution at the finest level.

  Returns:
    Checked models.

  Raises:
    ValueError: the config has more than one convolution at the finest level.
  """
  if config.content_blocks[0]:
    raise ValueError(f"content_blocks: found {config.content_blocks}, expected 0 at the first")
  made = {"encoder": _encoder(parts["content_encoder"], config)}
  made["targets"] = _targets(parts["generator"], config)
  layers = (f"generator/decoder/Conv_{number}" for number in itertools.count())
  for number, stage in enumerate(stages(config)):
    made[f"stage{number}"] = _stage(parts, config, stage, layers)
  return made


def _encoder(part: Mapping[str, Any], config: ModelConfig) -> onnx.ModelProto:
  g, inputs, outputs = Graph(winograd=True), Shapes(pixels=("h", "w", 3)), Shapes()
  levels = models.content_levels(g, part, config, models.nchw(g, "pixels"))
  for i, (level, width) in enumerate(zip(levels, config.content_widths, strict=True)):
    inputs |= {f"rows{i}": (2,), f"columns{i}": (2,)}
    exact = _exact(level, f"rows{i}", f"columns{i}", f"level{i}" if i else None)
    outputs |= _moments(exact, f"level{i}/", width)
    if i:
      outputs[f"level{i}"] = (1, width, f"h{i}", f"w{i}")
  return _model(g, "encoder", inputs, outputs)


def _targets(part: Mapping[str, Any], config: ModelConfig) -> onnx.ModelProto:
  g, inputs, outputs = Graph(), Shapes(code=(config.style_dim,)), Shapes()
  seen = []
  for i, width in enumerate(config.content_widths):
    for moment in ("mean", "std"):
      inputs[f"level{i}/{moment}"] = (width,)
      seen.append(g("Reshape", f"level{i}/{moment}", [1, -1, 1, 1]))
  vector = models.adapted(g, part["adaptation"], g("Unsqueeze", "code", [0]), seen)
  for number, (name, width) in enumerate(_widths(config).items()):
    kinds = ("gain", "bias", *(("noise_std",) if has_noise(config, name) else ()))
    target = g("Reshape", models.dense(vector, part, f"generator/modulation_{number}"), [-1])
    for place, kind in enumerate(kinds):
      ends = [place * width], [(place + 1) * width]
      g("Slice", target, *ends, [0], output=f"{name}/{kind}")
      outputs[f"{name}/{kind}"] = (width,)
  return _model(g, "targets", inputs, outputs)


def _stage(parts: Mapping[str, Any], config: ModelConfig, stage: Stage, layers) -> onnx.ModelProto:
  g, inputs, widths = Graph(winograd=True), Shapes(), _widths(config)
  decoder = parts["generator"]["decoder"]

  def styled(name: str) -> Value:
    scale = "f" if name == stage.fine else ""
    if name == "level0":
      inputs["pixels"] = ("ph", "pw", 3)
      x = models.finest_level(g, parts["content_encoder"], config, models.nchw(g, "pixels"))
    else:
      inputs[name] = (1, widths[name], f"{scale}h", f"{scale}w")
      x = Value(g, name)
    inputs.update({f"{name}/scale": (widths[name],), f"{name}/shift": (widths[name],)})
    x = x * _column(g, f"{name}/scale") + _column(g, f"{name}/shift")
    if not has_noise(config, name):
      return x
    inputs.update({f"{name}/noise": (1, 1, f"{scale}h", f"{scale}w")})
    inputs.update({f"{name}/noise_std": (widths[name],)})
    return x + _column(g, f"{name}/noise_std") * Value(g, f"{name}/noise")

  x = functools.reduce(operator.add, map(styled, stage.inputs))
  if stage.rectified:
    x = g("Relu", x)
  if stage.output == "image":
    image = models.upsampled_conv(x, decoder, "generator/decoder/UpsampleConv_0")
    inputs |= {"rows": (2,), "columns": (2,)}
    image = _exact(image, "rows", "columns", None)
    g("Squeeze", g("Transpose", image, perm=[0, 2, 3, 1]), [0], output="image")
    return _model(g, stage.output, inputs, {"image": ("oh", "ow", 3)})
  if stage.fine:
    x = models.doubled(models.conv(x, decoder, next(layers)))
    x = g("Relu", x + styled(stage.fine))
  x = models.conv(x, decoder, next(layers))
  inputs |= {"rows": (2,), "columns": (2,)}
  exact = _exact(x, "rows", "columns", "output")
  width = widths[stage.output]
  outputs: Shapes = {"output": (1, width, "oh", "ow"), **_moments(exact, "", width)}
  return _model(g, stage.output.replace(".", "_"), inputs, outputs)


def _widths(config: ModelConfig) -> dict[str, int]:
  return {name: what["channels"] for name, what in plan(config).maps.items()}


def _column(g: Graph, name: str) -> Value:
  """[C] as [1, C, 1, 1]."""
  return g("Reshape", name, [1, -1, 1, 1])


def _exact(x: Value, rows: str, columns: str, output: str | None) -> Value:
  """Cuts a map to its exact rows and columns."""
  g = x.graph
  first, behind = (
    g.concat([g("Slice", name, [end], [end + 1], [0]) for name in (rows, columns)], axis=0)
    for end in range(2)
  )
  return g("Slice", x, first, behind, [2, 3], output=output)


def _moments(x: Value, prefix: str, width: int) -> Shapes:
  """Adds outputs for the mean and the variance of a map's channels."""
  g = x.graph
  mean = g.mean(x, axes=[3, 2])
  beside = x - mean
  g("Reshape", mean, [-1], output=f"{prefix}mean")
  g("Reshape", g.mean(beside * beside, axes=[3, 2]), [-1], output=f"{prefix}variance")
  return {f"{prefix}mean": (width,), f"{prefix}variance": (width,)}


def _model(g: Graph, name: str, inputs: Shapes, outputs: Shapes) -> onnx.ModelProto:
  whole = {tensor for tensor in inputs if tensor.startswith(("rows", "columns"))}
  return g.model(name, inputs, outputs, whole=whole)


def _halo(config: ModelConfig) -> int:
  """Number of coarsest cells at a cut that the encoder gets wrong."""
  reach = sum(
    config.cell(max(0, level - 1)) + extra * config.cell(level)
    for level, extra in enumerate(config.content_blocks)
  )
  return -(-reach // config.stride)


def _cost(stage: Stage, config: ModelConfig, depth: Mapping[str, int]) -> float:
  """Approximate multiply-adds per pixel of a stage's convolutions."""
  width = config.content_widths[depth[stage.output]]
  channels = 3 * config.fold**2 if stage.output == "image" else width
  return 9 * width * channels / config.cell(depth[stage.output]) ** 2
