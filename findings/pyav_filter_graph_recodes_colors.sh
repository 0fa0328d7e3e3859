#!/usr/bin/env bash
# PyAV 19.0.2 (and 18.1.0): a filter graph re-codes BT.709 video as BT.601, without being asked to.
#
# Expected: a video whose stream and frames say BT.709 goes through a graph made with
# `graph.add_buffer(template=stream)` and a filter "scale" that only halves its size. Luma and
# chroma of a plain color stay as they are, as VideoFrame.reformat leaves them.
#
# What happens: the template's matrix of luma and chroma is not passed on to FFmpeg's "buffer"
# source (its option "colorspace"), so the graph is configured for an unknown one. The scaler reads
# each frame's own tag on input, and uses its default, BT.601, on output: it converts from one to the
# other. The output is tagged "unspecified" (2 in ITU-T H.273), which players take for BT.709 at high
# definition. A graph without a scaler, such as "hflip", keeps numbers and tags. A change of the
# pixel format alone inserts the scaler, even where nobody named it.
#
# Source: https://ffmpeg.org/ffmpeg-filters.html, "buffer" (colorspace, range) and "scale"
# (in_color_matrix, out_color_matrix: "auto").
#
# For users: green and red of HD video shift visibly after a resize in a PyAV graph. Set
# `out_color_matrix` in each "scale", and tag the frames again.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   the frame                  Y, Cb, Cr [173, 42, 26], matrix 1
#   reformat to half the size  Y, Cb, Cr [173, 42, 26], matrix 1
#   graph: hflip               Y, Cb, Cr [173, 42, 26], matrix 1
#   graph: scale=640:360       Y, Cb, Cr [144, 54, 34], matrix 2
#   graph: format=yuv444p      Y, Cb, Cr [144, 54, 35], matrix 2
#   graph: scale, matrix named Y, Cb, Cr [173, 42, 26], matrix 1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  av==19.0.2 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'END'
import av
import numpy as np

WIDTH, HEIGHT, BT709, LIMITED = 1280, 720, 1, 1
GREEN = (173, 42, 26)  # near pure green in BT.709, limited range


def write_film(name):
  frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
  for plane, value in zip(frame.planes, GREEN):
    plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
  frame.colorspace, frame.color_range = BT709, LIMITED
  with av.open(name, "w") as file:
    stream = file.add_stream("ffv1", rate=25)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def through_graph(name, *steps):
  with av.open(name) as file:
    stream = file.streams.video[0]
    graph = av.filter.Graph()
    last = graph.add_buffer(template=stream)
    for step in (*steps, ("buffersink", "")):
      following = graph.add(*step)
      last.link_to(following)
      last = following
    graph.configure()
    graph.push(next(file.decode(stream)))
    return graph.pull()


def look(frame):
  return [plane_value(plane) for plane in frame.planes], int(frame.colorspace)


def plane_value(plane):
  return int(np.frombuffer(plane, np.uint8)[5 * plane.line_size + 5])


write_film("film.mkv")
with av.open("film.mkv") as file:
  frame = next(file.decode(video=0))
found = {
  "the frame": look(frame),
  "reformat to half the size": look(frame.reformat(WIDTH // 2, HEIGHT // 2)),
  "graph: hflip": look(through_graph("film.mkv", ("hflip", ""))),
  "graph: scale=640:360": look(through_graph("film.mkv", ("scale", "640:360"))),
  "graph: format=yuv444p": look(through_graph("film.mkv", ("format", "yuv444p"))),
  "graph: scale, matrix named": look(
    through_graph("film.mkv", ("scale", "640:360:out_color_matrix=bt709"))),
}
for name, (values, matrix) in found.items():
  print(f"{name:26} Y, Cb, Cr {values}, matrix {matrix}")

kept = list(GREEN)
assert found["the frame"] == (kept, BT709)
assert found["reformat to half the size"] == (kept, BT709)
assert found["graph: hflip"] == (kept, BT709)
assert found["graph: scale, matrix named"] == (kept, BT709)
for name in ("graph: scale=640:360", "graph: format=yuv444p"):
  values, matrix = found[name]
  assert values[0] < kept[0] - 20 and matrix == 2, "the behavior is no longer what is stated"
END
