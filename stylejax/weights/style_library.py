"""The style library: codes of named styles in one safetensors file.

A code is only valid for the weights that encoded it, so the file stores a hash of the style
encoder. The command is in `stylejax.cli.styles`, encoding a style in `stylejax.transfer`.
"""

import base64
import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import platformdirs
from safetensors import SafetensorError, safe_open

from stylejax import transfer
from stylejax.errors import InputError
from stylejax.runtime.files import check_writable, replacing
from stylejax.weights.model_file import PACKAGED, load_pretrained
from stylejax.weights.safetensors_bytes import to_safetensors
from stylejax.weights.tree_hash import tree_hash

FORMAT = "1"
"""Version of the file layout; other versions are refused when reading."""

_MAX_LIST = 80_000_000  # bytes; safetensors limits the header to 100 MB

_NAME = re.compile(r"[\w.+-]{1,64}")


@dataclasses.dataclass(frozen=True)
class SavedStyle:
  """A style in the library.

  Attributes:
    code: the code of one image; its leaves are float32 NumPy arrays without a batch axis.
    origin: where the style came from, for people to read.
    image: a thumbnail (`stylejax.images.thumbnail`); None in libraries of version 0.1.
  """

  code: transfer.StyleCode
  origin: str
  image: bytes | None = None


def default_path() -> Path:
  """The path of styles.safetensors in the user's data folder, on Linux $XDG_DATA_HOME/stylejax.

  Raises:
    InputError: the user has no home folder.
  """
  folder = platformdirs.user_data_path("stylejax")
  if not folder.is_absolute():  # "~" if there is no home folder
    raise InputError("--library: found no home folder, expected the name of a file")
  return folder / "styles.safetensors"


def check_name(name: str) -> None:
  """Raises InputError unless the name can be used in `--style @name:weight`."""
  if not _NAME.fullmatch(name):
    raise InputError(
      f"style name {name}: found {len(name)} characters or a space, sign or "
      "separator, expected 1 to 64 letters, digits and _ . + -"
    )


def style_encoder_hash(params: transfer.Params) -> str:
  """A hash of the style encoder; params with equal hashes encode styles equally."""
  return tree_hash(params.style_encoder)


def read_library(path: str | os.PathLike, params: transfer.Params) -> dict[str, SavedStyle]:
  """Reads the styles of a library.

  Args:
    path: a file written by `write_library`.
    params: weights whose style encoder must have encoded the styles.

  Returns:
    Each SavedStyle by name, in the order in which they were added.

  Raises:
    InputError: the file is missing, damaged, not a library or made with other weights.
  """
  path = Path(path)
  if not path.is_file():
    found = "something else" if path.exists() else "no such file"
    raise InputError(
      f"library {path}: found {found}, expected a file that `stylejax styles add` wrote"
    )
  try:
    with safe_open(path, framework="np") as file:
      metadata = dict(file.metadata() or {})
      # safe_open has keys() but isn't iterable.
      arrays = {name: _array(file, name) for name in file.keys()}  # noqa: SIM118
  # NumPy raises ValueError for an empty array with an axis too long for it.
  except (SafetensorError, OSError, ValueError, _NotFloat) as error:
    raise InputError(
      f"library {path}: found no whole library ({error}), expected a file that "
      "`stylejax styles add` wrote"
    ) from error
  if (found := metadata.get("stylejax_library", "none")) != FORMAT:
    raise InputError(f"library {path}: found format version {found}, expected {FORMAT}")
  _check_style_encoder(path, metadata.get("style_encoder"), params)
  try:
    listed = json.loads(metadata["styles"])
    entries = [(entry["name"], entry["origin"]) for entry in listed]
    images = [_decoded(entry.get("image")) for entry in listed]
    codes = _unpacked(arrays, len(params.config.style_widths))
    widths = [*params.config.style_widths, *params.config.style_widths]
    for leaf, width in zip(jax.tree.leaves(codes.moments), sorted(widths, key=widths.index)):
      _expect(leaf.shape == (len(entries), 1, 1, width))
    _expect(codes.vector.shape == (len(entries), params.config.style_dim))
    _expect(all(isinstance(text, str) for entry in entries for text in entry))
    _expect(len({name for name, _ in entries}) == len(entries))
    _expect(all(_NAME.fullmatch(name) for name, _ in entries))  # they are printed and drawn
    _expect(all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(codes)))
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    raise InputError(
      f"library {path}: found names and codes that don't match, expected a "
      "file that `stylejax styles add` wrote"
    ) from error
  return {
    name: SavedStyle(jax.tree.map(lambda leaf, i=i: leaf[i], codes), origin, images[i])
    for i, (name, origin) in enumerate(entries)
  }


def _check_style_encoder(path: Path, found_hash: str | None, params: transfer.Params) -> None:
  """Raises InputError if other weights have read the styles of a library."""
  if found_hash == style_encoder_hash(params):
    return
  name = _weights_of(found_hash)
  found, hint = (name, f", or --weights {name}") if name else ("other weights", "")
  raise InputError(
    f"library {path}: found styles read with {found}, expected those of --weights; use another "
    f"--library for each{hint}"
  )


def _weights_of(style_encoder: str | None) -> str | None:
  """The packaged weights with a style encoder of this hash, if any."""
  names = (name for name in PACKAGED if style_encoder_hash(load_pretrained(name)) == style_encoder)
  return next(names, None)


def write_library(
  path: str | os.PathLike, styles: dict[str, SavedStyle], params: transfer.Params
) -> Path:
  """Writes a library atomically.

  Args:
    path: the file, ending in .safetensors; an existing one is replaced.
    styles: the styles by name; may be empty.
    params: the weights that encoded the styles.

  Returns:
    The path.

  Raises:
    InputError: a name is invalid, the images are too large together, or the file can't be written.
  """
  path = Path(path)
  check_library(path)
  for name in styles:
    check_name(name)
  metadata = {
    "stylejax_library": FORMAT,
    "style_encoder": style_encoder_hash(params),
    "styles": json.dumps([_entry(name, style) for name, style in styles.items()]),
  }
  if len(metadata["styles"]) > _MAX_LIST:
    raise InputError(
      f"library {path}: found {len(styles)} styles with {len(metadata['styles']) / 1e6:.0f} MB of "
      f"images, expected at most {_MAX_LIST / 1e6:.0f}; another --library may hold some of them"
    )
  arrays = _packed(stack([s.code for s in styles.values()])) if styles else _empty(params.config)
  content = to_safetensors(arrays, metadata=metadata)
  with replacing(path) as temporary:
    temporary.write_bytes(content)
  return path


def _entry(name: str, style: SavedStyle) -> dict[str, str]:
  """The file's metadata for one style; version 0.1 ignores the image."""
  entry = {"name": name, "origin": style.origin}
  if style.image is not None:
    entry["image"] = base64.b64encode(style.image).decode()
  return entry


def _decoded(image: str | None) -> bytes | None:
  return None if image is None else base64.b64decode(image, validate=True)


def check_library(path: Path) -> None:
  """Raises InputError unless a library can be written to `path`."""
  if path.suffix != ".safetensors":
    raise InputError(f"library {path}: found extension {path.suffix!r}, expected .safetensors")
  check_writable(path, "library")


def find(name: str, styles: dict[str, SavedStyle], path: str | os.PathLike) -> SavedStyle:
  """Returns the style of a name; `path` is for the message.

  Raises:
    InputError: there is no such style.
  """
  if name not in styles:
    raise InputError(
      f"@{name}: found no such style in {path}, expected one of "
      + (", ".join(list(styles)[:12]) or "none, it is empty")
      + (", ..." if len(styles) > 12 else "")
    )
  return styles[name]


def nearest(code: transfer.StyleCode, styles: dict[str, SavedStyle]) -> list[tuple[str, float]]:
  """Returns (name, distance) of every style, nearest first.

  It is the distance between the style vectors that modulate the generator, divided by the mean
  distance between two styles of the library (unless it has fewer than two), so that 1 is as far as
  an average style.
  """
  if not styles:
    return []
  vectors = np.stack([style.code.vector for style in styles.values()])
  pairs = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
  unit = pairs.sum() / max(1, len(styles) * (len(styles) - 1)) or 1.0
  distances = np.linalg.norm(vectors - np.asarray(code.vector)[None], axis=-1) / unit
  return sorted(zip(styles, map(float, distances)), key=lambda pair: pair[1])


def contact_sheet(
  params: transfer.Params, photos: jax.Array, codes: transfer.StyleCode, *, at_once: int = 8
) -> jax.Array:
  """Applies every style to every photo in one call; photos are encoded once.

  Args:
    params: weights with content_encoder and generator.
    photos: [P, H, W, 3] in [0, 1].
    codes: the codes of S styles, stacked.
    at_once: how many styles are applied together; this bounds the memory.

  Returns:
    [S, P, H, W, 3] in [0, 1].
  """
  content_code = transfer.encode_content(params, photos)
  return jax.lax.map(
    lambda code: transfer.generate(params, content_code, code), codes, batch_size=at_once
  )


def stack(codes: Sequence[transfer.StyleCode]) -> transfer.StyleCode:
  """Stacks S codes of single images into one, with a leading axis S in every leaf."""
  return jax.tree.map(lambda *leaves: np.stack([np.asarray(x, np.float32) for x in leaves]), *codes)


def _packed(codes: transfer.StyleCode) -> dict[str, np.ndarray]:
  arrays = {"vector": codes.vector}
  for level, (mean, std) in enumerate(codes.moments):
    arrays |= {f"mean{level}": mean, f"std{level}": std}
  return arrays


def _unpacked(arrays: dict[str, np.ndarray], levels: int) -> transfer.StyleCode:
  _expect(len(arrays) == 1 + 2 * levels)
  moments = tuple((arrays[f"mean{level}"], arrays[f"std{level}"]) for level in range(levels))
  return transfer.StyleCode(moments, arrays["vector"])


def _empty(config) -> dict[str, np.ndarray]:
  return _packed(
    transfer.StyleCode(
      tuple((np.zeros((0, 1, 1, width), np.float32),) * 2 for width in config.style_widths),
      np.zeros((0, config.style_dim), np.float32),
    )
  )


class _NotFloat(Exception):
  pass


def _array(file, name: str) -> np.ndarray:
  dtype = file.get_slice(name).get_dtype()
  if dtype != "F32":
    raise _NotFloat(f"{dtype} in {name}")
  return file.get_tensor(name)


def _expect(holds: bool) -> None:
  if not holds:
    raise ValueError
