"""Packs a folder of images into shards for training (`stylejax train shards`).

Records are in the order of `find_images`, so training on the shards is the same as on the folder.
Shards are read in shards.py.
"""

import contextlib
import dataclasses
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import rich.console
import rich.progress
from PIL import Image

from stylejax.data.sources import find_images
from stylejax.data.tar_shards import INDEX_SUFFIX, scan_tar, tar_index
from stylejax.errors import InputError
from stylejax.images.decode import decode_image, image_size
from stylejax.runtime.background import ahead
from stylejax.runtime.files import check_apart, printable
from stylejax.runtime.folders import check_folder, filling, making

_JPEG_QUALITY = 95
_REDUCING_GAP = 3.0


@dataclasses.dataclass(frozen=True)
class ShardsConfig:
  """Pack a folder of images into shards: a few large files, quick to copy and to read."""

  input_dir: Path
  """Folder of images (JPEG, PNG, WebP; nested)."""
  output_dir: Path
  """Folder to make for the shards; it must be new or empty."""
  format: Literal["tar", "array_record"] = "tar"
  """tar, in WebDataset's layout with an index beside each shard, or ArrayRecord."""
  shard_size: float = 256.0
  """Largest size of a shard in MiB; an image larger than that gets a shard of its own."""
  max_side: int | None = None
  """Images whose longer side has more pixels are scaled down to it and kept as JPEG; training
  at --size S uses 2.5 S of the shorter side. Default: files are kept as they are, byte for byte."""

  def check(self) -> None:
    """Raises InputError for the first setting that is out of range."""
    if not 0 < self.shard_size < float("inf"):
      raise InputError(f"--shard-size: found {self.shard_size}, expected a number of MiB above 0")
    if self.max_side is not None and self.max_side < 16:
      raise InputError(f"--max-side: found {self.max_side}, expected 16 or more")
    check_apart([self.output_dir], [], folders=[self.input_dir], what="--output-dir")


def convert(config: ShardsConfig) -> None:
  """Writes all shards to a temporary folder, renames it, and prints a summary.

  Unreadable images are skipped, counted and named.

  Raises:
    InputError: a setting is invalid, or no image can be read; nothing is left behind.
  """
  config.check()
  paths = find_images(
    config.input_dir, flag="--input-dir", on_note=lambda note: print(printable(note))
  )
  skipped, target, threads = 0, config.output_dir, os.cpu_count() or 1
  check_apart([target], paths, folders=[config.input_dir], what="--output-dir")
  with (
    making([target.absolute().parent], "--output-dir"),
    _new_folder(target) as folder,
    _progress(len(paths)) as (say, advance),
    _Shards(folder, config.format, int(config.shard_size * 2**20)) as shards,
  ):
    for path, data in ahead(
      lambda path: _prepared(path, config.max_side), paths, threads=threads, depth=4 * threads
    ):
      if isinstance(data, InputError):
        skipped += 1
        say(printable(f"skipped {data}"))
      else:
        shards.add(path, data)
      advance()
    if skipped == len(paths):
      raise InputError(
        f"--input-dir: found {len(paths)} files and none readable in "
        f"{config.input_dir}, expected at least one readable image"
      )
  print(
    f"{printable(target)}: {len(paths) - skipped} images in {shards.count} {config.format} "
    f"shards, {shards.bytes / 1e6:.1f} MB"
    + (f"; {skipped} unreadable files skipped" if skipped else "")
  )


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
  check_folder(path, "--output-dir", replaces=False)
  with filling(path, "--output-dir", replaces=False) as folder:
    yield folder


def _prepared(path: Path, max_side: int | None) -> bytes | InputError:
  """The bytes to store for an image, or the error if it can't be decoded."""
  try:
    shorter, longer = sorted(image_size(path))
    if max_side is None or longer <= max_side:
      decode_image(path, min_side=1)
      return path.read_bytes()
    side = max(1, round(shorter * max_side / longer))
    image = decode_image(path, min_side=side)
    size = (max_side, side) if image.width >= image.height else (side, max_side)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP).save(
      buffer, "JPEG", quality=_JPEG_QUALITY
    )
    return buffer.getvalue()
  except InputError as error:
    return error


class _Shards:
  """Writes records to one shard after another, each limited in size."""

  def __init__(self, folder: Path, kind: str, most: int):
    self._folder, self._most = folder, most
    self._open = {"tar": _TarWriter, "array_record": _ArrayRecordWriter}[kind]
    self._suffix = f".{kind}"
    self._writer: Any = None
    self._filled = 0
    self._number = 0
    self.count = 0
    self.bytes = 0

  def __enter__(self) -> "_Shards":
    return self

  def __exit__(self, *_) -> None:
    self._close()

  def add(self, path: Path, data: bytes) -> None:
    """Appends one image; `path` is where it came from."""
    if self._writer is not None and self._filled + len(data) > self._most:
      self._close()
    if self._writer is None:
      name = self._folder / f"shard-{self.count:05}{self._suffix}"
      self._writer, self._filled = self._open(name), 0
      self.count += 1
    suffix = ".jpg" if data.startswith(b"\xff\xd8") else path.suffix.lower()
    # Each image is one sample: numbers make names unique, and a second dot would start the suffix.
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:50]
    self._writer.write(f"{self._number:08}_{stem}{suffix}", data)
    self._number += 1
    self._filled += len(data)
    self.bytes += len(data)

  def _close(self) -> None:
    if self._writer is not None:
      writer, self._writer = self._writer, None
      writer.close()


class _TarWriter:
  """Writes a tar file and, when it is closed, its index."""

  def __init__(self, path: Path):
    self._path = path
    self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 — by close()

  def write(self, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    self._tar.addfile(member, io.BytesIO(data))

  def close(self) -> None:
    self._tar.close()
    with self._path.open("rb") as file:
      samples, _ = scan_tar(file, str(self._path))
    index = self._path.with_name(self._path.name + INDEX_SUFFIX)
    index.write_text(tar_index(samples, self._path.stat().st_size))


class _ArrayRecordWriter:
  """Writes an ArrayRecord file, which can't store names."""

  def __init__(self, path: Path):
    try:
      from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError as error:
      raise InputError(
        f"--format: found no package to write array_record with ({error}), expected "
        "`pip install array_record`, or tar"
      ) from error
    self._path = path
    # One record per group, so that reading one reads no other; images are already compressed.
    self._writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")

  def write(self, name: str, data: bytes) -> None:
    del name
    with self._errors():
      self._writer.write(data)

  def close(self) -> None:
    with self._errors():
      self._writer.close()

  @contextlib.contextmanager
  def _errors(self) -> Iterator[None]:
    # The package raises RuntimeError for a full disk.
    try:
      yield
    except RuntimeError as error:
      reason = " ".join(str(error).split())
      raise OSError(f"{self._path}: found {reason}, expected to write a shard") from error


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
  """Shows a progress bar on stderr; yields functions to print a line above it and to advance it."""
  console = rich.console.Console(stderr=True)
  bar = rich.progress.Progress(
    rich.progress.TextColumn("packing"),
    rich.progress.BarColumn(),
    rich.progress.MofNCompleteColumn(),
    rich.progress.TextColumn("{task.fields[rate]}"),
    rich.progress.TextColumn("left"),
    rich.progress.TimeRemainingColumn(),
    console=console,
  )
  task = bar.add_task("packing", total=total, rate="")

  def say(message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)

  def advance() -> None:
    bar.advance(task)
    speed = bar.tasks[0].speed
    bar.update(task, rate=f"{speed:.0f} images/s" if speed else "")

  with bar:
    yield say, advance
