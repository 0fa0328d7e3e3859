"""What there is to train on: images in folders or shards, and a source that reads by number.

Lives here: listing, the check at startup, and how an unreadable file is replaced. Not here: the
inside of shards (shards.py), decoding one file (images/decode.py), crops (crops.py), order and
batches (pipeline.py).
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from stylejax.data.shard_records import ShardRecord
from stylejax.data.shards import SHARD_SUFFIXES, compressed_line, find_shards, open_shards
from stylejax.errors import InputError
from stylejax.images import find, formats
from stylejax.images.decode import Record, decode_image

_REMOTE_READS = 32
"""How many reads from storage a process has under way at most; each waits for its answer."""


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


def open_images(
  place: str | os.PathLike,
  *,
  flag: str,
  tar_images: str = "first",
  say: Callable[[str], None] = lambda line: None,
) -> Sequence[Path | Record]:
  """Finds the images to train on, in a folder or in shards.

  Args:
    place: a folder of images or of shards (tar in WebDataset's layout, or ArrayRecord), one
      shard, or a pattern with * for shards; the latter three also as gs://, s3:// and the like.
    flag: what the message calls it, for example "--content-dir".
    tar_images: which images of a tar file's samples are read, the "first" of each or "all".
    say: receives one line about what is left out, if anything is.

  Returns:
    Paths or records in a fixed order, at least one; each is something to decode. Nothing but the
    shards' indices is read.

  Raises:
    InputError: nothing there, not one of the above, or images and shards side by side.
    OSError: a shard can't be read.
  """
  place = os.fspath(place)
  if "://" not in place and os.path.isdir(place):
    files = find.files_below(Path(place), flag)
    shards = [str(path) for path in files if path.name.endswith(SHARD_SUFFIXES)]
    if not shards:
      return find_images(place, flag=flag, on_note=say)
    if any(path.name.lower().endswith(formats.TRAINING_SUFFIXES) for path in files):
      raise InputError(f"{flag}: found images and shards in {place}, expected one of the two")
    if line := compressed_line(list(map(str, files)), flag):
      say(line)
  elif "://" in place or "*" in place or place.endswith(SHARD_SUFFIXES):
    shards = find_shards(place, flag=flag, say=say)
  else:
    return find_images(place, flag=flag, on_note=say)
  records, left_out = open_shards(shards, flag=flag, tar_images=tar_images)
  if line := left_out.line(flag, len(records)):
    say(line)
  return records


def find_images(
  folder: str | os.PathLike,
  *,
  flag: str = "folder",
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
  """Lists the images of a folder that training takes; as `images.find.list_images`."""
  return find.list_images(folder, flag=flag, rows=formats.TRAINING_IMAGES, on_note=on_note)


def require_readable(images: Sequence[Path | Record], flag: str) -> None:
  """Checks that at least one file decodes, and stops at the first that does.

  Args:
    images: the files or records, in the order to try.
    flag: what the message calls them, for example "--content-dir".

  Raises:
    InputError: none of them can be read.
  """
  reason = "no files"
  for image in images:
    try:
      decode_image(image, min_side=1)
      return
    except InputError as error:
      reason = str(error)
  raise InputError(
    f"{flag}: found {len(images)} files and none readable (the last: {reason}), "
    "expected at least one readable image"
  )


class ImageSource:
  """Grain's random-access source over image files or records, which never fails on a bad one.

  An unreadable file is replaced by the next readable one in index order (after the last comes
  the first), so what is read at an index depends on the files only.
  """

  def __init__(self, images: Sequence[str | os.PathLike | Record], *, min_side: int | None = None):
    """Keeps the list; opens nothing.

    Args:
      images: the files, or the records of shards, which workers receive pickled.
      min_side: as in images.decode_image, in pixels.

    Raises:
      InputError: the list is empty.
    """
    if not len(images):
      raise InputError("images: found an empty list, expected at least one file")
    # Text is pickled several times smaller and quicker than paths.
    self._images = list(map(str, images)) if isinstance(images, list) else images
    self._min_side = min_side
    # Which files are bad is remembered, to read each of them once; results don't depend on it.
    self._bad: dict[int, Skipped] = {}

  def __len__(self) -> int:
    """The number of files, readable or not."""
    return len(self._images)

  def __repr__(self) -> str:
    return f"ImageSource({len(self)} files, min_side={self._min_side})"

  def __getitem__(self, index: int) -> Example:
    """Reads the file at an index, or the next one that can be read.

    Raises:
      InputError: not one file of the source can be read.
      OSError: a shard can't be read.
    """
    return self._example(index, self._images[int(index)])

  def start(self, index: int) -> Callable[[], Example]:
    """A function that gives `self[index]`; what is read from storage is on its way already."""
    record = self._images[int(index)]
    if isinstance(record, ShardRecord) and record.remote and index not in self._bad:
      started = _remote_readers().submit(record.read)
      return functools.partial(self._example, index, _OnItsWay(record, started))
    return functools.partial(self._example, index, record)

  def _example(self, index: int, first: str | os.PathLike | Record) -> Example:
    """As `self[index]`, of which `first` is what to decode."""
    skipped: list[Skipped] = []
    for offset in range(len(self)):
      position = (int(index) + offset) % len(self)
      if position not in self._bad:
        image = self._images[position] if offset else first
        try:
          return Example(decode_image(image, min_side=self._min_side), position, tuple(skipped))
        except InputError as error:
          name = str(image)
          self._bad[position] = Skipped(name, str(error).removeprefix(f"{name}: "))
      skipped.append(self._bad[position])
    raise InputError(
      f"{self._images[0]} and {len(self) - 1} more: found no readable image, "
      f"expected at least one (the last: {skipped[-1].reason})"
    )


@dataclasses.dataclass(frozen=True)
class _OnItsWay:
  """A record that is being read; an `images.decode.Record` itself."""

  record: ShardRecord
  data: Future[bytes]

  def __str__(self) -> str:
    return str(self.record)

  def read(self) -> bytes:
    return self.data.result()


@functools.cache
def _remote_readers() -> ThreadPoolExecutor:
  return ThreadPoolExecutor(_REMOTE_READS, thread_name_prefix="remote-reads")
