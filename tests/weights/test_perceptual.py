"""Perceptual weights: the package's files, a user's torchvision file, and files that are wrong."""

import pickle
import sys

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from torch_reference import torch

from stylejax import InputError
from stylejax.models.vgg16 import VGG16_CHANNELS, vgg16_features
from stylejax.weights.perceptual import load_lpips_heads, load_resnet, load_vgg

BLOCK_1_AND_2 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128)}


@pytest.fixture
def state(rng):
  """A torchvision VGG16 state dict up to conv2_2, with the classifier that belongs to it."""
  state = {}
  for index, (inputs, outputs) in BLOCK_1_AND_2.items():
    scale = np.sqrt(2 / (9 * inputs))
    state[f"features.{index}.weight"] = scale * rng.normal(size=(outputs, inputs, 3, 3))
    state[f"features.{index}.bias"] = 0.1 * rng.normal(size=outputs)
  state["classifier.0.bias"] = np.zeros(8)
  return {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}


def torchvision_relu2_2(state, image: np.ndarray) -> np.ndarray:
  """torchvision's `features` after its documented preprocessing; [B, H, W, 3] in and out."""
  layers = []
  for index, (inputs, outputs) in BLOCK_1_AND_2.items():
    if index == 5:
      layers.append(torch.nn.MaxPool2d(2, 2))
    convolution = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
    convolution.load_state_dict(
      {part: torch.tensor(state[f"features.{index}.{part}"]) for part in ("weight", "bias")}
    )
    layers += [convolution, torch.nn.ReLU()]
  mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
  std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
  x = (torch.tensor(image).permute(0, 3, 1, 2) - mean) / std
  with torch.no_grad():
    return torch.nn.Sequential(*layers)(x).permute(0, 2, 3, 1).numpy()


def write(path, state):
  if path.suffix == ".safetensors":
    safetensors.numpy.save_file(state, path)
  else:
    torch.save({name: torch.tensor(value) for name, value in state.items()}, path)
  return path


@pytest.mark.torch
@pytest.mark.parametrize("name", ["vgg.safetensors", "vgg.pth", "vgg.pt"])
def test_torchvision_weights_give_torchvisions_features(tmp_path, rng, state, name):
  """Also at borders: in both, zero padding comes after the preprocessing."""
  params = load_vgg(write(tmp_path / name, state))
  assert set(params) == {"input", "conv1_1", "conv1_2", "conv2_1", "conv2_2"}
  image = rng.uniform(size=(2, 21, 18, 3)).astype(np.float32)
  actual = vgg16_features(params, jnp.asarray(image), layers=("relu2_2",))["relu2_2"]
  want = torchvision_relu2_2(state, image)
  np.testing.assert_allclose(actual, want, atol=1e-5 * want.max())


def test_packaged_weights():
  params = load_vgg()
  assert set(params) == {"input", *VGG16_CHANNELS}
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_packaged_weights_see_edges():
  """Weights are trained: filters of the first layer respond to an edge, not to flat areas."""
  kernel = np.asarray(load_vgg()["conv1_1"]["kernel"])
  contrast = np.abs(kernel.sum((0, 1, 2))) / np.abs(kernel).sum((0, 1, 2))
  assert (contrast < 0.05).sum() >= 16


def test_own_layout_is_read_back(tmp_path, state):
  params = load_vgg(write(tmp_path / "a.safetensors", state))
  flat = {
    f"{name}.{part}": np.asarray(value)
    for name, layer in params.items()
    for part, value in layer.items()
  }
  reloaded = load_vgg(write(tmp_path / "b.safetensors", flat))
  jax.tree.map(np.testing.assert_array_equal, reloaded, params)


def test_lpips_heads():
  heads = load_lpips_heads()
  assert {name: head.shape for name, head in heads.items()} == {
    "relu1_2": (64,),
    "relu2_2": (128,),
    "relu3_3": (256,),
    "relu4_3": (512,),
    "relu5_3": (512,),
  }
  # LPIPS trains them with non-negative weights.
  assert all((head >= 0).all() and head.sum() > 0 for head in heads.values())


def test_packaged_resnet():
  params = load_resnet()
  assert {name.split("_")[0] for name in params} == {"input", "conv1", "conv2", "conv3", "conv4"}
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_wrong_resnets_are_named(tmp_path):
  flat = {
    f"{name}.{'.'.join(part)}": np.asarray(value)
    for name, layer in load_resnet().items()
    for part, value in flax.traverse_util.flatten_dict(layer).items()
  }
  reloaded = load_resnet(write(tmp_path / "same.safetensors", flat))
  jax.tree.map(np.testing.assert_array_equal, reloaded, load_resnet())
  for change, words in (
    ({"conv1.bias": np.zeros(63, np.float32)}, r"conv1.bias: found \(63,\), expected shape"),
    ({"conv3_2.middle.bias": np.full(64, np.nan, np.float32)}, "conv3_2.middle.bias: found NaN"),
    ({"input.mean": None}, "input.mean: found none"),
  ):
    tensors = {name: value for name, value in (flat | change).items() if value is not None}
    with pytest.raises(InputError, match=words):
      load_resnet(write(tmp_path / "wrong.safetensors", tensors))


class Harmful:
  def __reduce__(self):
    return (print, ("executed",))


def wrong_files(folder, state):
  """{what: (path, words of the message)}"""

  def without(name):
    return {key: value for key, value in state.items() if key != name}

  text = folder / "text.safetensors"
  text.write_text("not weights")
  empty = folder / "empty.safetensors"
  empty.write_bytes(b"")
  cut = write(folder / "cut.safetensors", state)
  cut.write_bytes(cut.read_bytes()[:-100])
  other = folder / "vgg.h5"
  other.write_bytes(b"")
  nan = {**state, "features.2.bias": np.full(64, np.nan, np.float32)}
  thin = {**state, "features.2.weight": state["features.2.weight"][:, :32].copy()}
  flat = {**state, "features.0.weight": state["features.0.weight"].ravel()}
  return {
    "missing": (folder / "no.safetensors", "found no file"),
    "folder": (folder, "found no file"),
    "suffix": (other, "found suffix '.h5'"),
    "text": (text, "expected a safetensors file"),
    "empty": (empty, "expected a safetensors file"),
    "cut": (cut, "expected a safetensors file"),
    "names": (write(folder / "n.safetensors", {"a": np.zeros(2)}), "found tensors a, expected"),
    "gap": (
      write(folder / "g.safetensors", without("features.2.weight")),
      "conv1_2 kernel: found shape none, expected (3, 3, 64, 64)",
    ),
    "bias": (
      write(folder / "b.safetensors", without("features.7.bias")),
      "conv2_2 bias: found shape none, expected (128,)",
    ),
    "shape": (
      write(folder / "s.safetensors", thin),
      "conv1_2 kernel: found shape (3, 3, 32, 64), expected (3, 3, 64, 64)",
    ),
    "rank": (write(folder / "r.safetensors", flat), "conv1_1 kernel: found shape (1728,)"),
    "nan": (write(folder / "nan.safetensors", nan), "conv1_2 bias: found NaN"),
  }


def wrong_pickles(folder):
  """The same for files that PyTorch would read."""
  text = folder / "text.pth"
  text.write_text("not weights")
  pickled = folder / "pickled.pth"
  pickled.write_bytes(pickle.dumps(Harmful()))
  module = folder / "module.pth"
  torch.save(Harmful(), module)
  listed = folder / "list.pth"
  torch.save([torch.zeros(1)], listed)
  return {
    "text.pth": (text, "expected a state dict of tensors"),
    "pickle": (pickled, "expected a state dict of tensors"),
    "module": (module, "expected a state dict of tensors"),
    "list": (listed, "found list, expected a state dict"),
  }


def assert_named(files, capfd):
  for what, (path, words) in files.items():
    with pytest.raises(InputError) as error:
      load_vgg(path)
    message = str(error.value)
    assert words in message and str(path) in message, (what, message)
    assert "\n" not in message, what
  assert "executed" not in capfd.readouterr().out


def test_wrong_files_are_named(tmp_path, state, capfd):
  assert_named(wrong_files(tmp_path, state), capfd)


@pytest.mark.torch
def test_wrong_pickles_are_named(tmp_path, capfd):
  assert_named(wrong_pickles(tmp_path), capfd)


def test_pth_without_pytorch(tmp_path, monkeypatch):
  path = tmp_path / "vgg.pth"
  path.write_bytes(b"never read")
  monkeypatch.setitem(sys.modules, "torch", None)  # makes `import torch` fail
  with pytest.raises(InputError, match="found no PyTorch .* expected `pip install torch`"):
    load_vgg(path)


def test_wrong_heads_are_named(tmp_path):
  path = write(tmp_path / "heads.safetensors", {"relu1_2": np.zeros(63, np.float32)})
  with pytest.raises(InputError, match=r"relu1_2: found \(63,\), expected shape \(64,\)"):
    load_lpips_heads(path)
