"""The exported functions as programs for any JAX: portable StableHLO with the weights inside.

Like the models in onnx.py, they take images of any size. export.py writes the files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from stylejax import transfer
from stylejax.deploy.functions import FUNCTIONS

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that a program can be exported for, as `jax.export` names them."""


def program(
  name: str, params: transfer.Params, parts: Mapping[str, Any], platforms: Sequence[str]
) -> jax.export.Exported:
  """The program of one function, for images whose sizes are left open.

  Args:
    name: a name in FUNCTIONS.
    params: the parameters, whose config is used.
    parts: the parameters that the function needs, in float32 or float16, a dtype that is kept.
    platforms: the platforms for which it is made, among PLATFORMS.

  Returns:
    A program that takes the function's inputs in order and returns its output or a tuple of them.
  """
  function = FUNCTIONS[name]
  signature = function.signature(params.config)
  open_sizes = _open_sizes([tensor.shape for tensor in signature.inputs.values()], params)

  def call(*inputs):
    whole = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), dict(parts))
    outputs = function.call(params.replace(**whole), *inputs)
    return outputs[0] if len(outputs) == 1 else outputs

  call.__name__ = name
  specs = [
    jax.ShapeDtypeStruct(
      tuple(open_sizes.get(size, size) for size in tensor.shape), jnp.dtype("float32")
    )
    for tensor in signature.inputs.values()
  ]
  return jax.export.export(jax.jit(call), platforms=platforms)(*specs)


def _open_sizes(
  shapes: Sequence[tuple[str | int, ...]], params: transfer.Params
) -> dict[str | int, Any]:
  """The symbolic sizes of the letters in these shapes, with their constraints."""
  letters = list(dict.fromkeys(size for shape in shapes for size in shape if isinstance(size, str)))
  stride = params.config.stride
  # The constraints in `rounded` say that a size rounded up to whole cells can be cut back.
  least = {"h": params.config.smallest_exported_side, "w": params.config.smallest_exported_side}
  sides = [f"{side} >= {least.get(side, transfer.MIN_SIDE)}" for side in "hwpq" if side in letters]
  rounded = [
    f"floordiv({side} + {stride - 1}, {stride})*{stride} >= {side}"
    for side in "hw"
    if side in letters
  ]
  sizes = jax.export.symbolic_shape(", ".join(letters), constraints=sides + rounded)
  return dict(zip(letters, sizes, strict=True))
