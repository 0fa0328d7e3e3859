"""Reads frozen perceptual weights, packaged or from files: VGG16, ResNet-50, LPIPS heads.

The networks are in `stylejax.models.vgg16` and `.resnet50`, LPIPS in `stylejax.metrics.content`.
"""

import importlib.resources
import os
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from stylejax.errors import InputError
from stylejax.models.resnet50 import HalfResNet50
from stylejax.models.vgg16 import VGG16_CHANNELS, VGG16_LAYERS

# Indices of the convolutions in torchvision's `features`; the rest are ReLUs and poolings.
TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
# torchvision's documented preprocessing of RGB in [0, 1]: (x − mean) / std.
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)


def load_vgg(path: str | os.PathLike | None = None) -> dict[str, dict[str, jax.Array]]:
  """Loads VGG16's convolutions for `stylejax.models.vgg16.vgg16_features`.

  Args:
    path: None for the packaged weights; or a file with this package's layout; or a torchvision
      VGG16 state dict as .safetensors or .pth/.pt (read with weights_only, which needs PyTorch).

  Returns:
    {"input": {"mean": [3], "scale": [3]}, "conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …},
    all float32. A file may end at a shallower layer than conv5_3, but not skip one.

  Raises:
    InputError: the file is missing, isn't what its name says, or contains other tensors, shapes or
      non-finite numbers.
  """
  path = _packaged("vgg16.safetensors") if path is None else Path(path)
  tensors = _read_tensors(path)
  if "conv1_1.kernel" in tensors:
    params = {
      "input": {"mean": tensors.get("input.mean"), "scale": tensors.get("input.scale")},
      **{
        name: {"kernel": tensors.get(f"{name}.kernel"), "bias": tensors.get(f"{name}.bias")}
        for name in VGG16_LAYERS
      },
    }
  elif "features.0.weight" in tensors:
    params = _from_torchvision(tensors)
  else:
    raise InputError(
      f"VGG16 weights {path}: found tensors {_some(tensors)},"
      " expected conv1_1.kernel … (this package) or features.0.weight … (torchvision)"
    )
  return _checked(path, params)


def load_resnet(path: str | os.PathLike | None = None) -> dict[str, Any]:
  """Loads the half-width ResNet-50 for `stylejax.models.resnet50.resnet_features`, in float32.

  Args:
    path: None for the packaged file; or a file with the same layout.

  Raises:
    InputError: the file is missing or contains other tensors, shapes or non-finite numbers.
  """
  path = _packaged("resnet50_half.safetensors") if path is None else Path(path)
  tensors = _read_tensors(path)
  shapes = jax.eval_shape(HalfResNet50().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  expected = {
    name: value.shape
    for name, value in flax.traverse_util.flatten_dict(shapes["params"], sep=".").items()
  }
  for name, shape in expected.items():
    found = tensors[name].shape if name in tensors else "none"
    if found != shape:
      raise InputError(f"ResNet weights {path}: {name}: found {found}, expected shape {shape}")
    if not np.isfinite(tensors[name]).all():
      raise InputError(f"ResNet weights {path}: {name}: found NaN or Inf, expected numbers")
  return flax.traverse_util.unflatten_dict(
    {name: jnp.asarray(tensors[name], jnp.float32) for name in expected}, sep="."
  )


def load_lpips_heads(path: str | os.PathLike | None = None) -> dict[str, jax.Array]:
  """Loads the linear heads of LPIPS v0.1 for VGG16: {relu1_2: [64], …, relu5_3: [512]}, float32.

  Args:
    path: None for the packaged file; or a file with the same layout.

  Raises:
    InputError: the file is missing or contains other tensors or shapes.
  """
  path = _packaged("lpips_vgg_heads.safetensors") if path is None else Path(path)
  tensors = _read_tensors(path)
  expected = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512, "relu5_3": 512}
  for name, channels in expected.items():
    found = tensors[name].shape if name in tensors else "none"
    if found != (channels,):
      raise InputError(f"LPIPS heads {path}: {name}: found {found}, expected shape ({channels},)")
  return {name: jnp.asarray(tensors[name], jnp.float32) for name in expected}


def _packaged(name: str) -> Path:
  # Needs a package installed as a folder, not a zip, because safetensors memory-maps the file.
  return Path(str(importlib.resources.files("stylejax") / "assets" / "weights" / name))


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
  """All tensors of a .safetensors or .pth file as NumPy arrays."""
  if not path.is_file():
    raise InputError(f"perceptual weights: found no file {path}, expected .safetensors or .pth")
  if path.suffix == ".safetensors":
    try:
      return safetensors.numpy.load_file(path)
    # NumPy raises ValueError for an empty array with an axis too long for it.
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
      reason = str(error).splitlines()[0]
      raise InputError(
        f"perceptual weights {path}: found {reason}, expected a safetensors file of floats"
      ) from error
  if path.suffix in (".pth", ".pt"):
    return _read_torch(path)
  raise InputError(
    f"perceptual weights {path}: found suffix {path.suffix!r}, expected .safetensors or .pth"
  )


def _read_torch(path: Path) -> dict[str, np.ndarray]:
  try:
    import torch  # only needed for a .pth file
  except ImportError as error:
    raise InputError(
      f"perceptual weights {path}: found no PyTorch to read it with,"
      " expected `pip install torch`, or the same weights as .safetensors"
    ) from error
  try:
    state = torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # torch raises pickle, zip, EOF and runtime errors for invalid files
    raise InputError(
      f"perceptual weights {path}: found {type(error).__name__},"
      " expected a state dict of tensors alone, saved by torch.save"
    ) from error
  if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
    raise InputError(
      f"perceptual weights {path}: found {type(state).__name__}, expected a state dict of tensors"
    )
  return {name: value.detach().float().numpy() for name, value in state.items()}


def _from_torchvision(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
  """Converts torchvision's `features.N.weight` [O, I, 3, 3] to kernels [3, 3, I, O].

  The preprocessing (x − mean) / std is stored as "input" and not folded into conv1_1, which would
  be wrong at the zero padding.
  """
  params: dict[str, Any] = {
    "input": {"mean": np.array(TORCHVISION_MEAN), "scale": 1 / np.array(TORCHVISION_STD)}
  }
  for name, index in zip(VGG16_LAYERS, TORCHVISION_INDICES, strict=True):
    weight = tensors.get(f"features.{index}.weight")
    if weight is not None and weight.ndim == 4:
      weight = weight.transpose(2, 3, 1, 0)
    params[name] = {"kernel": weight, "bias": tensors.get(f"features.{index}.bias")}
  return params


def _checked(path: Path, params: dict[str, Any]) -> dict[str, dict[str, jax.Array]]:
  """Checks every shape against VGG16's and every value for finiteness; returns float32."""
  inputs = [3, *VGG16_CHANNELS.values()]
  expected: dict[str, Any] = {"input": {"mean": (3,), "scale": (3,)}}
  for name, channels, previous in zip(VGG16_LAYERS, inputs[1:], inputs[:-1], strict=True):
    expected[name] = {"kernel": (3, 3, previous, channels), "bias": (channels,)}
  while params[VGG16_LAYERS[len(params) - 2]]["kernel"] is None:  # "input" is one of the entries
    params.popitem()
  for name, tensors in params.items():
    for part, shape in expected[name].items():
      found = "none" if tensors[part] is None else tensors[part].shape
      if found != shape:
        raise InputError(
          f"VGG16 weights {path}: {name} {part}: found shape {found}, expected {shape}"
        )
      if not np.isfinite(tensors[part]).all():
        raise InputError(f"VGG16 weights {path}: {name} {part}: found NaN or Inf, expected numbers")
  return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), params)


def _some(tensors: dict[str, Any]) -> str:
  names = sorted(tensors)
  return ", ".join(names[:3]) + (" …" if len(names) > 3 else "") if names else "none"
