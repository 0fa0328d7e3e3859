#!/usr/bin/env bash
# Pillow 13.0.0 with libwebp 1.6.0, writing WebP: a film in which nothing happens is stored as a
# still image, and its duration is lost.
#
# Expected: three frames of 500 ms make an animation of 1.5 seconds. Equal neighbors may be merged,
# which keeps the sum of the times; that is what happens if another frame differs: 1000 + 500 ms.
#
# What happens: when one frame is left after merging, libwebp's animation encoder
# (src/mux/anim_encode.c, OptimizeSingleFrame) writes a plain image if that is smaller. In the container,
# only chunks of frames (ANMF) have times, so no time is left; Pillow reads 0. Lossy frames need not
# even be equal: libwebp ignores small differences at quality 80.
#
# For users: still parts of a film that were stored separately vanish when they are joined by their
# times. Keep the times elsewhere, or write the container with one ANMF by hand.
#
# Source: https://developers.google.com/speed/webp/docs/riff_container, "Animation".
#
# Needs Python 3.11 or later (PYTHON=...). Output seen:
#   Pillow 13.0.0 libwebp 1.6.0
#   two the same, one not   3 frames of 500 ms: read [1000, 500] ms, 2 chunks of frames
#   nearly the same         3 frames of 500 ms: read [500, 500, 500] ms, 3 chunks of frames
#   all the same            3 frames of 500 ms: read [0] ms, 0 chunks of frames
#   nearly the same, lossy  3 frames of 500 ms: read [0] ms, 0 chunks of frames
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'END'
import io

from PIL import Image, __version__, features

print("Pillow", __version__, "libwebp", features.version("webp"))
GRAY, NEARLY, RED = (9, 9, 9), (10, 9, 9), (200, 0, 0)
LOSSLESS, LOSSY = {"lossless": True}, {"quality": 80}
CASES = {
  "two the same, one not": ((GRAY, GRAY, RED), LOSSLESS, [1000, 500]),
  "nearly the same": ((GRAY, NEARLY, GRAY), LOSSLESS, [500, 500, 500]),
  "all the same": ((GRAY, GRAY, GRAY), LOSSLESS, [0]),
  "nearly the same, lossy": ((GRAY, NEARLY, GRAY), LOSSY, [0]),
}
for name, (colors, options, stated) in CASES.items():
  first, *others = [Image.new("RGB", (16, 16), color) for color in colors]
  buffer = io.BytesIO()
  first.save(buffer, "WEBP", save_all=True, append_images=others, duration=500, **options)
  lengths = []
  with Image.open(buffer) as film:
    for number in range(film.n_frames):
      film.seek(number)
      film.load()
      lengths.append(film.info["duration"])
  chunks = buffer.getvalue().count(b"ANMF")
  print(f"{name:23} {len(colors)} frames of 500 ms: read {lengths} ms, {chunks} chunks of frames")
  assert lengths == stated, "the behavior is no longer what is stated"
  assert chunks == (0 if stated == [0] else len(stated))
END
