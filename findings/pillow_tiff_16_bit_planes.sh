#!/usr/bin/env bash
# Pillow 13.0.0, reading TIFF: 16-bit colors in separate planes without compression come out as
# bytes.
#
# Expected: a 16-bit RGB TIFF opens as RGB with the high byte of each number, which is what Pillow
# does with such files as long as the channels are interleaved. PlanarConfiguration 2 (TIFF 6.0)
# only stores one plane after the other.
#
# What happens: without compression each plane is decoded with the raw mode "R" (or "G", "B"), 8
# bits a pixel, whatever BitsPerSample says (TiffImagePlugin.py, _setup). Low and high bytes become
# neighboring pixels: the image is stretched to twice its width, with stripes, and its right half is
# lost. Opening and loading succeed. The same numbers with Deflate, where libtiff decodes, are
# right, so two files of the same image differ.
#
# For users: scientific software and tifffile write such files (planarconfig="separate"). Compare
# BitsPerSample with the tile's raw mode before loading, or read them with tifffile.
#
# Needs Python 3.11 or later (PYTHON=...). Output seen:
#   Pillow 13.0.0
#   side by side          mode RGB, raw mode RGB;16L  wrong pixels   0 of 384, red of the first row [0, 10, 21, 32, 43, 54]
#   planes, Deflate       mode RGB, raw mode RGB;16N  wrong pixels   0 of 384, red of the first row [0, 10, 21, 32, 43, 54]
#   planes, uncompressed  mode RGB, raw mode R        wrong pixels 383 of 384, red of the first row [0, 0, 240, 10, 224, 21]
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'END'
import numpy as np
import tifffile
from PIL import Image, __version__

print("Pillow", __version__)
y, x = np.mgrid[:16, :24]
image = np.stack([2800 * x, 4300 * y, 1700 * (x + y)], -1).astype(np.uint16)
high_bytes = image >> 8

found = {}
for name, planes, compression in (("side by side", "contig", None),
                                  ("planes, Deflate", "separate", "zlib"),
                                  ("planes, uncompressed", "separate", None)):
  data = image if planes == "contig" else image.transpose(2, 0, 1)
  tifffile.imwrite("image.tif", data, photometric="rgb", planarconfig=planes,
                   compression=compression)
  again = tifffile.imread("image.tif")
  assert (again == data).all()
  with Image.open("image.tif") as file:
    mode, raw_mode = file.mode, file.tile[0].args[0]
    pixels = np.asarray(file)
  found[name] = int((pixels != high_bytes).any(-1).sum())
  print(f"{name:21} mode {mode}, raw mode {raw_mode:8} wrong pixels {found[name]:3} of "
        f"{x.size}, red of the first row {pixels[0, :6, 0].tolist()}")

assert found["side by side"] == found["planes, Deflate"] == 0, "what was right is no longer so"
low_first = image[0, :3, 0].astype("<u2").view(np.uint8)
with Image.open("image.tif") as file:
  assert (np.asarray(file)[0, :6, 0] == low_first).all(), "no longer what is stated"
END
