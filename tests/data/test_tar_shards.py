"""Tar shards: which images are read, what is counted and named, and how an index is trusted."""

import gzip
import io
import itertools
import json
import os
import re
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylejax.data.shard_records import LeftOut
from stylejax.data.sources import open_images
from stylejax.data.tar_shards import TarShard, scan_tar, tar_index
from stylejax.errors import InputError
from tests.data.shard_files import image, write_tar

NAMES = st.sampled_from(
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
@given(files=st.lists(st.tuples(NAMES, st.binary(max_size=1200)), max_size=12))
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
  actual, left_out = scan_tar(buffer, "x.tar")
  data = buffer.getvalue()
  assert [(name, data[start : start + size]) for name, start, size in actual] == expected
  images = [
    file
    for file in files
    if re.fullmatch(r"(.*/)?[^/.][^/]*\.(jpe?g|png|webp)", file[0], re.IGNORECASE)
  ]
  assert (left_out.further, left_out.links) == (len(images) - len(expected), 0)
  buffer.seek(0)
  actual, left_out = scan_tar(buffer, "x.tar", images="all")
  assert [(name, data[start : start + size]) for name, start, size in actual] == images
  hidden = tuple(name for name, _ in files if name.startswith("."))
  names = tuple(f"x.tar:{name}" for name in hidden[:3])
  assert left_out == LeftOut(hidden=len(hidden), names=names)


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


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_that_are_joined_byte_by_byte_are_read_to_their_end(tmp_path, form):
  # POSIX 1003.1, pax: an archive ends with two blocks of zeros, behind which `cat` puts the next.
  path, parts = tmp_path / "a.tar", []
  for number in range(3):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
      member = tarfile.TarInfo(f"{'folder/' * 20}{number}é.png")
      member.size = len(image(number))
      tar.addfile(member, io.BytesIO(image(number)))
    parts.append(buffer.getvalue())
  for behind in (b"", b"no header, and no zeros", bytes(3000)):
    path.write_bytes(b"".join(parts) + behind)
    shard = TarShard(str(path))
    assert [record.read() for record in shard] == [image(number) for number in range(3)]
    assert shard.left_out == LeftOut()


def test_links_in_a_tar_are_counted_and_named(tmp_path):
  """GNU tar stores the second of a file's two names as a link, without bytes."""
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


def test_archives_and_hidden_images_in_a_tar_are_counted_and_named(tmp_path):
  """WebDataset reads the files of a shard, not those of an archive in it; macOS's tar adds hidden
  files with other data ("AppleDouble") beside each image."""
  path = tmp_path / "x.tar"
  inside = ("more/y.tar", "z.tar.gz", "z.zip")
  hidden = ("._a.jpg", "folder/._b.png")
  files = {"./a.jpg": image(0), **dict.fromkeys(hidden, b"\0\5\x16\7"), "notes.txt": b"no image"}
  write_tar(path, {**files, **dict.fromkeys(inside, b"archive")})
  said = []
  assert len(open_images(path, flag="--style-dir", say=said.append)) == 1
  (line,) = said
  assert "5 of 6 files left out" in line and f"{path}:._a.jpg" in line
  assert "2 are hidden: their names begin with a dot" in line
  assert "3 are archives, which are not opened" in line
  write_tar(path, dict.fromkeys(inside, b"archive"))
  with pytest.raises(InputError, match="found no image in 1 shards.*3 are archives"):
    open_images(path, flag="--style-dir")


def test_images_of_other_formats_in_a_tar_are_counted_and_named(tmp_path):
  path = write_tar(
    tmp_path / "x.tar",
    {"a.jpg": image(0), "b.tif": b"x", "c.HEIC": b"x", "d.txt": b"x", "d.jpg": image(1)},
  )
  said = []
  assert len(open_images(path, flag="--style-dir", say=said.append)) == 2
  assert said == [
    f"--style-dir: 2 of 4 images left out ({path}:b.tif, {path}:c.HEIC): "
    "2 are not JPEG, PNG or WebP"
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
  # Nesting too deep for the JSON reader, and an index that is larger than its tar file.
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
    actual, _ = scan_tar(file, path)
  for text, names in (
    (tar_index(actual[1:], os.path.getsize(path)), ["b.jpg"]),
    (tar_index(actual[1:], 17), ["a.jpg", "b.jpg"]),
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
