#!/usr/bin/env bash
# Pillow 13.0.0, reading GIF: disposal 0 is treated as that of the previous frame.
#
# Expected (GIF89a, section 23.c.iv): 0 means that the decoder need not do anything, so the frame
# stays; 2 clears the frame's area; 3 restores what was there before the frame. FFmpeg, as a second
# opinion, keeps a frame of disposal 0.
#
# What happens, in hand-made files of 4 by 4 pixels: a frame of disposal 0 is cleared as well if it
# follows one of disposal 2, and undone if it follows one of disposal 3. GifImagePlugin.py, _seek,
# keeps the last disposal that was not 0. The next frame shows a hole where a patch should have
# stayed.
#
# For users: animations that mix disposals (optimizers choose them frame by frame) lose parts, and
# rewriting the frames makes that permanent.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen (R red, G green, . invisible):
#   Pillow 13.0.0
#   1, then 0: specified GGGG/GGGG/RRGG/RRGG, FFmpeg GGGG/GGGG/RRGG/RRGG, Pillow GGGG/GGGG/RRGG/RRGG
#   2, then 0: specified ..GG/..GG/RRGG/RRGG, FFmpeg ..GG/..GG/RRGG/RRGG, Pillow ..GG/..GG/RR../RR..
#   3, then 0: specified RRGG/RRGG/RRGG/RRGG, FFmpeg RRGG/RRGG/RRGG/RRGG, Pillow RRGG/RRGG/RRRR/RRRR
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 av==19.0.2 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
import struct

import av
import numpy as np
from PIL import Image, __version__

PALETTE = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0))
TRANSPARENT = 3


def coded(side, color):
  """One plain square, LZW with a clear code before each pixel, 3 bits a code."""
  codes = [code for _ in range(side * side) for code in (4, color)] + [5]
  bits = sum(code << 3 * place for place, code in enumerate(codes))
  data = bits.to_bytes(-(-3 * len(codes) // 8), "little")
  return bytes((2, len(data))) + data + b"\0"


def write(name, *frames):
  with open(name, "wb") as file:
    file.write(b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0b10000001, 0, 0) + PALETTE)
    for left, top, side, color, disposal in frames:
      file.write(b"!\xf9\x04" + struct.pack("<BHBB", disposal << 2 | 1, 10, TRANSPARENT, 0))
      file.write(b"," + struct.pack("<HHHHB", left, top, side, side, 0) + coded(side, color))
    file.write(b";")


def by_pillow(name):
  with Image.open(name) as file:
    for number in range(file.n_frames):
      file.seek(number)
      yield np.asarray(file.convert("RGBA"))


def by_ffmpeg(name):
  with av.open(name) as file:
    for frame in file.decode(video=0):
      yield frame.to_ndarray(format="rgba")


def drawn(image):
  return "/".join("".join("." if not a else "R" if r else "G" for r, _, _, a in row)
                  for row in image.tolist())


RED, GREEN = 0, 1
CASES = {
  # left, top, side, color, disposal
  "1, then 0": [(0, 0, 4, RED, 1), (0, 0, 2, GREEN, 1), (2, 2, 2, GREEN, 0),
                (2, 0, 2, GREEN, 0)],
  "2, then 0": [(0, 0, 4, RED, 1), (0, 0, 2, GREEN, 2), (2, 2, 2, GREEN, 0),
                (2, 0, 2, GREEN, 0)],
  "3, then 0": [(0, 0, 4, RED, 1), (0, 0, 2, GREEN, 3), (2, 2, 2, GREEN, 0),
                (2, 0, 2, GREEN, 0)],
}
# The last frame of each.
SPECIFIED = {"1, then 0": "GGGG/GGGG/RRGG/RRGG", "2, then 0": "..GG/..GG/RRGG/RRGG",
             "3, then 0": "RRGG/RRGG/RRGG/RRGG"}
STATED = {"1, then 0": "GGGG/GGGG/RRGG/RRGG", "2, then 0": "..GG/..GG/RR../RR..",
          "3, then 0": "RRGG/RRGG/RRRR/RRRR"}
print("Pillow", __version__)
for case, frames in CASES.items():
  write("film.gif", *frames)
  pillow, ffmpeg = (drawn(list(read("film.gif"))[-1]) for read in (by_pillow, by_ffmpeg))
  print(f"{case}: specified {SPECIFIED[case]}, FFmpeg {ffmpeg}, Pillow {pillow}")
  assert ffmpeg == SPECIFIED[case], "FFmpeg no longer does what is stated"
  assert pillow == STATED[case], "the behavior is no longer what is stated"
END
