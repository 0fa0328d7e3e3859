"""Batches for training: global shuffle, keyed crops, decoding in threads or worker processes.

Built on Grain. Lives here: order, random numbers of each example, shares of processes, position,
and the way to the device. Not here: files (sources.py) and pixels (transforms.py).
"""

import functools
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from stylejax.data.crops import random_flip, random_resized_crop
from stylejax.data.sources import Example, ImageSource, Skipped
from stylejax.errors import InputError
from stylejax.images.decode import Record
from stylejax.runtime.background import ReadAhead

Batch = dict[str, np.ndarray]

_logger = logging.getLogger("stylejax")

# Numbers that keep the draws of the two streams, and of shuffle and crop, apart.
_STREAMS = {"content": 1, "style": 2}
_SHUFFLE = 0xFFFF_FFFF

THREADS = 2
"""Threads that decode, in this process or in each worker."""

MIN_SIDE_PER_SIZE = 2.5
"""A JPEG is decoded at a fraction of its size that keeps this many crop sides: the reference side
of crops, so that no crop is enlarged."""

_BATCHES_AHEAD = 4


def make_batches(
  content_images: Sequence[str | os.PathLike | Record] | None,
  style_images: Sequence[str | os.PathLike | Record] | None,
  *,
  batch: int,
  size: int,
  seed: int,
  start_step: int = 0,
  content_scale: tuple[float, float] = (1.0, 1.75),
  style_scale: tuple[float, float] = (1.0, 2.5),
  workers: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> "Batches":
  """Endless batches of random crops, the same for the same seed on any machine layout.

  Example i of a stream is file shuffle(seed, stream, epoch = i // files)[i mod files], cropped
  with numbers drawn from (seed, stream, i). Global batch k holds examples k·B … k·B + B − 1;
  process p reads positions p·B/P … (p + 1)·B/P − 1 of it. Any step is reached directly: nothing
  before start_step is decoded.

  Args:
    content_images: files, or records of shards, of the content stream; None leaves it out.
    style_images: the same of the style stream.
    batch: B, examples in a global batch.
    size: S, side of the crops in pixels.
    seed: non-negative; decides order and crops.
    start_step: the first batch to give.
    content_scale: side of content squares before resizing, in units of size.
    style_scale: side of style squares before resizing, in units of size.
    workers: decoding processes; 0 decodes in threads of this process. A program with workers
      needs the usual `if __name__ == "__main__"`, because they are spawned.
    process_index: p, this process among those that train together.
    process_count: P, how many train together; divides batch.

  Returns:
    An iterator over dicts of `content` and `style`, uint8 [B/P, S, S, 3] each (those present),
    and `index`, int32 [B/P], the global index of each example.

  Raises:
    InputError: no stream, or a number out of range. Later, from next(): no file of a stream can
      be read.
  """
  for name, value, smallest in (
    ("--batch", batch, 1),
    ("--size", size, 1),
    ("--seed", seed, 0),
    ("step", start_step, 0),
    ("--workers", workers, 0),
  ):
    _check(name, value, at_least=smallest)
  _check_processes(batch, process_index, process_count)
  streams = {
    name: (images, scale)
    for name, images, scale in (
      ("content", content_images, content_scale),
      ("style", style_images, style_scale),
    )
    if images is not None
  }
  if not streams:
    raise InputError("images: found neither content nor style files, expected one of them")
  min_side = round(MIN_SIDE_PER_SIZE * size)
  examples = grain.experimental.ZipMapDataset(
    [
      _stream(ImageSource(images, min_side=min_side), name, seed, size, scale)
      for name, (images, scale) in streams.items()
    ]
  )
  shares = examples.batch(batch // process_count, drop_remainder=True, batch_fn=_collate)
  return Batches(
    shares,
    first_share=process_index,
    share_stride=process_count,
    workers=workers,
    start_step=start_step,
    identity={
      "seed": seed,
      "batch": batch,
      "files": {name: len(images) for name, (images, _) in streams.items()},
    },
  )


class Batches(Iterator[Batch]):
  """The iterator of make_batches: endless, with a position that can be saved and set.

  Attributes:
    step: the number of the batch that next() gives.
    skipped: path → reason of every unreadable file met by this process so far.
  """

  def __init__(
    self,
    shares: grain.MapDataset,
    *,
    first_share: int,
    share_stride: int,
    workers: int,
    start_step: int,
    identity: dict[str, Any],
  ):
    """Starts nothing before the first next(); see make_batches.

    Args:
      shares: all processes' shares of all batches, one after another.
      first_share: which of them is this process's share of batch 0.
      share_stride: the distance from one of its shares to the next.
      workers: decoding processes.
      start_step: the first batch to give.
      identity: what a saved position is checked against: seed, batch, files by stream.
    """
    self._shares = shares
    self._first_share = first_share
    self._share_stride = share_stride
    self._workers = workers
    self._identity = identity
    self.step = start_step
    self.skipped: dict[str, str] = {}
    self._iterator: grain.DatasetIterator | None = None
    self._closed = False

  def __iter__(self) -> "Batches":
    return self

  def __next__(self) -> Batch:
    """This process's share of global batch `step`.

    Raises:
      InputError: not one file of a stream can be read.
      ValueError: the iterator is closed.
    """
    if self._closed:
      raise ValueError("batches: found a closed iterator, expected an open one")
    if self._iterator is None:
      self._iterator = iter(self._from_step(self.step))
    batch = next(self._iterator)
    for skipped in batch.pop("skipped"):
      if skipped.path not in self.skipped:
        self.skipped[skipped.path] = skipped.reason
        _logger.warning("skipped unreadable file %s: %s", skipped.path, skipped.reason)
    self.step += 1
    # Memory shared by a worker goes back when its array does, so what leaves is a plain array.
    if self._workers:
      batch = {name: np.array(values) for name, values in batch.items()}
    return batch

  def state(self) -> dict[str, Any]:
    """The position as JSON-able numbers, valid for any number of workers and processes."""
    return {"step": self.step, **self._identity}

  def restore(self, state: dict[str, Any]) -> None:
    """Goes to a saved position; the next batch is the one that would have come then.

    A changed number of files is allowed (a folder grew) and logged: the order then differs.

    Raises:
      InputError: the state is of another seed or batch, so its step means something else.
    """
    for name in ("seed", "batch"):
      mine, saved = self._identity[name], state.get(name)
      if saved != mine:
        raise InputError(f"--{name}: found {mine}, expected {saved} as in the saved position")
    if state.get("files") != self._identity["files"]:
      _logger.warning(
        "the folders changed: found %s files, %s when saved; images come in another order",
        self._identity["files"],
        state.get("files"),
      )
    self.seek(state["step"])

  def seek(self, step: int) -> None:
    """Goes to a batch by number, without reading what lies before it.

    Raises:
      InputError: step is negative.
    """
    _check("step", step, at_least=0)
    self._stop()
    self.step = step

  def close(self) -> None:
    """Ends threads and workers; next() raises from now on."""
    self._closed = True
    self._stop()

  def _stop(self) -> None:
    if self._iterator is not None:
      self._iterator.close()
      self._iterator = None

  def _from_step(self, step: int) -> grain.IterDataset:
    """The dataset of this process's batches from a step on.

    A position is a slice of the dataset rather than a state of Grain's iterator, because that
    depends on the number of workers, and a run may go on with another one.
    """
    first = self._first_share + step * self._share_stride
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=_BATCHES_AHEAD)
    dataset = self._shares.slice(slice(first, None, self._share_stride)).to_iter_dataset(options)
    if self._workers:
      # Grain reads absl flags to start workers; a program without absl never parses them.
      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
      workers = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2)
      dataset = dataset.mp_prefetch(workers, worker_init_fn=_start_worker)
    return dataset


def _start_worker(index: int, count: int) -> None:
  """Runs first in a worker: its life is bound to that of the process that reads from it."""
  del index, count
  # What Pillow logs of a damaged file is in the message already.
  logging.getLogger("PIL").addHandler(logging.NullHandler())
  # Ctrl-C reaches the whole group; the parent decides when to stop, and workers end with it.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True, name="end-with-parent").start()


def _end_with_parent() -> None:
  # A parent that was killed can't tell its workers, and they would wait for it for ever.
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(0)


def _check(name: str, value: int, *, at_least: int) -> None:
  if value < at_least:
    raise InputError(f"{name}: found {value}, expected at least {at_least}")


def _check_processes(batch: int, process_index: int, process_count: int) -> None:
  if batch % process_count:
    raise InputError(
      f"--batch: found {batch}, expected a multiple of the {process_count} processes"
    )
  if not 0 <= process_index < process_count:
    raise InputError(f"process index: found {process_index}, expected 0 to {process_count - 1}")


def _stream(
  source: ImageSource, name: str, seed: int, size: int, scale: tuple[float, float]
) -> grain.MapDataset:
  """An endless dataset of functions, each of which gives one crop of a stream, as a dict."""
  stream = _STREAMS[name]
  shuffle_seed = np.random.SeedSequence((seed, stream, _SHUFFLE)).generate_state(1)[0]
  dataset = grain.MapDataset.source(_Started(source)).shuffle(seed=int(shuffle_seed)).repeat()
  return dataset.map_with_index(_Crop(name, stream, seed, size, scale))


class _Started:
  """A source of functions that give the examples of an ImageSource, begun by `ImageSource.start`.

  So all that a batch needs from storage is on its way before the first of its images is decoded.
  """

  def __init__(self, images: ImageSource):
    self._images = images

  def __len__(self) -> int:
    return len(self._images)

  def __repr__(self) -> str:
    return repr(self._images)

  def __getitem__(self, index: int) -> Callable[[], Example]:
    return self._images.start(index)


class _Crop:
  """Crops an example by its global index, when asked; workers receive it pickled."""

  def __init__(self, name: str, stream: int, seed: int, size: int, scale: tuple[float, float]):
    self._name = name
    self._stream = stream
    self._seed = seed
    self._size = size
    self._scale = scale

  def __call__(self, index: int, example: Callable[[], Example]) -> Callable[[], dict[str, Any]]:
    return functools.partial(self._crop, index, example)

  def _crop(self, index: int, started: Callable[[], Example]) -> dict[str, Any]:
    example = started()
    rng = np.random.default_rng((self._seed, self._stream, index))
    crop = random_resized_crop(example.image, rng, size=self._size, scale=self._scale)
    return {self._name: random_flip(crop, rng), "index": index, "skipped": example.skipped}


def _collate(started: Sequence[tuple[Callable[[], dict[str, Any]], ...]]) -> dict[str, Any]:
  """Stacks zipped examples of all streams into one batch; reports come as one flat list."""
  examples = [tuple(crop() for crop in parts) for parts in started]
  batch: dict[str, Any] = {
    "index": np.array([parts[0]["index"] for parts in examples], np.int32),
    "skipped": _flat(part["skipped"] for parts in examples for part in parts),
  }
  for position, part in enumerate(examples[0]):
    (name,) = set(part) & set(_STREAMS)
    batch[name] = np.stack([parts[position][name] for parts in examples])
  return batch


def _flat(reports: Iterable[tuple[Skipped, ...]]) -> list[Skipped]:
  return list(dict.fromkeys(skipped for report in reports for skipped in report))


def prefetch_to_device(
  batches: Iterator[Any], put: Callable[[Any], Any], *, depth: int = 2
) -> ReadAhead[Any]:
  """Keeps batches ready on the device, so that decoding overlaps computing.

  A thread reads ahead, so `batches` itself stands up to depth batches further than what has
  been given out: save the training step as the position, not batches.state().

  Args:
    batches: read by the thread only, from now on.
    put: moves a batch to the device, for example jax.device_put; runs in the thread.
    depth: how many batches may be ready or under way, at least 1.

  Returns:
    An iterator over put(batch) in order, to be closed. It passes on what batches or put raise.

  Raises:
    ValueError: depth is less than 1.
  """
  return ReadAhead(map(put, batches), depth=depth, name="prefetch")
