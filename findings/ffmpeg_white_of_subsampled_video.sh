#!/usr/bin/env bash
# FFmpeg's scaler in PyAV 19.0.2 (libswscale 10.1.102; 18.1.0 with 9.5.102 too): white of 10-bit
# 4:2:0 video is 253 in 8-bit RGB.
#
# Expected: white of limited range (940 of 10 bits, chroma 512; ITU-R BT.709, BT.2100) becomes 255
# in rgb24, as it does from 8-bit video and from 4:4:4.
#
# What happens: `frame.to_ndarray(format="rgb24")` of a yuv420p10le or yuv422p10le frame gives 253.
# The same happens to 8-bit yuv420p as soon as the size changes in the same step. The scaler's flag
# full_chroma_int, which is documented as concerning the interpolation of chroma, makes white 255,
# although the chroma is uniform. Packed RGB is affected, planar (gbrp) is not.
#
# Source: https://ffmpeg.org/ffmpeg-scaler.html, "full_chroma_int".
#
# For users: frames of phones' 10-bit video, and thumbnails of any video, lose their whites when
# they are decoded directly to rgb24, and images of the same scene in 8 and 10 bits differ by 2
# levels. Use a graph with `scale=flags=full_chroma_int`, or reformat to gbrp.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   yuv444p10le to rgb24           [255]
#   yuv420p to rgb24               [255]
#   yuv420p10le to gbrp            [255]
#   yuv420p10le, full_chroma_int   [255]
#   yuv420p10le to rgb24           [253]
#   yuv422p10le to rgb24           [253]
#   yuv420p to rgb24, half size    [253]
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

BT709, LIMITED = 1, 1


def white(form):
  frame = av.VideoFrame(64, 64, form)
  kind, scale = (np.uint16, 4) if "10" in form else (np.uint8, 1)
  for plane, value in zip(frame.planes, (235, 128, 128)):
    length = plane.buffer_size // np.dtype(kind).itemsize
    plane.update(np.full(length, value * scale, kind).tobytes())
  frame.colorspace, frame.color_range, frame.pts = BT709, LIMITED, 0
  return frame


def by_graph(frame, flags):
  graph = av.filter.Graph()
  steps = [graph.add_buffer(width=64, height=64, format=frame.format, time_base=Fraction(1, 25)),
           graph.add("scale", f"in_range=limited:out_range=full:flags={flags}"),
           graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")]
  graph.link_nodes(*steps).configure()
  graph.push(frame)
  return graph.pull()


def levels(frame):
  return sorted({int(value) for plane in frame.planes for value in bytes(plane)})


def rgb(frame):
  return sorted({int(value) for value in frame.to_ndarray(format="rgb24").ravel()})


found = {
  "yuv444p10le to rgb24": rgb(white("yuv444p10le")),
  "yuv420p to rgb24": rgb(white("yuv420p")),
  "yuv420p10le to gbrp": levels(white("yuv420p10le").reformat(format="gbrp")),
  "yuv420p10le, full_chroma_int": rgb(by_graph(white("yuv420p10le"), "full_chroma_int")),
  "yuv420p10le to rgb24": rgb(white("yuv420p10le")),
  "yuv422p10le to rgb24": rgb(white("yuv422p10le")),
  "yuv420p to rgb24, half size": rgb(white("yuv420p").reformat(32, 32, "rgb24")),
}
for name, values in found.items():
  print(f"{name:30} {values}")
right = list(found.values())
assert right[:4] == [[255]] * 4, "what was right is no longer so"
assert right[4:] == [[253]] * 3, "the behavior is no longer what is stated"
END
