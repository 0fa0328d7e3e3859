"""3×3 convolution by Winograd's minimal filtering, for CPUs, where XLA's direct one is slow.

`conv3x3` computes the same as a direct convolution on every platform, and picks the algorithm when
it is lowered: on accelerators nothing changes.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

TILE = 4
SPAN = TILE + 2


def _twice(matrix: Sequence[Sequence[float]]) -> np.ndarray:
  """The matrix that applies a transform to rows and columns of a flattened piece."""
  return np.kron(matrix, matrix).astype(np.float32)


# F(4×4, 3×3): a 6×6 piece of input gives 4×4 outputs with 36 products per pair of channels
# instead of 144. V = INPUT·d·INPUTᵀ, U = KERNEL·g·KERNELᵀ, y = OUTPUT·(U∘V)·OUTPUTᵀ.
INPUT = (
  (4, 0, -5, 0, 1, 0),
  (0, -4, -4, 1, 1, 0),
  (0, 4, -4, -1, 1, 0),
  (0, -2, -1, 2, 1, 0),
  (0, 2, -1, -2, 1, 0),
  (0, 4, 0, -5, 0, 1),
)
KERNEL = _twice(
  [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ]
)
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def conv3x3(x: jax.Array, kernel: jax.Array, *, padding: str = "zeros") -> jax.Array:
  """3×3 cross-correlation of stride 1: f(x, y) = Σ_i Σ_j w_ij · I(x+i, y+j).

  On a CPU, in float32 and where `is_faster` says so, the algorithm is F(4×4, 3×3), whose rounding
  error is about ten times that of the direct one (1e-5 of the largest output); elsewhere it is the
  direct one. Derivatives of any order, forward and reverse, are such convolutions again.

  Args:
    x: [B, H, W, Cin]; H and W at least 2.
    kernel: [3, 3, Cin, Cout], of the dtype of x.
    padding: "zeros" or "reflect", what lies one pixel beyond the border; "valid" if x already
      has that pixel.

  Returns:
    [B, H, W, Cout], for "valid" [B, H − 2, W − 2, Cout].

  Source: Lavin & Gray 2015, arXiv:1509.09308, section 4 (F(4×4, 3×3): section 4.3).
  """
  if jax.typeof(x).sharding.mesh.explicit_axes or jax.typeof(kernel).sharding.mesh.explicit_axes:
    return direct_conv3x3(x, kernel, padding=padding)  # JAX can follow its shardings
  return _conv3x3(x, kernel, padding, False)


# A primitive with transposes of its own, since it is bilinear: `jax.custom_vjp` has no forward
# mode, and the derivative from `jax.custom_jvp` is transposed operation by operation, which is slow
# here.
_conv3x3_p = Primitive("stylejax_conv3x3")


def _conv3x3(x, kernel, padding, turned):
  """`conv3x3`; if `turned`, with the kernel turned by 180° and its channels swapped."""
  # Inside shard_map both must vary over the same axes; the cast's transpose sums gradients.
  axes = _varying(x) | _varying(kernel)
  x, kernel = (
    jax.lax.pcast(array, tuple(sorted(axes - _varying(array))), to="varying")
    if axes - _varying(array)
    else array
    for array in (x, kernel)
  )
  return _conv3x3_p.bind(x, kernel, padding=padding, turned=turned)


def _varying(array) -> frozenset[str]:
  """The axes of a mesh over which an array varies inside `jax.shard_map`."""
  kind = jax.typeof(array)
  return kind.vma if hasattr(kind, "vma") else kind.mat.varying  # its name since jax 0.10


def _chosen(x, kernel, *, padding, turned):
  """What the primitive computes, by the fastest algorithm on each platform."""
  quick = x.dtype == jnp.float32 and is_faster(x.shape, kernel.shape)
  direct = partial(direct_conv3x3, padding=padding, turned=turned)
  if quick:
    on_cpu = partial(winograd_conv3x3, padding=padding, turned=turned)
  elif padding == "reflect" and not turned:
    on_cpu = edged_conv3x3
  elif padding == "valid" and not turned:
    on_cpu = ringed_conv3x3
  else:
    return direct(x, kernel)
  return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=direct)


def _by_pixels(cotangent, x, kernel, *, padding, turned):
  """The transpose with respect to x: the convolution with the kernel turned."""
  if padding == "zeros":
    return _conv3x3(cotangent, kernel, "zeros", not turned)
  # That of the padded image, whose border is then folded back onto the pixels it mirrors.
  back = _conv3x3(_pad(cotangent, 1, "zeros"), kernel, "zeros", not turned)
  if padding == "valid":
    return back
  return jax.linear_transpose(lambda x: _pad(x, 1, padding), x.aval)(back)[0]


def _by_kernel(cotangent, x, kernel, *, padding, turned):
  """The transpose with respect to the kernel."""

  def of_kernel(kernel):
    return direct_conv3x3(x, kernel, padding=padding, turned=turned)

  return jax.linear_transpose(of_kernel, kernel.aval)(cotangent)[0]


def _batched(arrays, axes, *, padding, turned):
  """Under `vmap`, the images of all examples form one batch, unless each has its own kernel."""
  (x, kernel), (of_x, of_kernel) = arrays, axes
  if of_kernel is not None:
    return jax.vmap(partial(_chosen, padding=padding, turned=turned), axes)(x, kernel), 0
  x = jnp.moveaxis(x, of_x, 0)
  y = _conv3x3(x.reshape(-1, *x.shape[2:]), kernel, padding, turned)
  return y.reshape(*x.shape[:2], *y.shape[1:]), 0


def _output(x, kernel, *, padding, turned):
  batch, height, width, _ = x.shape
  lost = 2 if padding == "valid" else 0
  features = kernel.shape[2 if turned else 3]
  return x.update(shape=(batch, height - lost, width - lost, features), weak_type=False)


_conv3x3_p.def_impl(jax.jit(_chosen, static_argnames=("padding", "turned")))
_conv3x3_p.def_abstract_eval(_output)
mlir.register_lowering(_conv3x3_p, mlir.lower_fun(_chosen, multiple_results=False))
ad.defbilinear(_conv3x3_p, _by_pixels, _by_kernel)
batching.primitive_batchers[_conv3x3_p] = _batched


def _pad(x: jax.Array, pad: int, padding: str) -> jax.Array:
  if padding == "valid":
    return x
  return jnp.pad(
    x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="constant" if padding == "zeros" else padding
  )


def is_faster(shape: tuple[int, ...], kernel_shape: tuple[int, ...]) -> bool:
  """Whether F(4×4, 3×3) beats XLA's direct convolution on a CPU, as measured on two cores.

  With few channels the transforms use up the gain, with few tiles the kernel's transform does; and
  below a quarter of a GFLOP a call is too short to be worth the longer compilation.
  """
  if not all(isinstance(n, int) for n in shape):
    return False  # symbolic sizes of jax.export
  batch, height, width, _ = shape
  _, _, channels, features = kernel_shape
  tiles = batch * -(-height // TILE) * -(-width // TILE)
  flops = 2 * 9 * batch * height * width * channels * features
  return min(channels, features) >= 64 and tiles >= 32 and flops >= 2.5e8


def direct_conv3x3(
  x: jax.Array, kernel: jax.Array, *, padding: str = "zeros", turned: bool = False
) -> jax.Array:
  """The same as `conv3x3`, by XLA's own convolution."""
  x = _pad(x, 1, padding) if padding == "reflect" else x
  return _xla_conv(x, kernel, "SAME" if padding == "zeros" else "VALID", turned)


def ringed_conv3x3(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
  """Convolves a map that has its neighbors around it, with zero padding that is then cut off.

  With few channels, XLA's convolution without padding is several times slower on a CPU.

  Args:
    x: [B, H + 2, W + 2, Cin]; H and W even where stride is 2.
    kernel: [3, 3, Cin, Cout].
    stride: 1 or 2.

  Returns:
    [B, H/stride, W/stride, Cout].
  """
  y = _xla_conv(x, kernel, "SAME", False, stride)
  return y[:, 1:-1, 1:-1] if stride == 1 else y[:, :-1, :-1]


def ringed_direct_conv3x3(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
  """The same as `ringed_conv3x3`, without padding."""
  end = 1 - stride or None
  return _xla_conv(x[:, :end, :end], kernel, "VALID", False, stride)


def edged_conv3x3(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
  """Convolves with reflect padding but no padded copy: pads with zeros, then redoes the border.

  Args:
    x: [B, H, W, Cin]; H and W even where stride is 2.
    kernel: [3, 3, Cin, Cout].
    stride: 1 or 2; 2 reads no pixel beyond the last row and column.

  Returns:
    [B, H/stride, W/stride, Cout].
  """
  if not _has_lines(x):
    return direct_conv3x3(x, kernel, padding="reflect")
  beyond = (1, 2 - stride)
  y = _xla_conv(x, kernel, (beyond, beyond), False, stride)
  borders = (0, -1) if stride == 1 else (0,)
  for axis in (1, 2):
    strips = []
    for border in borders:
      edge, inner = (_line(x, at, axis) for at in (border, -2 if border else 1))
      strips.append(jnp.concatenate([inner, edge, inner], axis))
    along = [(0, 0)] * 4
    along[3 - axis] = beyond
    padded = jnp.pad(jnp.concatenate(strips), along, mode="reflect")
    lines = jnp.split(_xla_conv(padded, kernel, "VALID", False, stride), len(borders))
    for border, line in zip(borders, lines, strict=True):
      y = jax.lax.dynamic_update_slice_in_dim(y, line, y.shape[axis] - 1 if border else 0, axis)
  return y


def _has_lines(x) -> bool:
  """Whether a map has lines beside its edges to be mirrored; a single line is repeated instead."""
  return all(not isinstance(side, int) or side > 1 for side in x.shape[1:3])


def _line(x, at, axis):
  return jax.lax.slice_in_dim(x, at, at + 1 or None, axis=axis)


def _xla_conv(x, kernel, padding, turned, stride=1):
  kernel = kernel[::-1, ::-1].swapaxes(2, 3) if turned else kernel
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def winograd_conv3x3(
  x: jax.Array, kernel: jax.Array, *, padding: str = "zeros", turned: bool = False
) -> jax.Array:
  """The same as `conv3x3`, by F(4×4, 3×3).

  Pieces overlap, so their transform is written as sums of strided slices, rows before columns; the
  barrier keeps XLA from fusing the two, which would compute the first once for each column. The
  transforms of kernel and outputs are matrix products over everything at once: as sums they would
  run no faster and take several times as long to compile.
  """
  x = _pad(x, 1, padding)
  batch, height, width, channels = x.shape
  height, width = height - 2, width - 2
  rows, columns = -(-height // TILE), -(-width // TILE)
  x = jnp.pad(
    x, ((0, 0), (0, (rows + 1) * TILE - height - 2), (0, (columns + 1) * TILE - width - 2), (0, 0))
  )
  x = x.reshape(batch, rows + 1, TILE, (columns + 1) * TILE * channels)
  lines = _transformed([x[:, :-1, i] if i < TILE else x[:, 1:, i - TILE] for i in range(SPAN)], 0)
  lines = jax.lax.optimization_barrier(lines)
  lines = lines.reshape(SPAN, batch, rows, columns + 1, TILE, channels)
  pieces = _transformed(
    [lines[:, :, :, :-1, i] if i < TILE else lines[:, :, :, 1:, i - TILE] for i in range(SPAN)], 1
  )
  taps = kernel[::-1, ::-1] if turned else kernel
  weights = jnp.dot(KERNEL, taps.reshape(9, -1)).reshape(SPAN**2, *kernel.shape[2:])
  contracted = (((2,), (2 if turned else 1,)), ((0,), (0,)))
  products = jax.lax.dot_general(pieces.reshape(SPAN**2, -1, channels), weights, contracted)
  y = jnp.dot(_twice(OUTPUT), products.reshape(SPAN**2, -1))
  y = y.reshape(TILE, TILE, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
  return y.reshape(batch, rows * TILE, columns * TILE, -1)[:, :height, :width]


def _transformed(parts: list[jax.Array], axis: int) -> jax.Array:
  """Applies INPUT to six arrays and stacks the results along a new axis; zeros cost nothing."""
  return jnp.stack(
    [
      sum(weight * part for weight, part in zip(row, parts, strict=True) if weight) for row in INPUT
    ],
    axis,
  )
