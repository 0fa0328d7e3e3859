#!/usr/bin/env bash
# FFmpeg's scaler in PyAV 19.0.2 (libswscale 10.1.102; 18.1.0 with 9.5.102 too): gray video of
# limited range is not stretched, whatever range is given.
#
# Expected: luma 235 of limited range is white, 16 is black (ITU-T H.273, section 8.3), in gray as
# in 4:2:0, since a gray frame is a 4:2:0 frame without its chroma. Decoders set color_range on
# gray frames (HEVC and AV1 of 4:0:0, FFV1 in Matroska).
#
# What happens: in rgb24 white is 235 and black 16, with frame.reformat and src_color_range as well
# as with the filter scale=in_range=limited:out_range=full. The scaler always takes gray for full
# range (libswscale/utils.c, handle_jpeg). The same pixels as yuv420p with chroma 128 become 255
# and 0.
#
# Source: https://ffmpeg.org/ffmpeg-scaler.html and ffmpeg-filters.html, "in_range".
#
# For users: films of thermal and security cameras in 4:0:0 come out low in contrast, and the same
# film differs in brightness depending on whether its encoder left out the chroma. Stretch by hand:
# (y - 16) / 219.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen (white and black of limited range as RGB):
#   yuv420p, reformat      255   0
#   yuv420p, filter scale  255   0
#   gray, reformat         235  16
#   gray, filter scale     235  16
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

LIMITED, FULL = 1, 2


def film(form, luma):
  frame = av.VideoFrame(64, 64, form)
  for number, plane in enumerate(frame.planes):
    plane.update(bytes([128 if number else luma]) * plane.buffer_size)
  frame.color_range, frame.pts = LIMITED, 0
  return frame


def by_reformat(frame):
  return frame.reformat(format="rgb24", src_color_range=LIMITED, dst_color_range=FULL)


def by_filter(frame):
  graph = av.filter.Graph()
  steps = [graph.add_buffer(width=64, height=64, format=frame.format, time_base=Fraction(1, 25)),
           graph.add("scale", "in_range=limited:out_range=full"),
           graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")]
  graph.link_nodes(*steps).configure()
  graph.push(frame)
  return graph.pull()


STATED = {"yuv420p": [255, 0], "gray": [235, 16]}
for form, stated in STATED.items():
  for name, convert in (("reformat", by_reformat), ("filter scale", by_filter)):
    seen = [int(convert(film(form, luma)).to_ndarray()[32, 32, 0]) for luma in (235, 16)]
    print(f"{form + ', ' + name:22}{seen[0]:4}{seen[1]:4}")
    assert seen == stated, "the behavior is no longer what is stated"
END
