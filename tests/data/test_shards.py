"""Shards: the same images as a folder, damaged ones named, local and remote."""

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
from stylejax.data.shard_records import LeftOut
from stylejax.data.shards import Joined
from stylejax.data.sources import ImageSource, open_images, require_readable
from stylejax.data.tar_shards import TarShard, scan_tar, tar_index
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

ROOT = Path(__file__).parents[2]


def image(number: int, kind: str = "JPEG") -> bytes:
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
  """Seven images, in the same order: a folder, and two shards of each kind."""
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


names = st.sampled_from(
  [
    "a.jpg",
    "a.txt",
    "a.seg.png",
    "b.PNG",
    "b.cls",
    "d/a.webp",
    "d/a.json",
    "e.f/c.jpeg",
    "c.jpeg.bak",
    "c.json",
    ".d.jpg",
    "é" * 60 + ".png",
  ]
)


@settings(max_examples=60, deadline=None)
@given(files=st.lists(st.tuples(names, st.binary(max_size=1200)), max_size=12))
def test_the_index_finds_the_first_image_of_each_sample(files):
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
    taken = [
      file
      for file in sample
      if re.fullmatch(r"(.*/)?[^/.][^/]*\.(jpe?g|png|webp)", file[0], re.IGNORECASE)
    ]
    expected += taken[:1]
  buffer.seek(0)
  found, left_out = scan_tar(buffer, "x.tar")
  data = buffer.getvalue()
  assert [(name, data[start : start + size]) for name, start, size in found] == expected
  images = [
    file
    for file in files
    if re.fullmatch(r"(.*/)?[^/.][^/]*\.(jpe?g|png|webp)", file[0], re.IGNORECASE)
  ]
  assert (left_out.further, left_out.links) == (len(images) - len(expected), 0)
  buffer.seek(0)
  found, left_out = scan_tar(buffer, "x.tar", images="all")
  assert [(name, data[start : start + size]) for name, start, size in found] == images
  assert left_out == LeftOut()


def test_images_that_share_a_key_are_counted_named_and_read_if_asked(tmp_path):
  """WebDataset 0.2's rule (base_plus_ext): "at 10.15.00.png" has the key "at 10"."""
  shots = [f"at 10.15.{i:02}.png" for i in range(4)] + [f"at 11.15.{i:02}.png" for i in range(4)]
  path = write_tar(tmp_path / "x.tar", {name: image(i) for i, name in enumerate(shots)})
  said = []
  assert len(open_images(path, flag="--style-dir", say=said.append)) == 2
  assert said == [
    f"--style-dir: 6 of 8 images left out ({path}:{shots[1]}, {path}:{shots[2]}, {path}:{shots[3]},"
    " …): 6 share a sample with the image before (their names agree up to the first dot, "
    "WebDataset's rule); --tar-images all reads them too"
  ]
  said.clear()
  records = open_images(path, flag="--style-dir", tar_images="all", say=said.append)
  assert [record.read() for record in records] == [image(i) for i in range(8)] and not said


def test_links_in_a_tar_are_counted_and_named(tmp_path):
  """GNU tar stores the second name of a file with two as a link, without its bytes."""
  path = tmp_path / "x.tar"
  write_tar(path, {"a.jpg": image(0)})
  with tarfile.open(path, "a") as tar:
    link = tarfile.TarInfo("b.jpg\x1b[2J")
    link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
    link.name = "b\x1b[2J.jpg"
    tar.addfile(link)
  said = []
  assert len(open_images(path, flag="--style-dir", say=said.append)) == 1
  assert said == [
    f"--style-dir: 1 of 2 images left out ({path}:b\\x1b[2J.jpg): 1 are links or sparse files"
  ]


def test_images_of_other_formats_in_a_tar_are_counted_and_named(tmp_path):
  path = write_tar(
    tmp_path / "x.tar",
    {"a.jpg": image(0), "b.tif": b"x", "c.HEIC": b"x", "d.txt": b"x", "d.jpg": image(1)},
  )
  said = []
  assert len(open_images(path, flag="--style-dir", say=said.append)) == 2
  assert said == [
    f"--style-dir: 2 of 4 images left out ({path}:b.tif, {path}:c.HEIC): 2 are no JPEG, PNG or WebP"
  ]


@pytest.mark.parametrize("place", ["", "/*"])
def test_compressed_tar_files_beside_shards_are_counted_and_named(tmp_path, place):
  write_tar(tmp_path / "a.tar", {"a.jpg": image(0)})
  (tmp_path / "b.tar.gz").write_bytes(b"x")
  (tmp_path / "c.tgz").write_bytes(b"x")
  said = []
  assert len(open_images(f"{tmp_path}{place}", flag="--style-dir", say=said.append)) == 1
  assert said == [
    "--style-dir: 2 compressed tar files left out, shards are plain ones "
    f"({tmp_path}/b.tar.gz, {tmp_path}/c.tgz)"
  ]


def test_other_files_of_a_folder_are_counted_and_named(tmp_path):
  for name in ("a.jpg", "b.tif", "c/d.heic", ".hidden", "e.txt", "f.gif"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(image(0))
  said = []
  assert len(open_images(tmp_path, flag="--style-dir", say=said.append)) == 1
  assert said == [
    f"--style-dir: 4 of 5 files left out, which are no JPEG, PNG or WebP "
    f"({tmp_path}/b.tif, {tmp_path}/c/d.heic, {tmp_path}/e.txt, …)"
  ]


def test_an_index_that_points_outside_is_refused(tmp_path):
  path = write_tar(tmp_path / "x.tar", {"a.jpg": image(0)})
  size = os.path.getsize(path)
  index = tmp_path / "x.tar.index"
  for offset, length in ((2**62, 1), (-1, 10), (0, size + 1), (512, -1), (2**80, 2**80)):
    index.write_text(tar_index([("a.jpg", offset, length)], size))
    with pytest.raises(InputError) as caught:
      TarShard(path)
    message = str(caught.value)
    assert (
      message.startswith(f"{path}.index: found a.jpg at bytes {offset} to") and "\n" not in message
    )
  # A nest that JSON's reader gives up on, and an index that is larger than its tar file.
  for text in ("[" * 100_000, " " * (size + 1) + tar_index([], size)):
    index.write_text(text)
    assert len(TarShard(path)) == 1


def test_a_tar_that_leads_back_is_refused(tmp_path, monkeypatch):
  """Python 3.11.7's tarfile follows a header of negative size back to itself (CVE-2025-8194)."""
  path = write_tar(tmp_path / "x.tar", {f"{i}.jpg": image(i) for i in range(3)})
  second = 512 + -(-len(image(0)) // 512) * 512
  following, calls = tarfile.TarFile.next, []

  def stay(self):
    calls.append(0)
    assert len(calls) < 100, "the reader goes on for ever"
    member = following(self)
    self.offset = second
    return member

  with monkeypatch.context() as patched:
    patched.setattr(tarfile.TarFile, "next", stay)
    with pytest.raises(InputError, match=f"a header at byte {second} that leads back to {second}"):
      TarShard(path)
  parse = tarfile.TarInfo.frombuf.__func__
  for size, kind in ((-512, tarfile.REGTYPE), (2**30, tarfile.XHDTYPE)):

    def frombuf(cls, buf, encoding, errors, size=size, kind=kind):
      member = parse(cls, buf, encoding, errors)
      member.size, member.type = size, kind
      return member

    with monkeypatch.context() as patched:
      patched.setattr(tarfile.TarInfo, "frombuf", classmethod(frombuf))
      with pytest.raises(InputError, match=f"damaged tar file .a header of size {size}"):
        TarShard(path)


def test_the_saved_index_is_used_as_long_as_it_fits(tmp_path, monkeypatch):
  path = write_tar(tmp_path / "x.tar", {"a.jpg": image(0), "b.jpg": image(1)})
  index = tmp_path / "x.tar.index"
  with open(path, "rb") as file:
    found, _ = scan_tar(file, path)
  for text, names in (
    (tar_index(found[1:], os.path.getsize(path)), ["b.jpg"]),
    (tar_index(found[1:], 17), ["a.jpg", "b.jpg"]),
    (json.dumps({"bytes": os.path.getsize(path)}), ["a.jpg", "b.jpg"]),
    ("nonsense", ["a.jpg", "b.jpg"]),
  ):
    index.write_text(text)
    shard = TarShard(path)
    assert [shard.name(i) for i in range(len(shard))] == names
    assert shard[len(shard) - 1].read() == image(1)


def test_damaged_tar_files_are_named_at_once(tmp_path):
  whole = tmp_path / "whole.tar"
  write_tar(whole, {f"{i}.jpg": image(i) for i in range(4)})
  data = whole.read_bytes()
  second = 512 + -(-len(image(0)) // 512) * 512
  damaged = {
    "cut in an image": data[: second + 700],
    "cut in a header": data[: second + 100],
    "a broken header": data[:second] + b"x" * 512 + data[second + 512 :],
    "compressed": gzip.compress(data),
    "empty": b"",
    "not a tar file": image(0),
  }
  for name, content in damaged.items():
    path = tmp_path / "damaged.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match="found a damaged tar file") as caught:
      open_images(path, flag="--content-dir")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value), name


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
  # Skipping would train on others without a word, and a resumed run on those that were meant.
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
  monkeypatch.setitem(sys.modules, "gcsfs", None)
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
