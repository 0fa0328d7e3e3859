"""The converter of the second perceptual net, on a Caffe model that is written here."""

import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from stylejax.models.resnet50 import STAGES

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "stylejax/assets/weights/resnet50_half.safetensors"


@pytest.fixture(scope="module")
def converter():
  sys.path.insert(0, str(ROOT / "tools"))
  try:
    spec = importlib.util.spec_from_file_location(
      "convert_resnet50", ROOT / "tools/convert_resnet50.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
  finally:
    sys.path.remove(str(ROOT / "tools"))
  return module


def varint(value: int) -> bytes:
  actual = bytearray()
  while value >= 128:
    actual.append(value & 127 | 128)
    value >>= 7
  return bytes([*actual, value])


def field(number: int, content: bytes) -> bytes:
  return varint(number << 3 | 2) + varint(len(content)) + content


def caffe_model(layers: dict[str, list[np.ndarray]]) -> bytes:
  """A NetParameter with a name and one layer for each entry, with packed blob data."""
  model = field(1, b"net")
  for name, arrays in layers.items():
    blobs = b"".join(
      field(
        7,
        field(7, field(1, b"".join(map(varint, array.shape))))
        + field(5, array.astype("<f4").tobytes()),
      )
      for array in arrays
    )
    model += field(100, field(1, name.encode()) + varint(10 << 3) + varint(1) + blobs)
  return model + varint(6 << 3 | 5) + struct.pack("<f", 1.0)


def some_layers(rng) -> dict[str, list[np.ndarray]]:
  layers = {}

  def conv(name, inputs, outputs, side):
    layers[f"conv_{name}"] = [
      rng.normal(size=(outputs, inputs, side, side)),
      rng.normal(size=outputs),
    ]
    layers[f"bn_{name}"] = [rng.normal(size=outputs), rng.uniform(1, 3, outputs), np.array([2.0])]
    layers[f"scale_{name}"] = [rng.uniform(1, 2, outputs), rng.normal(size=outputs)]

  conv("1", 3, 64, 7)
  inputs = 64
  for number, (blocks, inner) in enumerate(STAGES.values()):
    for block in range(blocks):
      at = f"stage{number}_block{block}_"
      if block == 0:
        conv(f"{at}proj_shortcut", inputs, 4 * inner, 1)
      conv(f"{at}branch2a", inputs, inner, 1)
      conv(f"{at}branch2b", inner, inner, 3)
      conv(f"{at}branch2c", inner, 4 * inner, 1)
      inputs = 4 * inner
  return layers


def test_batch_norms_are_folded_and_colors_turned(converter, rng):
  """The file's convolution, norm and scale, computed by hand at one place of conv1."""
  layers = some_layers(rng)
  tensors = converter.resnet_tensors(caffe_model(layers))
  patch = rng.uniform(-100, 100, size=(7, 7, 3))  # BGR, its mean taken off
  actual = np.einsum("yxi,yxio->o", patch[:, :, ::-1], tensors["conv1.kernel"].astype(float))
  weight, bias = layers["conv_1"]
  mean, variance, count = layers["bn_1"]
  gamma, beta = layers["scale_1"]
  plain = np.einsum("yxi,oiyx->o", patch, weight) + bias
  want = gamma * (plain - mean / count) / np.sqrt(variance / count + 1e-5) + beta
  np.testing.assert_allclose(actual + tensors["conv1.bias"], want, atol=2e-3 * np.abs(want).max())
  with safetensors.safe_open(WEIGHTS, "np") as file:
    assert {name: file.get_slice(name).get_shape() for name in file.keys()} == {  # noqa: SIM118
      name: list(value.shape) for name, value in tensors.items()
    }


def test_the_packaged_file_is_its_bytes(converter):
  with safetensors.safe_open(WEIGHTS, "np") as file:
    notes = file.metadata()
  tensors = safetensors.numpy.load_file(WEIGHTS)
  assert converter.stable_bytes(tensors, notes) == WEIGHTS.read_bytes()
  assert notes["source_sha256"] == converter.SHA256 and "BSD" in notes["licence"]
