"""Training images in folders or shards, and a source that reads them by index.

It lists images, checks them at startup, and replaces unreadable ones. The contents of shards are in
shards.py, decoding in images/decode.py, crops in crops.py, order and batches in pipeline.py.
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
"""Most concurrent reads from remote storage in a process; each one mostly waits."""


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A file or record that could not be read: its name and the reason, one line each."""

  path: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Example:
  """One decoded file of a source.

  Attributes:
    image: the image, upright, of mode RGB.
    index: the position in the source of the file that was read.
    skipped: the unreadable files that were skipped before it, in order.
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
      shard, or a pattern with * for shards; shards may also be at gs://, s3:// and similar URLs.
    flag: what the message calls it, for example "--content-dir".
    tar_images: which images of a tar file's samples are read, the "first" of each or "all".
    say: called with one line about what is left out, if anything is.

  Returns:
    Paths or records to decode, in a fixed order, at least one. Only the shards' indices are read.

  Raises:
    InputError: `place` has no images, is none of the above, or mixes images and shards.
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
  """Like `images.find.list_images`, but lists only formats that training supports."""
  return find.list_images(folder, flag=flag, rows=formats.TRAINING_IMAGES, on_note=on_note)


def require_readable(images: Sequence[Path | Record], flag: str) -> None:
  """Checks that at least one file can be decoded, stopping at the first.

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
  """A random-access source for Grain over image files or records, which tolerates bad files.

  An unreadable file is replaced by the next readable one in index order, wrapping around at the
  end, so what is read at an index depends only on the files.
  """

  def __init__(self, images: Sequence[str | os.PathLike | Record], *, min_side: int | None = None):
    """Keeps the list without opening any file.

    Args:
      images: the files, or the records of shards, which workers receive pickled.
      min_side: as in images.decode.decode_image, in pixels.

    Raises:
      InputError: the list is empty.
    """
    if not len(images):
      raise InputError("images: found an empty list, expected at least one file")
    # Strings are pickled several times smaller and faster than paths.
    self._images = list(map(str, images)) if isinstance(images, list) else images
    self._min_side = min_side
    # Bad files are remembered, so that each is read only once; results don't depend on it.
    self._bad: dict[int, Skipped] = {}

  def __len__(self) -> int:
    """The number of files, readable or not."""
    return len(self._images)

  def __repr__(self) -> str:
    return f"ImageSource({len(self)} files, min_side={self._min_side})"

  def __getitem__(self, index: int) -> Example:
    """Reads the file at an index, or the next one that can be read.

    Raises:
      InputError: no file of the source can be read.
      OSError: a shard can't be read.
    """
    return self._example(index, self._images[int(index)])

  def start(self, index: int) -> Callable[[], Example]:
    """Returns a function for `self[index]`, and starts a read from remote storage at once."""
    record = self._images[int(index)]
    if isinstance(record, ShardRecord) and record.remote and index not in self._bad:
      started = _remote_readers().submit(record.read)
      return functools.partial(self._example, index, _OnItsWay(record, started))
    return functools.partial(self._example, index, record)

  def _example(self, index: int, first: str | os.PathLike | Record) -> Example:
    """Returns `self[index]`, with `first` as the record at `index`."""
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
  """A record whose read is under way; itself an `images.decode.Record`."""

  record: ShardRecord
  data: Future[bytes]

  def __str__(self) -> str:
    return str(self.record)

  def read(self) -> bytes:
    return self.data.result()


@functools.cache
def _remote_readers() -> ThreadPoolExecutor:
  return ThreadPoolExecutor(_REMOTE_READS, thread_name_prefix="remote-reads")
