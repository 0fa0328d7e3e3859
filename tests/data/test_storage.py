"""Shards in storage: many images are read at a time, and batches equal those of a local folder."""

import itertools
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from benchmarks.harness import bucket
from stylejax.data.pipeline import make_batches
from stylejax.data.sources import ImageSource, open_images
from stylejax.errors import InputError
from tests.data.shard_files import image, write_tar

FILES = {f"{number}.jpg": image(number) for number in range(7)}


def in_memory(name, files, folder):
  """The URL of a tar file in fsspec's memory."""
  url = f"memory://{name}.tar"
  with fsspec.open(url, "wb") as file:
    file.write(Path(write_tar(folder / f"{name}.tar", files)).read_bytes())
  return url


def batches(images, **changes):
  stream = make_batches(images, images, **{"batch": 4, "size": 16, "seed": 5} | changes)
  found = list(itertools.islice(stream, 3))
  stream.close()
  return found


def test_all_images_of_a_batch_are_read_at_once(tmp_path, monkeypatch):
  images = open_images(in_memory("at-once", FILES, tmp_path), flag="")
  expected = batches(open_images(tmp_path / "at-once.tar", flag=""))
  # Two images of each of the four examples; a reader of one at a time would wait in vain.
  meeting = threading.Barrier(8)
  read = MemoryFileSystem.cat_file

  def cat_file(*arguments, **options):
    meeting.wait(timeout=20)
    return read(*arguments, **options)

  monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
  for one, other in zip(expected, batches(images), strict=True):
    for name in one:
      np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_started_read_gives_what_a_plain_one_does(tmp_path):
  files = {"0.jpg": image(0), "1.jpg": b"not an image", "2.jpg": image(2)}
  source = ImageSource(open_images(in_memory("started", files, tmp_path), flag=""))
  started = [source.start(number) for number in (0, 1, 2, 1)]
  examples = [finish() for finish in started]
  assert [example.index for example in examples] == [0, 2, 2, 2]
  (skipped,) = examples[1].skipped
  assert skipped.path == "memory:///started.tar:1.jpg" and "not an image" in skipped.reason
  assert examples[3].skipped == source[1].skipped == (skipped,)
  np.testing.assert_array_equal(examples[2].image, source[2].image)


def test_what_a_read_raises_is_raised_where_the_batch_is_made(tmp_path):
  source = ImageSource(open_images(in_memory("gone", FILES, tmp_path), flag=""))
  fsspec.filesystem("memory").rm("/gone.tar")
  finish = source.start(0)
  with pytest.raises(OSError, match=r"memory:///gone\.tar"):
    finish()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bucket_gives_the_batches_of_the_folder(tmp_path, workers):
  pytest.importorskip("gcsfs", reason="gcsfs: not installed (pip install '.[dev]')")
  (tmp_path / "shards").mkdir()
  write_tar(tmp_path / "shards" / "a b.tar", FILES)
  expected = batches(open_images(tmp_path / "shards", flag=""))
  with bucket.serve(tmp_path) as url:
    images = open_images(f"{url}/shards", flag="")
    assert str(images[1]) == "gs://bucket/shards/a b.tar:1.jpg"
    for one, other in zip(expected, batches(images, workers=workers), strict=True):
      for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    with pytest.raises((InputError, OSError), match="gs://bucket/none"):
      open_images(f"{url}/none", flag="--content-dir")
