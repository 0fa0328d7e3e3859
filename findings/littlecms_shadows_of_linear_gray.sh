#!/usr/bin/env bash
# LittleCMS 2 in Pillow 13.0.0: shadows of a linear gray profile are up to 10 of 255 levels too dark
# with default flags, and right without LittleCMS's optimization.
#
# Expected: gray of a linear profile (ICC.1, a curveType without entries: values are linear light) in
# sRGB is 255 f(x / 255) with f of IEC 61966-2-1, to the nearest level. LittleCMS gives that with its
# flag NOOPTIMIZE, and with any flags where the same profile has three channels.
#
# What happens: ImageCms.buildTransform(gray, sRGB, "L", "RGB") gives 6 where 13 is right. By
# default it joins the steps into a table with few nodes, between which it interpolates, though a
# table of all 256 levels would be exact.
#
# Source: https://www.littlecms.com, API manual, cmsFLAGS_NOOPTIMIZE ("Inhibit optimizations"), which
# mentions no loss of precision at 8 bits.
#
# For users: scans and renderings in linear gray lose half of the light in their darkest parts.
# Pass flags=ImageCms.Flags.NOOPTIMIZE, or convert to RGB and use the profile's curve for each.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen (levels 0 to 5 in sRGB, largest error):
#   sRGB by definition        0  13  22  28  34  38
#   gray, default flags       0   6  12  19  25  31  10
#   gray, NOOPTIMIZE          0  13  22  28  34  38   0
#   RGB, default flags        0  13  22  28  34  38   1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
import io
import struct

import numpy as np
from PIL import Image, ImageCms

NO_FLAGS = ImageCms.Flags.NONE
LINEAR = b"curv" + bytes(8)
# Columns of sRGB's matrix for the white of ICC profiles, D50 (ICC.1, annex F, and IEC 61966-2-1).
COLUMNS = {b"rXYZ": (0.43607, 0.22249, 0.01392), b"gXYZ": (0.38515, 0.71687, 0.09708),
           b"bXYZ": (0.14307, 0.06061, 0.71410), b"wtpt": (0.9642, 1, 0.8249)}


def xyz(numbers):
  return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * n) for n in numbers))


def profile(space):
  """A display's profile of version 2.4 whose values are linear light."""
  if space == b"GRAY":
    tags = {b"wtpt": xyz(COLUMNS[b"wtpt"]), b"kTRC": LINEAR}
  else:
    tags = {name: xyz(numbers) for name, numbers in COLUMNS.items()}
    tags |= {name: LINEAR for name in (b"rTRC", b"gTRC", b"bTRC")}
  at, table, body = 128 + 4 + 12 * len(tags), b"", b""
  for name, data in tags.items():
    table += struct.pack(">4sII", name, at + len(body), len(data))
    body += data
  head = bytearray(128)
  head[8:12] = bytes([2, 0x40, 0, 0])
  head[12:16], head[16:20], head[20:24], head[36:40] = b"mntr", space, b"XYZ ", b"acsp"
  head[68:80] = xyz(COLUMNS[b"wtpt"])[8:]
  head[0:4] = struct.pack(">I", at + len(body))
  return ImageCms.ImageCmsProfile(io.BytesIO(head + struct.pack(">I", len(tags)) + table + body))


levels = np.arange(256, dtype=np.uint8)[None]
light = levels[0] / 255
right = np.rint(255 * np.where(light <= 0.0031308, 12.92 * light,
                               1.055 * light ** (1 / 2.4) - 0.055)).astype(int)
print("sRGB by definition     ", *(f"{level:3}" for level in right[:6]))


def seen(name, mode, flags):
  image = Image.fromarray(levels).convert(mode)
  source = profile(b"GRAY" if mode == "L" else b"RGB ")
  srgb = ImageCms.createProfile("sRGB")
  transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=flags)
  found = np.asarray(transform.apply(image))[0, :, 0].astype(int)
  error = int(np.abs(found - right).max())
  print(f"{name:23}", *(f"{level:3}" for level in found[:6]), f"{error:3}")
  return error


default = seen("gray, default flags", "L", NO_FLAGS)
plain = seen("gray, NOOPTIMIZE", "L", ImageCms.Flags.NOOPTIMIZE)
colors = seen("RGB, default flags", "RGB", NO_FLAGS)
assert default >= 10, "the behavior is no longer what is stated"
assert plain <= 1 and colors <= 1, "the behavior is no longer what is stated"
END
