"""Names the output file of each content and style, with all checks that decode no image.

Mistakes are found here, before anything is computed or written.
"""

import collections
import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.formats import OUTPUT_FORMATS, READ_SUFFIXES
from stylejax.runtime.files import check_apart, check_creatable, check_writable, identities


@dataclasses.dataclass(frozen=True)
class Job:
  """One content and its outputs, one for each style."""

  content: Path
  outputs: tuple[Path, ...]

  def is_done(self) -> bool:
    """Whether all outputs exist."""
    return all(path.exists() for path in self.outputs)


def plan_outputs(
  contents: Sequence[Path],
  style_names: Sequence[str],
  output: str | os.PathLike,
  *,
  extension: str = "png",
  inputs: Iterable[Path] = (),
  folders: Iterable[str | os.PathLike] = (),
  prefer_folder: bool = False,
  animated: bool = False,
) -> list[Job]:
  """Names the outputs and checks that they can be written.

  One content in one style is written to the file `output`, if its name has a writable extension.
  Otherwise `output` is a folder and the files in it are <content>_<style>.<extension>. If contents
  in different folders share a name, all outputs are put into the same folders as the contents.
  A folder that doesn't exist is accepted if its parent does; it isn't made here.

  Args:
    contents: the content files.
    style_names: a name for each style, for the outputs' names.
    output: a file name or a folder. A name that ends in a slash is a folder.
    extension: extension of files in a folder, without the dot.
    inputs: files that must not be overwritten.
    folders: folders in which inputs are searched for, which must not contain outputs.
    prefer_folder: whether a name without a known extension means a folder to be made, even for a
      single image (because the inputs were folders, which happen to contain one image).
    animated: whether a single output file may be an animation.

  Returns:
    One Job for each content, in order.

  Raises:
    InputError: an extension is unknown, a file name is given where a folder is needed or the other
      way round, a folder is missing or not writable, two outputs have the same name, or an output
      is one of the inputs or in a folder where inputs are searched for.
  """
  if not os.fspath(output):
    raise InputError("output: found an empty name, expected a file or a folder")
  if f".{extension}" not in OUTPUT_FORMATS:
    raise InputError(
      f"--format: found {extension!r}, expected " + ", ".join(s[1:] for s in OUTPUT_FORMATS)
    )
  count = len(contents) * len(style_names)
  if _is_file_name(output, count, prefer_folder, animated):
    jobs = [Job(contents[0], (Path(output),))]
    check_writable(Path(output), "output")
  else:
    folder = Path(output)
    places = _places(contents)
    jobs = [
      Job(path, tuple(folder / place / f"{stem}_{name}.{extension}" for name in style_names))
      for path, place, stem in zip(contents, places, _stems(contents), strict=True)
    ]
    if not folder.is_dir():
      check_writable(folder, "output")
    files = [file for job in jobs for file in job.outputs]
    there = {place: place.is_dir() for place in {file.parent for file in files}}
    for file in files:
      if there[file.parent]:
        check_writable(file, "output")
    check_creatable([file for file in files if not there[file.parent]], "output")
  _check_distinct(jobs, style_names)
  check_apart(
    [file for job in jobs for file in job.outputs], inputs, folders=folders, reads=READ_SUFFIXES
  )
  return jobs


def _places(contents: Sequence[Path]) -> list[Path]:
  """The subfolder of the output folder for each content: "." unless names repeat."""
  whole = [Path(os.path.abspath(path)) for path in contents]
  if len({path.stem for path in whole}) == len({(path.parent, path.stem) for path in whole}):
    return [Path()] * len(whole)
  above = os.path.commonpath([path.parent for path in whole])
  return [path.parent.relative_to(above) for path in whole]


def _stems(contents: Sequence[Path]) -> list[str]:
  """Contents' names without extension; a.heic and a.jpg in one folder become a_heic and a_jpg."""
  keys = [(os.path.abspath(path.parent), path.stem) for path in contents]
  times = collections.Counter(keys)
  return [
    path.stem if times[key] == 1 else f"{path.stem}_{path.suffix[1:].lower()}"
    for path, key in zip(contents, keys, strict=True)
  ]


def check_number(
  flag: str, value: float | None, low: float, high: float, *, whole: bool = True
) -> None:
  """Raises InputError unless the value is None or a (whole) number from low to high."""
  if value is None:
    return
  # An integer may be too large for math.isfinite, but is always finite.
  number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
  number &= not isinstance(value, bool)
  if not number or not low <= value <= high or (whole and value != int(value)):
    kind = "a whole number" if whole else "a number"
    raise InputError(f"{flag}: found {value}, expected {kind} from {low:.12g} to {high:.12g}")


def _is_file_name(
  output: str | os.PathLike, count: int, prefer_folder: bool, animated: bool
) -> bool:
  """Whether `output` names a single file to write (True) or a folder (False)."""
  path = Path(output)
  known = tuple(dict.fromkeys((*OUTPUT_FORMATS, *(formats.ANIMATION_SUFFIXES if animated else ()))))
  suffix = path.suffix.lower()
  if path.is_dir() or os.fspath(output).endswith(("/", os.sep)):
    return False
  if count == 1 and suffix in known:
    return True
  expected = ", ".join(known)
  if count == 1 and (suffix in READ_SUFFIXES or not prefer_folder):
    found = f"extension {suffix!r}" if suffix else "no extension"
    raise InputError(
      f"output {path}: found {found}, expected {expected}, or a folder (a new "
      "one with a slash at its end)"
      + "; stylejax sequence writes animations and videos"
      * (suffix in formats.SEQUENCE_SUFFIXES.split(", "))
    )
  if suffix in OUTPUT_FORMATS or suffix in READ_SUFFIXES:
    raise InputError(f"output {path}: found one file name for {count} images, expected a folder")
  if os.path.lexists(path):
    raise InputError(f"output {path}: found a file, expected a folder for {count} images")
  return False


def _check_distinct(jobs: Sequence[Job], style_names: Sequence[str]) -> None:
  """Raises InputError if two outputs are the same file."""
  taken: dict[object, tuple[Path, str]] = {}
  places = [
    (job, file, name) for job in jobs for file, name in zip(job.outputs, style_names, strict=True)
  ]
  keys = identities(file for _, file, _ in places)
  for (job, file, name), key in zip(places, keys, strict=True):
    if key in taken:
      content, other = taken[key]
      raise InputError(
        f"output {file}: found it twice, for {content} in {other} and "
        f"{job.content} in {name}, expected different names"
      )
    taken[key] = job.content, name
