"""Images in shards: tar files in WebDataset's layout and ArrayRecord files, local or remote.

A shard is a sequence of records; it reads nothing but its index until a record is read, and can
be pickled for worker processes. Not here: decoding records, and writing shards (convert.py).
"""

import bisect
import contextlib
import dataclasses
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.images.formats import READ_SUFFIXES, TRAINING_SUFFIXES
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import printable

SHARD_SUFFIXES = (".tar", ".array_record")
INDEX_SUFFIX = ".index"

_EXPECTED = "expected shards (.tar or .array_record)"
_OPENED_AT_ONCE = 16
_IMAGE_SUFFIXES = tuple({*READ_SUFFIXES, *TRAINING_SUFFIXES})
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_NAMED = 3  # files that are left out, in one line
_LARGEST_NOTE = 2**20  # bytes of a long name or of a pax header; real ones have hundreds


@dataclasses.dataclass(frozen=True)
class ShardRecord:
  """One image file in a shard, a `images.Record`."""

  shard: "TarShard | ArrayRecordShard"
  index: int

  def __str__(self) -> str:
    return f"{self.shard.path}:{self.shard.name(self.index)}"

  def read(self) -> bytes:
    """The image file's bytes; see images.Record."""
    return self.shard.read(self)


class Joined(Sequence):
  """Sequences one after another, without a copy of them."""

  def __init__(self, parts: Sequence[Sequence]):
    self._parts = tuple(parts)
    self._ends = list(itertools.accumulate(map(len, self._parts)))

  def __len__(self) -> int:
    return self._ends[-1] if self._ends else 0

  def __getitem__(self, index: int) -> Any:
    index = range(len(self))[index]
    part = bisect.bisect_right(self._ends, index)
    return self._parts[part][index - (self._ends[part - 1] if part else 0)]


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """Files of a shard, or of all shards together, that look like images and are not read.

  Attributes:
    further: how many are a further image of a sample, as WebDataset groups files.
    links: how many are links or sparse files, which have no bytes of their own.
    others: how many are of a format that training doesn't take.
    names: the first few of them.
  """

  further: int = 0
  links: int = 0
  others: int = 0
  names: tuple[str, ...] = ()

  def __add__(self, other: "LeftOut") -> "LeftOut":
    return LeftOut(
      self.further + other.further,
      self.links + other.links,
      self.others + other.others,
      (self.names + other.names)[:_NAMED],
    )

  def note(self, shard: str, name: str, reason: str) -> "LeftOut":
    """The same with one file more; `reason` is "further", "links" or "others"."""
    return self + LeftOut(names=(f"{shard}:{name}",), **{reason: 1})

  def line(self, flag: str, read: int) -> str | None:
    """What to tell the user, or None if nothing is left out; `read` counts the images read."""
    total = self.further + self.links + self.others
    if not total:
      return None
    reasons = []
    if self.further:
      reasons.append(
        f"{self.further} share a sample with the image before (their names agree up "
        "to the first dot, WebDataset's rule); --tar-images all reads them too"
      )
    if self.links:
      reasons.append(f"{self.links} are links or sparse files")
    if self.others:
      reasons.append(f"{self.others} are no {formats.names(formats.TRAINING_IMAGES)}")
    names = ", ".join(map(printable, self.names)) + (", …" if total > len(self.names) else "")
    return f"{flag}: {total} of {total + read} images left out ({names}): {'; '.join(reasons)}"


class TarShard(Sequence):
  """The images of a tar file in WebDataset's layout.

  Files in a row whose names agree up to the first dot are one sample ("a.jpg", "a.txt" and
  "a.seg.png"), and its first image is read; or, by choice, every image file. Where they lie is
  read from the file NAME.tar.index beside it, or, if there is none that fits, found by going
  through the headers of the tar file.
  """

  def __init__(self, path: str, *, images: str = "first"):
    """Reads the index, or else the headers.

    Args:
      path: a path or URL.
      images: "first" of each sample, or "all".
    """
    from fsspec.core import url_to_fs  # only here and below: it would slow infer.py's start

    self.path = path
    self.left_out = LeftOut()
    with _reading(path):
      self._files, self._inner = url_to_fs(path)
      size = self._files.size(self._inner)
      members = self._saved_index(size)
      if members is None:
        with self._files.open(self._inner, "rb") as file:
          members, self.left_out = scan_tar(file, path, images=images)
    # Millions of small objects would be slow to pickle; names are wanted only in messages.
    self._names = "\0".join(name for name, _, _ in members)
    self._spans = np.array([span for _, *span in members], np.int64).reshape(-1, 2)

  def __len__(self) -> int:
    return len(self._spans)

  def __getitem__(self, index: int) -> ShardRecord:
    return ShardRecord(self, range(len(self))[index])

  def name(self, index: int) -> str:
    """A record's name in the tar file."""
    return self._names.split("\0")[index]

  def read(self, record: ShardRecord) -> bytes:
    """The bytes of one record; see images.Record."""
    offset, size = map(int, self._spans[record.index])
    with _reading(self.path):
      data = self._files.cat_file(self._inner, start=offset, end=offset + size)
    if len(data) != size:
      raise InputError(f"{record}: found {len(data)} bytes, expected {size}")
    return data

  def _saved_index(self, size: int) -> list[tuple[str, int, int]] | None:
    """The index beside the tar file, if it belongs to a file of this size.

    Raises:
      InputError: it is of this size, and a place in it lies outside of the tar file.
    """
    path = self._inner + INDEX_SUFFIX
    try:
      # Each image takes a header of 512 bytes and its data, and far less in an index.
      if self._files.size(path) > max(size, 1024):
        return None
      saved = json.loads(self._files.cat_file(path))
      if saved["bytes"] != size:
        return None
      members = [
        (str(name).replace("\0", ""), int(offset), int(length))
        for name, offset, length in saved["images"]
      ]
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
      return None
    for name, offset, length in members:
      if not (offset >= 0 and length >= 0 and offset + length <= size):
        raise InputError(
          f"{self.path}{INDEX_SUFFIX}: found {printable(name)[:80]} at bytes {offset} to "
          f"{offset + length}, expected a place in the {size} bytes of {self.path}"
        )
    return members


class _Member(tarfile.TarInfo):
  """A header that neither leads backwards nor makes the reader load what can't be a name."""

  @classmethod
  def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Member":
    """Reads a header; ReadError if its size is one that no writer gives."""
    member = super().frombuf(buf, encoding, errors)
    notes = (
      tarfile.XHDTYPE,
      tarfile.XGLTYPE,
      tarfile.SOLARIS_XHDTYPE,
      tarfile.GNUTYPE_LONGNAME,
      tarfile.GNUTYPE_LONGLINK,
    )
    if member.size < 0 or (member.type in notes and member.size > _LARGEST_NOTE):
      raise tarfile.ReadError(f"a header of size {member.size}")
    return member


def scan_tar(
  file: BinaryIO, name: str, *, images: str = "first"
) -> tuple[list[tuple[str, int, int]], LeftOut]:
  """Goes through the headers of a tar file.

  Args:
    file: the tar file.
    name: what messages call it.
    images: "first" of each sample, or "all".

  Returns:
    (name, offset, size) of each image to read, and what else looks like an image.

  Raises:
    InputError: the file is damaged or no plain tar file.
  """
  members, left_out = [], LeftOut()
  current, taken = None, False
  try:
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as tar:
      for member in _members(tar):
        folder, _, base = member.name.rpartition("/")
        sample = (folder, base.partition(".")[0])
        if sample != current:
          current, taken = sample, False
        if not base.lower().endswith(_IMAGE_SUFFIXES) or base.startswith(".") or member.isdir():
          continue
        if not base.lower().endswith(TRAINING_SUFFIXES):
          left_out = left_out.note(name, member.name, "others")
          continue
        plain = member.isreg() and not member.issparse()
        if plain and not (taken and images == "first"):
          members.append((member.name, member.offset_data, member.size))
          taken = True
        else:
          left_out = left_out.note(name, member.name, "further" if plain else "links")
      # tarfile takes a damaged header for the end; a real end is zeros, or nothing at all.
      file.seek(tar.offset)
      if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {tar.offset}")
  # Beside its own errors tarfile raises these at headers that contradict themselves.
  except (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError) as error:
    raise InputError(
      f"{name}: found a damaged tar file ({error}), expected a whole one, not compressed"
    ) from error
  return members, left_out


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
  """The members of a tar file, as long as each lies behind the one before."""
  reached = -1
  while (member := tar.next()) is not None:
    # tarfile keeps each member that it has seen, which nobody asks for again.
    tar.members = []
    if tar.offset <= reached:
      raise tarfile.ReadError(f"a header at byte {reached} that leads back to {tar.offset}")
    reached = tar.offset
    yield member


def tar_index(members: Sequence[tuple[str, int, int]], size: int) -> str:
  """What stands in the file NAME.tar.index: `scan_tar`'s answer for a tar file of `size` bytes."""
  return json.dumps({"bytes": size, "images": members})


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
    with _reading(path):
      self._records = ArrayRecordDataSource([path.removeprefix("file://")])

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> ShardRecord:
    return ShardRecord(self, range(len(self))[index])

  def name(self, index: int) -> str:
    """A record's number; records have no names."""
    return str(index)

  def read(self, record: ShardRecord) -> bytes:
    """The bytes of one record; see images.Record."""
    try:
      with _reading(self.path):
        return self._records[record.index]
    except OSError as error:
      # The reader tells a damaged record from a file that is gone by its message alone.
      if "Corrupted" in str(error):
        raise InputError(
          f"{record}: found a damaged record, expected the bytes of an image file"
        ) from error
      raise


def compressed_line(paths: Sequence[str], flag: str) -> str | None:
  """What to tell of compressed tar files among some paths, which are not read; None without any."""
  compressed = [path for path in paths if path.endswith(_COMPRESSED)]
  if not compressed:
    return None
  names = ", ".join(map(printable, compressed[:_NAMED])) + (
    ", …" if len(compressed) > _NAMED else ""
  )
  return f"{flag}: {len(compressed)} compressed tar files left out, shards are plain ones ({names})"


def find_shards(
  place: str, *, flag: str, say: Callable[[str], None] = lambda line: None
) -> list[str]:
  """Lists shards by a path, a URL of a folder or a shard, or a pattern with *.

  Args:
    place: where they are.
    flag: what messages call it.
    say: receives one line if compressed tar files lie beside them.

  Returns:
    Paths or URLs, sorted by their parts, at least one.

  Raises:
    InputError: no shard there, or nothing installed that reads such a URL.
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
  with _reading(place):
    paths = files.glob(inner) if "*" in inner else files.find(inner)
  shards = [path for path in paths if path.endswith(SHARD_SUFFIXES)]
  if not shards:
    raise InputError(f"{flag}: found no shard at {place}, {_EXPECTED}")
  if line := compressed_line(paths, flag):
    say(line)
  shards.sort(key=lambda path: path.split("/"))
  return [files.unstrip_protocol(path) for path in shards] if "://" in place else shards


def open_shards(
  paths: Sequence[str], *, flag: str, tar_images: str = "first"
) -> tuple[Joined, LeftOut]:
  """Opens shards, several at a time, and joins their records in the order given.

  Args:
    paths: of the shards, or URLs.
    flag: what the message calls them.
    tar_images: "first" of each sample of a tar file, or "all".

  Returns:
    The records, and the image files of tar shards that are not among them.

  Raises:
    InputError: a shard is damaged, or all of them are empty.
    OSError: a shard can't be read.
  """

  def open_one(path: str) -> TarShard | ArrayRecordShard:
    if path.endswith(".tar"):
      return TarShard(path, images=tar_images)
    return ArrayRecordShard(path)

  with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
    shards = list(pool.map(open_one, paths))
  records = Joined(shards)
  if not len(records):
    raise InputError(
      f"{flag}: found no image in {len(paths)} shards from {paths[0]} on, "
      f"expected {formats.names(formats.TRAINING_IMAGES)} files in them"
    )
  return records, sum((shard.left_out for shard in shards), LeftOut())


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
  """Whatever storage raises leaves as an OSError of one line that names the shard."""
  try:
    yield
  except InputError:
    raise
  except Exception as error:  # Every storage service has exceptions of its own.
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = " ".join(reason.split())
    raise OSError(f"{path}: found {reason}, {_EXPECTED} that can be read") from error
