#!/usr/bin/env bash
# FFmpeg's AVI in PyAV 19.0.2 (libavformat 62 and 63): frames come in the right order, but with the
# times of other frames.
#
# Expected: H.264 with B-frames (x264 uses them by default; the options here only ensure them in a
# short film) is written to AVI, and each decoded frame has the time at which it is shown, as from
# MP4; or else it has none, since an AVI stores no times (Microsoft's AVI RIFF File Reference: an
# entry of the index has a chunk's name, flags, offset and size).
#
# What happens: writing succeeds. Reading gives the frames in the right order, but their `pts` are
# in another order: 1, 4, 3, 5, 2 instead of 1, 2, 3, 4, 5. The number of frames and the set of
# times are plausible, so nothing looks wrong until frames are sorted, paired with sound or
# rewritten by their times. MPEG-4 part 2 with B-frames in AVI has times in order.
#
# For users: do not sort frames of an AVI by their times, nor derive their durations from them.
# Count the frames where times decrease.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   libavformat 63 1 102
#   h264.mp4   frames (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
#   h264.mp4   times  (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
#   h264.avi   frames (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
#   h264.avi   times  (1, 4, 3, 5, 2, 8, 7, 9, 6, 11, 12, 10)
#   mpeg4.avi  frames (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
#   mpeg4.avi  times  (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  av==19.0.2 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
from fractions import Fraction

import av
import numpy as np

COUNT, RATE = 12, 25
noise = np.random.default_rng(0).integers(0, 256, (64, 256, 3), dtype=np.uint8)


def write(name, codec, options):
  with av.open(name, "w") as file:
    stream = file.add_stream(codec, rate=RATE, options=options)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for number in range(COUNT):
      image = noise[:, 4 * number:4 * number + 64].copy()  # it moves, and a corner counts
      image[:16, :16] = 20 * number + 10
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = number, Fraction(1, RATE)
      file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def read(name):
  """(number that the corner shows, time in frames) of each frame."""
  with av.open(name) as file:
    return [(round((frame.to_ndarray(format="gray")[4:12, 4:12].mean() - 10) / 20),
             int(frame.pts * frame.time_base * RATE)) for frame in file.decode(video=0)]


found = {}
print("libavformat", *av.library_versions["libavformat"])
for name, codec, options in (
    ("h264.mp4", "libx264", {"x264-params": "b-adapt=0:scenecut=0"}),
    ("h264.avi", "libx264", {"x264-params": "b-adapt=0:scenecut=0"}),
    ("mpeg4.avi", "mpeg4", {"bf": "2"})):
  write(name, codec, options)
  numbers, times = zip(*read(name))
  found[name] = times
  print(f"{name:10} frames {numbers}")
  print(f"{name:10} times  {times}")
  assert numbers == tuple(range(COUNT)), "the frames themselves are out of order"
for name in ("h264.mp4", "mpeg4.avi"):
  assert list(found[name]) == sorted(found[name]), "what was right is no longer so"
assert list(found["h264.avi"]) != sorted(found["h264.avi"]), "no longer what is stated"
END
