"""What there is to train on: pictures in folders or shards, and a source that reads by number.

Lives here: listing, the check at startup, and how an unreadable file is replaced. Not here: the
inside of shards (shards.py), decoding one file (pictures.py), crops (transforms.py), order and
batches (pipeline.py).
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from stylejax.data.shards import SHARD_SUFFIXES, TRAINING_SUFFIXES, find_shards, open_shards
from stylejax.errors import InputError
from stylejax.images.decode import Record, decode_image
from stylejax.runtime.files import printable


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A file or record that could not be read: its name and the reason, one line each."""

  path: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Example:
  """One decoded file of a source.

  Attributes:
    image: upright, mode RGB.
    index: position in the source of the file that was read.
    skipped: the unreadable files that stood before it, in order.
  """

  image: Image.Image
  index: int
  skipped: tuple[Skipped, ...] = ()


_NAMED = 3  # files that are left out, in one line


def open_pictures(
  place: str | os.PathLike, *, flag: str, tar_images: str = "first",
  say: Callable[[str], None] = lambda line: None,
) -> Sequence[Path | Record]:
  """Finds the pictures to train on, in a folder or in shards.

  Args:
    place: a folder of pictures or of shards (tar in WebDataset's layout, or ArrayRecord), one
      shard, or a pattern with * for shards; the latter three also as gs://, s3:// and the like.
    flag: what the message calls it, for example "--content-dir".
    tar_images: which images of a tar file's samples are read, the "first" of each or "all".
    say: receives one line about what is left out, if anything is.

  Returns:
    Paths or records in a fixed order, at least one; each is something to decode. Nothing but the
    shards' indices is read.

  Raises:
    InputError: nothing there, not one of the above, or pictures and shards side by side.
    OSError: a shard can't be read.
  """
  place = os.fspath(place)
  if "://" not in place and os.path.isdir(place):
    files = files_below(Path(place), flag)
    shards = [str(path) for path in files if path.name.endswith(SHARD_SUFFIXES)]
    if not shards:
      pictures = find_pictures(place, flag=flag)
      tell_left_out(files, pictures, flag, say)
      return pictures
    if any(path.name.lower().endswith(TRAINING_SUFFIXES) for path in files):
      raise InputError(f"{flag}: found pictures and shards in {place}, expected one of the two")
  elif "://" in place or "*" in place or place.endswith(SHARD_SUFFIXES):
    shards = find_shards(place, flag=flag)
  else:
    return find_pictures(place, flag=flag)
  records, left_out = open_shards(shards, flag=flag, tar_images=tar_images)
  if line := left_out.line(flag, len(records)):
    say(line)
  return records


def tell_left_out(files: Sequence[Path], taken: Sequence[Path], flag: str,
                  say: Callable[[str], None]) -> None:
  """Says in one line which files of a folder are no pictures to train on, if there are any."""
  others = sorted(set(files) - set(taken))
  if others:
    names = ", ".join(printable(path) for path in others[:_NAMED])
    say(f"{flag}: {len(others)} of {len(files)} files left out, which are no JPEG, PNG or WebP "
        f"({names}{', …' if len(others) > _NAMED else ''})")


def find_pictures(folder: str | os.PathLike, *, flag: str = "folder") -> list[Path]:
  """Lists the JPEG, PNG and WebP files of a folder and the folders in it.

  Hidden files and folders are left out, and a folder reached twice by links counts once. The
  order is that of the relative path's parts, the same on every machine.

  Args:
    folder: where to look.
    flag: what the message calls the folder, for example "--content-dir".

  Returns:
    The paths, sorted, at least one.

  Raises:
    InputError: no such folder, not a folder, or no picture in it.
  """
  folder = Path(folder)
  if not folder.exists():
    raise InputError(f"{flag}: found no folder {folder}, expected a folder of pictures")
  if not folder.is_dir():
    raise InputError(f"{flag}: found the file {folder}, expected a folder of pictures")
  found = [path for path in files_below(folder, flag)
           if path.name.lower().endswith(TRAINING_SUFFIXES)]
  if not found:
    raise InputError(f"{flag}: found no picture in {folder}, expected JPEG, PNG or WebP files")
  return found


def files_below(folder: Path, flag: str) -> list[Path]:
  """The files of a folder and the folders in it that are not hidden, sorted."""
  found = []
  visited = set()
  for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise(flag)):
    # Links may lead in circles; which way in comes first must not depend on the disk's order.
    folders[:] = sorted(name for name in folders if not name.startswith("."))
    if os.path.realpath(root) in visited:
      folders.clear()
      continue
    visited.add(os.path.realpath(root))
    found += [Path(root, name) for name in names if not name.startswith(".")]
  return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _raise(flag: str):
  """An error handler for os.walk, which otherwise passes over folders in silence."""

  def handler(error: OSError) -> None:
    reason = error.strerror or type(error).__name__
    raise InputError(
      f"{flag}: found the folder {error.filename} unreadable ({reason}), expected to list it"
    ) from error

  return handler


def require_readable(pictures: Sequence[Path | Record], flag: str) -> None:
  """Checks that at least one file decodes, and stops at the first that does.

  Args:
    pictures: the files or records, in the order to try.
    flag: what the message calls them, for example "--content-dir".

  Raises:
    InputError: none of them can be read.
  """
  reason = "no files"
  for picture in pictures:
    try:
      decode_image(picture, min_side=1)
      return
    except InputError as error:
      reason = str(error)
  raise InputError(
    f"{flag}: found {len(pictures)} files and none readable (the last: {reason}), "
    "expected at least one readable picture"
  )


class PictureSource:
  """Grain's random-access source over picture files or records, which never fails on a bad one.

  An unreadable file is replaced by the next readable one in index order (after the last comes
  the first), so what is read at an index depends on the files only.
  """

  def __init__(
    self, pictures: Sequence[str | os.PathLike | Record], *, min_side: int | None = None
  ):
    """Keeps the list; opens nothing.

    Args:
      pictures: the files, or the records of shards, which workers receive pickled.
      min_side: as in pictures.decode_image, in pixels.

    Raises:
      InputError: the list is empty.
    """
    if not len(pictures):
      raise InputError("pictures: found an empty list, expected at least one file")
    # Text is pickled several times smaller and quicker than paths.
    self._pictures = list(map(str, pictures)) if isinstance(pictures, list) else pictures
    self._min_side = min_side
    # Which files are bad is remembered, to read each of them once; results don't depend on it.
    self._bad: dict[int, Skipped] = {}

  def __len__(self) -> int:
    """The number of files, readable or not."""
    return len(self._pictures)

  def __repr__(self) -> str:
    return f"PictureSource({len(self)} files, min_side={self._min_side})"

  def __getitem__(self, index: int) -> Example:
    """Reads the file at an index, or the next one that can be read.

    Raises:
      InputError: not one file of the source can be read.
      OSError: a shard can't be read.
    """
    skipped = []
    for offset in range(len(self)):
      position = (int(index) + offset) % len(self)
      if position not in self._bad:
        picture = self._pictures[position]
        try:
          return Example(decode_image(picture, min_side=self._min_side), position, tuple(skipped))
        except InputError as error:
          name = str(picture)
          self._bad[position] = Skipped(name, str(error).removeprefix(f"{name}: "))
      skipped.append(self._bad[position])
    raise InputError(
      f"{self._pictures[0]} and {len(self) - 1} more: found no readable picture, "
      f"expected at least one (the last: {skipped[-1].reason})"
    )
