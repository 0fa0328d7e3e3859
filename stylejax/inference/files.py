"""Reads contents ahead and writes outputs in the background while images are being stylized."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images import animation, encode
from stylejax.images.decode import DecodedImage, image_size
from stylejax.inference import buckets, budget
from stylejax.inference.outputs import Job
from stylejax.inference.request import ControlMaps
from stylejax.models.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Group:
  """Contents that are stylized together.

  Attributes:
    jobs: one for each content.
    bucket: (H, W) to which they are padded, or None if they keep their size.
  """

  jobs: tuple[Job, ...]
  bucket: tuple[int, int] | None = None


def group_by_size(
  jobs: Sequence[Job],
  size: int | None,
  config: ModelConfig,
  *,
  known: Iterable[tuple[int, int]] = (),
) -> list[Group]:
  """Groups contents of many sizes by a few array sizes, with one content per device in a group.

  Args:
    jobs: one for each content.
    size: shorter side of the outputs in pixels; None keeps the contents' sizes.
    config: the config of the networks.
    known: (H, W) of arrays for which there are programs already.

  Returns:
    Groups that together contain all jobs.
  """
  sizes = {}
  if len(jobs) > 1:
    for job in jobs:
      with contextlib.suppress(InputError):  # reported when the image itself is read
        side = image_size(job.content)[::-1]
        side = side if size is None else encode.fit_shorter_side(*side, int(size))
        if budget.fits(side, config) and min(side) >= transfer.MIN_SIDE:
          sizes[job] = side
  devices = jax.local_device_count()
  bucket_of: dict[Any, Any] = {
    side: buckets.choose_known(side, known, images=len(sizes)) for side in sizes.values()
  }
  new = [side for side in sizes.values() if bucket_of[side] is None]
  bucket_of |= buckets.plan(new, stride=config.stride)
  sizes = {
    job: side for job, side in sizes.items() if budget.fits(bucket_of[side], config, images=devices)
  }
  groups = [Group((job,)) for job in jobs if job not in sizes]
  alike: dict[Any, list[Job]] = {}
  for job, side in sizes.items():
    alike.setdefault(bucket_of[side], []).append(job)
  for bucket, members in alike.items():
    exact = devices == 1 and all(sizes[job] == bucket for job in members)
    groups += [
      Group(tuple(members[i : i + devices]), None if exact else bucket)
      for i in range(0, len(members), devices)
    ]
  return groups


class ContentReader:
  """Reads contents at the size of their output, the next ones while some are being stylized.

  Args:
    size: shorter side of the output in pixels; None keeps the content's size.
    maps: their sizes are checked against each content's.
    steps: number of images in an output.
    most: if `size` is None, larger contents are scaled to this shorter side; None doesn't scale.
    on_note: called with one line for each thing that an image loses.
  """

  def __init__(
    self,
    size: int | None,
    maps: ControlMaps,
    steps: int,
    *,
    most: int | None = None,
    on_note: Callable[[str], None],
  ):
    self._size, self._maps, self._steps, self._on_note = size, maps, steps, on_note
    self._most = most

  def read_ahead(
    self, groups: Sequence[Group]
  ) -> Iterator[tuple[Group, list[DecodedImage | InputError]]]:
    """Yields each group with its images; for an image that can't be read, with the error."""
    with ThreadPoolExecutor(1) as pool:
      ahead = None
      for group, following in zip(groups, [*groups[1:], None], strict=True):
        images = self._read_all(group) if ahead is None else ahead.result()
        # If memory is scarce, a large image is read only when the previous one is done.
        ahead = None
        if following is not None and budget.leaves_room(_pixels(following)):
          ahead = pool.submit(self._read_all, following)
        yield group, images

  def _read_all(self, group: Group) -> list[DecodedImage | InputError]:
    return [self._read(job) for job in group.jobs]

  def _read(self, job: Job) -> DecodedImage | InputError:
    try:
      budget.check_file(job.content, *image_size(job.content))
      image = encode.read(job.content, compact=True, on_note=self._on_note)
      height, width = image.rgb.shape[:2]
      self._maps.check_size(job.content, height, width)
      if self._size is not None:
        height, width = encode.fit_shorter_side(height, width, int(self._size))
      elif self._most is not None and min(height, width) > self._most:
        height, width = encode.fit_shorter_side(height, width, self._most)
        self._on_note(f"{job.content}: scaled to {width}×{height} pixels; --size sets another size")
      for path in job.outputs:
        encode.check_output_size(path, height, width, frames=self._steps)
      for line in dict.fromkeys(encode.alpha_note(image.alpha, path) for path in job.outputs):
        if line is not None:
          self._on_note(f"{job.content}: {line}")
      return encode.resize(image, height, width)
    except InputError as error:
      return error


def _pixels(group: Group) -> int:
  """Total number of pixels in a group's files; those that can't be read don't count."""
  total = 0
  for job in group.jobs:
    with contextlib.suppress(InputError):  # reported when the image itself is read
      total += math.prod(image_size(job.content))
  return total


class ImageWriter:
  """Encodes and writes images in a thread, one behind; errors are raised at the next call.

  Args:
    quality: 1 to 100, for JPEG and WebP.
  """

  def __init__(self, quality: int):
    self._quality = quality

  def __enter__(self) -> "ImageWriter":
    self._pool = ThreadPoolExecutor(1)
    self._pending: Future | None = None
    return self

  def write(
    self,
    path: Path,
    images: Sequence[np.ndarray],
    alpha: np.ndarray | None,
    *,
    then: Callable[[], None] | None = None,
  ) -> None:
    """Starts writing images of one size, side by side or as an animation, to `path`.

    Args:
      path: the file.
      images: [H, W, 3] each.
      alpha: [H, W], which all images share, or None.
      then: called when the file is written.
    """

    def work() -> None:
      animation.write_frames(path, images, alpha=alpha, quality=self._quality)
      if then is not None:
        then()

    self._finish()
    self._pending, self._path = self._pool.submit(work), path

  def _finish(self) -> None:
    if self._pending is None:
      return
    pending, self._pending = self._pending, None
    try:
      pending.result()
    except OSError as error:
      raise InputError(
        f"output {self._path}: found {error.strerror or error}, expected a file that can be written"
      ) from error

  def __exit__(self, kind, *unused) -> None:
    try:
      if kind is None:
        self._finish()
    finally:
      self._pool.shutdown()


@contextlib.contextmanager
def memory_errors(path: Path) -> Iterator[None]:
  """Turns an out-of-memory error into an InputError that names the image."""
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
      raise InputError(
        f"{path}: found an image too large for the memory, expected a smaller one; --size scales it"
      ) from error
    raise


@contextlib.contextmanager
def naming_output(path: Path) -> Iterator[None]:
  """Turns an error about NaN or infinity in an image into an InputError that names the output."""
  try:
    yield
  except FloatingPointError as error:
    raise InputError(
      f"output {path}: found NaN or infinity in the image, expected numbers in [0, 1]; the "
      "weights may be damaged"
    ) from error
