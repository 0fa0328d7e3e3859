"""Stores feature maps of images larger than memory, in memory or in files, and their moments.

What is computed from them is in `tiled`.
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


class FeatureStore:
  """A float16 map [H, W, C], written and read by rectangles, in memory or in an unnamed file."""

  def __init__(self, shape: tuple[int, int, int], folder: Path | None):
    self.shape, self._folder = shape, folder
    # The file is closed together with this object.
    self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
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
    # The file isn't memory-mapped: mapped pages would count as this process's memory.
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
    """Frees the memory or closes the file."""
    self._array = None
    if self._file is not None:
      self._file.close()


class BackgroundQueue:
  """Does pieces of work in a thread, in order, with only a few waiting."""

  def __init__(self, pieces: int = 2):
    self._pool, self._pending = ThreadPoolExecutor(1), collections.deque()
    self._pieces = pieces

  def do(self, work: Callable, *arguments) -> None:
    """Adds a piece, and waits while there are too many; raises what an earlier piece raised."""
    self._pending.append(self._pool.submit(work, *arguments))
    while len(self._pending) > self._pieces:
      self._pending.popleft().result()

  def wait(self) -> None:
    """Waits until all pieces are done; raises what one of them raised."""
    while self._pending:
      self._pending.popleft().result()

  def close(self) -> None:
    """Ends the thread after its current piece; pieces that it hasn't begun are dropped."""
    self._pool.shutdown(cancel_futures=True)


@dataclasses.dataclass
class RunningMoments:
  """Count, mean and sum of squared deviations of each channel, float64, updated tile by tile."""

  count: float = 0.0
  mean: np.ndarray | float = 0.0
  deviation: np.ndarray | float = 0.0

  def add(self, count: float, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Adds another part (Chan et al. 1983, "Algorithms for Computing the Sample Variance")."""
    count, mean, deviation = (np.asarray(x, np.float64) for x in (count, mean, deviation))
    both, step = self.count + count, mean - self.mean
    self.mean = self.mean + step * (count / both)
    self.deviation = self.deviation + deviation + step**2 * (self.count * count / both)
    self.count = both

  def mean_and_std(self, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """As `adain.channel_moments` of the whole map: both [1, 1, 1, C] float32."""
    std = np.sqrt(self.deviation / self.count + eps)
    return tuple(np.asarray(x, np.float32)[None, None, None] for x in (self.mean, std))
