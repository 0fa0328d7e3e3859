"""The layers that every net is built from: padding, convolution and resampling of NHWC arrays.

Moments and modulation are in adain.py; no net or size of a net is defined here.
"""

import functools
import math
import operator
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylejax.models.conv_cpu import conv3x3, edged_conv3x3, ringed_conv3x3, ringed_direct_conv3x3
from stylejax.models.padding import Edges, take_lines

he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
lecun_normal = nn.initializers.lecun_normal()


def initializer(
  module: nn.Module, init: nn.initializers.Initializer
) -> nn.initializers.Initializer:
  """Returns init while a module makes its parameters, and zeros while it is applied to given ones.

  At every application Flax traces each parameter's initializer to compare shapes; with random
  numbers this takes a third of the time of tracing the nets.
  """
  return init if module.is_initializing() else nn.initializers.zeros


def reflect_pad(x: jax.Array, pad: int) -> jax.Array:
  """Pads height and width of [B, H, W, C] by `pad` mirrored pixels on every side."""
  return jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")


def pad_to_multiple(x: jax.Array, multiple: int) -> jax.Array:
  """Extends [B, H, W, C] at the bottom and right by mirrored pixels to multiples of `multiple`."""
  sides = [(side, (side + multiple - 1) // multiple * multiple) for side in x.shape[1:3]]
  if all(isinstance(side, int) for side in x.shape[1:3]):
    beyond = [(0, padded - side) for side, padded in sides]
    return jnp.pad(x, ((0, 0), *beyond, (0, 0)), mode="reflect") if any(map(any, beyond)) else x
  for axis, (side, padded) in enumerate(sides, 1):  # symbolic sizes of jax.export
    at = jnp.arange(padded) % (2 * (side - 1))
    x = jnp.take(x, jnp.minimum(at, 2 * (side - 1) - at), axis=axis, mode="clip")
  return x


def space_to_depth(x: jax.Array, *, side: int = 2) -> jax.Array:
  """Folds squares of pixels into channels: [B, H, W, C] → [B, H/side, W/side, side²·C].

  H and W are multiples of `side`, the side of a square.
  """
  batch, height, width, channels = x.shape
  rows, columns = height // side, width // side
  x = x.reshape(batch, rows, side, columns, side, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, side**2 * channels)


def depth_to_space(x: jax.Array, *, side: int = 2) -> jax.Array:
  """Inverse of `space_to_depth`: [B, H, W, side²·C] → [B, side·H, side·W, C]."""
  batch, rows, columns, folded = x.shape
  channels = folded // side**2
  x = x.reshape(batch, rows, columns, side, side, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, side * rows, side * columns, channels)


def upsample2(x: jax.Array, *, edges: Edges | None = None) -> jax.Array:
  """Doubles height and width of [B, H, W, C] by bilinear interpolation between pixel centers.

  Weights are 3/4 and 1/4; beyond the border the edge pixel is repeated. Constants stay constant and
  ramps stay ramps, so no grid can arise.
  """
  if edges is not None:
    return _edged_upsample2(x, edges)

  def double(x, axis):
    size = x.shape[axis]
    before = jnp.concatenate(
      [jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)],
      axis,
    )
    after = jnp.concatenate(
      [
        jax.lax.slice_in_dim(x, 1, size, axis=axis),
        jax.lax.slice_in_dim(x, size - 1, size, axis=axis),
      ],
      axis,
    )
    return _spread(0.25 * before + 0.75 * x, axis, 0) + _spread(0.75 * x + 0.25 * after, axis, 1)

  return double(double(x, 1), 2)


def _edged_upsample2(x: jax.Array, edges: Edges) -> jax.Array:
  if edges.axis_name is not None:
    return upsample2_by_lines(x, edges)
  return jax.lax.platform_dependent(
    x,
    cpu=partial(upsample2_by_number, edges=edges),
    default=partial(upsample2_by_lines, edges=edges),
  )


def upsample2_by_lines(x: jax.Array, edges: Edges) -> jax.Array:
  """`upsample2` of a map with edges, on an extended map: for accelerators and several devices."""
  return edges.crop(upsample2(edges.extend(x, repeat=True)), scale=2)


def upsample2_by_number(x: jax.Array, edges: Edges) -> jax.Array:
  """The same as one loop over the outputs, which a CPU compiles and runs in a fraction of the time.

  Output i reads line ⌊i/2⌋ and its neighbor: the line before for even i, the line after for odd i.
  """
  near, far = [], []
  for axis in (1, 2):
    places = jnp.arange(2 * x.shape[axis])
    near.append(places >> 1)
    far.append(edges.lines(x, axis, (places >> 1) + 2 * (places & 1) - 1, repeat=True))
  rows, columns = zip(near, far, strict=True)
  parts = [
    of_row * of_column * take_lines(x, row, column)
    for of_row, row in zip((0.75, 0.25), rows, strict=True)
    for of_column, column in zip((0.75, 0.25), columns, strict=True)
  ]
  return functools.reduce(operator.add, parts)


def _spread(x: jax.Array, axis: int, first: int) -> jax.Array:
  """Puts x on every other place of a doubled axis, with zeros between.

  Unlike a stack and a reshape, this leaves the layout to the convolutions on both sides: on a TPU
  those want the batch next to the channels, while a reshape of the pixels wants it outermost.
  """
  config = [(0, 0, 0)] * x.ndim
  config[axis] = (first, 1 - first, 1)
  return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def downsample2(x: jax.Array) -> jax.Array:
  """Halves height and width of [B, H, W, C] by averaging 2×2 pixels; H and W even."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def reflect_conv(
  x: jax.Array, kernel: jax.Array, *, stride: int = 1, edges: Edges | None = None
) -> jax.Array:
  """3×3 cross-correlation with reflect padding: f(x, y) = Σ_i Σ_j w_ij · I(x+i, y+j).

  Args:
    x: [B, H, W, Cin]; H and W at least 2, and even where stride is 2.
    kernel: [3, 3, Cin, Cout].
    stride: 1 or 2.
    edges: what lies beyond the edges of x; None: its mirror image.

  Returns:
    [B, H/stride, W/stride, Cout].
  """
  if edges is not None:
    ring = edges.ring(x)
    if stride == 1:
      return conv3x3(ring, kernel, padding="valid")
    return jax.lax.platform_dependent(
      ring,
      kernel,
      cpu=partial(ringed_conv3x3, stride=stride),
      default=partial(ringed_direct_conv3x3, stride=stride),
    )
  if stride == 1:
    return conv3x3(x, kernel, padding="reflect")

  def direct(x, kernel):
    return jax.lax.conv_general_dilated(
      reflect_pad(x, 1)[:, :-1, :-1],
      kernel,
      (stride, stride),
      "VALID",
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )

  return jax.lax.platform_dependent(
    x, kernel, cpu=partial(edged_conv3x3, stride=stride), default=direct
  )


def _blank(x: jax.Array, scale: float, features: int) -> jax.Array:
  """Zeros in the shape of a layer's output: initialization needs no values, and tracing is slow."""
  batch, height, width, _ = x.shape
  return jnp.zeros((batch, int(height * scale), int(width * scale), features), x.dtype)


class Conv(nn.Module):
  """3×3 convolution and bias; padding "reflect" with stride 1 or 2, or "zeros" with stride 1."""

  features: int
  stride: int = 1
  padding: str = "reflect"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: jax.Array, *, edges: Edges | None = None) -> jax.Array:
    kernel = self.param(
      "kernel", initializer(self, he_normal), (3, 3, x.shape[-1], self.features), jnp.float32
    )
    bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
    x, kernel, bias = (a.astype(self.dtype) for a in (x, kernel, bias))
    if self.is_initializing():
      return _blank(x, 1 / self.stride, self.features)
    if self.padding == "reflect":
      return reflect_conv(x, kernel, stride=self.stride, edges=edges) + bias[None, None, None]
    return conv3x3(x, kernel, padding=self.padding) + bias[None, None, None]


def enlarged_taps(scale: int) -> np.ndarray:
  """How a 3-tap filter on a bilinearly enlarged signal reads the original: [scale, 3, 3].

  Entry [phase, p + 1, u + 1] is the weight of the original's sample i + u in what tap p of the
  filter reads for sample scale·i + phase of the enlarged signal; p and u are −1, 0 or 1.
  """
  phases, taps = np.ogrid[:scale, -1:2]
  place = (phases + taps + 0.5) / scale - 0.5
  return np.maximum(0.0, 1.0 - np.abs(place[..., None] - np.arange(-1, 2)))


def upsampling_kernel(kernel: jax.Array, sharp: jax.Array) -> jax.Array:
  """The phases of an `UpsampleConv` as one kernel: [3, 3, Cin, scale²·Cout], for depth_to_space.

  Args:
    kernel: [3, 3, Cin, Cout], of a convolution after bilinear upsampling.
    sharp: [3, 3, Cin, scale²·Cout], an additional filter for each phase, whose sum over the taps is
      brought to its mean over the phases, so that all phases agree on constants.
  """
  kernel, sharp = (jnp.asarray(x, jnp.float32) for x in (kernel, sharp))
  one_axis = enlarged_taps(math.isqrt(sharp.shape[3] // kernel.shape[3]))
  # One product with constants: with each axis by itself it would take three programs.
  taps = np.einsum("apu,bqv->uvabpq", one_axis, one_axis).astype(np.float32)
  smooth = jnp.einsum("uvabpq,pqio->uviabo", taps, kernel)
  sums = sharp.reshape(smooth.shape).sum((0, 1), keepdims=True)
  uneven = sums - sums.mean((3, 4), keepdims=True)
  return (smooth + sharp.reshape(smooth.shape) - uneven / 9.0).reshape(sharp.shape)


class UpsampleConv(nn.Module):
  """Bilinear upsampling and a 3×3 convolution, folded into one at low resolution and made sharp.

  The phases of a convolution of the enlarged x are 3×3 filters of x, linear in the kernel, so this
  costs as much as a sub-pixel convolution. Bilinear upsampling alone has no finest details, so each
  phase may also read x by a filter of its own, at no cost at run time. Where x is constant all
  phases agree, whatever is learned: no grid on plain areas. Initial parameters make this a plain
  resize-convolution.

  Departs from resize-convolution (Odena et al. 2016, Distill, "Deconvolution and Checkerboard
  Artifacts") in being folded, in the sharp part (sub-pixel convolution, Shi et al. 2016,
  arXiv:1609.05158, with constants kept), and at the outermost pixels, where x is mirrored before
  it is enlarged.
  """

  features: int
  scale: int = 2
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: jax.Array, *, edges: Edges | None = None) -> jax.Array:
    kernel = self.param(
      "kernel", initializer(self, he_normal), (3, 3, x.shape[-1], self.features), jnp.float32
    )
    sharp = self.param(
      "sharp",
      nn.initializers.zeros,
      (3, 3, x.shape[-1], self.scale**2 * self.features),
      jnp.float32,
    )
    bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
    if self.is_initializing():
      return _blank(x, self.scale, self.features)
    phases = upsampling_kernel(kernel, sharp).astype(self.dtype)
    y = depth_to_space(reflect_conv(x.astype(self.dtype), phases, edges=edges), side=self.scale)
    return y + bias.astype(self.dtype)[None, None, None]


# How output 2i + phase of a 4-tap transposed convolution of stride 2 reads inputs i−1, i and i+1:
# TRANSPOSED_TAPS[phase][input][tap] is 1 where they meet.
TRANSPOSED_TAPS = (
  ((1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0)),
  ((0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)),
)


class ConvTranspose(nn.Module):
  """Transposed 4×4 convolution of stride 2 with reflect padding: [B, H, W, C] → [B, 2H, 2W, C'].

  It has the parameters of flax.linen.ConvTranspose and, except at the outermost pixels, the same
  output, but computes it as one 3×3 convolution and a depth-to-space: the gradient of a dilated
  convolution is several times slower on a CPU. Departs from Flax's in mirroring the border, where
  zeros would draw a frame.
  """

  features: int
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    kernel = self.param(
      "kernel", initializer(self, he_normal), (4, 4, x.shape[-1], self.features), jnp.float32
    )
    bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
    if self.is_initializing():
      return _blank(x, 2, self.features)
    taps = jnp.array(TRANSPOSED_TAPS, kernel.dtype)
    folded = jnp.einsum("aut,bvs,tsio->uviabo", taps, taps, kernel)
    folded = folded.reshape(3, 3, x.shape[-1], 4 * self.features)
    y = depth_to_space(reflect_conv(x.astype(self.dtype), folded.astype(self.dtype)))
    return y + bias.astype(self.dtype)[None, None, None]


def twice(x: jax.Array) -> jax.Array:
  """A batch of one as a batch of two: [1, ...] → [2, ...]."""
  return jnp.concatenate([x, x])


class Mlp(nn.Module):
  """Dense layers with ReLU between them."""

  widths: Sequence[int]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    one_row = x.shape[0] == 1
    if one_row:  # XLA on CPUs compiles each product with one row anew, which is slow
      x = twice(x)
    for i, width in enumerate(self.widths):
      x = nn.Dense(width, kernel_init=initializer(self, he_normal))(x if i == 0 else nn.relu(x))
    return x[:1] if one_row else x
