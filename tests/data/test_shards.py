"""Shards: the same images as a folder, damaged ones named, local and remote."""

import itertools
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylejax.data.pipeline import make_batches
from stylejax.data.shards import Joined
from stylejax.data.sources import ImageSource, open_images, require_readable
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command
from tests.data.shard_files import image, write_array_record, write_tar

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """Seven images in the same order: in a folder, and in two shards of each kind."""
  root = tmp_path_factory.mktemp("same")
  files = {f"{i}.jpg": image(i) for i in range(7)}
  for name in ("folder", "tar", "array_record"):
    (root / name).mkdir()
  for name, data in files.items():
    (root / "folder" / name).write_bytes(data)
  parts = [dict(list(files.items())[:3]), dict(list(files.items())[3:])]
  for number, part in enumerate(parts):
    write_tar(root / "tar" / f"{number}.tar", part | {f"{i}.txt": b"label" for i in (8, 9)})
    write_array_record(root / "array_record" / f"{number}.array_record", part.values())
    with fsspec.open(f"memory://same/{number}.tar", "wb") as file:
      file.write((root / "tar" / f"{number}.tar").read_bytes())
  return {name: str(root / name) for name in ("folder", "tar", "array_record")} | {
    "memory": "memory://same",
    "pattern": str(root / "tar" / "*.tar"),
    "root": str(root),
  }


def batches(images, count=4, **changes):
  arguments = {"batch": 3, "size": 16, "seed": 5} | changes
  source = make_batches(images, images, **arguments)
  got = list(itertools.islice(source, count))
  source.close()
  return got


def assert_same(left, right):
  for one, other in zip(left, right, strict=True):
    for name in one:
      np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("kind", ["tar", "array_record", "memory", "pattern"])
def test_shards_give_the_batches_of_the_folder(places, kind):
  folder = open_images(places["folder"], flag="--content-dir")
  shards = open_images(places[kind], flag="--content-dir")
  assert len(shards) == len(folder) == 7
  require_readable(shards, "--content-dir")
  whole = batches(folder)
  assert_same(whole, batches(shards))
  assert_same(whole[2:], batches(shards, count=2, start_step=2))
  # What a worker process receives.
  assert_same(whole, batches(pickle.loads(pickle.dumps(shards))))


def test_worker_processes_read_shards(places, tmp_path):
  script = tmp_path / "train_like.py"
  script.write_text(f"""
import itertools, numpy as np
from stylejax.data.pipeline import make_batches
from stylejax.data.sources import open_images

if __name__ == "__main__":
  content, style = (open_images(place, flag="") for place in {
    (places["tar"], places["array_record"])
  })
  source = make_batches(content, style, batch=3, size=16, seed=5, workers=2)
  for step, batch in enumerate(itertools.islice(source, 4)):
    np.savez({str(tmp_path)!r} + f"/{{step}}.npz", **batch)
  source.close()
""")
  subprocess.run(
    [sys.executable, str(script)],
    check=True,
    timeout=300,
    env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
  )
  got = [np.load(tmp_path / f"{step}.npz") for step in range(4)]
  assert_same(batches(open_images(places["folder"], flag="")), got)


def test_a_single_shard_is_a_place_too(places):
  for kind in ("tar", "array_record"):
    shard = open_images(f"{places[kind]}/1.{kind}", flag="--style-dir")
    assert len(shard) == 4 and shard[-1].read() == image(6)
    assert str(shard[0]).endswith({"tar": "1.tar:3.jpg", "array_record": "1.array_record:0"}[kind])
    with pytest.raises(IndexError):
      shard[4]


@pytest.mark.parametrize("place", ["", "/*"])
def test_compressed_tar_files_beside_shards_are_counted_and_named(tmp_path, place):
  write_tar(tmp_path / "a.tar", {"a.jpg": image(0)})
  (tmp_path / "b.tar.gz").write_bytes(b"x")
  (tmp_path / "c.tgz").write_bytes(b"x")
  said = []
  assert len(open_images(f"{tmp_path}{place}", flag="--style-dir", say=said.append)) == 1
  assert said == [
    "--style-dir: 2 compressed tar files left out, only plain tar is read "
    f"({tmp_path}/b.tar.gz, {tmp_path}/c.tgz)"
  ]


def test_other_files_of_a_folder_are_counted_and_named(tmp_path):
  for name in ("a.jpg", "b.tif", "c/d.heic", ".hidden", "e.txt", "f.gif"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(image(0))
  said = []
  assert len(open_images(tmp_path, flag="--style-dir", say=said.append)) == 1
  assert said == [
    f"--style-dir: 4 of 5 files left out, which are not JPEG, PNG or WebP "
    f"({tmp_path}/b.tif, {tmp_path}/c/d.heic, {tmp_path}/e.txt, …)"
  ]


def test_unreadable_records_are_skipped_and_named(tmp_path, caplog):
  records = [image(0), b"not an image", image(2), b"", image(4)]
  tar = write_tar(tmp_path / "x.tar", {f"{i}.jpg": data for i, data in enumerate(records)})
  array_record = write_array_record(tmp_path / "x.array_record", records)
  for path, bad in ((tar, ["1.jpg", "3.jpg"]), (array_record, ["1", "3"])):
    source = ImageSource(open_images(path, flag=""))
    assert [source[i].index for i in range(5)] == [0, 2, 2, 4, 4]
    assert [item.path for item in source[1].skipped] == [f"{path}:{bad[0]}"]
    assert "not an image" in source[1].skipped[0].reason
    stream = make_batches(open_images(path, flag=""), None, batch=5, size=8, seed=0)
    next(stream)
    stream.close()
    assert sorted(stream.skipped) == [f"{path}:{name}" for name in bad]


def test_a_damaged_record_is_skipped_and_named(tmp_path):
  path = tmp_path / "x.array_record"
  write_array_record(path, [image(i) for i in range(3)])
  data = bytearray(path.read_bytes())
  place = data.find(image(1)[1000:1020])
  # Incompressible noise is stored as it is, so that a byte of it can be found and changed.
  assert place > 0
  data[place] ^= 255
  path.write_bytes(data)
  source = ImageSource(open_images(path, flag=""))
  assert [source[i].index for i in range(3)] == [0, 2, 2]
  assert [item.path for item in source[1].skipped] == [f"{path}:1"]


@pytest.mark.parametrize("kind", ["tar", "array_record"])
def test_a_shard_that_goes_away_stops_the_run(tmp_path, kind):
  # Skipping would silently train on other images, and a resumed run on the intended ones.
  path = tmp_path / f"x.{kind}"
  if kind == "tar":
    write_tar(path, {"a.jpg": image(0)})
  else:
    write_array_record(path, [image(0)])
  stream = make_batches(open_images(path, flag=""), None, batch=1, size=8, seed=0)
  path.unlink()
  with pytest.raises(OSError, match="No such file") as caught:
    next(stream)
  stream.close()
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_places_are_named_in_one_line(places, tmp_path, monkeypatch):
  mixed = tmp_path / "mixed"
  (mixed / "nested").mkdir(parents=True)
  (mixed / "nested" / "a.jpg").write_bytes(image(0))
  write_tar(mixed / "a.tar", {"a.jpg": image(0)})
  labels = write_tar(tmp_path / "labels.tar", {"a.txt": b"label"})
  short = tmp_path / "short.array_record"
  short.write_bytes(b"short")
  # As if it weren't installed, though another test may have used it.
  monkeypatch.setitem(sys.modules, "gcsfs", None)
  monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "gs", raising=False)
  for place, words in (
    (mixed, "found images and shards"),
    (tmp_path / "*.array", "found no shard"),
    (tmp_path / "none.tar", "found no shard"),
    ("memory://nowhere", "found no shard"),
    (labels, "found no image in 1 shards"),
    (short, "64KB"),
    ("what://a/b", "not known"),
    ("gs://bucket/shards", install_command("gcs")),
    (tmp_path / "none", "found no folder"),
  ):
    with pytest.raises((InputError, OSError), match=re.escape(words)) as caught:
      open_images(place, flag="--content-dir")
    message = str(caught.value)
    assert "expected" in message and "\n" not in message and str(place) in message, message
  with fsspec.open("memory://remote/x.array_record", "wb") as file:
    file.write(b"x")
  with pytest.raises(InputError, match="remote ArrayRecord"):
    open_images("memory://remote", flag="--content-dir")


@given(lengths=st.lists(st.integers(0, 4), max_size=6))
def test_joined_is_one_after_another(lengths):
  parts = [[(number, i) for i in range(length)] for number, length in enumerate(lengths)]
  joined = Joined(parts)
  assert list(joined) == [item for part in parts for item in part]
  assert len(joined) == sum(lengths)
  if len(joined):
    assert joined[-1] == list(joined)[-1]
