"""Decides which of the files given without flags is the content, the style, and the output.

    CONTENT STYLE [OUTPUT]            one image; STYLE may be missing with --seed or --mask
    CONTENT STYLE [STYLE ...]         with --output
    CONTENT [CONTENT ...]             with --style and --output

An output that isn't named never replaces a file.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from stylejax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Places:
  """Where to read from and write to.

  Attributes:
    content, style: paths and @NAMEs, as for --content and --style.
    output: a file or a folder.
  """

  content: tuple[str, ...]
  style: tuple[str, ...]
  output: str


def assign(
  files: Sequence[str],
  content: Sequence[str],
  style: Sequence[str],
  output: str | None,
  *,
  suffix: str,
  other_style: str | None = None,
  folders: bool = False,
) -> Places:
  """Where to read from and write to, from the files given without flags and with flags.

  Args:
    files: those given without a flag.
    content, style, output: those given with the flags; empty or None if there are none.
    suffix: extension of an output that is not named, with the dot.
    other_style: a name for what is used instead of a style, such as "seed7", or None.
    folders: whether a folder is a single content, of frames, and gives a folder as output.

  Raises:
    InputError: there are too many or too few files, or the third one exists already.
  """
  return _assign(tuple(files), tuple(content), tuple(style), output, suffix, other_style, folders)


def _assign(
  files: tuple[str, ...],
  content: tuple[str, ...],
  style: tuple[str, ...],
  output: str | None,
  suffix: str,
  other_style: str | None,
  folders: bool,
) -> Places:
  if files and content:
    raise InputError(
      f"{files[0]}: found it without a flag although --content is given, expected it after "
      "--content too"
    )
  if files:
    if style and (output is not None or len(files) == 1):
      content = files
    elif output is not None:
      content, style = files[:1], files[1:]
    else:
      content, style, output = _three(files, style)
  if not content:
    raise InputError("--content: found nothing, expected an image: CONTENT STYLE [OUTPUT]")
  if output is None:
    if not style and other_style is None:
      raise InputError(
        f"--style: found no style for {content[0]}, expected an image: CONTENT STYLE [OUTPUT]"
      )
    alone = folders and os.path.isdir(content[0])
    output = _unnamed(content, style, other_style, "" if alone else suffix, folders)
  return Places(content, style, output)


def _three(files: tuple[str, ...], style: tuple[str, ...]) -> tuple:
  """Splits files given as CONTENT STYLE [OUTPUT]."""
  if style:
    raise InputError(f"--style: found it with {len(files)} files, expected --output too")
  if len(files) > 3:
    raise InputError(
      f"found {len(files)} files, expected CONTENT STYLE [OUTPUT]; with --output FOLDER, all "
      "after the first are styles"
    )
  if len(files) == 3 and os.path.isfile(files[2]):
    raise InputError(
      f"output {files[2]}: found an existing file, expected a new name in the third place; "
      "with --output, files are replaced, and several styles are allowed"
    )
  return files[:1], files[1:2], files[2] if len(files) == 3 else None


def _unnamed(
  content: tuple[str, ...],
  style: tuple[str, ...],
  other_style: str | None,
  suffix: str,
  folders: bool,
) -> str:
  """CONTENT_STYLE in the current folder, with a number if that exists."""
  images = style if folders else (*content, *style)
  if len(content) > 1 or len(style) > 1 or any(map(os.path.isdir, images)):
    raise InputError("--output: found none for several images, expected a folder")
  name = _stem(style[0]) if style else other_style
  stem = f"{Path(content[0]).stem}_{name}"
  for number in range(1, 1_000_000):
    path = f"{stem}{suffix}" if number == 1 else f"{stem}_{number}{suffix}"
    if not os.path.lexists(path):
      return path
  raise InputError(f"--output: found a million files called {stem}, expected a name")


def _stem(style: str) -> str:
  """A style's name: a file's name without extension, or the NAME of @NAME."""
  if not os.path.lexists(style):
    style = re.sub(r":[\d.]+$", "", style)  # a weight
  if style.startswith("@"):
    return re.sub(r"[^\w.+-]+", "_", style[1:])
  return Path(style).stem
