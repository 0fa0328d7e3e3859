"""3×3 convolutions in an ONNX graph by Winograd's minimal filtering, for slow runtimes.

This is F(4×4, 3×3), as in `stylejax.models.conv_cpu`, made of products, copies and transpositions.
In WebAssembly, which has no fused multiply-adds, a convolution takes several times as long as in
native code, and saving three quarters of its products is worth the copies (tools/profile_page.py).
"""

import numpy as np

from stylejax.deploy.onnx_graph import Value
from stylejax.models import conv_cpu

_END = 2**31 - 1


def is_faster(kernel_shape: tuple[int, ...], stride: int) -> bool:
  """Whether this is faster than onnxruntime's convolution in WebAssembly, at any useful size."""
  side, _, channels, features = kernel_shape
  return side == 3 and stride == 1 and min(channels, features) >= 32


def conv3x3(x: Value, kernel: np.ndarray, bias: np.ndarray, name: str) -> Value:
  """A convolution of stride 1 with mirrored borders.

  Args:
    x: [1, Cin, H, W]; H and W at least 2.
    kernel: [3, 3, Cin, Cout], float32 or float16.
    bias: [Cout].
    name: the name of the layer, for its parameters.

  Returns:
    [1, Cout, H, W], as `conv_cpu.conv3x3` gives it.
  """
  g, (channels, features) = x.graph, kernel.shape[2:]
  size = g("Shape", x, start=2, end=4)
  x = g.pad(x, [1, 1], [1, 1], mode="reflect")
  # Pad to whole pieces of 4×4 and one more in each direction, of which its neighbor reads two rows.
  beyond = g("Add", g("Mod", -size, [4], fmod=0), [2])
  pads = g.concat([[0, 0, 0, 0, 0, 0], beyond], axis=0)
  x = g("SpaceToDepth", g("Pad", x, pads, mode="constant"), blocksize=4)
  more = g("Shape", x, start=2, end=4)
  pieces = more - [1]
  rows, columns = _at(pieces, 0), _at(pieces, 1)
  x = g("Reshape", x, g.concat([[4, 4, channels], more], axis=0))

  forth = g.weight("winograd/input", np.array(conv_cpu.INPUT, np.float32))
  x = g("MatMul", forth, g("Reshape", _overlapping(x, 0, 3, rows), [6, -1]))
  x = g("Reshape", x, g.concat([[6, 4, channels], rows, _at(more, 1)], axis=0))
  x = g("MatMul", forth, g("Reshape", _overlapping(x, 1, 4, columns), [6, 6, -1]))
  x = g("MatMul", _transformed(x, kernel, name), g("Reshape", x, [36, channels, -1]))
  back = g.weight("winograd/output", np.array(conv_cpu.OUTPUT, np.float32))
  x = g("MatMul", back, g("Reshape", x, [6, 6, -1]))
  x = g("MatMul", back, g("Reshape", x, [6, -1]))

  # From [4, 4, C·h, w], pixels of a piece first, to [C·h, 4, w, 4]: two steps are faster than one.
  x = g("Reshape", x, g.concat([[4, 4, -1], columns], axis=0))
  x = g("Transpose", x, perm=[0, 2, 3, 1])
  x = g("Transpose", g("Reshape", x, g.concat([[4, -1], columns * [4]], axis=0)), perm=[1, 0, 2])
  x = g("Reshape", x, g.concat([[1, features], pieces * [4]], axis=0))
  x = g("Slice", x, [0, 0], size, [2, 3])
  return x + g.weight(f"{name}/bias", bias.reshape(1, -1, 1, 1))


def _at(x: Value, place: int) -> Value:
  return x.graph("Slice", x, [place], [place + 1], [0])


def _overlapping(x: Value, phases: int, places: int, count: Value) -> Value:
  """Extends axis `phases` by the next piece's first two, for `count` pieces on axis `places`."""
  g = x.graph
  following = g("Slice", x, [0, 1], [2, _END], [phases, places])
  return g.concat([g("Slice", x, [0], count, [places]), following], axis=phases)


def _transformed(x: Value, kernel: np.ndarray, name: str) -> Value:
  """The transformed kernel [36, Cout, Cin], which runtimes compute when they load the file."""
  g, (channels, features) = x.graph, kernel.shape[2:]
  flat = g.weight(f"{name}/kernel", kernel.transpose(0, 1, 3, 2).reshape(9, -1))
  transform = g.weight("winograd/kernel", conv_cpu.KERNEL)
  return g("Reshape", g("MatMul", transform, flat), [36, features, channels])
