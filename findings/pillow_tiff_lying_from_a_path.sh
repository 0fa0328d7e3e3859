#!/usr/bin/env bash
# Pillow 13.0.0, reading TIFF: uncompressed images with orientation 5 to 8 are scrambled when they
# are opened from a path, and right when they are opened from a file object.
#
# Expected: Image.open(path) and Image.open(file object) give the same pixels, rotated upright as the
# tag Orientation (TIFF 6.0, page 36) says.
#
# What happens: an image opened from a path is mapped into memory if its pixels are contiguous
# (ImageFile.load). The mapping takes the length of rows from `self.size`, in which TiffImagePlugin
# has already swapped width and height: rows of 96 pixels are cut into rows of 64. The pixels are
# rotated afterwards nevertheless, and the image has the size that it had before rotation. Opening
# and loading succeed. Gray of 8 and 16 bits, palettes, RGBA and CMYK are mapped; RGB is not.
#
# For users: set `image.filename = ""` before loading, or open the file yourself.
#
# Needs Python 3.11 or later (PYTHON=...). Output seen:
#   Pillow 13.0.0
#   64 rows of 96 pixels, orientation 6
#   from a file object  96 rows of 64 pixels, first row [0, 0, 0, 0, 0, 0], wrong pixels    0
#   from a path         64 rows of 96 pixels, first row [64, 128, 0, 64, 128, 0], scrambled
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'END'
import numpy as np
from PIL import Image, __version__

print("Pillow", __version__)
stored = np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))
print(f"{stored.shape[0]} rows of {stored.shape[1]} pixels, orientation 6")
Image.fromarray(stored).save("image.tif", tiffinfo={274: 6})
upright = np.rot90(stored, -1)

with open("image.tif", "rb") as opened, Image.open(opened) as file:
  pixels = np.asarray(file)
print(f"from a file object  {pixels.shape[0]} rows of {pixels.shape[1]} pixels, first row "
      f"{pixels[0, :6].tolist()}, wrong pixels {(pixels != upright).sum():4}")
assert (pixels == upright).all(), "what was right is no longer so"

with Image.open("image.tif") as file:
  pixels = np.asarray(file)
print(f"from a path         {pixels.shape[0]} rows of {pixels.shape[1]} pixels, first row "
      f"{pixels[0, :6].tolist()}, scrambled")
assert pixels.shape == stored.shape, "no longer what is stated"
END
