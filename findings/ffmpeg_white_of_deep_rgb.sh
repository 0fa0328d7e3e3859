#!/usr/bin/env bash
# FFmpeg's scaler in PyAV 19.0.2 (libswscale 10.1.102; 18.1.0 with 9.5.102 too): white does not
# reach the full value in RGB of more than 8 bits.
#
# Expected: white of limited-range video (235 of 8 bits, 940 of 10) becomes the largest number that
# RGB of n bits holds, 2^n - 1, and 1.0 in floats; and back. ITU-R BT.2100, table 9, and ITU-T H.273
# (VideoFullRangeFlag 1) scale full range by 2^n - 1.
#
# What happens: 8-bit RGB is right (255), but in deeper RGB white is near 255 * 2^(n - 8): 1020 of
# 1023, 65283 of 65535, and 0.99615 in floats, as if the bits were only shifted up. In the other
# direction 65535 counts as more than white and becomes 943 of 10 bits (940 is white), 236 of 8. So
# a round trip is right, and one direction alone is not. It is not a matter of rounding:
# accurate_rnd and full_chroma_int change nothing, and gray16 from the same frames is exact.
#
# For users: frames decoded to rgb48 or float for a model are 0.4 % too dark, and 16-bit images
# encoded to video 0.4 % too bright, which clips at the top of 8 bits. Ask for 8-bit RGB, or for
# yuv444p16 and multiply by the matrix yourself.
#
# Needs Python 3.12 or later (PYTHON=...). Output seen:
#   libswscale 10 1 102
#   white video (940 of 10 bits) as
#     rgb24      255 of 255
#     gbrp10le   1020 of 1023
#     gbrp12le   4080 of 4095
#     rgb48le    65283 of 65535
#     gbrpf32le  0.99615473 of 1.0
#     gray16le   65535 of 65535
#   white rgb48le (65535) as
#     yuv444p      236, white is 235
#     yuv444p10le  943, white is 940
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

BT709, LIMITED, FULL = 1, 1, 2
TYPES = {"rgb24": np.uint8, "yuv444p": np.uint8, "gbrpf32le": np.float32}


def first_value(frame):
  kind = TYPES.get(frame.format.name, np.uint16)
  return np.frombuffer(frame.planes[0], kind)[0].item()


def white_video():
  frame = av.VideoFrame(64, 64, "yuv444p10le")
  for plane, value in zip(frame.planes, (940, 512, 512)):
    plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
  frame.colorspace, frame.color_range = BT709, LIMITED
  return frame


print("libswscale", *av.library_versions["libswscale"])
print("white video (940 of 10 bits) as")
found = {}
for form, full in (("rgb24", 255), ("gbrp10le", 1023), ("gbrp12le", 4095), ("rgb48le", 65535),
                   ("gbrpf32le", 1.0), ("gray16le", 65535)):
  found[form] = first_value(white_video().reformat(
    format=form, src_color_range=LIMITED, dst_color_range=FULL)) / full
  print(f"  {form:10} {found[form] * full:.8g} of {full}")

print("white rgb48le (65535) as")
back = {}
for form, white in (("yuv444p", 235), ("yuv444p10le", 940)):
  frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 65535, np.uint16), format="rgb48le")
  back[form] = first_value(frame.reformat(
    format=form, src_color_range=FULL, dst_color_range=LIMITED, dst_colorspace=BT709))
  print(f"  {form:12} {back[form]}, white is {white}")

assert found["rgb24"] == found["gray16le"] == 1
for form in ("gbrp10le", "gbrp12le", "rgb48le", "gbrpf32le"):
  assert 0.995 < found[form] < 0.9975, "the behavior is no longer what is stated"
assert back == {"yuv444p": 236, "yuv444p10le": 943}, "the behavior is no longer what is stated"
END
