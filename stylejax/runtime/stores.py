"""Folders in object storage (gs://, s3://) and on mounts of it (file://), through fsspec.

Every name is relative to the store's folder. Storage errors become an OSError with one line.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stylejax.errors import InputError
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import replacing
from stylejax.runtime.temporary import is_temporary, sweep

SCHEMES = {"gs": "gcs", "s3": "s3", "file": None}
"""URL schemes that can be written to, and the extra that each needs, if any."""


def is_url(place: str | os.PathLike) -> bool:
  """Whether a place is a URL rather than a path."""
  return "://" in os.fspath(place)


def open_store(url: str, *, flag: str) -> "Store":
  """Opens a folder in storage; nothing is read or created.

  Args:
    url: SCHEME://BUCKET/FOLDER.
    flag: what messages call it, such as "--workdir".

  Raises:
    InputError: the scheme isn't supported, no bucket or folder is given, or a package isn't
      installed.
  """
  from fsspec.core import url_to_fs  # only here: it would slow the start of every command

  scheme, _, rest = url.partition("://")
  if scheme not in SCHEMES:
    schemes = ", ".join(f"{name}://" for name in SCHEMES)
    raise InputError(f"{flag}: found {url}, expected a local folder or a URL of {schemes}")
  if not rest.strip("/"):
    raise InputError(f"{flag}: found {url}, expected {scheme}://BUCKET/FOLDER")
  try:
    # Cached listings would hide what other machines write.
    files, root = url_to_fs(url, use_listings_cache=False)
  except ImportError as error:
    raise InputError(
      f"{flag}: found no package to write {url} with ({error}), expected "
      f"`{install_command(SCHEMES[scheme])}`"
    ) from error
  except Exception as error:  # Every storage service has its own exceptions.
    raise InputError(
      f"{flag}: found {url} ({_reason(error)}), expected a URL that can be opened"
    ) from error
  return Store(files, root.rstrip("/"), url.rstrip("/"))


class Store:
  """Reads and writes whole files in one folder in storage."""

  def __init__(self, files, root: str, url: str):
    self._files, self._root, self.url = files, root, url

  def read(self, name: str) -> bytes | None:
    """Returns a file's bytes, or None if there is no such file."""
    with self._told(name):
      try:
        return self._files.cat_file(f"{self._root}/{name}")
      except FileNotFoundError:
        return None

  def write(self, name: str, data: bytes) -> None:
    """Writes a file atomically; an existing one is replaced."""
    with self._told(name):
      self._make_parent(name)
      if self._is_local():
        with replacing(f"{self._root}/{name}") as unfinished:
          unfinished.write_bytes(data)
      else:
        self._files.pipe_file(f"{self._root}/{name}", data)

  def create(self, name: str, data: bytes) -> bool:
    """Writes a file unless it exists; returns True for only one of several concurrent callers."""
    with self._told(name):
      self._make_parent(name)
      try:
        with self._files.open(f"{self._root}/{name}", "xb") as file:
          file.write(data)
      except FileExistsError:
        return False
      return True

  def list(self, folder: str = "") -> list[str]:
    """Returns the sorted names of all files in a folder of the store; none if it doesn't exist."""
    place = f"{self._root}/{folder}".rstrip("/")
    with self._told(folder or "."):
      self._files.invalidate_cache()
      try:
        paths = self._files.find(place)
      except FileNotFoundError:
        paths = []
    return sorted(
      path[len(self._root) + 1 :] for path in paths if not is_temporary(path.rpartition("/")[2])
    )

  def upload(self, path: Path, name: str) -> None:
    """Copies a local file to the store."""
    with self._told(name):
      self._make_parent(name)
      self._files.put_file(str(path), f"{self._root}/{name}")

  def download(self, name: str, path: Path) -> None:
    """Copies a file from the store to a local path, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with self._told(name):
      self._files.get_file(f"{self._root}/{name}", str(path))

  def remove(self, name: str) -> None:
    """Removes a file if it exists."""
    with self._told(name), contextlib.suppress(FileNotFoundError):
      self._files.rm_file(f"{self._root}/{name}")

  def remove_empty_folders(self, folder: str = "") -> None:
    """Removes folders without files, if the storage has folders."""
    if self._is_local():
      for place, _, _ in os.walk(f"{self._root}/{folder}".rstrip("/"), topdown=False):
        with contextlib.suppress(OSError):
          os.rmdir(place)

  def sweep(self) -> None:
    """Removes temporary files of dead processes, if the storage can have any."""
    if self._is_local():
      for place, _, _ in os.walk(self._root):
        sweep(place)

  def _is_local(self) -> bool:
    protocol = self._files.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

  def _make_parent(self, name: str) -> None:
    # Buckets have no folders; creating one could try to create a bucket.
    if self._is_local():
      os.makedirs(os.path.dirname(f"{self._root}/{name}"), exist_ok=True)

  @contextlib.contextmanager
  def _told(self, name: str) -> Iterator[None]:
    try:
      yield
    except Exception as error:  # Every storage service has its own exceptions.
      raise OSError(
        f"{self.url}/{name}: found {_reason(error)}, expected storage that can be read and written"
      ) from error


def _reason(error: Exception) -> str:
  text = getattr(error, "strerror", None) or str(error) or type(error).__name__
  return " ".join(str(text).split())[:300]
