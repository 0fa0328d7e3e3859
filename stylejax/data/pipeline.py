"""Batches for training: global shuffle, keyed crops, decoding in threads or worker processes.

Built on Grain. It decides order, random numbers of each example, each process's share of a batch,
and position, and moves batches to the device. Files are in sources.py, crops in crops.py.
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

# Seed parts that make random draws differ between the two streams, and between shuffle and crop.
_STREAMS = {"content": 1, "style": 2}
_SHUFFLE = 0xFFFF_FFFF

THREADS = 2
"""Number of decoding threads, in this process or in each worker."""

MIN_SIDE_PER_SIZE = 2.5
"""Shorter side, in crop sizes, that a JPEG decoded at reduced size keeps at least.

It is the reference side of crops, so that no crop is enlarged.
"""

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
  """Makes endless batches of random crops, equal for the same seed on any number of processes.

  Example i of a stream is file shuffle(seed, stream, epoch = i // files)[i mod files], cropped
  with numbers drawn from (seed, stream, i). Global batch k contains examples k·B … k·B + B − 1;
  process p reads positions p·B/P … (p + 1)·B/P − 1 of it. Any step is reached directly: nothing
  before start_step is decoded.

  Args:
    content_images: files, or records of shards, for the content stream; None omits the stream.
    style_images: the same for the style stream.
    batch: B, the number of examples in a global batch.
    size: S, the side of the crops in pixels.
    seed: non-negative; determines order and crops.
    start_step: the first batch to return.
    content_scale: side of content squares before resizing, in units of size.
    style_scale: side of style squares before resizing, in units of size.
    workers: decoding processes; 0 decodes in threads of this process. A program with workers
      needs the usual `if __name__ == "__main__"`, because they are spawned.
    process_index: p, the index of this process among those that train together.
    process_count: P, how many processes train together; it divides batch.

  Returns:
    An iterator over dicts with `content` and `style`, uint8 [B/P, S, S, 3] each (if present), and
    `index`, int32 [B/P], the global index of each example.

  Raises:
    InputError: there is no stream, or a number is out of range. Later, next() raises it if no file
      of a stream can be read.
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
    step: the number of the batch that next() returns next.
    skipped: path → reason for every unreadable file that this process has met so far.
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
    """Stores the arguments; nothing is started before the first next(). See make_batches.

    Args:
      shares: all processes' shares of all batches, one after another.
      first_share: the index of this process's share of batch 0.
      share_stride: the distance from one of its shares to the next.
      workers: decoding processes.
      start_step: the first batch to return.
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
    """Returns this process's share of global batch `step`.

    Raises:
      InputError: no file of a stream can be read.
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
    # A worker's shared memory is freed with its array, so a plain copy is returned.
    if self._workers:
      batch = {name: np.array(values) for name, values in batch.items()}
    return batch

  def state(self) -> dict[str, Any]:
    """The position in JSON-serializable form, valid for any number of workers and processes."""
    return {"step": self.step, **self._identity}

  def restore(self, state: dict[str, Any]) -> None:
    """Goes to a saved position; the next batch is the one that would have followed it.

    A changed number of files is allowed (a folder grew) and logged; the order then differs.

    Raises:
      InputError: the state has another seed or batch size, so its step means something else.
    """
    for name in ("seed", "batch"):
      mine, saved = self._identity[name], state.get(name)
      if saved != mine:
        raise InputError(f"--{name}: found {mine}, expected {saved} as in the saved position")
    if state.get("files") != self._identity["files"]:
      _logger.warning(
        "the folders changed: found %s files, %s when saved; images come in a different order",
        self._identity["files"],
        state.get("files"),
      )
    self.seek(state["step"])

  def seek(self, step: int) -> None:
    """Goes to a batch by number, without reading the batches before it.

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
    """The dataset of this process's batches, starting at a step.

    A position is a slice of the dataset rather than the state of Grain's iterator, because the
    latter depends on the number of workers, which may change when a run is resumed.
    """
    first = self._first_share + step * self._share_stride
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=_BATCHES_AHEAD)
    dataset = self._shares.slice(slice(first, None, self._share_stride)).to_iter_dataset(options)
    if self._workers:
      # Grain reads absl flags to start workers, but a program without absl never parses them.
      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
      workers = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2)
      dataset = dataset.mp_prefetch(workers, worker_init_fn=_start_worker)
    return dataset


def _start_worker(index: int, count: int) -> None:
  """Initializes a worker, so that it ends with the process that reads from it."""
  del index, count
  # Pillow's logs about a damaged file only repeat what the error says.
  logging.getLogger("PIL").addHandler(logging.NullHandler())
  # Ctrl-C reaches the whole process group; the parent decides when to stop its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True, name="end-with-parent").start()


def _end_with_parent() -> None:
  # A parent that was killed can't stop its workers, which would wait for it forever.
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
  """An endless dataset of functions, each of which returns one crop of a stream, as a dict."""
  stream = _STREAMS[name]
  shuffle_seed = np.random.SeedSequence((seed, stream, _SHUFFLE)).generate_state(1)[0]
  dataset = grain.MapDataset.source(_Started(source)).shuffle(seed=int(shuffle_seed)).repeat()
  return dataset.map_with_index(_Crop(name, stream, seed, size, scale))


class _Started:
  """A source of functions that return the examples of an ImageSource (`ImageSource.start`).

  All reads from storage for a batch are thus under way before its first image is decoded.
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
  """Makes functions that crop an example by its global index; workers receive it pickled."""

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
  """Stacks zipped examples of all streams into one batch, and joins reports into one list."""
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
  """Keeps batches ready on the device, so that decoding overlaps computation.

  A thread reads ahead, so the position of `batches` is up to depth batches ahead of what has been
  returned: save the training step as the position, not batches.state().

  Args:
    batches: from now on read by the thread only.
    put: moves a batch to the device, for example jax.device_put; runs in the thread.
    depth: how many batches may be ready or under way, at least 1.

  Returns:
    An iterator over put(batch) in order, to be closed. It raises what `batches` or `put` raise.

  Raises:
    ValueError: depth is less than 1.
  """
  return ReadAhead(map(put, batches), depth=depth, name="prefetch")
