#!/usr/bin/env bash
# Pillow 13.0.0, reading PNG: the transparent level of 2- or 4-bit gray is not scaled, so invisible
# pixels become visible.
#
# Expected (PNG, third edition, 11.3.1.1 tRNS): the level has as many bits as the pixels, and pixels
# of this level are fully transparent. pypng, as a second opinion, agrees.
#
# What happens: pixels become 8 bits (level 1 of 2 bits becomes 85), but info["transparency"] stays
# 1, which convert("RGBA") compares with the 8-bit levels: nothing is transparent, or, where the two
# happen to agree (level 0), it is right. Gray of 1, 8 and 16 bits is right.
#
# For users: optimizers that lower the bit depth write such files for line drawings and sprites with
# few grays, which lose their transparency without an error.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen (. invisible, # visible; levels 0, 1, 2, 3):
#   Pillow 13.0.0
#   1 bit,  level 1: specified #.#., pypng #.#., Pillow #.#.
#   2 bits, level 1: specified #.##, pypng #.##, Pillow ####
#   4 bits, level 1: specified #.##, pypng #.##, Pillow ####
#   8 bits, level 1: specified #.##, pypng #.##, Pillow #.##
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 pypng==0.20220715.0 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
import struct
import zlib

import numpy as np
import png
from PIL import Image, __version__

KEY = 1


def chunk(kind, data):
  return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write(name, bits):
  """16 by 16 pixels; each row repeats the levels 0, 1, 2, 3, as far as the bits allow."""
  levels = np.arange(16) % 4 % 2**bits
  row = np.packbits((levels[:, None] >> np.arange(bits)[::-1] & 1).ravel().astype(np.uint8))
  with open(name, "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, bits, 0, 0, 0, 0)))
    file.write(chunk(b"tRNS", struct.pack(">H", KEY)))
    file.write(chunk(b"IDAT", zlib.compress((b"\0" + row.tobytes()) * 16)))
    file.write(chunk(b"IEND", b""))


def by_pillow(name):
  with Image.open(name) as file:
    return np.asarray(file.convert("RGBA"))


def by_pypng(name):
  width, height, rows, _ = png.Reader(filename=name).asRGBA8()
  return np.array([list(row) for row in rows]).reshape(height, width, 4)


def drawn(image):
  return "".join("#" if alpha else "." for alpha in image[0, :4, 3])


STATED = {1: "#.#.", 2: "####", 4: "####", 8: "#.##"}
print("Pillow", __version__)
for bits, stated in STATED.items():
  write("gray.png", bits)
  specified = "#.#." if bits == 1 else "#.##"
  pillow, pypng = drawn(by_pillow("gray.png")), drawn(by_pypng("gray.png"))
  unit = "bit, " if bits == 1 else "bits,"
  print(f"{bits} {unit} level {KEY}: specified {specified}, pypng {pypng}, Pillow {pillow}")
  assert pypng == specified, "pypng no longer does what is stated"
  assert pillow == stated, "the behavior is no longer what is stated"
END
