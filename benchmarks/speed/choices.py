"""What does each implementation that was chosen for CPUs gain over the plain one?

    python -m benchmarks choices

Rows come in alternating pairs: the form that stylejax uses on a CPU, then the one that would be
written without regard to speed, with the same numbers up to rounding. `ratio` is the time of ours
over the plain one's. On accelerators most pairs are identical.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import stylejax
from benchmarks.harness import command_line, records, timing
from stylejax.models import adain, conv_cpu, layers, vgg16

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  size: int = 512
  """Side of the image, in pixels; layers get maps of the sizes that this image gives them."""
  repeats: int = 20
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.at_least("--size", self.size, 128)
    command_line.at_least("--repeats", self.repeats, 1)


Pair = tuple[str, Callable, Callable, tuple]


class _Arrays:
  """Random arrays for convolutions on an image of `size` pixels a side."""

  def __init__(self, size: int):
    self._size, self._rng = size, np.random.default_rng(0)

  def maps(self, divisor: int, channels: int, batch: int = 1) -> np.ndarray:
    """Feature maps at 1/divisor of the image's size."""
    side = self._size // divisor
    return self._rng.standard_normal((batch, side, side, channels)).astype(np.float32)

  def kernel(self, channels: int, features: int) -> np.ndarray:
    """A 3×3 kernel."""
    return self._rng.standard_normal((3, 3, channels, features)).astype(np.float32) / 9

  def texture(self) -> np.ndarray:
    """A map of the noise generator."""
    return self._rng.standard_normal((8, 16, 16, 128)).astype(np.float32)


def pairs(size: int) -> Iterator[Pair]:
  """(what it is, our form, the plain form, arguments of both)."""
  arrays = _Arrays(size)
  yield from _convolutions(arrays)
  yield "moments in one pass", adain.channel_moments, _two_passes, (arrays.maps(2, 32),)
  yield from _upsampling(arrays)
  yield (
    "max-pool's gradient",
    jax.grad(lambda x: jnp.square(vgg16.max_pool_2x2(x)).sum()),
    jax.grad(lambda x: jnp.square(nn.max_pool(x, (2, 2), (2, 2))).sum()),
    (arrays.maps(4, 64, batch=4),),
  )


def _convolutions(arrays: _Arrays) -> Iterator[Pair]:
  """3×3 convolutions and the first layer, which reads pixels."""
  for divisor, channels in ((4, 64), (8, 128)):
    yield (
      f"minimal filtering, {channels} channels",
      conv_cpu.winograd_conv3x3,
      conv_cpu.direct_conv3x3,
      (arrays.maps(divisor, channels), arrays.kernel(channels, channels)),
    )

  def padded(x, kernel):
    return conv_cpu.direct_conv3x3(x, kernel, padding="reflect")

  narrow = arrays.maps(2, 32), arrays.kernel(32, 32)
  yield "reflect padding, 32 channels", conv_cpu.edged_conv3x3, padded, narrow

  def strided(x, kernel):
    # The same filter on the image itself: taps per place in a 2×2 block become taps per pixel.
    wide = kernel.reshape(3, 3, 2, 2, 3, 32).transpose(0, 2, 1, 3, 4, 5).reshape(6, 6, 3, 32)
    return jax.lax.conv_general_dilated(
      x, wide, (2, 2), ((2, 2), (2, 2)), dimension_numbers=DIMENSIONS
    )

  yield (
    "stem by space-to-depth",
    lambda x, k: conv_cpu.conv3x3(layers.space_to_depth(x), k),
    strided,
    (arrays.maps(1, 3), arrays.kernel(12, 32)),
  )


def _two_passes(x):
  mean = x.mean((1, 2), keepdims=True)
  return mean, jnp.sqrt(jnp.square(x - mean).mean((1, 2), keepdims=True) + 1e-5)


def _upsampling(arrays: _Arrays) -> Iterator[Pair]:
  """The decoder's last layer, and the noise generator's transposed convolution."""

  def doubled(x, kernel, bias):
    return conv_cpu.conv3x3(layers.upsample2(x), kernel, padding="reflect") + bias[None, None, None]

  yield (
    "doubling folded into the last convolution",
    lambda x, k, b: layers.UpsampleConv(3).apply(
      {"params": {"kernel": k, "sharp": np.zeros((3, 3, 32, 12), np.float32), "bias": b}}, x
    ),
    doubled,
    (arrays.maps(2, 32), arrays.kernel(32, 3), np.zeros(3, np.float32)),
  )
  ours, plain = layers.ConvTranspose(128), nn.ConvTranspose(128, (4, 4), (2, 2))
  texture = arrays.texture()
  params = [net.init(jax.random.key(0), texture)["params"] for net in (ours, plain)]

  def gradient(net, number):
    def loss(params, x):
      return jnp.square(net.apply({"params": params}, x)).sum()

    return lambda *arguments: jax.grad(loss)(arguments[number], arguments[-1])

  yield (
    "transposed convolution's gradient",
    gradient(ours, 0),
    gradient(plain, 1),
    (*params, texture),
  )


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  about, cases = {"size": options.size}, []
  rng = np.random.default_rng(0)
  params = stylejax.load_pretrained()
  images = tuple(rng.random((1, side, side, 3), np.float32) for side in (options.size, 256))
  cases.append(
    [
      timing.jit_case(
        f"compiler options, a stylization: {which}",
        stylejax.stylize,
        (params, *images),
        1,
        about,
        **how,
      )
      for which, how in (("ours", {}), ("plain", {"options": {}}))
    ]
  )
  for name, ours, plain, arguments in pairs(options.size):
    cases.append(
      [
        timing.jit_case(f"{name}: {which}", function, arguments, 1, about)
        for which, function in (("ours", ours), ("plain", plain))
      ]
    )
  result = timing.measure(list(itertools.chain.from_iterable(cases)), options.repeats)
  for ours, plain in zip(result["rows"][::2], result["rows"][1::2], strict=True):
    ours["ratio"] = ours["seconds"]["median"] / plain["seconds"]["median"]
    for row in (ours, plain):
      # For a fraction of a net, images per second mean nothing.
      for key in ("images_per_second", "images_per_second_per_device"):
        del row[key]
  return records.report("choices", options, result)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
