"""Converts `stylize` with jax2onnx instead of stylejax/deploy/onnx.py, to compare the two.

    pip install jax2onnx==0.17.1 onnxruntime
    python tools/try_jax2onnx.py --size 512 512

`stylize` can't be converted as it is: jax2onnx (0.17.1) knows neither primitives of other packages
nor padding between elements, and replaces jnp.shape by something that can't be compared. Simpler
forms replace those three here. Sizes are fixed: with symbolic ones, conversion fails at the check
that an image isn't too small.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import tyro
from jax2onnx import to_onnx

import stylejax
from stylejax import transfer
from stylejax.models import conv_cpu, layers


@dataclasses.dataclass(frozen=True)
class Options:
  """What to convert."""

  size: tuple[int, int] = (512, 512)
  """Height and width of the content."""
  style_size: tuple[int, int] = (320, 320)
  """Height and width of the style."""


class PlainShapes:
  """jax.numpy with a `shape` of its own."""

  def __getattr__(self, name: str) -> Any:
    return getattr(jnp, name)

  @staticmethod
  def shape(x: Any) -> tuple[int, ...]:
    """Shape of an array or a number."""
    return getattr(x, "shape", ())


def put_zeros_between(x: jax.Array, axis: int, first: int) -> jax.Array:
  """Does what `layers._spread` does by padding between elements."""
  zeros = jnp.zeros_like(x)
  shape = [2 * side if i == axis else side for i, side in enumerate(x.shape)]
  return jnp.stack([zeros, x] if first else [x, zeros], axis + 1).reshape(shape)


def main(options: Options) -> None:
  """Converts `stylize`, and compares it with the package on smooth random images."""
  params = stylejax.load_pretrained()
  shapes = ((1, *options.size, 3), (*options.style_size, 3), ())
  rng = np.random.default_rng(0)
  coarse = [rng.random([max(1, side // 8) if side > 3 else side for side in shape])
            for shape in shapes[:2]]  # fmt: skip
  inputs = [
    np.asarray(jax.image.resize(image, shape, "linear"), np.float32)
    for image, shape in zip(coarse, shapes[:2], strict=True)
  ] + [np.array(0.9, np.float32)]

  def stylize(content, style, strength):
    return transfer.stylize(params, content, style, strength=strength)

  expected = jax.jit(stylize)(*inputs)
  layers.conv3x3 = conv_cpu.direct_conv3x3
  layers._spread = put_zeros_between
  jax.lax.platform_dependent = lambda *arrays, default, **_: default(*arrays)
  transfer.jnp = PlainShapes()
  specs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  model = to_onnx(stylize, specs, model_name="stylize")
  with TemporaryDirectory() as folder:
    path = Path(folder) / "stylize.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    actual = session.run(None, dict(zip(names, inputs, strict=True)))[0]
    difference = np.abs(actual - np.asarray(expected)).max()
    kinds = Counter(node.op_type for node in model.graph.node)
    print(
      f"{path.stat().st_size / 1e6:.1f} MB, {sum(kinds.values())} nodes "
      f"({', '.join(f'{count} {kind}' for kind, count in kinds.most_common(5))}), "
      f"opset {model.opset_import[0].version}, at most {difference:.1e} from the package"
    )


if __name__ == "__main__":
  main(tyro.cli(Options))
