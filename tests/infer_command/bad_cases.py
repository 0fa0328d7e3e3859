"""Hostile and broken files, arguments and weights for test_bad_input.py: what must be refused."""

import json
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
from infer_cases import pixels, save
from PIL import Image
from safetensors.numpy import save_file

from stylejax import PRESETS


def written(path, content):
  path.write_bytes(content)
  return path


def cut(folder, name, mode="RGB", share=0.5, **settings):
  """The first part of an image file."""
  path = save(folder / name, mode, size=(64, 64), **settings)
  return written(path, path.read_bytes()[: int(share * path.stat().st_size)])


def png_header(path, width, height):
  """A PNG of a few bytes that declares a size."""

  def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

  header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  return written(
    path,
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b""),
  )


def damaged_png(path):
  """A PNG that is valid but for one byte in the middle of the pixels."""
  content = bytearray(save(path, size=(64, 64)).read_bytes())
  content[len(content) // 2] ^= 0xFF
  return written(path, bytes(content))


def animation(path, share=1.0):
  frames = [pixels("P", (40, 40), seed) for seed in range(4)]
  frames[0].save(path, save_all=True, append_images=frames[1:])
  return written(path, path.read_bytes()[: int(share * path.stat().st_size)])


def array(path, value):
  np.save(path, np.full((32, 32, 3), value, np.float32))
  return path


def loop(folder, name):
  """Two links, each to the other."""
  (folder / name).symlink_to(folder / f"other_{name}")
  (folder / f"other_{name}").symlink_to(folder / name)
  return folder / name


def dangling(path):
  path.symlink_to("nowhere.png")
  return path


def pipe(path):
  os.mkfifo(path)
  return path


class Canary:
  """Leaves a file behind when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (str(self.path), "w")


def pickled(folder, name):
  """A pickle, bare or in a zip file as PyTorch and NumPy write it."""
  content = pickle.dumps(Canary(folder / "unpickled"))
  path = folder / name
  if name.endswith((".pt", ".npz")):
    with zipfile.ZipFile(path, "w") as file:
      file.writestr("archive/data.pkl", content)
    return path
  return written(path, content)


def with_header(path, header, body=b""):
  """A safetensors file with that text as header."""
  return written(path, struct.pack("<Q", len(header)) + header + body)


def ours(folder, arrays=None, **config):
  """A weights file of the tiny preset, or one that claims to be, with changes to its config."""
  path = folder / "w.safetensors"
  if arrays is None:
    arrays = {"generator/x": np.zeros(3, np.float32)}
  fields = PRESETS["tiny"].to_dict() | config
  save_file(arrays, path, metadata={"stylejax_config": json.dumps(fields), "stylejax_format": "1"})
  return path


def with_config(folder, text, version="1"):
  path = folder / "w.safetensors"
  save_file(
    {"generator/x": np.zeros(3, np.float32)},
    path,
    metadata={"stylejax_config": text, "stylejax_format": version},
  )
  return path


IMAGES = {
  "decompression bomb": (lambda d: png_header(d / "b.png", 60_000, 60_000), "3600 megapixels"),
  "huge header": (lambda d: png_header(d / "b.png", 2**31 - 1, 2**31 - 1), "b.png: found"),
  "header of no pixels": (lambda d: png_header(d / "b.png", 0, 0), "b.png: found"),
  "header without pixels": (lambda d: png_header(d / "b.png", 64, 64), "damaged"),
  "flipped byte": (lambda d: damaged_png(d / "f.png"), "damaged"),
  "cut PNG": (lambda d: cut(d, "c.png"), "damaged"),
  "cut WebP": (lambda d: cut(d, "c.webp"), "c.webp: found"),
  "cut TIFF": (lambda d: cut(d, "c.tiff"), "c.tiff: found"),
  "cut BMP": (lambda d: cut(d, "c.bmp"), "damaged"),
  "cut GIF": (lambda d: cut(d, "c.gif"), "c.gif: found"),
  "cut 16-bit PNG": (lambda d: cut(d, "c.png", "I;16"), "damaged"),
  "cut 1-bit PNG": (lambda d: cut(d, "c.png", "1"), "damaged"),
  "cut CMYK JPEG": (lambda d: cut(d, "c.jpg", "CMYK"), "damaged"),
  "cut palette PNG": (lambda d: cut(d, "c.png", "P"), "damaged"),
  "cut inside the header": (lambda d: cut(d, "c.png", share=0.002), "c.png: found"),
  "cut inside an ICC profile": (
    lambda d: cut(d, "c.jpg", share=0.3, icc_profile=bytes(50_000)),
    "c.jpg: found",
  ),
  "cut animation": (lambda d: animation(d / "a.gif", 0.1), "a.gif: found"),
  "PDF renamed": (lambda d: written(d / "p.jpg", b"%PDF-1.7\n%..."), "not an image"),
  "PostScript renamed": (
    lambda d: written(d / "p.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n"),
    "not an image",
  ),
  "SVG": (
    lambda d: written(d / "v.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "not an image",
  ),
  "web page renamed": (lambda d: written(d / "w.jpg", b"<!doctype html>"), "not an image"),
  "zip renamed": (lambda d: pickled(d, "z.pt").rename(d / "z.png"), "not an image"),
  "NaN in .npy": (lambda d: array(d / "n.npy", np.nan), "not an image"),
  ".npy": (lambda d: array(d / "n.npy", 0.5), "not an image"),
  "zeros": (lambda d: written(d / "z.jpg", bytes(5000)), "not an image"),
  "links in a circle": (lambda d: loop(d, "l.png"), "l.png"),
  "link to nothing": (lambda d: dangling(d / "l.png"), "l.png: found no such file"),
  "pipe": (lambda d: pipe(d / "p.png"), "special file"),
  "name of nothing": (lambda d: "", "found an empty name"),
  "name too long": (lambda d: d / ("n" * 300 + ".png"), "found no file"),
}

WEIGHTS = {
  "cut": (lambda d: written(d / "w.safetensors", ours(d).read_bytes()[:-5]), "found no whole"),
  "header longer than the file": (
    lambda d: written(d / "w.safetensors", struct.pack("<Q", 2**40) + b"{}"),
    "found no whole",
  ),
  "header of 2^64 bytes": (
    lambda d: written(d / "w.safetensors", b"\xff" * 8 + b"{}"),
    "found no whole",
  ),
  "header nested 100,000 deep": (
    lambda d: with_header(d / "w.safetensors", b"[" * 100_000),
    "found no whole",
  ),
  "header with an array nested deep": (
    lambda d: with_header(d / "w.safetensors", b'{"a":' * 50_000),
    "found no whole",
  ),
  "header that is no JSON": (
    lambda d: with_header(d / "w.safetensors", b"{'a': 1}"),
    "found no whole",
  ),
  "arrays beyond the end": (
    lambda d: with_header(
      d / "w.safetensors",
      b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}',
      b"1234",
    ),
    "found no whole",
  ),
  "negative shape": (
    lambda d: with_header(
      d / "w.safetensors", b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"1234"
    ),
    "found no whole",
  ),
  "config nested 100,000 deep": (lambda d: with_config(d, "[" * 100_000), "can't be read"),
  "config is a number": (lambda d: with_config(d, "7"), "can't be read"),
  "config of other fields": (lambda d: ours(d, heads=8), "unknown field 'heads'"),
  "config of 2^40 channels": (
    lambda d: ours(d, content_widths=[2**40, 2**40]),
    "found a number above",
  ),
  "config of a million layers": (lambda d: ours(d, disc_scales=10**6), "halvings, expected"),
  "config of a million levels": (
    lambda d: ours(d, content_widths=[1] * 10**6, content_blocks=[0] * 10**6),
    "halvings",
  ),
  "negative width": (lambda d: ours(d, style_widths=[-8, 8]), "style_widths"),
  "another format": (lambda d: with_config(d, "{}", "99"), "format version '99'"),
  "whole numbers": (lambda d: ours(d, {"generator/x": np.zeros(3, np.int64)}), "found I64"),
  "double precision": (lambda d: ours(d, {"generator/x": np.zeros(3)}), "found F64"),
  "NaN": (lambda d: ours(d, {"generator/x": np.full(3, np.nan, np.float32)}), "w.safetensors"),
  "other names": (lambda d: ours(d, {"encoder/x": np.zeros(3, np.float32)}), "part 'encoder'"),
  "no arrays": (lambda d: ours(d, {}), "found no arrays"),
  "arrays of another model": (lambda d: ours(d), "found no array generator"),
  "pickle": (lambda d: pickled(d, "w.safetensors"), "found no whole"),
  "pickle in a zip": (lambda d: pickled(d, "w.pt"), "found no whole"),
  "pickle in .npz": (lambda d: pickled(d, "w.npz"), "found no whole"),
  "image": (lambda d: save(d / "w.png"), "found no whole"),
  "pipe": (lambda d: pipe(d / "w.safetensors"), "found no file"),
  "links in a circle": (lambda d: loop(d, "w.safetensors"), "w.safetensors"),
  "name of nothing": (lambda d: "", "found a folder"),
}

ARGUMENTS = {
  "strength just beyond": ({"strength": "2.0001"}, "--strength: found 2.0001"),
  "strength -inf": ({"strength": "-inf"}, "--strength: found -inf"),
  "size -5": ({"size": "-5"}, "--size: found -5"),
  "tile 0": ({"tile": "0"}, "--tile: found 0"),
  "tile and seamless": ({"tile": "1", "seamless": "x"}, "--tile, --seamless, --shard: found more"),
  "tile and shard": ({"tile": "1", "shard": []}, "--tile, --seamless, --shard: found more"),
  "size 15": ({"size": "15"}, "--size: found 15"),
  "style size huge": ({"style-size": "1000000"}, "--style-size: found 1000000"),
  "quality 0": ({"quality": "0"}, "--quality: found 0"),
  "seed 2^32": ({"seed": str(2**32)}, "--seed: found 4294967296"),
  "empty output": ({"output": ""}, "output: found an empty name"),
  "output under /sys": ({"output": "/sys/stylized.png"}, "/sys"),
  "output under /dev/null": ({"output": "/dev/null/o.png"}, "/dev/null"),
}

FILES = {f"content, {name}": ("content", *case) for name, case in IMAGES.items()}
FILES |= {
  f"style, {name}": ("style", *IMAGES[name])
  for name in ("decompression bomb", "cut PNG", "links in a circle", "pipe")
}
FILES |= {f"weights, {name}": ("weights", *case) for name, case in WEIGHTS.items()}
BAD = {
  name: (lambda d, flag=flag, make=make: {flag: make(d)}, [message])
  for name, (flag, make, message) in FILES.items()
}
BAD |= {
  name: (lambda d, change=change: dict(change), [message])
  for name, (change, message) in ARGUMENTS.items()
}


def outputs(folder, kind):
  """An output that must not be written, of a kind."""
  if kind == "special":
    return pipe(folder / "o.png")
  if kind == "loop":
    return loop(folder, "o.png")
  path = folder / "o.png"
  path.mkdir()
  (path / "kept").write_text("kept")
  return path


BAD |= {
  "output is a pipe": (lambda d: {"output": outputs(d, "special")}, ["special file"]),
  "output links in a circle": (lambda d: {"output": outputs(d, "loop")}, ["o.png"]),
  "output in a folder that is a link to nothing": (
    lambda d: {"output": dangling(d / "l.png") / "o.png"},
    ["no such folder"],
  ),
  "output is a hard link to the content": (
    lambda d: {"output": hard_link(d / "h.png", d / "content.png")},
    ["the input"],
  ),
}


def hard_link(path, target):
  os.link(target, path)
  return path


def nested(folder, *names):
  """Images in folders of a folder "many"."""
  for name in names:
    (folder / "many" / name).parent.mkdir(parents=True, exist_ok=True)
    save(folder / "many" / name)
  return folder / "many"


BAD |= {
  "20,000 pixels wide, scaled up": (
    lambda d: {"content": save(d / "wide.png", size=(20_000, 16)), "size": 4_000},
    ["found 5000000×4000 pixels", "300 megapixels", "--size"],
  ),
  "output links into a missing folder": (
    lambda d: {"output": linked(d / "l.png", "no/o.png")},
    ["l.png", "not a folder"],
  ),
  "a name too long in a new folder": (
    lambda d: {
      "content": [save(d / ("c" * 240 + ".png")), d / "content.png"],
      "style": save(d / ("s" * 20 + ".png")),
      "output": d / "new",
    },
    ["too long", "255"],
  ),
  "output folder inside the content folder": (
    lambda d: {"content": nested(d, "a.png"), "output": f"{d}/many/out/"},
    ["inside the input folder", "many"],
  ),
  "output inside the style folder": (
    lambda d: {"style": nested(d, "a.png"), "output": d / "many" / "o.png"},
    ["inside the input folder", "many"],
  ),
  "output is the weights": (
    lambda d: {"output": linked(d / "o.png", "w.safetensors"), "weights": ours(d)},
    ["o.png: found the input", "w.safetensors"],
  ),
  "a file where a nested folder would be": (
    lambda d: {"content": nested(d, "1/a.png", "2/a.png"), "output": with_file(d / "o", "2")},
    ["found a file at", "expected a folder"],
  ),
  "repeated names in one folder of several": (
    lambda d: {
      "content": nested(d, "1/a.png", "1/a.webp", "1/a_png.png", "2/a.png"),
      "output": d / "o",
    },
    ["1/a_png_style.png", "twice"],
  ),
}


def linked(path, target):
  path.symlink_to(target)
  return path


def with_file(folder, name):
  folder.mkdir()
  (folder / name).write_text("kept")
  return folder


# What looks bad and isn't: the image is stylized. Mode and settings of the file.
ODD_BUT_GOOD = {
  "1-bit": ("a.png", "1", {}),
  "CMYK": ("a.jpg", "CMYK", {}),
  "16-bit": ("a.png", "I;16", {}),
  "wrong extension": ("a.jpg", "RGB", {"format": "PNG"}),
  "broken ICC profile": ("a.png", "RGB", {"icc_profile": b"no profile at all"}),
  "name with a newline": ("a\nb.png", "RGB", {}),
  "animated": (
    "a.gif",
    "P",
    {"save_all": True, "append_images": [Image.new("RGB", (37, 29), "red")]},
  ),
}
