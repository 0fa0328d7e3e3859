"""Exports one file that runs without stylejax: a program for any JAX, or an ONNX model.

functions.py defines what a file can hold, stablehlo.py and onnx.py how it is represented. The
command's flags are in `stylejax.cli.export`.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jaxlib
import numpy as np

from stylejax import transfer
from stylejax.deploy import stablehlo
from stylejax.deploy.functions import FUNCTIONS, Tensor
from stylejax.deploy.support_window import reading_window
from stylejax.deploy.trials import Exported, differences
from stylejax.errors import InputError
from stylejax.models.config import ModelConfig
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import check_writable, printable, replacing
from stylejax.weights.tree_hash import tree_hash

FORMAT = 2
"""Version of the file's layout; version 1 had no `function` and a single `output`."""

DEFAULT_PLATFORMS = ("cpu", "cuda", "tpu")
EXTENSIONS = (".zip", ".onnx")
MANIFEST = "manifest.json"
PROGRAM_SIZES = ((256, 256), (181, 315), (512, 384))
LARGE_SIZES = ((1024, 1024), (2048, 2048))
"""Sizes for comparisons; the large ones are for models, whose sums another runtime computes."""

_MOST_WORK = 2**38
"""Approximate multiply-adds of the largest image that is compared; a larger one would take minutes
and tens of gigabytes."""

_BFLOAT16, _ACCELERATOR = 5e-2, 1e-4
"""The largest differences that rounding explains with bfloat16 and on accelerators; otherwise each
function has its own."""

_USE = """import zipfile, jax.export
with zipfile.ZipFile("{file}") as file:
  {name} = jax.export.deserialize(bytearray(file.read("{name}.bin"))).call
{outputs} = {name}({inputs})"""

_USE_ONNX = """import onnxruntime
{name} = onnxruntime.InferenceSession("{file}").run
inputs = {{{named_inputs}}}
{outputs}{comma} = {name}(None, inputs)"""


def export(
  params: transfer.Params,
  output: str | os.PathLike,
  *,
  function: str = "stylize",
  platforms: Sequence[str] | None = None,
  sizes: Sequence[tuple[int, int]] | None = None,
) -> dict[str, Any]:
  """Writes one file that stylizes images in a program that has only JAX, or only onnxruntime.

      import zipfile, jax.export
      with zipfile.ZipFile("stylize.zip") as file:
        stylize = jax.export.deserialize(bytearray(file.read("stylize.bin"))).call
      image = stylize(content, style, 1.0)

  All inputs and outputs are float32; images are in [0, 1], with sides of at least the manifest's
  `smallest_side`. The functions:

  - "stylize": content [B, H, W, 3], style [P, Q, 3] and strength, a scalar from 0 to 2, to
    [B, H, W, 3].
  - "encode_style": style [P, Q, 3] to its code [D]. The weighted mean of several codes is a mixture
    of their styles.
  - "paint": content, code [D] and noise_gain, a scalar from 1 to 2, to [B, H, W, 3], which is not
    blended with the content: `stylize` at a strength of 1 to 2.
  - "next_frame": frame [H, W, 3], code, strength, memory (0 to below 1) and the state after the
    previous frame, to the stylized frame and the state after it.

  Reading a .zip requires the package flatbuffers besides JAX. A name ending in .onnx gives a model
  with the same inputs, by name, which computes in float32; writing it requires the extra onnx.

  Before a file is put in place, its outputs are compared with the package's on sample images: those
  of a program on this machine's platform, if it is among those requested, and those of a model with
  onnxruntime on the CPU, up to 2,048 × 2,048 pixels. On two CPU cores a model takes one to two
  minutes and up to 3 GB of memory.

  Args:
    params: needs content_encoder, style_encoder and generator.
    output: the file, ending in .zip or .onnx; an existing one is replaced.
    function: the function that the file holds.
    platforms: the platforms for which a program is made, among cpu, cuda, rocm and tpu; None means
      all but rocm. A model takes none.
    sizes: (H, W) of the images on which it is compared, at least `smallest_exported_side` of the
      config. None means up to 512 × 384 for a program, and for a model up to 2,048 × 2,048 if the
      nets aren't much larger than the shipped ones.

  Returns:
    The manifest that the file holds (a model has it in its metadata, each entry as JSON): the
    function, its inputs and outputs, the SHA-256 of the weights and of a program, versions,
    platforms or opset, the releases of JAX that are promised to read a program, and the largest
    difference at each size.

  Raises:
    InputError: the extension, function or platform is unknown, a size is too small or not a pair of
      whole numbers, the file can't be written, params lack a part, the file's outputs differ from
      the package's, or the package onnx or onnxruntime is missing.
  """
  output = Path(output)
  if output.suffix not in EXTENSIONS:
    raise InputError(
      f"output {output}: found extension {output.suffix!r}, expected " + " or ".join(EXTENSIONS)
    )
  if function not in FUNCTIONS:
    raise InputError(f"function: found {function!r}, expected one of " + ", ".join(FUNCTIONS))
  least = params.config.smallest_exported_side
  for size in sizes or ():
    whole = isinstance(size, Sequence) and len(size) == 2 and all(type(n) is int for n in size)
    if not whole or min(size) < least:
      raise InputError(
        f"sizes: found {printable(repr(size))}, expected pairs (H, W) of whole numbers of at least "
        f"{least}, which exported files need"
      )
  check_writable(output, "output")
  if output.suffix == ".onnx":
    return _export_model(function, params, output, platforms, sizes or model_sizes(params.config))
  return _export_program(function, params, output, platforms, sizes or PROGRAM_SIZES)


def _export_model(
  name: str,
  params: transfer.Params,
  output: Path,
  platforms: Sequence[str] | None,
  sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
  if platforms is not None:
    raise InputError(f"platforms: found {', '.join(platforms)}, expected none for an .onnx file")
  try:
    import onnx
    import onnxruntime
  except ImportError as error:
    raise InputError(
      f"export: found no {error.name}, expected it for .onnx files: {install_command('onnx')}"
    ) from error
  from stylejax.deploy import onnx as models

  model = models.model(name, parts_of(name, params), params.config)
  manifest = _interface(name, params, _USE_ONNX, output.name) | {
    "opset": models.OPSET,
    "versions": {package: _version(package) for package in ("onnx", "onnxruntime", "stylejax")},
  }
  with replacing(output) as temporary:
    temporary.write_bytes(model.SerializeToString(deterministic=True))
    session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs):
      return tuple(session.run(None, dict(zip(names, inputs, strict=True))))

    # A model that runs on the CPU can't be compared with an accelerator's fast convolutions.
    with jax.default_matmul_precision("highest"):
      found = differences(name, run, params, sizes, tolerance_of(name, params, "cpu"))
    manifest["max_difference"] = found
    entries = {key: json.dumps(value, ensure_ascii=False) for key, value in manifest.items()}
    onnx.helper.set_model_props(model, entries)
    temporary.write_bytes(model.SerializeToString(deterministic=True))
  return manifest


def _export_program(
  name: str,
  params: transfer.Params,
  output: Path,
  platforms: Sequence[str] | None,
  sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
  platforms = tuple(dict.fromkeys(DEFAULT_PLATFORMS if platforms is None else platforms))
  unknown = [platform for platform in platforms if platform not in stablehlo.PLATFORMS]
  if unknown or not platforms:
    raise InputError(
      f"platforms: found {unknown[0] if unknown else 'none'}, expected some of "
      + ", ".join(stablehlo.PLATFORMS)
    )
  program = stablehlo.program(name, params, parts_of(name, params), platforms)
  content = bytes(program.serialize())
  found = None
  if _runs_here(platforms):
    tolerance = tolerance_of(name, params, jax.default_backend())
    found = differences(name, loaded(content), params, sizes, tolerance)
  manifest = _interface(name, params, _USE, output.name) | {
    "program": f"{name}.bin",
    "platforms": list(platforms),
    "calling_convention_version": program.calling_convention_version,
    "versions": {package: _version(package) for package in ("jax", "jaxlib", "stylejax")},
    "readable_by_jax": reading_window(jax.__version__, jaxlib.__version__),
    "bytes": len(content),
    "sha256": hashlib.sha256(content).hexdigest(),
    "max_difference": found,
  }
  _write(output, content, manifest)
  return manifest


def _interface(name: str, params: transfer.Params, use: str, file: str) -> dict[str, Any]:
  """The entries of the manifest that both kinds of file have."""
  signature = FUNCTIONS[name].signature(params.config)
  use = use.format(
    file=file,
    name=name,
    inputs=", ".join(signature.inputs),
    named_inputs=", ".join(f'"{tensor}": {tensor}' for tensor in signature.inputs),
    outputs=", ".join(signature.outputs),
    comma="," if len(signature.outputs) == 1 else "",
  )
  return {
    "format": FORMAT,
    "function": name,
    "use": use.splitlines(),
    "inputs": {tensor: _described(what) for tensor, what in signature.inputs.items()},
    "outputs": {tensor: _described(what) for tensor, what in signature.outputs.items()},
    "smallest_side": params.config.smallest_exported_side,
    "config": params.config.to_dict(),
    "weights_sha256": tree_hash(params),
  }


def _described(tensor: Tensor) -> dict[str, Any]:
  return {
    "shape": list(tensor.shape),
    "dtype": "float32",
    "range": None if tensor.range is None else list(tensor.range),
  }


def parts_of(name: str, params: transfer.Params) -> dict[str, Any]:
  """The parameters that a function needs, in the smallest dtype that holds them exactly."""
  needed = FUNCTIONS[name].needs
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(f"params: found no {missing[0]}, expected {', '.join(needed)}")
  return jax.tree.map(_smallest, {part: getattr(params, part) for part in needed})


def _smallest(leaf: jax.Array) -> np.ndarray:
  """The same numbers as float16 if it holds them exactly, in half the bytes."""
  exact = np.asarray(leaf)
  with np.errstate(over="ignore"):
    half = exact.astype(np.float16)
  return half if np.array_equal(half, exact) else exact


def loaded(program: bytes) -> Exported:
  """Loads a program from its bytes, so that what users will load is what is compared."""
  call = jax.jit(jax.export.deserialize(bytearray(program)).call)

  def run(*inputs):
    outputs = call(*inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)

  return run


def model_sizes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
  """The sizes at which a model of these nets is compared."""
  large = [size for size in LARGE_SIZES if size[0] * size[1] * config.work <= _MOST_WORK]
  return (*PROGRAM_SIZES, *large)


def tolerance_of(name: str, params: transfer.Params, platform: str) -> float:
  """The largest difference that rounding explains."""
  if params.config.dtype == "bfloat16":
    return _BFLOAT16
  return FUNCTIONS[name].tolerance if platform == "cpu" else _ACCELERATOR


def _runs_here(platforms: Sequence[str]) -> bool:
  names = {"gpu": ("cuda", "rocm")}
  here = jax.default_backend()
  return any(platform in names.get(here, (here,)) for platform in platforms)


def _version(distribution: str) -> str | None:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:  # run from a checkout
    return None


def _write(output: Path, program: bytes, manifest: dict[str, Any]) -> None:
  """Writes the zip file, with the same bytes for the same contents."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(zipfile.ZipInfo(manifest["program"]), program)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    archive.writestr(zipfile.ZipInfo(MANIFEST), text)
  with replacing(output) as temporary:
    temporary.write_bytes(file.getbuffer())
