"""One file that paints without stylejax: a program for any JAX, or an ONNX model; with a manifest.

The program is `jax.export`'s portable StableHLO with the weights inside; like the model, which
onnx_graph.py builds, it is open in the sizes of its images. Which controls a command offers lives
in export_command.py.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import jaxlib
import numpy as np

from stylejax import transfer
from stylejax.deploy.support_window import reading_window
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import check_writable, replacing
from stylejax.runtime.jit import fast_jit

FORMAT = 1
"""Version of the file's layout."""

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that a program can be exported for, as `jax.export` names them."""

DEFAULT_PLATFORMS = ("cpu", "cuda", "tpu")
EXTENSIONS = (".zip", ".onnx")
PROGRAM, MANIFEST = "stylize.bin", "manifest.json"
CHECKED_SIZES = ((256, 256), (181, 315), (512, 384))
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
_SAMPLES = Path(__file__).parent.parent / "assets" / "samples"

_USE = """import zipfile, jax.export
with zipfile.ZipFile("{name}") as file:
  stylize = jax.export.deserialize(bytearray(file.read("{program}"))).call
image = stylize(content, style, 1.0)"""

_USE_ONNX = """import numpy as np, onnxruntime
stylize = onnxruntime.InferenceSession("{name}").run
inputs = {{"content": content, "style": style, "strength": np.array(1, np.float32)}}
image, = stylize(None, inputs)"""

# From float32 [B, H, W, 3], [P, Q, 3] and [] to [B, H, W, 3].
Stylize = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def export(
  params: transfer.Params,
  output: str | os.PathLike,
  *,
  platforms: Sequence[str] | None = None,
  sizes: Sequence[tuple[int, int]] = CHECKED_SIZES,
) -> dict[str, Any]:
  """Writes one file with which a program that has only JAX, or onnxruntime, stylizes images.

      import zipfile, jax.export
      with zipfile.ZipFile("stylize.zip") as file:
        stylize = jax.export.deserialize(bytearray(file.read("stylize.bin"))).call
      image = stylize(content, style, 1.0)

  content is [B, H, W, 3], style [P, Q, 3], both float32 in [0, 1] of any sides from 16 pixels,
  strength a float32 scalar from 0 to 2; the result is [B, H, W, 3]. Reading a zip takes the
  package flatbuffers beside JAX. A name that ends in .onnx makes a model of the same inputs, by
  name, and the output "stylized", which computes in float32; it takes the extra onnx.

  Before a file is written, its result is compared with `stylize` on sample images: a program's
  on this machine's platform if it is among those asked for, a model's by onnxruntime on the CPU.

  Args:
    params: with content_encoder, style_encoder and generator.
    output: the file, ending in .zip or .onnx; one that exists is replaced.
    platforms: for which a program is made, of PLATFORMS; None is DEFAULT_PLATFORMS. A model has
      none.
    sizes: (H, W) of the images on which it is compared.

  Returns:
    The manifest, as the file holds it (a model in its metadata, each entry as JSON): what goes in
    and comes out, SHA-256 of the weights and of a program, versions, platforms or opset, the
    releases of JAX that are promised to read a program, and the largest absolute difference at each
    size.

  Raises:
    InputError: another extension, a file that can't be written, an unknown platform, params
      without one of those parts or with which the file doesn't give what `stylize` gives, or no
      package onnx or onnxruntime.
  """
  output = Path(output)
  if output.suffix not in EXTENSIONS:
    raise InputError(
      f"output {output}: found extension {output.suffix!r}, expected " + " or ".join(EXTENSIONS)
    )
  check_writable(output, "output")
  if output.suffix == ".onnx":
    return _export_model(params, output, platforms, sizes)
  return _export_program(params, output, platforms, sizes)


def _export_model(
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
  from stylejax.deploy import onnx

  model = onnx.stylize_graph(_parts(params), params.config)
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
  )

  def stylize(content, style, strength):
    return session.run(None, {"content": content, "style": style, "strength": strength})[0]

  # An accelerator's fast convolutions are no measure for a model that runs on the CPU.
  with jax.default_matmul_precision("highest"):
    found = differences(stylize, params, sizes)
  manifest = _interface(params, _USE_ONNX.format(name=output.name)) | {
    "opset": onnx.OPSET,
    "versions": {name: _version(name) for name in ("onnx", "onnxruntime", "stylejax")},
    "max_difference": found,
  }
  entries = {key: json.dumps(value, ensure_ascii=False) for key, value in manifest.items()}
  onnx.helper.set_model_props(model, entries)
  with replacing(output) as temporary:
    temporary.write_bytes(model.SerializeToString(deterministic=True))
  return manifest


def _export_program(
  params: transfer.Params,
  output: Path,
  platforms: Sequence[str] | None,
  sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
  platforms = tuple(dict.fromkeys(DEFAULT_PLATFORMS if platforms is None else platforms))
  unknown = [platform for platform in platforms if platform not in PLATFORMS]
  if unknown or not platforms:
    raise InputError(
      f"platforms: found {unknown[0] if unknown else 'none'}, expected some of "
      + ", ".join(PLATFORMS)
    )
  program = _program(params, platforms)
  content = bytes(program.serialize())
  manifest = _interface(params, _USE.format(name=output.name, program=PROGRAM)) | {
    "platforms": list(platforms),
    "calling_convention_version": program.calling_convention_version,
    "versions": {name: _version(name) for name in ("jax", "jaxlib", "stylejax")},
    "readable_by_jax": reading_window(jax.__version__, jaxlib.__version__),
    "bytes": len(content),
    "sha256": hashlib.sha256(content).hexdigest(),
    "max_difference": (
      differences(loaded(content), params, sizes) if _runs_here(platforms) else None
    ),
  }
  _write(output, content, manifest)
  return manifest


def _interface(params: transfer.Params, use: str) -> dict[str, Any]:
  """What both kinds of file say of themselves."""
  return {
    "format": FORMAT,
    "use": use.splitlines(),
    "inputs": {
      "content": {"shape": ["b", "h", "w", 3], "dtype": "float32", "range": [0, 1]},
      "style": {"shape": ["p", "q", 3], "dtype": "float32", "range": [0, 1]},
      "strength": {"shape": [], "dtype": "float32", "range": [0, transfer.MAX_STRENGTH]},
    },
    "output": {"shape": ["b", "h", "w", 3], "dtype": "float32", "range": [0, 1]},
    "smallest_side": transfer.MIN_SIDE,
    "config": params.config.to_dict(),
    "weights_sha256": _weights_hash(params),
  }


def _parts(params: transfer.Params) -> dict[str, Any]:
  """The parameters that `stylize` needs, as small as they can be written down."""
  needed = ("content_encoder", "style_encoder", "generator")
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(f"params: found no {missing[0]}, expected {', '.join(needed)}")
  return jax.tree.map(_smallest, {part: getattr(params, part) for part in needed})


def _program(params: transfer.Params, platforms: Sequence[str]) -> jax.export.Exported:
  """`stylize` of given weights for images whose sizes are left open."""
  parts = _parts(params)
  stride = params.config.stride
  # The last two: what was rounded up to whole cells can be cut back.
  sides = [f"{side} >= {transfer.MIN_SIDE}" for side in "hwpq"]
  rounded = [f"floordiv({side} + {stride - 1}, {stride})*{stride} >= {side}" for side in "hw"]
  b, h, w, p, q = jax.export.symbolic_shape("b, h, w, p, q", constraints=sides + rounded)

  def stylize(content, style, strength):
    whole = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), parts)
    return transfer.stylize(params.replace(**whole), content, style, strength=strength)

  shapes = ((b, h, w, 3), (p, q, 3), ())
  specs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return jax.export.export(jax.jit(stylize), platforms=platforms)(*specs)


def _smallest(leaf: jax.Array) -> np.ndarray:
  """The same numbers in half the bytes, where float16 holds them exactly."""
  exact = np.asarray(leaf)
  with np.errstate(over="ignore"):
    half = exact.astype(np.float16)
  return half if np.array_equal(half, exact) else exact


def loaded(program: bytes) -> Stylize:
  """A program from its bytes: what is compared is what somebody else will load."""
  return jax.jit(jax.export.deserialize(bytearray(program)).call)


def differences(
  exported: Stylize, params: transfer.Params, sizes: Sequence[tuple[int, int]]
) -> dict[str, float]:
  """Largest absolute difference between what a file gives and `stylize`, on samples of each size.

  Args:
    exported: what the file holds.
    params: as it was made of.
    sizes: (H, W); the first is tried with one image, the second with two, and so on.

  Returns:
    {"1×256×256": difference, …}, batch, height and width.

  Raises:
    InputError: one is larger than rounding explains, or no number.
  """
  ours = fast_jit(transfer.stylize)
  photo, painting = (
    read_image(_SAMPLES / name) for name in ("content/cat.jpg", "style/great_wave.jpg")
  )
  found = {}
  for count, (height, width) in enumerate(sizes, 1):
    image = encode.resize(photo, height, width).rgb
    content = np.stack([np.roll(image, 7 * shift, 1) for shift in range(count)])
    style = encode.resize(painting, height + 3, width + 5).rgb
    results = [
      np.asarray(call(content, style, np.array(0.9, np.float32)))
      for call in (exported, lambda c, s, a: ours(params, c, s, strength=a))
    ]
    name = f"{count}×{height}×{width}"
    found[name] = float(np.abs(results[0] - results[1]).max())
    if not found[name] <= _TOLERANCE[params.config.dtype]:
      raise InputError(
        f"exported file: found a difference of {found[name]:.2g} to `stylize` "
        f"at {name}, expected at most {_TOLERANCE[params.config.dtype]:g}"
      )
  return found


def _runs_here(platforms: Sequence[str]) -> bool:
  names = {"gpu": ("cuda", "rocm")}
  here = jax.default_backend()
  return any(platform in names.get(here, (here,)) for platform in platforms)


def _version(distribution: str) -> str | None:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:  # run from a checkout
    return None


def _weights_hash(params: transfer.Params) -> str:
  """SHA-256 over all leaves in order, as float32."""
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(params):
    digest.update(np.ascontiguousarray(leaf, np.float32).tobytes())
  return digest.hexdigest()


def _write(output: Path, program: bytes, manifest: dict[str, Any]) -> None:
  """The zip file, the same bytes for the same contents."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(zipfile.ZipInfo(PROGRAM), program)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    archive.writestr(zipfile.ZipInfo(MANIFEST), text)
  with replacing(output) as temporary:
    temporary.write_bytes(file.getbuffer())
