"""Images in tar files with WebDataset's layout, found by their headers or by an index file.

Shards are written in pack_shards.py, found and joined in shards.py.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from stylejax.data.shard_records import COMPRESSED_SUFFIXES, LeftOut, ShardRecord, reading
from stylejax.errors import InputError
from stylejax.images.formats import READ_SUFFIXES, TRAINING_SUFFIXES
from stylejax.runtime.files import printable

INDEX_SUFFIX = ".index"
_IMAGE_SUFFIXES = tuple({*READ_SUFFIXES, *TRAINING_SUFFIXES})
_ARCHIVE_SUFFIXES = (".tar", *COMPRESSED_SUFFIXES, ".zip")
_BLOCK = 2**20  # bytes read at a time, a multiple of tar's block size
_LARGEST_NOTE = 2**20  # largest long name or pax header in bytes; real ones have hundreds


class TarShard(Sequence):
  """The images of a tar file in WebDataset's layout.

  Consecutive files whose names agree up to the first dot are one sample ("a.jpg", "a.txt" and
  "a.seg.png"). The first image of each sample is read or, optionally, every image. Their positions
  come from the file NAME.tar.index beside the tar file or, without one that matches, from the tar
  file's headers.
  """

  def __init__(self, path: str, *, images: str = "first"):
    """Reads the index or, without one, the headers.

    Args:
      path: a path or URL.
      images: which images to read, the "first" of each sample or "all".
    """
    from fsspec.core import url_to_fs  # only here and below: it would slow infer.py's start

    self.path = path
    self.left_out = LeftOut()
    with reading(path):
      self._files, self._inner = url_to_fs(path)
      size = self._files.size(self._inner)
      members = self._saved_index(size)
      if members is None:
        with self._files.open(self._inner, "rb") as file:
          members, self.left_out = scan_tar(file, path, images=images)
    # Millions of small objects would be slow to pickle; names are needed only in messages.
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
    """The bytes of one record; see images.decode.Record."""
    offset, size = map(int, self._spans[record.index])
    with reading(self.path):
      data = self._files.cat_file(self._inner, start=offset, end=offset + size)
    if len(data) != size:
      raise InputError(f"{record}: found {len(data)} bytes, expected {size}")
    return data

  def _saved_index(self, size: int) -> list[tuple[str, int, int]] | None:
    """The index beside the tar file; None unless it was made for a file of this size.

    Raises:
      InputError: it was made for this size, but an image in it extends outside the tar file.
    """
    path = self._inner + INDEX_SUFFIX
    try:
      # Each image takes 512 bytes of header plus its data in the tar file, far less in the index.
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
          f"{offset + length}, expected a range within the {size} bytes of {self.path}"
        )
    return members


class _Member(tarfile.TarInfo):
  """A tar header that refuses sizes that lead backwards or make the reader load a huge name."""

  @classmethod
  def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Member":
    """Reads a header; raises ReadError for a size that no writer produces."""
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
  """Finds the images in a tar file by its headers.

  Args:
    file: the tar file.
    name: what messages call it.
    images: which images to read, the "first" of each sample or "all".

  Returns:
    (name, offset, size) of each image to read, and the other files that contain images.

  Raises:
    InputError: the file is damaged or not an uncompressed tar file.
  """
  members, left_out = [], LeftOut()
  current, taken = None, False
  try:
    for member in _members(file):
      folder, _, base = member.name.rpartition("/")
      sample = (folder, base.partition(".")[0])
      if sample != current:
        current, taken = sample, False
      if member.isdir():
        continue
      if base.lower().endswith(_ARCHIVE_SUFFIXES):
        left_out = left_out.note(name, member.name, "archives")
      if not base.lower().endswith(_IMAGE_SUFFIXES):
        continue
      if base.startswith("."):
        left_out = left_out.note(name, member.name, "hidden")
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
  # Besides its own errors, tarfile raises these for inconsistent headers.
  except (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError) as error:
    raise InputError(
      f"{name}: found a damaged tar file ({error}), expected a complete, uncompressed one"
    ) from error
  return members, left_out


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
  """Yields the members of a tar file, including tar files that are concatenated to it.

  Raises:
    tarfile.ReadError: a member doesn't follow the one before, or a header is damaged.
  """
  start: int | None = 0
  while start is not None:
    file.seek(start)
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as tar:
      reached = -1
      while (member := tar.next()) is not None:
        # tarfile keeps a list of all members, which isn't needed.
        tar.members = []
        if tar.offset <= reached:
          raise tarfile.ReadError(f"a header at byte {reached} that leads back to {tar.offset}")
        reached = tar.offset
        yield member
    # tarfile takes a damaged header as the end; a real end is zeros or the end of the file.
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
      raise tarfile.ReadError(f"no header at byte {tar.offset}")
    start = _next_archive(file, tar.offset)


def _next_archive(file: BinaryIO, at: int) -> int | None:
  """The offset of the next header after the zeros that end a tar file; None if there is none."""
  file.seek(at)
  while block := file.read(_BLOCK):
    if rest := block.lstrip(b"\0"):
      at += (len(block) - len(rest)) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
      file.seek(at)
      try:
        tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
      except tarfile.TarError:  # not a tar header
        return None
      return at
    at += len(block)
  return None


def tar_index(members: Sequence[tuple[str, int, int]], size: int) -> str:
  """The contents of NAME.tar.index, from `scan_tar`'s result for a tar file of `size` bytes."""
  return json.dumps({"bytes": size, "images": members})
