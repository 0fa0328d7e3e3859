"""Where does the time of `stylize` go? Times every layer of the nets alone, at its own size.

    python -m benchmarks layers --sizes 512 1024
    python -m benchmarks layers --model-sizes fold=4 content_widths=48,96,128,128

`ratio` is a layer's time, multiplied by how often it occurs, over that of the whole. What XLA fuses
into one loop is timed separately here, so the ratios add up to more than 1. A convolution is timed
with its bias and the ReLU that follows. The style is as large as the photo.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import command_line, records, timing
from stylejax import transfer
from stylejax.models import adain, decoder_stages, layers
from stylejax.models.config import ModelConfig, Preset
from stylejax.models.nets import init_params
from stylejax.training.tasks import TransferConfig

WHOLE = "stylize"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  preset: Preset = "base"
  """Sizes of the nets."""
  model_sizes: tuple[str, ...] = ()
  """Sizes that differ from the preset's, as `stylejax train --model-sizes` takes them."""
  sizes: tuple[int, ...] = (512,)
  """Sides of photo and style, in pixels."""
  repeats: int = 9
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--sizes", self.sizes, 64)
    command_line.at_least("--repeats", self.repeats, 1)
    config_of(self.preset, self.model_sizes)


def config_of(preset: Preset, model_sizes: Sequence[str]) -> ModelConfig:
  """A preset with some sizes changed; InputError where there is no such size."""
  return TransferConfig(preset=preset, model_sizes=tuple(model_sizes)).model


@dataclasses.dataclass(frozen=True)
class Layer:
  """One kind of layer: how often it occurs, its shapes and what it computes.

  Attributes:
    name: name of the row, with the channels.
    count: times that it occurs in `stylize`.
    side: pixels of the image's side per cell of its input.
    channels: channels of its input.
    features: channels of its output, for convolutions.
    kind: a key of _CALLS.
  """

  name: str
  count: int
  side: int
  channels: int
  features: int
  kind: str


def layers_of(config: ModelConfig) -> Iterator[Layer]:
  """All kinds of layers that `stylize` runs on maps, from the pixels to the image."""

  def conv(part: str, count: int, side: int, channels: int, features: int, kind: str = "conv"):
    return Layer(f"{part}: {kind} {channels}→{features}", count, side, channels, features, kind)

  def down(part: str, widths: Sequence[int], fold: int, extra: Sequence[int]):
    yield Layer(f"{part}: fold", 1, 1, 3, 3 * fold**2, f"fold{fold}")
    before, side = 3 * fold**2, fold
    for level, (width, more) in enumerate(zip(widths, extra, strict=True)):
      yield conv(part, 1, side, before, width, "conv" if level == 0 else "halving conv")
      side *= 2 if level else 1
      if more:
        yield conv(part, more, side, width, width)
      yield Layer(f"{part}: moments of {width}", 1, side, width, width, "moments")
      before = width

  yield from down("style", config.style_widths, 2, [0] * len(config.style_widths))
  widths = config.content_widths
  yield from down("content", widths, config.fold, config.content_blocks)
  coarsest = config.cell(len(widths) - 1)
  if config.decoder_blocks:
    count = 2 * config.decoder_blocks
    yield conv("blocks", count, coarsest, widths[-1], widths[-1])
    yield Layer(f"blocks: modulate {widths[-1]}", count, coarsest, *[widths[-1]] * 2, "modulate")
  for level, width in enumerate(widths):
    noisy = decoder_stages.has_noise(config, f"level{level}")
    name = f"content: modulate {width}" + ", add noise" * noisy
    yield Layer(name, 1, config.cell(level), width, width, "noise" if noisy else "modulate")
  for level in reversed(range(len(widths) - 1)):
    coarse, width = widths[level + 1], widths[level]
    yield conv("merge", 1, config.cell(level + 1), coarse, width, "1×1 conv")
    yield Layer(f"merge: double {width}", 1, config.cell(level + 1), width, width, "double")
    yield conv("merge", 1, config.cell(level), width, width)
    yield Layer(f"merge: modulate {width}", 1, config.cell(level), width, width, "modulate")
  yield conv("image", 1, config.fold, widths[0], 3 * config.fold**2)
  yield Layer("image: unfold", 1, config.fold, 3 * config.fold**2, 3, f"unfold{config.fold}")


def _conv(x, kernel, bias):
  return jax.nn.relu(layers.reflect_conv(x, kernel) + bias)


def _halving_conv(x, kernel, bias):
  return jax.nn.relu(layers.reflect_conv(x, kernel, stride=2) + bias)


def _pointwise_conv(x, kernel, bias):
  return jnp.einsum("bhwi,io->bhwo", x, kernel[1, 1]) + bias


def _modulate(x, kernel, bias):
  return adain.modulate(x, 1 + bias, bias)


def _noise(x, kernel, bias):
  return adain.modulate(x, 1 + bias, bias, noise_std=bias)


_CALLS = {
  "conv": _conv,
  "halving conv": _halving_conv,
  "1×1 conv": _pointwise_conv,
  "moments": lambda x, kernel, bias: adain.channel_moments(x),
  "modulate": _modulate,
  "noise": _noise,
  "double": lambda x, kernel, bias: layers.upsample2(x),
  "fold2": lambda x, kernel, bias: layers.space_to_depth(2.0 * x - 1.0, side=2),
  "fold4": lambda x, kernel, bias: layers.space_to_depth(2.0 * x - 1.0, side=4),
  "unfold2": lambda x, kernel, bias: jax.nn.sigmoid(layers.depth_to_space(x, side=2)),
  "unfold4": lambda x, kernel, bias: jax.nn.sigmoid(layers.depth_to_space(x, side=4)),
}


def cases(config: ModelConfig, size: int) -> Iterator[tuple[timing.Case, int]]:
  """(case, how often it occurs): the whole first, then the layers."""
  about, rng = {"size": size}, np.random.default_rng(0)
  params = jax.jit(lambda: init_params(jax.random.key(0), config))()
  image = rng.random((1, size, size, 3), np.float32)
  yield timing.jit_case(WHOLE, transfer.stylize, (params, image, image), 1, about), 1
  for layer in layers_of(config):
    cells = -(-size // layer.side)
    x = rng.random((1, cells, cells, layer.channels), np.float32)
    kernel = rng.standard_normal((3, 3, layer.channels, layer.features), np.float32)
    bias = rng.random((1, 1, 1, layer.features), np.float32)
    if layer.features != layer.channels and "conv" not in layer.kind:
      kernel = bias = np.zeros(1, np.float32)
    arguments = (x, kernel, bias)
    yield timing.jit_case(layer.name, _CALLS[layer.kind], arguments, 1, about), layer.count


def main(options: Options) -> dict:
  """Measures the whole and all layers in turn, at every size, and returns the result."""
  config = config_of(options.preset, options.model_sizes)
  every = [pair for size in options.sizes for pair in cases(config, size)]
  result = timing.measure([case for case, _ in every], options.repeats)
  whole = {row["size"]: row["seconds"]["median"] for row in result["rows"] if row["case"] == WHOLE}
  for row, (_, count) in zip(result["rows"], every, strict=True):
    row["count"] = count
    row["ratio"] = count * row["seconds"]["median"] / whole[cast(int, row["size"])]
  return records.report("layers", options, result | {"model": config.to_dict()})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
