"""The list of images that `benchmarks.quality.quality` runs on; stylizes and measures nothing."""

import csv
import dataclasses
import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from stylejax.errors import InputError
from stylejax.images.decode import read_image
from stylejax.images.encode import on_white

EXPECTED = "expected name,content,style or name,content,style,sha256,sha256"


@dataclasses.dataclass(frozen=True)
class Pair:
  """A content and a style image, as files.

  Attributes:
    name: name of the pair; reference outputs are called NAME.jpg or NAME.png.
    content: file of the content image.
    style: file of the style image.
  """

  name: str
  content: Path
  style: Path


def read_pairs(
  path: str | os.PathLike, root: str | os.PathLike | None = None, limit: int | None = None
) -> list[Pair]:
  """Read a CSV of `name,content,style`, without a header.

  Args:
    path: the CSV file. Where a line has two more fields, they are the SHA-256 of the two images'
      bytes, which are checked.
    root: folder that the paths in it are relative to; default: the folder above the CSV's.
    limit: number of pairs to take, from the first on.

  Raises:
    InputError: no such file, no pair in it, a line with another number of fields, a name given
      twice, an image that is missing or has other bytes than its hash says.
  """
  path = Path(path)
  if not path.is_file():
    raise InputError(f"pairs {path}: found no such file, expected a CSV of name,content,style")
  root = path.resolve().parent.parent if root is None else Path(root)
  pairs, hashes = {}, {}
  try:
    with path.open(newline="", encoding="utf-8") as file:
      for line, row in enumerate(csv.reader(file), start=1):
        if len(row) not in (3, 5) or row[0] in pairs:
          actual = "a name given before" if len(row) in (3, 5) else f"{len(row)} fields"
          raise InputError(f"pairs {path}, line {line}: found {actual}, {EXPECTED}")
        pairs[row[0]] = Pair(row[0], root / row[1], root / row[2])
        hashes[row[0]] = row[3:]
  except (UnicodeDecodeError, csv.Error) as error:
    raise InputError(f"pairs {path}: found {error}, {EXPECTED}") from None
  if not pairs:
    raise InputError(f"pairs {path}: found no line, {EXPECTED}")
  chosen = list(pairs.values())[:limit]
  for pair in chosen:
    for image, expected in zip((pair.content, pair.style), hashes[pair.name]):
      actual = sha256(image)
      if actual != expected.lower():
        raise InputError(f"pairs {path}: {image}: found SHA-256 {actual}, expected {expected}")
  return chosen


@functools.cache
def sha256(path: Path) -> str:
  """SHA-256 of a file's bytes, in hexadecimal digits."""
  if not path.is_file():
    raise InputError(f"{path}: found no such file, expected one to read")
  return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> np.ndarray:
  """The image of a file, transparency on white: [H, W, 3] float32 in [0, 1]."""
  return on_white(read_image(path))


def eight_bits(image: np.ndarray) -> np.ndarray:
  """Rounds an image to uint8, after clipping it to [0, 1]."""
  return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
