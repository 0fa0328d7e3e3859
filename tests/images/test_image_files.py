"""Image files as people have them: each with the value that its format's definition gives.

The ids start with the format's name. Files are written byte by byte (image_bytes.py), or by
Pillow and pillow-heif where a codec is needed; the expected values are computed here, from the
definitions.
"""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb, image_size, read_image, read_pages
from tests.images import image_bytes as files

H, W = 6, 9
rng = np.random.default_rng(0)
RGB16 = rng.integers(0, 65536, (H, W, 3)).astype(np.uint16)
GRAY16 = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
RGB8 = rng.integers(0, 256, (H, W, 3)).astype(np.uint8)
HALF = 0.5 / 255


def srgb(light):
  """IEC 61966-2-1."""
  power = np.maximum(light, 0) ** (1 / 2.4)
  return np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055)


def light(values):
  """IEC 61966-2-1, the other way."""
  return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def gray(values):
  return np.repeat(np.asarray(values)[..., None], 3, -1)


def pq(nits):
  """SMPTE ST 2084: numbers of a luminance in cd/m²."""
  y = (nits / 10_000) ** (2610 / 16384)
  return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def light_of_pq(values):
  """SMPTE ST 2084, the other way: cd/m²."""
  power = values ** (32 / 2523)
  part = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
  return 10_000 * part ** (16384 / 2610)


# ITU-R BT.2087 and SMPTE EG 432-1: linear sRGB in the primaries of BT.2020 and Display P3.
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


def as8(values):
  return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


FLOAT = np.linspace(0, 0.6, H * W, dtype=np.float32).reshape(H, W)
OVER = np.linspace(0, 3, H * W, dtype=np.float32).reshape(H, W)
S = np.linspace(0.05, 0.95, H * W * 3).reshape(H, W, 3)  # sRGB colors for the HDR and P3 cases
TWELVE = (GRAY16 >> 4).astype(np.uint16)
WHITE_IS_ZERO = {262: (3, [0])}

# name: (bytes, colors, alpha or None, tolerance, words of the notes)
CASES = {
  "png 16-bit gray": (files.png(GRAY16), gray(GRAY16 / 65535), None, 1e-6, []),
  "png 16-bit color keeps 16 bits": (files.png(RGB16), RGB16 / 65535, None, 1e-6, []),
  "png 16-bit gray and alpha": (
    files.png(np.stack([GRAY16, RGB16[..., 0] | 1], -1)),
    gray(GRAY16 / 65535),
    (RGB16[..., 0] | 1) / 65535,
    1e-6,
    [],
  ),
  "png 16-bit color and alpha": (
    files.png(np.dstack([RGB16, GRAY16 | 1])),
    RGB16 / 65535,
    (GRAY16 | 1) / 65535,
    1e-6,
    [],
  ),
  "png 16-bit gray, linear gray profile": (
    files.png(GRAY16, files.iccp(files.LINEAR_GRAY)),
    gray(srgb(GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "png 16-bit gray, linear RGB profile": (
    files.png(GRAY16, files.iccp(files.LINEAR_RGB)),
    gray(srgb(GRAY16 / 65535)),
    None,
    2e-3,
    [],
  ),
  "png 16-bit color, linear RGB profile": (
    files.png(RGB16, files.iccp(files.LINEAR_RGB)),
    srgb(RGB16 / 65535),
    None,
    2e-3,
    [],
  ),
  "png 16-bit color, profile of gamma 1.8": (
    files.png(RGB16, files.iccp(files.GAMMA_18_RGB)),
    srgb((RGB16 / 65535) ** 1.8),
    None,
    2e-3,
    [],
  ),
  "png 8-bit gray, linear gray profile": (
    files.png(RGB8[..., 0], files.iccp(files.LINEAR_GRAY)),
    gray(srgb(RGB8[..., 0] / 255)),
    None,
    2.5 / 255,
    [],
  ),
  "png gAMA 1.0 is linear": (files.png(RGB8, files.gamma(1.0)), srgb(RGB8 / 255), None, HALF, []),
  "png gAMA 1.0, 16 bits": (
    files.png(RGB16, files.gamma(1.0)),
    srgb(RGB16 / 65535),
    None,
    1e-5,
    [],
  ),
  "png gAMA 1/1.8": (
    files.png(RGB8, files.gamma(1 / 1.8)),
    srgb((RGB8 / 255) ** 1.8),
    None,
    HALF,
    [],
  ),
  "png gAMA 1/2.2 stands for sRGB": (
    files.png(RGB8, files.gamma(0.45455)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png gAMA and cHRM of Display P3": (
    files.png(
      as8(srgb(light(S) @ TO_P3.T)),
      files.gamma(0.45455),
      files.chromaticities((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)),
    ),
    srgb((as8(srgb(light(S) @ TO_P3.T)) / 255.0) ** 2.2 @ np.linalg.inv(TO_P3).T),
    None,
    1.5 / 255,
    [],
  ),
  "png sRGB chunk wins over gAMA": (
    files.png(RGB8, files.chunk(b"sRGB", b"\0"), files.gamma(1.0)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png ICC profile wins over gAMA": (
    files.png(RGB8, files.iccp(files.LINEAR_RGB), files.gamma(0.1)),
    srgb(RGB8 / 255),
    None,
    2.5 / 255,
    [],
  ),
  "png cICP wins over the ICC profile": (
    files.png(RGB8, files.cicp(1, 13), files.iccp(files.LINEAR_RGB)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png cICP Display P3": (
    files.png(as8(srgb(light(S) @ TO_P3.T)), files.cicp(12, 13)),
    S,
    None,
    2 / 255,
    [],
  ),
  "png cICP BT.2020 in PQ": (
    files.png(np.rint(pq(203 * light(S) @ TO_2020.T) * 65535).astype(np.uint16), files.cicp(9, 16)),
    S,
    None,
    2 / 255,
    ["HDR (PQ) is tone-mapped"],
  ),
  "png cICP in PQ, 8 bits": (
    files.png(as8(pq(203 * light(S) @ TO_2020.T)), files.cicp(9, 16)),
    S,
    None,
    5 / 255,
    ["HDR (PQ) is tone-mapped"],
  ),
  "png cICP linear": (files.png(RGB16, files.cicp(1, 8)), srgb(RGB16 / 65535), None, 1e-5, []),
  "png cICP of a narrow range": (
    files.png(np.rint(16 + S * 219).astype(np.uint8), files.cicp(1, 13, full=0)),
    S,
    None,
    1.2 * HALF,
    [],
  ),
  "png cICP unspecified": (files.png(RGB8, files.cicp(2, 2)), RGB8 / 255, None, 1e-6, []),
  "png remark of 2 MB": (
    files.png(RGB8, files.chunk(b"zTXt", b"Comment\0\0" + files.zlib.compress(bytes(2_000_000)))),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png remark of 2 MB behind the pixels": (
    files.png(
      RGB8, after=(files.chunk(b"zTXt", b"Comment\0\0" + files.zlib.compress(bytes(2_000_000))),)
    ),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png profile of 2 MB": (
    files.png(RGB8, files.iccp(bytes(2_000_000))),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png broken profile": (
    files.png(RGB8, files.iccp(b"no profile")),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png broken profile, 16 bits": (
    files.png(RGB16, files.iccp(b"no profile")),
    RGB16 / 65535,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png profile chunk of an unknown compression": (
    files.png(RGB8, files.chunk(b"iCCP", b"profile\0\7" + bytes(9))),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png gray profile on colors": (
    files.png(RGB8, files.iccp(files.LINEAR_GRAY)),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png 16-bit color with a transparent color": (
    files.png(RGB16, files.chunk(b"tRNS", RGB16[2, 3].astype(">u2").tobytes())),
    RGB16 / 65535,
    (RGB16[2, 3] != RGB16).any(-1),
    1e-6,
    [],
  ),
  "tiff 16-bit gray": (files.tiff(GRAY16), gray(GRAY16 / 65535), None, 1e-6, []),
  "tiff 16-bit gray, big-endian": (
    files.tiff(GRAY16, order=">"),
    gray(GRAY16 / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit gray, white is zero": (
    files.tiff(GRAY16, WHITE_IS_ZERO),
    gray(1 - GRAY16 / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff 8-bit gray, white is zero": (
    files.tiff(RGB8[..., 0], WHITE_IS_ZERO),
    gray(1 - RGB8[..., 0] / 255),
    None,
    1e-6,
    [],
  ),
  "tiff float gray, white is zero": (
    files.tiff(FLOAT, WHITE_IS_ZERO),
    gray(1 - FLOAT),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit gray, linear profile": (
    files.tiff(GRAY16, {34675: (7, list(files.LINEAR_GRAY))}),
    gray(srgb(GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "tiff 16-bit gray, linear profile, white is zero": (
    files.tiff(GRAY16, {34675: (7, list(files.LINEAR_GRAY)), **WHITE_IS_ZERO}),
    gray(srgb(1 - GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "tiff 12 bits in 16 by MaxSampleValue": (
    files.tiff(TWELVE, {281: (3, [4095])}),
    gray(TWELVE / 4095),
    None,
    1e-6,
    [],
  ),
  "tiff 12 bits in 16 by SMaxSampleValue": (
    files.tiff(TWELVE, {341: (3, [4095])}),
    gray(TWELVE / 4095),
    None,
    1e-6,
    [],
  ),
  "tiff MaxSampleValue that is a statistic": (
    files.tiff(TWELVE, {281: (3, [4000])}),
    gray(TWELVE / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff float up to 0.6": (files.tiff(FLOAT), gray(FLOAT), None, 1e-6, []),
  "tiff float beyond 1": (
    files.tiff(OVER),
    gray(np.minimum(OVER, 1)),
    None,
    1e-6,
    ["values up to 3 are cut off at 1"],
  ),
  "tiff unsigned 32 bits": (
    files.tiff(GRAY16.astype(np.uint32) * 65537),
    gray(GRAY16 / 65535),
    None,
    1e-5,
    [],
  ),
  "tiff signed 16 bits": (
    files.tiff((GRAY16 >> 1).astype(np.int16)),
    gray((GRAY16 >> 1) / 32767),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit color keeps 16 bits": (files.tiff(RGB16), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color, big-endian": (files.tiff(RGB16, order=">"), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in strips": (files.tiff(RGB16, rows=2), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in planes": (files.tiff(RGB16, planar=True), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in planes and strips, big-endian": (
    files.tiff(RGB16, planar=True, order=">", rows=4),
    RGB16 / 65535,
    None,
    1e-6,
    [],
  ),
  "tiff 8-bit color in planes": (files.tiff(RGB8, planar=True), RGB8 / 255, None, 1e-6, []),
  "tiff 16-bit color and alpha": (
    files.tiff(np.dstack([RGB16, GRAY16 | 1]), {338: (3, [2])}),
    RGB16 / 65535,
    (GRAY16 | 1) / 65535,
    1e-6,
    [],
  ),
  "tiff 16-bit color, linear profile": (
    files.tiff(RGB16, {34675: (7, list(files.LINEAR_RGB))}),
    srgb(RGB16 / 65535),
    None,
    2e-3,
    [],
  ),
  "tiff of colors and a mask": (
    files.tiff(np.dstack([RGB8, RGB8[..., :1]]), {338: (3, [0])}),
    RGB8 / 255,
    None,
    1e-6,
    ["it has 1 more channel beside color and transparency, left out"],
  ),
  "tiff of 16-bit colors and a mask": (
    files.tiff(np.dstack([RGB16, GRAY16]), {338: (3, [0])}),
    RGB16 / 65535,
    None,
    1e-6,
    ["it has 1 more channel beside color and transparency, left out"],
  ),
  "tiff of colors times alpha": (  # TIFF 6.0, section 18: 1 is associated alpha
    files.tiff(
      np.dstack([np.full((H, W, 3), 100), np.full((H, W), 128)]).astype(np.uint8), {338: (3, [1])}
    ),
    np.full((H, W, 3), 100 / 128),
    np.full((H, W), 128 / 255),
    HALF,
    [],
  ),
  "tiff of three pages": (
    files.tiff(RGB8, pages=3),
    RGB8 / 255,
    None,
    1e-6,
    ["several pages, of which the first is taken"],
  ),
}


@pytest.mark.parametrize("name", CASES)
def test_colors_and_alpha(tmp_path, name):
  data, colors, alpha, tolerance, notes = CASES[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  found = read_image(path)
  seen = np.ones((H, W), bool) if alpha is None else np.asarray(alpha) > 0
  np.testing.assert_allclose(found.rgb[seen], colors[seen], atol=tolerance)
  assert (found.alpha is None) == (alpha is None)
  if alpha is not None:
    np.testing.assert_allclose(found.alpha, alpha, atol=1e-6)
  assert len(found.notes) == len(notes)
  for note, words in zip(found.notes, notes, strict=True):
    assert words in note and "\n" not in note


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] is None])
def test_training_sees_the_same_colors(tmp_path, name):
  data, colors, _, tolerance, _ = CASES[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  found = decode_rgb(path)
  np.testing.assert_allclose(found / 255, colors, atol=tolerance + 0.51 / 255)


REFUSED = {
  "tiff of colors in floating point": (files.tiff(np.float32(RGB8) / 255), "a kind that can't be"),
  "tiff of colors of 32 bits": (files.tiff(RGB8.astype(np.uint32)), "a kind that can't be"),
  "dng, a camera's raw file": (files.tiff(RGB8, {50706: (1, [1, 4, 0, 0])}), "camera's raw file"),
  "nef, which starts with a preview": (files.tiff(RGB8, {254: (4, [1])}), "camera's raw file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_out_wrong_is_refused_by_name(tmp_path, name):
  data, words = REFUSED[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  with pytest.raises(InputError) as caught:
    read_image(path)
  assert words in str(caught.value) and "expected an image" in str(caught.value)
  assert "\n" not in str(caught.value)


def smooth(height, width):
  y, x = np.mgrid[:height, :width]
  return np.stack([255 * x / width, 255 * y / height, 0 * x + 90], -1).round().astype(np.uint8)


def saved(array, fmt, **options):
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, fmt, **options)
  return buffer.getvalue()


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@needs_avif
class TestAvif:
  def test_avif_colors_and_alpha(self, tmp_path):
    colors = np.dstack([smooth(32, 48), np.full((32, 48), 200, np.uint8)])
    (tmp_path / "a.avif").write_bytes(saved(colors, "AVIF", quality=95, subsampling="4:4:4"))
    found = read_image(tmp_path / "a.avif")
    np.testing.assert_allclose(found.rgb, colors[..., :3] / 255, atol=6 / 255)
    np.testing.assert_allclose(found.alpha, 200 / 255, atol=2 / 255)

  @pytest.mark.parametrize("orientation", range(1, 9))
  def test_avif_orientation(self, tmp_path, orientation):
    # EXIF 2.3: where row 0 and column 0 of the stored pixels lie in the scene.
    upright = smooth(24, 40)
    turned = {
      1: upright,
      2: upright[:, ::-1],
      3: upright[::-1, ::-1],
      4: upright[::-1],
      5: upright.transpose(1, 0, 2),
      6: np.rot90(upright, 1),
      7: upright[::-1, ::-1].transpose(1, 0, 2),
      8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a.avif"
    path.write_bytes(
      saved(np.ascontiguousarray(turned), "AVIF", quality=95, exif=exif, subsampling="4:4:4")
    )
    np.testing.assert_allclose(read_image(path).rgb, upright / 255, atol=6 / 255)
    assert image_size(path) == (40, 24)

  @pytest.mark.parametrize(
    "codes, want, notes",
    [
      ((12, 13), lambda v: srgb(light(v) @ np.linalg.inv(TO_P3).T), 0),
      ((1, 8), srgb, 0),
      # ITU-R BT.2100 and BT.2408: PQ's light over 203 cd/m² is SDR's; what is above is tone-mapped.
      ((9, 16), lambda v: srgb(light_of_pq(v) / 203 @ np.linalg.inv(TO_2020).T), 1),
    ],
  )
  def test_avif_nclx(self, tmp_path, codes, want, notes):
    colors = np.rint(80 + 0.2 * smooth(32, 48)).astype(np.uint8)
    data = bytearray(saved(colors, "AVIF", quality=100, subsampling="4:4:4"))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = codes[0].to_bytes(2, "big") + codes[1].to_bytes(2, "big")
    (tmp_path / "a.avif").write_bytes(data)
    plain = read_image(tmp_path / "a.avif")
    assert len(plain.notes) == notes
    decoded = np.asarray(Image.open(tmp_path / "a.avif")) / 255  # Pillow leaves nclx aside
    np.testing.assert_allclose(plain.rgb, np.clip(want(decoded), 0, 1), atol=1.5 / 255)

  def test_avif_animation(self, tmp_path):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=200)
    found = read_image(tmp_path / "a.avif")
    assert found.rgb[0, 0, 0] > 0.9
    assert "several frames, of which the first" in found.notes[0]


class TestHeic:
  @pytest.fixture
  def heif(self):
    return pytest.importorskip("pillow_heif", reason="pillow-heif isn't installed")

  def save(self, heif, path, array, **options):
    heif.from_pillow(Image.fromarray(array)).save(path, quality=95, chroma=444, **options)
    return path

  def test_heic_colors(self, heif, tmp_path):
    path = self.save(heif, tmp_path / "a.heic", smooth(64, 80))
    np.testing.assert_allclose(read_image(path).rgb, smooth(64, 80) / 255, atol=8 / 255)
    assert decode_rgb(path).shape == (64, 80, 3)
    assert "HEIF" not in Image.OPEN  # nothing is registered in Pillow

  def test_heic_orientation(self, heif, tmp_path):
    # Cameras write both EXIF's tag and HEIF's own rotation; it must be undone once.
    exif = Image.Exif()
    exif[274] = 6
    image = Image.fromarray(np.ascontiguousarray(np.rot90(smooth(48, 80), 1)))
    buffer = heif.from_pillow(image)
    buffer.save(tmp_path / "a.heic", quality=95, chroma=444, exif=exif.tobytes())
    found = read_image(tmp_path / "a.heic").rgb
    np.testing.assert_allclose(found, smooth(48, 80) / 255, atol=8 / 255)
    assert image_size(tmp_path / "a.heic") == (80, 48)

  def test_heic_profile(self, heif, tmp_path):
    path = tmp_path / "a.heic"
    self.save(heif, path, smooth(64, 80), icc_profile=files.LINEAR_RGB)
    np.testing.assert_allclose(
      read_image(path).rgb[8:, 8:], srgb(smooth(64, 80) / 255)[8:, 8:], atol=16 / 255
    )

  def test_heic_cut(self, heif, tmp_path):
    path = self.save(heif, tmp_path / "a.heic", smooth(64, 80))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="found a damaged image"):
      read_image(path)

  def test_heic_without_the_package(self, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(40))
    with pytest.raises(InputError) as caught:
      read_image(tmp_path / "a.heic")
    said = str(caught.value)
    assert "a.heic: found a HEIC image and no package to decode it (pip install " in said
    assert "heif" in said.split("pip install ")[1]


def test_jpeg_of_several_images_gives_the_first(tmp_path):
  # Telephones append depths, gain maps and previews (CIPA DC-007, "MPO"): no animation.
  images = [Image.fromarray(np.full((32, 40, 3), level, np.uint8)) for level in (200, 20)]
  images[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=images[1:], quality=95)
  found = read_image(tmp_path / "a.jpg")
  np.testing.assert_allclose(found.rgb, 200 / 255, atol=2 / 255)
  assert not found.notes


@pytest.mark.parametrize("fmt", ["JPEG", "WEBP", "TIFF"])
def test_profiles_of_8_bits(tmp_path, fmt):
  colors = np.rint(60 + 0.6 * smooth(48, 64)).astype(np.uint8)
  options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}, "TIFF": {}}
  data = saved(colors, fmt, icc_profile=files.GAMMA_18_RGB, **options[fmt])
  (tmp_path / "a").write_bytes(data)
  found = read_image(tmp_path / "a")
  np.testing.assert_allclose(found.rgb, srgb((colors / 255) ** 1.8), atol=6 / 255)
  assert not found.notes
  (tmp_path / "a").write_bytes(saved(colors, fmt, icc_profile=b"broken", **options[fmt]))
  found = read_image(tmp_path / "a")
  np.testing.assert_allclose(found.rgb, colors / 255, atol=4 / 255)
  assert found.notes == ("its ICC profile can't be read and is ignored",)


def test_tiff_size_of_a_turned_image(tmp_path):
  exif = Image.Exif()
  exif[274] = 6
  (tmp_path / "a.tif").write_bytes(saved(smooth(24, 40), "TIFF", exif=exif))
  assert image_size(tmp_path / "a.tif") == read_image(tmp_path / "a.tif").rgb.shape[1::-1]


@pytest.mark.parametrize("fmt, suffix", [("PPM", "ppm"), ("JPEG2000", "jp2"), ("BMP", "bmp")])
def test_lossless_formats_are_exact(tmp_path, fmt, suffix):
  if fmt == "JPEG2000" and not features.check("jpg_2000"):
    pytest.skip("this Pillow has no JPEG 2000")
  (tmp_path / f"a.{suffix}").write_bytes(saved(smooth(32, 40), fmt))
  np.testing.assert_allclose(read_image(tmp_path / f"a.{suffix}").rgb, smooth(32, 40) / 255)


def test_pgm_of_12_bits(tmp_path):
  # Netpbm's pgm(5): the number after the size is white.
  data = b"P5 9 6 4095\n" + TWELVE.astype(">u2").tobytes()
  (tmp_path / "a.pgm").write_bytes(data)
  np.testing.assert_allclose(read_image(tmp_path / "a.pgm").rgb, gray(TWELVE / 4095), atol=2e-5)


@pytest.mark.parametrize("fmt, options", [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_animations_say_that_the_first_frame_is_taken(tmp_path, fmt, options):
  frames = [Image.new("RGB", (W, H), color) for color in ("red", "blue")]
  path = tmp_path / "a"
  frames[0].save(path, fmt, save_all=True, append_images=frames[1:], **options)
  (note,) = read_image(path).notes
  assert "several frames, of which the first is taken; --sequence takes all" in note
  Image.new("RGB", (W, H)).save(path, fmt, **options)
  assert not read_image(path).notes


def test_frames_have_the_colors_of_their_chunks(tmp_path):
  (tmp_path / "a.png").write_bytes(files.png(RGB8, files.gamma(1.0)))
  ((frame, _),) = read_pages(tmp_path / "a.png")
  np.testing.assert_allclose(frame.rgb, srgb(RGB8 / 255), atol=HALF)


@pytest.mark.parametrize("read", [read_image, decode_rgb], ids=["read_image", "decode_rgb"])
def test_png_with_a_damaged_byte_is_refused(tmp_path, read):
  """PNG, third edition, section 5.3: the CRC of a chunk covers its type and data. Pillow 13.0.0
  doesn't look at those of IDAT, and decodes such files to other colors."""
  data = files.png(RGB8[:1].repeat(40, 0).repeat(40, 1))
  at = data.index(b"IDAT") + 4
  length = int.from_bytes(data[at - 8 : at - 4], "big")
  (tmp_path / "a.png").write_bytes(data)
  read(tmp_path / "a.png")
  for place in range(at, at + length + 4, 3):
    damaged = bytearray(data)
    damaged[place] ^= 1
    (tmp_path / "a.png").write_bytes(damaged)
    with pytest.raises(InputError, match="found a damaged image") as caught:
      read(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def seeds():
  """Every case above, and what Pillow writes with a codec."""
  found = [case[0] for case in CASES.values() if len(case[0]) < 20_000]
  for fmt in ("AVIF", "JPEG2000", "PPM", "TIFF"):
    try:
      found.append(saved(smooth(20, 30), fmt))
    except (KeyError, OSError):  # this Pillow doesn't write it
      continue
  return found


SEEDS = seeds()


@pytest.mark.filterwarnings("error")
# Pillow 13.0 leaves some files that it refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(
  max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
  seed=st.integers(0, len(SEEDS) - 1),
  edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
  kept=st.sampled_from([1, 1, 1, 0.9, 0.5]),
)
def test_damaged_bytes_give_an_image_or_one_line(tmp_path, seed, edits, kept):
  data = bytearray(SEEDS[seed])
  for position, value in edits:
    data[int(position * len(data))] = value
  path = tmp_path / "damaged"
  path.write_bytes(data[: int(len(data) * kept)])
  try:
    image = read_image(path, max_pixels=10**6)
  except InputError as error:
    assert "\n" not in str(error)
  else:
    assert image.rgb.ndim == 3 and np.isfinite(image.rgb).all()
    assert image.rgb.min() >= 0 and image.rgb.max() <= 1
    if image.alpha is not None:
      assert image.alpha.shape == image.rgb.shape[:2] and np.isfinite(image.alpha).all()
