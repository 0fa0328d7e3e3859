"""Finds, opens and joins shards of images: tar and ArrayRecord files, local or remote.

A shard is a sequence of records. It reads only its index until a record is read, and can be pickled
for worker processes. Records are decoded in sources.py, shards are written in pack_shards.py.
"""

import bisect
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stylejax.data.shard_records import (
  COMPRESSED_SUFFIXES,
  EXPECTED,
  NAMED,
  LeftOut,
  ShardRecord,
  reading,
)
from stylejax.data.tar_shards import TarShard
from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import printable

SHARD_SUFFIXES = (".tar", ".array_record")
_OPENED_AT_ONCE = 16


class Joined(Sequence):
  """The concatenation of sequences, without copying them."""

  def __init__(self, parts: Sequence[Sequence]):
    self._parts = tuple(parts)
    self._ends = list(itertools.accumulate(map(len, self._parts)))

  def __len__(self) -> int:
    return self._ends[-1] if self._ends else 0

  def __getitem__(self, index: int) -> Any:  # type: ignore[override]
    index = range(len(self))[index]
    part = bisect.bisect_right(self._ends, index)
    return self._parts[part][index - (self._ends[part - 1] if part else 0)]


class ArrayRecordShard(Sequence):
  """The records of an ArrayRecord file, each the bytes of one image file."""

  left_out = LeftOut()

  def __init__(self, path: str):
    self.path = path
    try:
      from grain.sources import ArrayRecordDataSource
    except ImportError as error:
      raise InputError(
        f"{path}: found no package to read it with ({error}), expected `pip install "
        "array_record`, or tar shards"
      ) from error
    if "://" in path and not path.startswith(("gs://", "file://")):
      raise InputError(
        f"{path}: found a remote ArrayRecord file, expected a local path, gs://, or tar shards"
      )
    with reading(path):
      self._records = ArrayRecordDataSource([path.removeprefix("file://")])

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> ShardRecord:  # type: ignore[override]
    return ShardRecord(self, range(len(self))[index])

  def name(self, index: int) -> str:
    """A record's number as a string, because records have no names."""
    return str(index)

  def read(self, record: ShardRecord) -> bytes:
    """The bytes of one record; see images.decode.Record."""
    try:
      with reading(self.path):
        return self._records[record.index]
    except OSError as error:
      # Only the reader's message distinguishes a damaged record from a missing file.
      if "Corrupted" in str(error):
        raise InputError(
          f"{record}: found a damaged record, expected the bytes of an image file"
        ) from error
      raise


def compressed_line(paths: Sequence[str], flag: str) -> str | None:
  """A line for the user on compressed tar files among `paths`, which are not read; None if none."""
  compressed = [path for path in paths if path.endswith(COMPRESSED_SUFFIXES)]
  if not compressed:
    return None
  names = ", ".join(map(printable, compressed[:NAMED])) + (", …" if len(compressed) > NAMED else "")
  return (
    f"{flag}: {len(compressed)} compressed tar files left out, only plain tar is read ({names})"
  )


def find_shards(
  place: str, *, flag: str, say: Callable[[str], None] = lambda line: None
) -> list[str]:
  """Lists the shards at a path or URL of a folder or shard, or matching a pattern with *.

  Args:
    place: the path, URL or pattern.
    flag: what messages call it.
    say: called with one line if there are compressed tar files beside them.

  Returns:
    Paths or URLs, sorted by their parts, at least one.

  Raises:
    InputError: there is no shard, or no installed package reads such a URL.
    OSError: the place can't be listed.
  """
  from fsspec.core import url_to_fs

  try:
    files, inner = url_to_fs(place)
  except ImportError as error:
    raise InputError(
      f"{flag}: found no package to read {place} ({error}), expected one for it: "
      f"`{install_command('gcs')}` for gs://, `{install_command('s3')}` for s3://"
    ) from error
  except ValueError as error:
    raise InputError(f"{flag}: found {place} ({error}), expected a path, gs:// or s3://") from error
  with reading(place):
    paths = files.glob(inner) if "*" in inner else files.find(inner)
  shards = [path for path in paths if path.endswith(SHARD_SUFFIXES)]
  if not shards:
    raise InputError(f"{flag}: found no shard at {place}, {EXPECTED}")
  if line := compressed_line(paths, flag):
    say(line)
  shards.sort(key=lambda path: path.split("/"))
  return [files.unstrip_protocol(path) for path in shards] if "://" in place else shards


def open_shards(
  paths: Sequence[str], *, flag: str, tar_images: str = "first"
) -> tuple[Joined, LeftOut]:
  """Opens shards, several at a time, and joins their records in the order given.

  Args:
    paths: paths or URLs of the shards.
    flag: what the message calls them.
    tar_images: which images of a tar file to read, the "first" of each sample or "all".

  Returns:
    The records, and the image files in tar shards that are not among them.

  Raises:
    InputError: a shard is damaged, or none contains an image.
    OSError: a shard can't be read.
  """

  def open_one(path: str) -> TarShard | ArrayRecordShard:
    if path.endswith(".tar"):
      return TarShard(path, images=tar_images)
    return ArrayRecordShard(path)

  with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
    shards = list(pool.map(open_one, paths))
  records, left_out = Joined(shards), sum((shard.left_out for shard in shards), LeftOut())
  if not len(records):
    others = left_out.line("", 0)
    raise InputError(
      f"{flag}: found no image in {len(paths)} shards from {paths[0]} on, "
      f"expected {formats.names(formats.TRAINING_IMAGES)} files in them{others or ''}"
    )
  return records, left_out
