"""One file that paints without stylejax: the compiler's program and a manifest, for any JAX.

The program is `jax.export`'s portable StableHLO with the weights inside, open in the sizes of its
pictures. Which controls a command offers lives in export_command.py.
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
import jax.numpy as jnp
import numpy as np

from stylejax import transfer
from stylejax.compiler import compiler_options
from stylejax.data.pictures import read_picture
from stylejax.errors import InputError
from stylejax.inference import pictures
from stylejax.inference.files import check_writable, replacing

FORMAT = 1
"""Version of the file's layout."""

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that a program can be exported for, as `jax.export` names them."""

PROGRAM, MANIFEST = "stylize.bin", "manifest.json"
CHECKED_SIZES = ((256, 256), (181, 315), (512, 384))
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
_SAMPLES = Path(__file__).parent.parent / "assets" / "samples"

_USE = """import zipfile, jax.export
with zipfile.ZipFile("{name}") as file:
  stylize = jax.export.deserialize(bytearray(file.read("{program}"))).call
picture = stylize(content, style, 1.0)"""


def export(
  params: transfer.Params,
  output: str | os.PathLike,
  *,
  platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
  sizes: Sequence[tuple[int, int]] = CHECKED_SIZES,
) -> dict[str, Any]:
  """Writes one file with which a program that has only JAX stylizes pictures of any size.

      import zipfile, jax.export
      with zipfile.ZipFile("stylize.zip") as file:
        stylize = jax.export.deserialize(bytearray(file.read("stylize.bin"))).call
      picture = stylize(content, style, 1.0)

  content is [B, H, W, 3], style [P, Q, 3], both float32 in [0, 1] of any sides from 16 pixels,
  strength a float32 scalar from 0 to 2; the result is [B, H, W, 3]. Reading the file takes the
  package flatbuffers beside JAX. Before it is written, the program's result is compared with
  `stylize` on sample pictures, on this machine's platform if it is among those asked for.

  Args:
    params: with content_encoder, style_encoder and generator.
    output: the file, ending in .zip; one that exists is replaced.
    platforms: for which the program is made, of PLATFORMS.
    sizes: (H, W) of the pictures on which it is compared.

  Returns:
    The manifest, as the file holds it: what goes in and comes out, SHA-256 of the program and of
    the weights, versions, platforms, and the largest absolute difference at each size.

  Raises:
    InputError: another extension, a file that can't be written, an unknown platform, or params
      without one of those parts.
    RuntimeError: the program doesn't give what `stylize` gives.
  """
  output = Path(output)
  if output.suffix != ".zip":
    raise InputError(f"output {output}: found extension {output.suffix!r}, expected .zip")
  check_writable(output, "output")
  platforms = tuple(dict.fromkeys(platforms))
  unknown = [platform for platform in platforms if platform not in PLATFORMS]
  if unknown or not platforms:
    raise InputError(f"platforms: found {unknown[0] if unknown else 'none'}, expected some of "
                     + ", ".join(PLATFORMS))
  program = _program(params, platforms)
  content = bytes(program.serialize())
  manifest = {
    "format": FORMAT,
    "use": _USE.format(name=output.name, program=PROGRAM).splitlines(),
    "inputs": {
      "content": {"shape": ["b", "h", "w", 3], "dtype": "float32", "range": [0, 1]},
      "style": {"shape": ["p", "q", 3], "dtype": "float32", "range": [0, 1]},
      "strength": {"shape": [], "dtype": "float32", "range": [0, transfer.MAX_STRENGTH]},
    },
    "output": {"shape": ["b", "h", "w", 3], "dtype": "float32", "range": [0, 1]},
    "smallest_side": transfer.MIN_SIDE,
    "platforms": list(platforms),
    "calling_convention_version": program.calling_convention_version,
    "versions": {name: _version(name) for name in ("jax", "jaxlib", "stylejax")},
    "config": params.config.to_dict(),
    "bytes": len(content),
    "sha256": hashlib.sha256(content).hexdigest(),
    "weights_sha256": _weights_hash(params),
    "max_difference": differences(content, params, sizes) if _runs_here(platforms) else None,
  }
  _write(output, content, manifest)
  return manifest


def _program(params: transfer.Params, platforms: Sequence[str]) -> jax.export.Exported:
  """`stylize` of given weights for pictures whose sizes are left open."""
  needed = ("content_encoder", "style_encoder", "generator")
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(f"params: found no {missing[0]}, expected {', '.join(needed)}")
  parts = jax.tree.map(_smallest, {part: getattr(params, part) for part in needed})
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


def differences(
  program: bytes, params: transfer.Params, sizes: Sequence[tuple[int, int]]
) -> dict[str, float]:
  """Largest absolute difference between a program and `stylize`, for sample pictures of each size.

  Args:
    program: `jax.export`'s bytes.
    params: as the program was made of.
    sizes: (H, W); the first is tried with one picture, the second with two, and so on.

  Returns:
    {"1×256×256": difference, …}, batch, height and width.

  Raises:
    RuntimeError: one is larger than rounding explains, or no number.
  """
  # From the bytes: what is compared is what somebody else will load.
  exported = jax.jit(jax.export.deserialize(bytearray(program)).call)
  ours = jax.jit(transfer.stylize, compiler_options=compiler_options())
  photo, painting = (read_picture(_SAMPLES / name) for name in (
    "content/cat.jpg", "style/great_wave.jpg"))
  found = {}
  for count, (height, width) in enumerate(sizes, 1):
    picture = pictures.resize(photo, height, width).rgb
    content = np.stack([np.roll(picture, 7 * shift, 1) for shift in range(count)])
    style = pictures.resize(painting, height + 3, width + 5).rgb
    results = [np.asarray(call(content, style, np.float32(0.9)))
               for call in (exported, lambda c, s, a: ours(params, c, s, strength=a))]
    name = f"{count}×{height}×{width}"
    found[name] = float(np.abs(results[0] - results[1]).max())
    if not found[name] <= _TOLERANCE[params.config.dtype]:
      raise RuntimeError(f"exported program: found a difference of {found[name]:.2g} to `stylize` "
                         f"at {name}, expected at most {_TOLERANCE[params.config.dtype]:g}")
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
