"""Shards: the same pictures as a folder, damaged ones named, local and remote."""

import gzip
import io
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylejax.data.pipeline import make_batches
from stylejax.data.shards import Joined, TarShard, scan_tar, tar_index
from stylejax.data.sources import PictureSource, open_pictures, require_readable
from stylejax.errors import InputError

ROOT = Path(__file__).parents[2]


def picture(number: int, kind: str = "JPEG") -> bytes:
  pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 48, 3)).astype(np.uint8)
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, kind)
  return buffer.getvalue()


def write_tar(path, files: dict[str, bytes]) -> str:
  with tarfile.open(path, "w") as tar:
    for name, data in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  return str(path)


def write_array_record(path, records) -> str:
  writer = ArrayRecordWriter(str(path), "group_size:1")
  for data in records:
    writer.write(data)
  writer.close()
  return str(path)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """Seven pictures, in the same order: a folder, and two shards of each kind."""
  root = tmp_path_factory.mktemp("same")
  files = {f"{i}.jpg": picture(i) for i in range(7)}
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
    "memory": "memory://same", "pattern": str(root / "tar" / "*.tar"), "root": str(root)}


def batches(pictures, count=4, **changes):
  arguments = {"batch": 3, "size": 16, "seed": 5} | changes
  source = make_batches(pictures, pictures, **arguments)
  got = list(itertools.islice(source, count))
  source.close()
  return got


def assert_same(left, right):
  for one, other in zip(left, right, strict=True):
    for name in one:
      np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("kind", ["tar", "array_record", "memory", "pattern"])
def test_shards_give_the_batches_of_the_folder(places, kind):
  folder = open_pictures(places["folder"], flag="--content-dir")
  shards = open_pictures(places[kind], flag="--content-dir")
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
from stylejax.data.sources import open_pictures

if __name__ == "__main__":
  content, style = (open_pictures(place, flag="") for place in {
    (places["tar"], places["array_record"])})
  source = make_batches(content, style, batch=3, size=16, seed=5, workers=2)
  for step, batch in enumerate(itertools.islice(source, 4)):
    np.savez({str(tmp_path)!r} + f"/{{step}}.npz", **batch)
  source.close()
""")
  subprocess.run([sys.executable, str(script)], check=True, timeout=300,
                 env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"})
  got = [np.load(tmp_path / f"{step}.npz") for step in range(4)]
  assert_same(batches(open_pictures(places["folder"], flag="")), got)


def test_a_single_shard_is_a_place_too(places):
  for kind in ("tar", "array_record"):
    shard = open_pictures(f"{places[kind]}/1.{kind}", flag="--style-dir")
    assert len(shard) == 4 and shard[-1].read() == picture(6)
    assert str(shard[0]).endswith({"tar": "1.tar:3.jpg", "array_record": "1.array_record:0"}[kind])
    with pytest.raises(IndexError):
      shard[4]


names = st.sampled_from(
  ["a.jpg", "a.txt", "a.seg.png", "b.PNG", "b.cls", "d/a.webp", "d/a.json", "e.f/c.jpeg",
   "c.jpeg.bak", "c.json", ".d.jpg", "é" * 60 + ".png"])


@settings(max_examples=60, deadline=None)
@given(files=st.lists(st.tuples(names, st.binary(max_size=1200)), max_size=12))
def test_the_index_finds_the_first_picture_of_each_sample(files):
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w") as tar:
    for name, data in files:
      member = tarfile.TarInfo(name)
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  # WebDataset's rule: the key is the name up to the first dot of its last part.
  samples = itertools.groupby(files, lambda file: re.match(r"(?:.*/)?[^./]*", file[0]).group())
  expected = []
  for _, sample in samples:
    taken = [file for file in sample
             if re.fullmatch(r"(.*/)?[^/.][^/]*\.(jpe?g|png|webp)", file[0], re.I)]
    expected += taken[:1]
  buffer.seek(0)
  found = scan_tar(buffer, "x.tar")
  data = buffer.getvalue()
  assert [(name, data[start:start + size]) for name, start, size in found] == expected


def test_the_saved_index_is_used_as_long_as_it_fits(tmp_path, monkeypatch):
  path = write_tar(tmp_path / "x.tar", {"a.jpg": picture(0), "b.jpg": picture(1)})
  index = tmp_path / "x.tar.index"
  with open(path, "rb") as file:
    found = scan_tar(file, path)
  for text, names in (
    (tar_index(found[1:], os.path.getsize(path)), ["b.jpg"]),
    (tar_index(found[1:], 17), ["a.jpg", "b.jpg"]),
    (json.dumps({"bytes": os.path.getsize(path)}), ["a.jpg", "b.jpg"]),
    ("nonsense", ["a.jpg", "b.jpg"]),
  ):
    index.write_text(text)
    shard = TarShard(path)
    assert [shard.name(i) for i in range(len(shard))] == names
    assert shard[len(shard) - 1].read() == picture(1)


def test_damaged_tar_files_are_named_at_once(tmp_path):
  whole = tmp_path / "whole.tar"
  write_tar(whole, {f"{i}.jpg": picture(i) for i in range(4)})
  data = whole.read_bytes()
  second = 512 + -(-len(picture(0)) // 512) * 512
  damaged = {
    "cut in a picture": data[:second + 700],
    "cut in a header": data[:second + 100],
    "a broken header": data[:second] + b"x" * 512 + data[second + 512:],
    "compressed": gzip.compress(data), "empty": b"", "not a tar file": picture(0)}
  for name, content in damaged.items():
    path = tmp_path / "damaged.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match="found a damaged tar file") as caught:
      open_pictures(path, flag="--content-dir")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value), name


def test_unreadable_records_are_skipped_and_named(tmp_path, caplog):
  records = [picture(0), b"not a picture", picture(2), b"", picture(4)]
  tar = write_tar(tmp_path / "x.tar", {f"{i}.jpg": data for i, data in enumerate(records)})
  array_record = write_array_record(tmp_path / "x.array_record", records)
  for path, bad in ((tar, ["1.jpg", "3.jpg"]), (array_record, ["1", "3"])):
    source = PictureSource(open_pictures(path, flag=""))
    assert [source[i].index for i in range(5)] == [0, 2, 2, 4, 4]
    assert [item.path for item in source[1].skipped] == [f"{path}:{bad[0]}"]
    assert "not a picture" in source[1].skipped[0].reason
    stream = make_batches(open_pictures(path, flag=""), None, batch=5, size=8, seed=0)
    next(stream)
    stream.close()
    assert sorted(stream.skipped) == [f"{path}:{name}" for name in bad]


def test_a_damaged_record_is_skipped_and_named(tmp_path):
  path = tmp_path / "x.array_record"
  write_array_record(path, [picture(i) for i in range(3)])
  data = bytearray(path.read_bytes())
  place = data.find(picture(1)[1000:1020])
  # Incompressible noise is stored as it is, so that a byte of it can be found and changed.
  assert place > 0
  data[place] ^= 255
  path.write_bytes(data)
  source = PictureSource(open_pictures(path, flag=""))
  assert [source[i].index for i in range(3)] == [0, 2, 2]
  assert [item.path for item in source[1].skipped] == [f"{path}:1"]


@pytest.mark.parametrize("kind", ["tar", "array_record"])
def test_a_shard_that_goes_away_stops_the_run(tmp_path, kind):
  # Skipping would train on others without a word, and a resumed run on those that were meant.
  path = tmp_path / f"x.{kind}"
  if kind == "tar":
    write_tar(path, {"a.jpg": picture(0)})
  else:
    write_array_record(path, [picture(0)])
  stream = make_batches(open_pictures(path, flag=""), None, batch=1, size=8, seed=0)
  path.unlink()
  with pytest.raises(OSError, match="No such file") as caught:
    next(stream)
  stream.close()
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_places_are_named_in_one_line(places, tmp_path, monkeypatch):
  mixed = tmp_path / "mixed"
  (mixed / "nested").mkdir(parents=True)
  (mixed / "nested" / "a.jpg").write_bytes(picture(0))
  write_tar(mixed / "a.tar", {"a.jpg": picture(0)})
  labels = write_tar(tmp_path / "labels.tar", {"a.txt": b"label"})
  short = tmp_path / "short.array_record"
  short.write_bytes(b"short")
  monkeypatch.setitem(sys.modules, "gcsfs", None)
  for place, words in (
    (mixed, "found pictures and shards"),
    (tmp_path / "*.array", "found no shard"),
    (tmp_path / "none.tar", "found no shard"),
    ("memory://nowhere", "found no shard"),
    (labels, "found no picture in 1 shards"),
    (short, "64KB"),
    ("what://a/b", "not known"),
    ("gs://bucket/shards", "pip install 'stylejax[gcs]'"),
    (tmp_path / "none", "found no folder"),
  ):
    with pytest.raises((InputError, OSError), match=re.escape(words)) as caught:
      open_pictures(place, flag="--content-dir")
    message = str(caught.value)
    assert "expected" in message and "\n" not in message and str(place) in message, message
  with fsspec.open("memory://remote/x.array_record", "wb") as file:
    file.write(b"x")
  with pytest.raises(InputError, match="remote ArrayRecord"):
    open_pictures("memory://remote", flag="--content-dir")


@given(lengths=st.lists(st.integers(0, 4), max_size=6))
def test_joined_is_one_after_another(lengths):
  parts = [[(number, i) for i in range(length)] for number, length in enumerate(lengths)]
  joined = Joined(parts)
  assert list(joined) == [item for part in parts for item in part]
  assert len(joined) == sum(lengths)
  if len(joined):
    assert joined[-1] == list(joined)[-1]
