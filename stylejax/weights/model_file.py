"""Weights for inference: one safetensors file that carries its model's config.

Names in the file are "part/layer/…/kernel", with the parts of `stylejax.transfer.Params`. Training
checkpoints are not here, nor perceptual networks (`stylejax.weights.perceptual`).
"""

import functools
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from stylejax import models, transfer
from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.runtime.files import check_writable, replacing
from stylejax.transfer import PARTS
from stylejax.weights.safetensors_bytes import to_safetensors

FORMAT = "1"
"""Version of the file layout; other versions are refused when reading."""

PACKAGED = {
  "base": ("base.safetensors", "base-noise.safetensors"),
  "base-1": ("base-1.safetensors", "base-1-noise.safetensors"),
}
"""Files of each packaged model; the first is required, the others add their parts if present."""

_DTYPES = {"float16": np.float16, "float32": np.float32}


def save_weights(
  path: str | os.PathLike,
  params: transfer.Params,
  *,
  metadata: dict[str, Any] | None = None,
  dtype: str = "float16",
) -> Path:
  """Writes parameters to one safetensors file, atomically.

  Args:
    path: the file to write, ending in .safetensors; an existing one is replaced.
    params: the parameters; parts that are None are left out.
    metadata: extra notes for the header (steps, data, command). Values other than strings are
      written as JSON. The keys "stylejax_config" and "stylejax_format" are reserved.
    dtype: "float16" (half the bytes; relative error up to 5e-4) or "float32" (exact).

  Returns:
    The path.

  Raises:
    InputError: all parts are None, the dtype is unknown, a value is NaN, infinite or beyond the
      dtype's range, the name does not end in .safetensors, or the folder can't be written to.
  """
  path = Path(path)
  if dtype not in _DTYPES:
    raise InputError(f"dtype: found {dtype!r}, expected float16 or float32")
  if path.suffix != ".safetensors":
    raise InputError(f"weights file {path}: found extension {path.suffix!r}, expected .safetensors")
  check_writable(path, "weights file")
  arrays = {}
  for name, leaf in _named_leaves(params).items():
    # Overflow to infinity is reported below by name; NumPy's own warning would only add noise.
    with np.errstate(over="ignore"):
      array = np.ascontiguousarray(np.asarray(leaf, np.float32).astype(_DTYPES[dtype]))
    if not np.isfinite(array).all():
      raise InputError(
        f"weights {name}: found NaN, infinity or values beyond {dtype}, expected finite numbers"
      )
    arrays[name] = array
  if not arrays:
    raise InputError(
      "weights: found no part that is not None, expected at least one of " + ", ".join(PARTS)
    )
  header = {k: v if isinstance(v, str) else json.dumps(v) for k, v in (metadata or {}).items()}
  header["stylejax_config"] = json.dumps(params.config.to_dict())
  header["stylejax_format"] = FORMAT
  content = to_safetensors(arrays, metadata=header)
  with replacing(path) as temporary:
    temporary.write_bytes(content)
  return path


def load_weights(path: str | os.PathLike) -> transfer.Params:
  """Reads one weights file; parts that it does not contain are None.

  Args:
    path: a file written by `save_weights`.

  Returns:
    Params, float32 whatever the file's dtype, with the file's config.

  Raises:
    InputError: the file is missing, truncated, not a safetensors file or not written by stylejax,
      or its arrays (names, shapes, dtypes, values) don't match its config.
  """
  return _load(Path(path), ours=False)


def _load(path: Path, *, ours: bool) -> transfer.Params:
  """`load_weights`; for packaged files (`ours`), skips the shape check, which takes tracing."""
  arrays, metadata = _read(path)
  config = _config(path, metadata)
  parts = {name.split("/", 1)[0] for name in arrays}
  if not parts:
    raise InputError(f"weights {path}: found no arrays, expected the parts of a stylejax model")
  unknown = sorted(parts - set(PARTS))
  if unknown:
    raise InputError(f"weights {path}: found part {unknown[0]!r}, expected only {', '.join(PARTS)}")
  if not ours:
    expected = _expected_shapes(path, config)
    wanted = {name: shape for name, shape in expected.items() if name.split("/", 1)[0] in parts}
    _check_shapes(path, arrays, wanted)
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise InputError(f"weights {path}: found NaN or infinity in {name}, expected finite numbers")
  # One transfer for all leaves: a call for each would cost more than the copy.
  device_arrays = jax.device_put({k: v.astype(np.float32) for k, v in arrays.items()})
  nested = _nested(device_arrays)
  return transfer.Params(**{part: nested.get(part) for part in PARTS}, config=config)


def load_pretrained(name_or_path: str | os.PathLike = "base") -> transfer.Params:
  """Loads weights by the name of a packaged model or from a file.

  Args:
    name_or_path: "base" for the weights in the package, "base-1" for those that it shipped as
      "base" before, or the path of a safetensors file written by `save_weights` or `stylejax train
      export`. A packaged name takes precedence over a file.

  Returns:
    Params, float32. Parts that the weights don't contain are None.

  Raises:
    InputError: there is no such name or file, or `load_weights` refuses the file.
  """
  files = PACKAGED.get(os.fspath(name_or_path))
  if files is None:
    path = Path(name_or_path)
    if not path.exists():
      raise InputError(
        f"weights {name_or_path}: found neither a packaged name nor a file, "
        f"expected {' or '.join(map(repr, PACKAGED))} or the path of a .safetensors "
        "file"
      )
    return load_weights(path)
  folder = resources.files("stylejax") / "assets" / "weights"
  params: Any = None
  for name in files:
    with resources.as_file(folder / name) as path:
      if not path.exists():
        if params is None:
          raise InputError(
            f"weights {name_or_path}: found no file {path}, expected it in the "
            "package; reinstall stylejax or give a file with --weights"
          )
        continue
      loaded = _load(path, ours=True)
    if params is None:
      params = loaded
      continue
    if loaded.config != params.config:
      raise InputError(
        f"weights {path}: found a different model config than in {files[0]}, expected the same one"
      )
    params = params.replace(
      **{part: getattr(loaded, part) for part in PARTS if getattr(params, part) is None}
    )
  return params


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """The arrays of a safetensors file by name, and its metadata."""
  if path.is_dir():
    raise InputError(f"weights {path}: found a folder, expected a .safetensors file")
  if not path.is_file():
    raise InputError(f"weights {path}: found no file, expected a .safetensors file")
  try:
    with safe_open(path, framework="np") as file:
      metadata = dict(file.metadata() or {})
      # The dtype comes from the header, because NumPy lacks some (bfloat16, float8).
      content = {}
      for name in file.keys():  # noqa: SIM118, it is not iterable
        dtype = file.get_slice(name).get_dtype()
        if dtype not in ("F16", "F32"):
          raise InputError(f"weights {path}: found {dtype} in {name}, expected F16 or F32")
        content[name] = file.get_tensor(name)
  # NumPy raises ValueError for an empty array with an axis too long for it.
  except (SafetensorError, ValueError) as error:
    raise InputError(
      f"weights {path}: found no whole safetensors file ({error}), expected one "
      "written by `stylejax train export`"
    ) from error
  except OSError as error:
    raise InputError(
      f"weights {path}: found {error.strerror or error}, expected a readable .safetensors file"
    ) from error
  return content, metadata


def _config(path: Path, metadata: dict[str, str]) -> ModelConfig:
  """The model config in a file's metadata."""
  if "stylejax_config" not in metadata or "stylejax_format" not in metadata:
    raise InputError(
      f"weights {path}: found a safetensors file without stylejax's config, "
      "expected one written by `stylejax train export`"
    )
  version = metadata["stylejax_format"]
  if version != FORMAT:
    raise InputError(f"weights {path}: found format version {version!r}, expected {FORMAT!r}")
  try:
    config = ModelConfig.from_dict(json.loads(metadata["stylejax_config"]))
  except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
    raise InputError(
      f"weights {path}: found a model config that can't be read ({error}), expected "
      "one written by this version of stylejax"
    ) from error
  return config


@functools.cache
def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
  """Shapes of all arrays in a model, by name; nothing is computed."""
  abstract = jax.eval_shape(lambda: models.nets.init_params(jax.random.key(0), config))
  return {name: tuple(leaf.shape) for name, leaf in _named_leaves(abstract).items()}


def _expected_shapes(path: Path, config: ModelConfig) -> dict[str, tuple[int, ...]]:
  try:
    return _shapes(config)
  except Exception as error:  # whatever an absurd config makes the modules raise
    reason = str(error).partition("\n")[0]
    raise InputError(
      f"weights {path}: found a model config that builds no model ({reason}), "
      "expected one written by this version of stylejax"
    ) from error


def _check_shapes(
  path: Path, arrays: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]]
) -> None:
  """Raises InputError for the first array that is missing, unexpected or of another shape."""
  for name, shape in expected.items():
    if name not in arrays:
      raise InputError(f"weights {path}: found no array {name}, expected one of shape {shape}")
    if arrays[name].shape != shape:
      raise InputError(
        f"weights {path}: found shape {arrays[name].shape} for {name}, expected {shape}"
      )
  for name in arrays:
    if name not in expected:
      raise InputError(
        f"weights {path}: found array {name}, expected none of that name in this model"
      )


def _named_leaves(params: transfer.Params) -> dict[str, Any]:
  """Leaves by "part/layer/…/kernel"; parts that are None have no leaves."""
  parts = {part: getattr(params, part) for part in PARTS if getattr(params, part) is not None}
  leaves, _ = jax.tree.flatten_with_path(parts)
  return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _nested(arrays: dict[str, Any]) -> dict[str, Any]:
  """Turns names such as "part/layer/…/kernel" into nested dicts."""
  nested: dict[str, Any] = {}
  for name, array in arrays.items():
    *outer, last = name.split("/")
    functools.reduce(lambda inside, key: inside.setdefault(key, {}), outer, nested)[last] = array
  return nested
