"""What all kinds of shards share: records, files that are left out, and storage errors."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from stylejax.errors import InputError
from stylejax.images import formats
from stylejax.runtime.files import printable

EXPECTED = "expected shards (.tar or .array_record)"
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
NAMED = 3  # how many left-out files a line names


@dataclasses.dataclass(frozen=True)
class ShardRecord:
  """One image file in a shard, an `images.decode.Record`.

  Attributes:
    shard: the `TarShard` or `ArrayRecordShard` that holds its bytes.
    index: its number in the shard.
  """

  shard: Any
  index: int

  def __str__(self) -> str:
    return f"{self.shard.path}:{self.shard.name(self.index)}"

  @property
  def remote(self) -> bool:
    """Whether its bytes come from remote storage, which is slow but serves many reads at once."""
    return "://" in self.shard.path and not self.shard.path.startswith("file://")

  def read(self) -> bytes:
    """Returns the image file's bytes; see images.decode.Record."""
    return self.shard.read(self)


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """Files in one shard, or in all shards together, that contain images but are not read.

  Attributes:
    further: how many are a further image of a sample, as WebDataset groups files.
    links: how many are links or sparse files, which have no plain data of their own.
    others: how many have a format that training doesn't support.
    hidden: how many have a name that begins with a dot, such as those that macOS adds.
    archives: how many are tar or zip files, which are not opened.
    names: the names of the first few of these files.
  """

  further: int = 0
  links: int = 0
  others: int = 0
  hidden: int = 0
  archives: int = 0
  names: tuple[str, ...] = ()

  def __add__(self, other: "LeftOut") -> "LeftOut":
    return LeftOut(
      self.further + other.further,
      self.links + other.links,
      self.others + other.others,
      self.hidden + other.hidden,
      self.archives + other.archives,
      (self.names + other.names)[:NAMED],
    )

  def note(self, shard: str, name: str, reason: str) -> "LeftOut":
    """Returns the same with one more file; `reason` is the name of its count."""
    return self + LeftOut(names=(f"{shard}:{name}",), **{reason: 1})

  def line(self, flag: str, read: int) -> str | None:
    """A line for the user, or None if nothing is left out; `read` is the number of images read."""
    total = self.further + self.links + self.others + self.hidden + self.archives
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
      reasons.append(f"{self.others} are not {formats.names(formats.TRAINING_IMAGES)}")
    if self.hidden:
      reasons.append(f"{self.hidden} are hidden: their names begin with a dot")
    if self.archives:
      reasons.append(f"{self.archives} are archives, which are not opened")
    kind = "files" if self.archives else "images"
    names = ", ".join(map(printable, self.names)) + (", …" if total > len(self.names) else "")
    return f"{flag}: {total} of {total + read} {kind} left out ({names}): {'; '.join(reasons)}"


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
  """Turns storage errors inside the block into an OSError with one line that names the shard."""
  try:
    yield
  except InputError:
    raise
  except Exception as error:  # Every storage service has its own exceptions.
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = " ".join(reason.split())
    raise OSError(f"{path}: found {reason}, {EXPECTED} that can be read") from error
