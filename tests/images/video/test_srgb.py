"""Colors of videos, by H.273's formulas.

Files are made from planes computed with these formulas, and written files are read with the same
formulas, so that no conversion of FFmpeg tests itself."""

from pathlib import Path

import av
import numpy as np
import pytest

from stylejax.images import frames

PATCHES = np.array(
  [
    [40, 180, 60],
    [200, 30, 30],
    [30, 60, 200],
    [128, 128, 128],
    [200, 120, 40],
    [220, 200, 180],
    [255, 255, 255],
    [16, 16, 16],
    [60, 20, 90],
  ]
)
SRGB = PATCHES / 255.0

# (matrix, primaries, transfer, range); 1 BT.709, 2 not said, 6 SMPTE 170M, 9 BT.2020.
BT709, BT601, SILENT, FULL = (1, 1, 1, 1), (6, 6, 6, 1), (2, 2, 2, 0), (1, 1, 1, 2)


def patches_of(path, **settings):
  frame = next(iter(frames.Source(path, 25, **settings)))
  height, width = frame.rgb.shape[:2]
  columns = [int((n + 0.5) * width / len(PATCHES)) for n in range(len(PATCHES))]
  return frame.rgb[height // 2, columns] * 255


X265 = {"crf": "4", "x265-params": "log-level=none:info=0:pools=none:bframes=0:frame-threads=1"}

# Names: container, codec, what is tagged. Expected are the colors from which the planes were made.
SDR = {
  "mp4-h264-bt709-720p": (
    "a.mp4",
    1,
    BT709,
    {"codec": "libx264", "options": {"crf": "4"}, "height": 720, "width": 142},
  ),
  "mkv-ffv1-untagged-720p-is-bt709": ("a.mkv", 1, SILENT, {"height": 720, "width": 144}),
  "mkv-ffv1-untagged-1280-wide-is-bt709": ("a.mkv", 1, SILENT, {"width": 144}),
  "mkv-ffv1-untagged-small-is-bt601": ("a.mkv", 6, SILENT, {}),
  "mkv-ffv1-bt601-tagged-720p": ("a.mkv", 6, BT601, {"height": 720, "width": 144}),
  "mkv-ffv1-bt709-tagged-small": ("a.mkv", 1, BT709, {}),
  "mkv-ffv1-bt709-full-range": ("a.mkv", 1, FULL, {"full": True}),
  "mkv-ffv1-bt709-10bit": ("a.mkv", 1, BT709, {"bits": 10}),
  "mkv-ffv1-bt709-10bit-full-range": ("a.mkv", 1, FULL, {"bits": 10, "full": True}),
  "mov-prores-bt709-10bit": (
    "a.mov",
    1,
    BT709,
    {"bits": 10, "codec": "prores_ks", "pixel_format": "yuv422p10le"},
  ),
  "mp4-hevc-bt709-10bit": ("a.mp4", 1, BT709, {"bits": 10, "codec": "libx265", "options": X265}),
  "webm-vp9-bt709": ("a.webm", 1, BT709, {"codec": "libvpx-vp9", "options": {"crf": "4"}}),
  "ts-h264-bt709": ("a.ts", 1, BT709, {"codec": "libx264", "options": {"crf": "4"}}),
}


@pytest.mark.parametrize("name, matrix, tags, settings", SDR.values(), ids=SDR)
@pytest.mark.parametrize("output", ["o.mp4", "o.webm"])
def test_sdr_patches_come_back_within_two_levels(
  video_tools, tmp_path, name, matrix, tags, settings, output
):
  path = video_tools.write_patches(tmp_path / name, SRGB, matrix, tags, **settings)
  assert np.abs(patches_of(path) - PATCHES).max() <= 1.5  # 8 bits of Cr are 1.6 levels of red
  video_tools.convert(path, tmp_path / output)
  with av.open(str(tmp_path / output)) as file:
    frame = next(file.decode(video=0))
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
    expected = (6, 6) if tags == BT601 else (1, 1)
    assert (int(frame.color_primaries), int(frame.color_trc)) == expected
    assert np.abs(video_tools.decode_patches(frame, len(PATCHES)) - PATCHES).max() <= 2


def test_mp4_mjpeg_is_full_range_bt601(video_tools, tmp_path):
  """JPEG's own definition (JFIF): BT.601, 0 to 255; what cameras put into AVI and MOV."""
  path = video_tools.write_patches(
    tmp_path / "a.avi",
    SRGB,
    6,
    (6, 1, 1, 2),
    full=True,
    codec="mjpeg",
    pixel_format="yuvj420p",
    options={"qmin": "1", "qmax": "1"},
  )
  assert np.abs(patches_of(path) - PATCHES).max() <= 2


@pytest.mark.parametrize("pixel_format", ["bgr0", "gbrp10le"])
def test_mkv_ffv1_rgb_has_no_matrix(video_tools, tmp_path, pixel_format):
  pixels = np.repeat(np.repeat(PATCHES[None], 64, 0), 16, 1).astype(np.uint8)
  with av.open(str(tmp_path / "a.mkv"), "w") as file:
    stream = file.add_stream("ffv1", rate=10)
    stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], pixel_format
    file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    file.mux(stream.encode(None))
  assert np.abs(patches_of(tmp_path / "a.mkv") - PATCHES).max() <= 1


def to_light(values):
  """sRGB values to linear light, by IEC 61966-2-1."""
  return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# ITU-R BT.2087-0, section 2: from BT.709 to BT.2020.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def pq(light):
  """ITU-R BT.2100-2, table 4: cd/m² to signal."""
  power = (light / 10_000) ** (2610 / 16_384)
  return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light):
  """ITU-R BT.2100-2, table 5: cd/m² on a display of 1,000 to signal."""
  display = light / 1000
  luminance = (display @ np.array([0.2627, 0.6780, 0.0593]))[:, None]
  scene = display * luminance ** (1 / 1.2 - 1)
  return np.where(
    scene <= 1 / 12,
    np.sqrt(3 * scene),
    0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
  )


HDR = {
  "mkv-ffv1-pq": ("a.mkv", pq, 16, {}),
  "mkv-ffv1-hlg": ("a.mkv", hlg, 18, {}),
  "mp4-hevc-pq": ("a.mp4", pq, 16, {"codec": "libx265", "options": X265}),
  "mov-hevc-hlg": ("a.mov", hlg, 18, {"codec": "libx265", "options": X265}),
}


@pytest.mark.parametrize("name, curve, transfer, settings", HDR.values(), ids=HDR)
def test_hdr_patches_come_back_within_five_levels(
  video_tools, tmp_path, name, curve, transfer, settings
):
  """SDR in HDR by ITU-R BT.2408: white is 203 cd/m²."""
  signal = curve(203 * to_light(SRGB) @ TO_BT2020.T)
  path = video_tools.write_patches(
    tmp_path / name, signal, 9, (9, 9, transfer, 1), bits=10, **settings
  )
  source = video_tools.convert(path, tmp_path / "o.mp4")
  with av.open(str(tmp_path / "o.mp4")) as file:
    frame = next(file.decode(video=0))
    assert [int(tag) for tag in (frame.colorspace, frame.color_primaries, frame.color_trc)] == [
      1,
      1,
      1,
    ]
    assert np.abs(video_tools.decode_patches(frame, len(PATCHES)) - PATCHES).max() <= 5
  assert sum("becomes SDR" in note and "BT.2390" in note for note in source.notes) == 1


def test_mkv_pq_highlights_keep_their_order(video_tools, tmp_path):
  """Light of 100 to 4,000 cd/m²: order and hue are kept, and 50 cd/m² is unchanged."""
  light = np.array([50, 100, 203, 500, 1000, 2000, 4000])[:, None] * np.ones(3)
  path = video_tools.write_patches(tmp_path / "a.mkv", pq(light), 9, (9, 9, 16, 1), bits=10)
  frame = next(iter(frames.Source(path, 25)))
  got = frame.rgb[32, 32::64] * 255
  assert (np.diff(got[:, 1]) > 0.5).all() and np.ptp(got, axis=1).max() < 1
  expected = 255 * (1.055 * (50 / 203) ** (1 / 2.4) - 0.055)
  assert abs(got[0, 1] - expected) < 1


def test_mkv_bt2020_sdr_becomes_bt709_and_says_so(video_tools, tmp_path):
  """Conversion matrix: ITU-R BT.2087-0. Signals are read as sRGB's."""
  light = to_light(SRGB) @ TO_BT2020.T
  signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
  path = video_tools.write_patches(tmp_path / "a.mkv", signal, 9, (9, 9, 14, 1), bits=10)
  source = frames.Source(path, 25)
  assert np.abs(patches_of(path) - PATCHES).max() <= 2
  assert any("bt2020" in note for note in source.notes)


def test_mkv_smpte170m_primaries_are_kept_and_named_where_they_are_lost(video_tools, tmp_path):
  """Players show SMPTE 170M values unchanged: a video keeps the tag, a PNG has none."""
  path = video_tools.write_patches(tmp_path / "a.mkv", SRGB, 6, BT601)
  assert np.abs(patches_of(path) - PATCHES).max() <= 1.5
  assert any("smpte170m" in note for note in frames.Source(path, 25).notes)
  assert not frames.Source(path, 25, output=Path("o.mp4")).notes


def test_a_matrix_that_cannot_be_converted_is_named(video_tools, tmp_path):
  path = video_tools.write_patches(
    tmp_path / "a.mkv", SRGB, 1, (8, 1, 1, 1), pixel_format="yuv444p"
  )
  with pytest.raises(ValueError, match="matrix 8 of H.273"):
    frames.Source(path, 25)


@pytest.mark.parametrize("tags, refused", [(SILENT, True), ((9, 9, 16, 1), False)])
@pytest.mark.parametrize("code", [b"dvh1", b"dvhe"])
def test_mp4_dolby_vision_of_profile_5_is_refused_by_name(
  video_tools, tmp_path, tags, refused, code
):
  """Dolby Vision Streams Within the ISO Base Media File Format: what other players must not decode
  is "dvh1" or "dvhe". Its colors (IPT) have no numbers in H.273; HDR10's do."""
  path = video_tools.write_patches(
    tmp_path / "a.mp4", SRGB, 9, tags, bits=10, codec="libx265", options=X265
  )
  data = path.read_bytes()
  assert data.count(b"hev1", data.index(b"stsd")) == 1
  path.write_bytes(data.replace(b"hev1", code))
  if refused:
    with pytest.raises(ValueError, match="found Dolby Vision of profile 5"):
      frames.Source(path, 25)
  else:
    assert frames.Source(path, 25).video.tags.is_hdr


def test_webm_vp9_alpha_is_named(video_tools, tmp_path):
  """Matroska's AlphaMode says that blocks carry alpha separately (matroska.org, BlockAdditions)."""
  pixels = np.full((64, 64, 4), (200, 30, 30, 100), np.uint8)
  with av.open(str(tmp_path / "a.webm"), "w") as file:
    stream = file.add_stream("libvpx-vp9", rate=10)
    stream.height, stream.width, stream.pix_fmt = 64, 64, "yuva420p"
    file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
    file.mux(stream.encode(None))
  source = frames.Source(tmp_path / "a.webm", 10)
  assert any("transparency of a.webm is left out" in note for note in source.notes)


def test_mov_prores_4444_alpha_is_read_and_a_video_without_it_says_so(video_tools, tmp_path):
  pixels = np.full((64, 64, 4), (200, 30, 30, 255), np.uint8)
  pixels[:, :32, 3] = 0
  with av.open(str(tmp_path / "a.mov"), "w") as file:
    stream = file.add_stream("prores_ks", rate=10, options={"profile": "4444"})
    stream.height, stream.width, stream.pix_fmt = 64, 64, "yuva444p10le"
    file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
    file.mux(stream.encode(None))
  source = frames.Source(tmp_path / "a.mov", 10)
  frame = next(iter(source))
  assert source.has_alpha
  assert frame.alpha[32, 8] < 0.01 and frame.alpha[32, 56] > 0.999
  source = video_tools.convert(tmp_path / "a.mov", tmp_path / "o.mp4")
  assert any("transparency is laid on white" in note for note in source.notes)
