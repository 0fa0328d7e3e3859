"""Colors that the container names but the bitstream doesn't, as editors and mkvmerge write them.

Planes and expected colors are those of test_srgb.py, computed by H.273's formulas."""

import av
import numpy as np
import pytest

from stylejax.images import frames
from tests.images.video.test_srgb import (
  BT709,
  PATCHES,
  SILENT,
  SRGB,
  TO_BT2020,
  X265,
  hlg,
  patches_of,
  pq,
  to_light,
)


def unsay_prores(path):
  """Sets primaries, transfer and matrix of each frame's header to "unspecified".

  SMPTE RDD 36, section 5.1.1: bytes 18 to 20 from the frame identifier on.
  """
  data, at, count = bytearray(path.read_bytes()), -1, 0
  while (at := data.find(b"icpf", at + 1)) >= 0:
    data[at + 18 : at + 21], count = b"\2\2\2", count + 1
  assert count == 2
  path.write_bytes(data)


def copy_with_tags(source, target, tags, bitstream_filter=None):
  """Copies packets into a container with these `tags`."""
  with av.open(str(source)) as read, av.open(str(target), "w") as written:
    stream = read.streams.video[0]
    copy = written.add_stream_from_template(stream)
    change = None
    if bitstream_filter:
      change = av.BitStreamFilterContext(bitstream_filter, stream, copy)
    context = copy.codec_context
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
    for packet in read.demux(stream):
      if packet.pts is None:
        continue
      packet.dts = packet.pts if packet.dts is None else packet.dts
      for changed in change.filter(packet) if change else [packet]:
        changed.stream = copy
        written.mux(changed)


UNSAID_IN_H264 = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
COPIES = {
  "hevc-in-matroska": ("a.mkv", {"codec": "libx265", "options": X265}, None),
  "vp9-in-webm": ("a.webm", {"codec": "libvpx-vp9", "options": {"crf": "4"}}, None),
  "vp8-in-webm": ("a.webm", {"codec": "libvpx", "options": {"crf": "4", "b": "5M"}}, None),
  "h264-that-says-unspecified-in-mp4": (
    "a.mp4",
    {"codec": "libx264", "options": {"crf": "4", "bf": "0"}},
    UNSAID_IN_H264,
  ),
}


@pytest.mark.parametrize("name, settings, change", COPIES.values(), ids=COPIES)
def test_sdr_tags_of_the_container_count(video_tools, tmp_path, name, settings, change):
  # 64 rows without a tag would be BT.601, up to 48 levels off.
  bare = video_tools.write_patches(tmp_path / f"bare_{name}", SRGB, 1, SILENT, **settings)
  copy_with_tags(bare, tmp_path / name, BT709, change)
  assert np.abs(patches_of(tmp_path / name) - PATCHES).max() <= 2
  assert np.abs(patches_of(bare) - PATCHES).max() > 8


PRORES = {"bits": 10, "codec": "prores_ks", "pixel_format": "yuv422p10le"}


def test_mov_prores_with_tags_in_its_container_alone(video_tools, tmp_path):
  path = video_tools.write_patches(tmp_path / "a.mov", SRGB, 1, BT709, **PRORES)
  unsay_prores(path)
  assert np.abs(patches_of(path) - PATCHES).max() <= 1.5


@pytest.mark.parametrize("curve, transfer", [(pq, 16), (hlg, 18)], ids=["pq", "hlg"])
def test_mov_prores_hdr_with_tags_in_its_container_alone(video_tools, tmp_path, curve, transfer):
  signal = curve(203 * to_light(SRGB) @ TO_BT2020.T)
  path = video_tools.write_patches(tmp_path / "a.mov", signal, 9, (9, 9, transfer, 1), **PRORES)
  unsay_prores(path)
  assert np.abs(patches_of(path) - PATCHES).max() <= 5
  assert sum("becomes SDR" in note for note in frames.Source(path, 25).notes) == 1


def test_webm_of_a_transfer_that_nobody_knows_is_read(video_tools, tmp_path):
  """H.273, table 3: 19 to 255 are reserved. Matroska's element TransferCharacteristics is 55BA."""
  settings = {"codec": "libvpx-vp9", "options": {"crf": "4"}}
  bare = video_tools.write_patches(tmp_path / "bare.webm", SRGB, 1, SILENT, **settings)
  copy_with_tags(bare, tmp_path / "a.webm", BT709)
  data = (tmp_path / "a.webm").read_bytes()
  assert data.count(b"\x55\xba\x81\x01") == 1
  (tmp_path / "a.webm").write_bytes(data.replace(b"\x55\xba\x81\x01", b"\x55\xba\x81\x7f"))
  assert np.abs(patches_of(tmp_path / "a.webm") - PATCHES).max() <= 2
