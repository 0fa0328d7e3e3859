"""`train.py shards`: what is packed, what is left out, and that mistakes leave nothing behind."""

import errno
import io
import itertools
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import train
from stylejax.data import pack_shards
from stylejax.data.sources import find_images, open_images
from stylejax.images.decode import decode_rgb

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
  """Images of several formats, sizes and awkward names, nested."""
  folder = tmp_path / "photos"
  (folder / "b").mkdir(parents=True)
  rng = np.random.default_rng(0)
  for name, size in (
    ("a.b.jpg", (90, 60)),
    ("a.c.jpg", (30, 40)),
    ("b/a.png", (50, 80)),
    ("b/é ü.webp", (64, 64)),
    ("large.jpg", (300, 200)),
  ):
    pixels = rng.integers(0, 256, (*reversed(size), 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / name)
  return folder


def pack(folder, output, *more) -> int:
  return train.main(["shards", "--input-dir", str(folder), "--output-dir", str(output), *more])


def left_behind(folder) -> list[str]:
  return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["tar", "array_record"])
def test_files_are_kept_byte_for_byte_in_order(folder, tmp_path, kind, capsys):
  output = tmp_path / "made" / "shards"
  assert pack(folder, output, "--format", kind, "--shard-size", "0.03") == 0
  paths = find_images(folder)
  records = open_images(output, flag="")
  assert [record.read() for record in records] == [path.read_bytes() for path in paths]
  shards = [path for path in output.iterdir() if path.name.endswith(kind)]
  assert len(shards) > 1
  assert f"5 images in {len(shards)} {kind} shards" in capsys.readouterr().out
  assert left_behind(tmp_path / "made") == ["shards"]
  # Like a folder made by hand: others may have to read the shards.
  (tmp_path / "plain").mkdir()
  assert output.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_tar_shards_are_plain_tar_files_of_samples(folder, tmp_path):
  output = tmp_path / "shards"
  assert pack(folder, output) == 0
  assert left_behind(output) == ["shard-00000.tar", "shard-00000.tar.index"]
  with tarfile.open(output / "shard-00000.tar") as tar:
    members = tar.getmembers()
    assert [tar.extractfile(member).read() for member in members] == [
      path.read_bytes() for path in find_images(folder)
    ]
  keys = [member.name.partition(".")[0] for member in members]
  assert len(set(keys)) == 5 and keys == sorted(keys)
  assert all(member.name.isascii() and member.name.count(".") == 1 for member in members)
  with_index = [str(record) for record in open_images(output, flag="")]
  (output / "shard-00000.tar.index").unlink()
  assert [str(record) for record in open_images(output, flag="")] == with_index


def test_no_shard_is_larger_than_asked(folder, tmp_path):
  sizes = [path.stat().st_size for path in find_images(folder)]
  for most in (1, max(sizes), 2 * max(sizes)):
    output = tmp_path / f"at-most-{most}"
    assert pack(folder, output, "--shard-size", str(most / 2**20)) == 0
    filled = []
    for path in sorted(output.glob("*.tar")):
      with tarfile.open(path) as tar:
        filled.append([member.size for member in tar])
    assert [size for shard in filled for size in shard] == sizes
    assert all(sum(shard) <= most or len(shard) == 1 for shard in filled)
    # Shards are full: the first image of each did not fit into the one before.
    assert all(sum(shard) + after[0] > most for shard, after in itertools.pairwise(filled))


def test_large_images_are_scaled_down_and_others_kept(folder, tmp_path):
  exif = Image.Exif()
  exif[274] = 6  # Held sideways: stored 300 × 200, seen 200 × 300.
  ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], 200, 0)
  turned = Image.fromarray(np.repeat(ramp, 3, -1))
  turned.save(folder / "turned.jpg", exif=exif)
  output = tmp_path / "shards"
  assert pack(folder, output, "--max-side", "90") == 0
  records = open_images(output, flag="")
  for path, record in zip(find_images(folder), records, strict=True):
    got, before = decode_rgb(record), decode_rgb(path)
    height, width = before.shape[:2]
    if max(height, width) <= 90:
      assert record.read() == path.read_bytes()
      continue
    scale = 90 / max(height, width)
    assert got.shape[:2] == (round(height * scale), round(width * scale))
    if path.name == "turned.jpg":
      small = Image.fromarray(before).resize((60, 90), Image.Resampling.LANCZOS)
      assert np.abs(got.astype(int) - np.asarray(small)).max() < 12
    assert Image.open(io.BytesIO(record.read())).format == "JPEG"


def test_unreadable_images_are_skipped_counted_and_named(folder, tmp_path):
  (folder / "bad.jpg").write_bytes(b"not an image")
  whole = (folder / "large.jpg").read_bytes()
  (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
  output = tmp_path / "shards"
  done = subprocess.run(
    [
      sys.executable,
      str(ROOT / "train.py"),
      "shards",
      "--input-dir",
      str(folder),
      "--output-dir",
      str(output),
    ],
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  assert done.returncode == 0, done.stderr
  assert "5 images in 1 tar shards" in done.stdout
  assert "2 unreadable files skipped" in done.stdout
  assert f"skipped {folder / 'bad.jpg'}: found a file that is not an image" in done.stderr
  assert f"skipped {folder / 'cut.jpg'}: found a damaged image" in done.stderr
  assert "7/7" in done.stderr and "images/s" in done.stderr
  good = [p for p in find_images(folder) if p.name not in ("bad.jpg", "cut.jpg")]
  assert [r.read() for r in open_images(output, flag="")] == [p.read_bytes() for p in good]


def test_mistakes_exit_2_in_one_line_and_leave_nothing(folder, tmp_path, capsys):
  bad = tmp_path / "bad"
  bad.mkdir()
  (bad / "a.jpg").write_bytes(b"not an image")
  full = tmp_path / "full"
  full.mkdir()
  (full / "x").touch()
  (tmp_path / "file").touch()
  before = left_behind(tmp_path)
  for arguments, words in (
    ((folder, full), "expected a new or empty folder"),
    ((folder, tmp_path / "file"), "expected a new or empty folder"),
    ((folder, tmp_path / "file" / "new"), "expected a folder that can be made"),
    ((folder, folder / "shards"), "inside the input folder"),
    ((tmp_path / "none", tmp_path / "new"), "found no folder"),
    ((full, tmp_path / "new"), "found no image"),
    ((bad, tmp_path / "new"), "none readable"),
    ((folder, tmp_path / "new", "--shard-size", "0"), "--shard-size: found 0"),
    ((folder, tmp_path / "new", "--shard-size", "nan"), "--shard-size: found nan"),
    ((folder, tmp_path / "new", "--max-side", "3"), "--max-side: found 3"),
  ):
    assert pack(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and words in error[0]
    assert left_behind(tmp_path) == before and left_behind(full) == ["x"]


def test_what_fails_half_way_leaves_nothing(folder, tmp_path, monkeypatch, capsys):
  for failure, code in (
    (OSError(errno.ENOSPC, "No space left on device"), 2),
    (KeyboardInterrupt(), 130),
  ):

    def fail(self, failure=failure):
      self._tar.close()
      raise failure

    with monkeypatch.context() as patched:
      patched.setattr(pack_shards._TarWriter, "close", fail)
      assert pack(folder, tmp_path / "shards") == code
    assert left_behind(tmp_path) == ["photos"]
  assert "No space left on device" in capsys.readouterr().err
  (tmp_path / "shards").mkdir()  # An empty folder is as good as none.
  assert pack(folder, tmp_path / "shards") == 0
