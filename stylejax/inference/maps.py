"""Maps of images larger than memory: kept in memory or in files, cut into windows, summed up.

What is computed on the windows lives in tiles.py.
"""

import collections
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from stylejax.runtime.files import naming


class Map:
  """A float16 map [H, W, C], written and read by rectangles, in memory or in a nameless file."""

  def __init__(self, shape: tuple[int, int, int], folder: Path | None):
    self.shape, self._folder = shape, folder
    self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)
    self._array = np.empty(shape, np.float16) if folder is None else None

  def __setitem__(self, place: tuple[slice, slice], values: np.ndarray) -> None:
    if self._array is not None:
      self._array[place] = values
      return
    for start, row in zip(self._starts(place), values):
      data = memoryview(np.ascontiguousarray(row, np.float16)).cast("B")
      while data:
        with naming(f"{self._folder} ($TMPDIR, for what memory doesn't hold)"):
          written = os.pwrite(self._file.fileno(), data, start)
        data, start = data[written:], start + written

  def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
    if self._array is not None:
      return self._array[place]
    rows, columns = place
    # Not mapped into memory: pages of a mapping would count as this process's.
    out = np.empty(
      (rows.stop - rows.start, columns.stop - columns.start, self.shape[2]), np.float16
    )
    for start, row in zip(self._starts(place), out):
      data = memoryview(row).cast("B")
      while data:
        read = os.preadv(self._file.fileno(), [data], start)
        data, start = data[read:], start + read
    return out

  def _starts(self, place: tuple[slice, slice]) -> Iterator[int]:
    """Where in the file each row of a rectangle starts, in bytes."""
    rows, columns = place
    for row in range(rows.start, rows.stop):
      yield (row * self.shape[1] + columns.start) * self.shape[2] * 2

  def close(self) -> None:
    """Gives the memory or the file back."""
    self._array = None
    if self._file is not None:
      self._file.close()


class Behind:
  """Does work in a thread, in order, few pieces behind."""

  def __init__(self, pieces: int = 2):
    self._pool, self._pending = ThreadPoolExecutor(1), collections.deque()
    self._pieces = pieces

  def do(self, work: Callable, *arguments) -> None:
    """Starts a piece, once there is room for it; raises what an earlier one raised."""
    self._pending.append(self._pool.submit(work, *arguments))
    while len(self._pending) > self._pieces:
      self._pending.popleft().result()

  def wait(self) -> None:
    """Until all pieces are done; raises what one raised."""
    while self._pending:
      self._pending.popleft().result()

  def close(self) -> None:
    """Ends the thread once it has done what it is at; what it hasn't begun is dropped."""
    self._pool.shutdown(cancel_futures=True)


@dataclasses.dataclass
class Moments:
  """Count, mean and sum of squared deviations of each channel, float64; grows tile by tile."""

  count: float = 0.0
  mean: np.ndarray | float = 0.0
  deviation: np.ndarray | float = 0.0

  def add(self, count: float, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Takes in another part (Chan et al. 1983, "Algorithms for Computing the Sample Variance")."""
    count, mean, deviation = (np.asarray(x, np.float64) for x in (count, mean, deviation))
    both, step = self.count + count, mean - self.mean
    self.mean = self.mean + step * (count / both)
    self.deviation = self.deviation + deviation + step**2 * (self.count * count / both)
    self.count = both

  def mean_and_std(self, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """As `adain.channel_moments` of the whole map: both [1, 1, 1, C] float32."""
    std = np.sqrt(self.deviation / self.count + eps)
    return tuple(np.asarray(x, np.float32)[None, None, None] for x in (self.mean, std))


@dataclasses.dataclass(frozen=True)
class Window:
  """Rows or columns that a tile reads, and those that come out right: all but at a cut."""

  start: int
  stop: int
  first: int
  last: int

  def read(self, scale: int) -> slice:
    """What is read, of a map with `scale` rows for each of these."""
    return slice(self.start * scale, self.stop * scale)

  def right(self, scale: int) -> slice:
    """What is right, likewise, counted from the whole's start."""
    return slice(self.first * scale, self.last * scale)

  def own(self, scale: int) -> slice:
    """What is right, likewise, counted from the tile's start."""
    return slice((self.first - self.start) * scale, (self.last - self.start) * scale)


def windows(length: int, size: int, halo: int) -> list[Window]:
  """Cuts rows or columns into windows of one size, so that one program does.

  The last one is pushed back to end with the whole, so that some rows are read twice. Of five
  sizes, from `size` to 3/4 of it, it is the one that reads the fewest rows in all; of few sizes,
  so that images of many sizes share a few programs.

  Args:
    length: rows in all.
    size: rows that a window reads at most, more than twice the halo.
    halo: rows at a cut that come out wrong.

  Returns:
    Windows in order, whose right rows make up the whole.
  """
  if length <= size:
    return [Window(0, length, 0, length)]

  def rows_read(size: int) -> int:
    return size * -(-(length - 2 * halo) // (size - 2 * halo))

  shorter = (size * part // 16 for part in range(15, 11, -1))
  size = min([size, *(each for each in shorter if each > 2 * halo)], key=rows_read)
  found, done = [], 0
  while done < length:
    start = min(max(0, done - halo), length - size)
    last = length if start + size == length else start + size - halo
    found.append(Window(start, start + size, done, last))
    done = last
  return found
