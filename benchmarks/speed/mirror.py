"""stylejax's nets reimplemented in PyTorch, channels last; needs the extra `bench`.

Written independently of the JAX code, with the same weights: `benchmarks.speed.peers` times them,
and a test compares their numbers. Tensors are [B, C, H, W].
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:  # only the weights come from JAX; `startup` times PyTorch without it
  from stylejax.transfer import Params

VGG_LAYERS = (
  "conv1_1",
  "conv1_2",
  "conv2_1",
  "conv2_2",
  "conv3_1",
  "conv3_2",
  "conv3_3",
  "conv4_1",
)
Weights = Mapping[str, torch.Tensor]


def tensor(image: Any) -> torch.Tensor:
  """[B, H, W, C] array → [B, C, H, W] tensor, channels last in memory."""
  return torch.from_numpy(np.array(image, np.float32)).permute(0, 3, 1, 2)


def read_part(part: Mapping[str, Any]) -> dict[str, torch.Tensor]:
  """Nested arrays of one part → {"decoder/Conv_0/kernel": tensor}, kernels in PyTorch's layout."""
  tensors = {}
  for name, value in part.items():
    if isinstance(value, Mapping):
      tensors |= {f"{name}/{inner}": t for inner, t in read_part(value).items()}
      continue
    array = np.array(value, np.float32)
    if array.ndim == 4:
      tensors[name] = (
        torch.from_numpy(array).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
      )
    else:
      tensors[name] = torch.from_numpy(array.T.copy() if array.ndim == 2 else array)
  return tensors


def read_params(params: "Params") -> dict[str, dict[str, torch.Tensor]]:
  """The parts that params have, as tensors."""
  names = ("content_encoder", "style_encoder", "generator", "discriminator")
  return {
    name: read_part(getattr(params, name)) for name in names if getattr(params, name) is not None
  }


def stylize(
  parts: Mapping[str, Weights],
  content: torch.Tensor,
  style: torch.Tensor,
  strength: torch.Tensor | float = 1.0,
) -> torch.Tensor:
  """Steps 1 to 3; sides are multiples of 32. Strength is at most 1; below 1 light is blended."""
  opacity = 0.5 * strength * (3 - strength)
  light = opacity * _light(stylize_partially(parts, content, style)) + (1 - opacity) * _light(
    content
  )
  curve = 1.055 * _power(light.clamp_min(0.0031308), 1 / 2.4) - 0.055
  return torch.where(light <= 0.0031308, 12.92 * light, curve)


def _light(x):
  """sRGB values → linear light."""
  return torch.where(x <= 0.04045, x / 12.92, _power((x.clamp_min(0.04045) + 0.055) / 1.055, 2.4))


def _power(x, exponent):
  """x to the power of exponent; faster than PyTorch's own on CPUs."""
  return torch.exp(exponent * torch.log(x))


def stylize_partially(
  parts: Mapping[str, Weights],
  content: torch.Tensor,
  style: torch.Tensor,
  moved: torch.Tensor | float = 1.0,
) -> torch.Tensor:
  """What the nets make of a content, with its moments moved by a fraction of the way, at most 1."""
  levels = encode_content(parts["content_encoder"], content)
  return generate(parts["generator"], levels, encode_style(parts["style_encoder"], style), moved)


def encode_content(weights: Weights, image: torch.Tensor) -> list[torch.Tensor]:
  """Feature maps at H/4, H/8, H/16 and H/32 of `base`."""
  fold = math.isqrt(weights["Conv_0/kernel"].shape[1] // 3)
  levels = [F.relu(_conv(weights, "Conv_0", _unshuffle(2 * image - 1, fold)))]
  for level in range(1, sum(name.endswith("/kernel") for name in weights)):
    levels.append(F.relu(_conv(weights, f"Conv_{level}", levels[-1], stride=2)))
  return levels


def encode_style(weights: Weights, image: torch.Tensor) -> torch.Tensor:
  """The style vector, [B, D]."""
  x, moments = _unshuffle(2 * image - 1, 2), []
  for level in range(4):
    x = F.relu(_conv(weights, f"Conv_{level}", x, stride=2 if level else 1))
    moments += [m.flatten(1) for m in channel_moments(x)]
  x = F.linear(
    torch.cat(moments, 1), weights["vector/Dense_0/kernel"], weights["vector/Dense_0/bias"]
  )
  return F.linear(F.relu(x), weights["vector/Dense_1/kernel"], weights["vector/Dense_1/bias"])


def adapt(weights: Weights, vector: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
  """The style vector adapted to a content with those moments, [B, D]."""

  def linear(name, x):
    return F.linear(x, weights[f"adaptation/{name}/kernel"], weights.get(f"adaptation/{name}/bias"))

  x = F.relu(linear("vector", vector) + linear("content", torch.log1p(moments)))
  return vector + linear("step", F.relu(linear("hidden", x)))


def generate(
  weights: Weights,
  levels: Sequence[torch.Tensor],
  vector: torch.Tensor,
  strength: torch.Tensor | float = 1.0,
) -> torch.Tensor:
  """Content levels and style vector → image."""
  count = itertools.count()
  moments = [m.flatten(1) for level in levels for m in channel_moments(level)]
  vector = adapt(weights, vector, torch.cat(moments, 1))

  def styled(x):
    name = f"modulation_{next(count)}"
    gain, bias, *noise_gain = F.linear(vector, weights[f"{name}/kernel"], weights[f"{name}/bias"])[
      :, :, None, None
    ].split(x.shape[1], 1)
    mean, std = channel_moments(x)
    shift = bias - mean * gain / std
    if noise_gain:
      shift = shift + noise_gain[0] * _noise_map(*x.shape[2:])
    return x * (1 + strength * (gain / std - 1)) + strength * shift

  def conv(name, x):
    return _conv(weights, f"decoder/{name}", x)

  *finer, coarsest = levels
  x = styled(coarsest)
  for block in range(2):
    y = F.relu(styled(conv(f"Conv_{2 * block}", x)))
    x = x + styled(conv(f"Conv_{2 * block + 1}", y))
  for index, level in zip(itertools.count(4, 2), reversed(finer)):
    name = f"decoder/Conv_{index}"
    x = F.conv2d(x, weights[f"{name}/kernel"], weights[f"{name}/bias"])
    up = F.interpolate(x, scale_factor=2, mode="bilinear")
    x = F.relu(up + styled(level))
    x = F.relu(styled(conv(f"Conv_{index + 1}", x)))
  smooth, sharp = (weights[f"decoder/UpsampleConv_0/{name}"] for name in ("kernel", "sharp"))
  scale = math.isqrt(len(sharp) // len(smooth))
  kernel = _enlarged(smooth, scale) + _level(sharp, scale)
  x = F.pixel_shuffle(F.conv2d(F.pad(x, (1,) * 4, "reflect"), kernel), scale)
  return torch.sigmoid(x + weights["decoder/UpsampleConv_0/bias"][:, None, None])


def discriminate(weights: Weights, image: torch.Tensor) -> list[torch.Tensor]:
  """Patch scores at two scales."""
  x, scores = 2 * image - 1, []
  for scale in range(2):
    x = F.avg_pool2d(x, 2) if scale else x
    y = _unshuffle(x, 2)
    for level in range(3):
      y = F.leaky_relu(
        _conv(weights, f"Conv_{4 * scale + level}", y, stride=2 if level else 1), 0.2
      )
    name = f"Conv_{4 * scale + 3}"
    scores.append(F.conv2d(y, weights[f"{name}/kernel"], weights[f"{name}/bias"]))
  return scores


def vgg_features(weights: Weights, image: torch.Tensor) -> dict[str, torch.Tensor]:
  """Features after the ReLU of each layer up to conv4_1."""
  x = (image - weights["input/mean"][:, None, None]) * weights["input/scale"][:, None, None]
  features = {}
  for name in VGG_LAYERS:
    if name.endswith("_1") and name != "conv1_1":
      x = F.max_pool2d(x, 2)
    x = F.relu(F.conv2d(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], padding=1))
    features[name.replace("conv", "relu")] = x
  return features


class AdaIN(torch.nn.Module):
  """The net of Huang & Belongie 2017 at its size, with random weights: for its cost alone."""

  def __init__(self):
    super().__init__()

    def conv(a, b):
      return [torch.nn.ReflectionPad2d(1), torch.nn.Conv2d(a, b, 3), torch.nn.ReLU()]

    def pool():
      return [torch.nn.MaxPool2d(2, ceil_mode=True)]

    def up():
      return [torch.nn.Upsample(scale_factor=2)]

    self.encoder = torch.nn.Sequential(
      *conv(3, 64),
      *conv(64, 64),
      *pool(),
      *conv(64, 128),
      *conv(128, 128),
      *pool(),
      *conv(128, 256),
      *conv(256, 256),
      *conv(256, 256),
      *conv(256, 256),
      *pool(),
      *conv(256, 512),
    )
    self.decoder = torch.nn.Sequential(
      *conv(512, 256),
      *up(),
      *conv(256, 256),
      *conv(256, 256),
      *conv(256, 256),
      *conv(256, 128),
      *up(),
      *conv(128, 128),
      *conv(128, 64),
      *up(),
      *conv(64, 64),
      *conv(64, 3)[:-1],
    )

  def forward(self, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    content, style = self.encoder(content), self.encoder(style)
    mean, std = channel_moments(content)
    mean_style, std_style = channel_moments(style)
    return self.decoder((content - mean) / std * std_style + mean_style)


@torch.compiler.assume_constant_result  # torch.compile has no arithmetic on uint32
def _noise_map(height: int, width: int) -> torch.Tensor:
  return _cells(height, width)


@functools.cache
def _cells(height: int, width: int) -> torch.Tensor:
  """A pattern of 256 × 256 cells, repeated: a hash of each cell's number, uniform in ±√3."""
  rows, columns = (np.arange(size, dtype=np.uint32) % 256 for size in (height, width))
  cells = 256 * rows[:, None] + columns
  for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
    cells = (cells ^ (cells >> np.uint32(shift))) * np.uint32(factor)
  return torch.from_numpy(((cells / 2.0**32 - 0.5) * np.sqrt(12.0)).astype(np.float32))


def _conv(weights, name, x, stride=1):
  return F.conv2d(
    F.pad(x, (1,) * 4, "reflect"), weights[f"{name}/kernel"], weights[f"{name}/bias"], stride
  )


def _unshuffle(x, side):
  """Space to depth with channels in stylejax's order: row, column, color."""
  batch, channels, height, width = x.shape
  x = x.reshape(batch, channels, height // side, side, width // side, side)
  x = x.permute(0, 3, 5, 1, 2, 4)
  return x.reshape(batch, side**2 * channels, height // side, width // side).contiguous(
    memory_format=torch.channels_last
  )


def _enlarged(kernel, scale):
  """Kernel [O, I, 3, 3] for a bilinearly enlarged image → [s²·O, I, 3, 3] for the image itself."""
  taps = torch.zeros(scale, 3, 3)  # phase, tap, input
  for phase, tap in itertools.product(range(scale), range(3)):
    # The tap reads the enlarged signal at scale · i + phase + tap − 1, in pixels of the original:
    where = (phase + tap - 0.5) / scale - 0.5
    low = int(np.floor(where))
    taps[phase, tap, low + 1] += 1 - (where - low)
    if where > low:
      taps[phase, tap, low + 2] += where - low
  folded = torch.einsum("apu,bqv,oipq->oabiuv", taps, taps, kernel)
  return folded.reshape(-1, *folded.shape[3:]).contiguous(memory_format=torch.channels_last)


def _level(sharp, scale):
  """[s²·O, I, 3, 3], phases outermost → colors outermost, all phases alike on a constant image."""
  sharp = sharp.unflatten(0, (scale**2, -1)).transpose(0, 1)
  total = sharp.sum((3, 4), keepdim=True)
  return (
    (sharp - (total - total.mean(1, keepdim=True)) / 9)
    .flatten(0, 1)
    .contiguous(memory_format=torch.channels_last)
  )


def channel_moments(x, eps=1e-5):
  var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
  return mean, (var + eps).sqrt()
