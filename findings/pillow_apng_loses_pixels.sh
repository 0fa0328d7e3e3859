#!/usr/bin/env bash
# Pillow 13.0.0, writing APNG: with disposal 2 ("previous") from the first frame on, pixels are
# lost.
#
# Expected: Image.save(..., save_all=True, disposal=2) writes a file that shows the frames it was
# given; disposal only decides what has to be stored.
#
# What happens: the third frame and later ones have transparent parts that were opaque. PNG (third
# edition, 11.3.6.2, fcTL) says that a first frame with disposal "previous" is treated as one with
# "background", as nothing precedes it: it is cleared. The writer respects that when it compares the
# second frame, but compares the third with the first frame as it was drawn (PngImagePlugin.py,
# _write_multiple_frames: `base_im = im_frames[-2].im`), so whatever is equal there is left out,
# though the canvas is empty. Pillow's own reader and FFmpeg show the same holes.
#
# For users: there is no error or warning. Leave disposal out: the file without it is right.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   Pillow 13.0.0
#   disposal 0, by_pillow: wrong pixels [0, 0, 0, 0], of these invisible [0, 0, 0, 0]
#   disposal 0, by_ffmpeg: wrong pixels [0, 0, 0, 0], of these invisible [0, 0, 0, 0]
#   disposal 1, by_pillow: wrong pixels [0, 0, 0, 0], of these invisible [0, 0, 0, 0]
#   disposal 1, by_ffmpeg: wrong pixels [0, 0, 0, 0], of these invisible [0, 0, 0, 0]
#   disposal 2, by_pillow: wrong pixels [0, 0, 16, 16], of these invisible [0, 0, 16, 16]
#   disposal 2, by_ffmpeg: wrong pixels [0, 0, 16, 16], of these invisible [0, 0, 16, 16]
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 av==19.0.2 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
import av
import numpy as np
from PIL import Image, __version__


def frames():
  """Four images, opaque everywhere: a red bar moves down on blue."""
  images = []
  for top in (0, 2, 4, 6):
    image = np.full((8, 8, 4), (10, 20, 30, 255), np.uint8)
    image[top:top + 2] = (250, 0, 0, 255)
    images.append(image)
  return images


def by_pillow(name):
  with Image.open(name) as file:
    for number in range(file.n_frames):
      file.seek(number)
      yield np.asarray(file.convert("RGBA"))


def by_ffmpeg(name):
  with av.open(name) as file:
    for frame in file.decode(video=0):
      yield frame.to_ndarray(format="rgba")


print("Pillow", __version__)
given, wrong = frames(), {}
for disposal in (0, 1, 2):
  first, *others = [Image.fromarray(image) for image in given]
  first.save("film.png", save_all=True, append_images=others, duration=100, disposal=disposal)
  for reader in (by_pillow, by_ffmpeg):
    found = list(reader("film.png"))
    assert len(found) == len(given)
    counts = [int((a != b).any(-1).sum()) for a, b in zip(found, given)]
    holes = [int((image[..., 3] == 0).sum()) for image in found]
    wrong[disposal, reader.__name__] = counts
    print(f"disposal {disposal}, {reader.__name__}: wrong pixels {counts}, "
          f"of these invisible {holes}")

for (disposal, _), counts in wrong.items():
  expected = [0, 0, 16, 16] if disposal == 2 else [0, 0, 0, 0]
  assert counts == expected, "the behavior is no longer what is stated"
END
