"""Shards written for the tests of this folder."""

import io
import tarfile

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image


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
