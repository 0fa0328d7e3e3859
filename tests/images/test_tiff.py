"""TIFF files of every layout, each with the colors that TIFF 6.0 gives its numbers.

They are written byte by byte (image_bytes.py), or by tifffile where a codec is needed; the expected
values are computed here.
"""

import numpy as np
import pytest

from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb, image_size, read_image
from stylejax.images.pages import read_pages
from tests.images import image_bytes as files

H, W = 6, 9
ORIENTATION = 274
rng = np.random.default_rng(0)
RGB8 = rng.integers(0, 256, (H, W, 3)).astype(np.uint8)
RGB16 = rng.integers(0, 65536, (H, W, 3)).astype(np.uint16)
GRAY16 = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
ALPHA8 = rng.integers(1, 256, (H, W)).astype(np.uint8)


def gray(values):
  return np.repeat(np.asarray(values)[..., None], 3, -1)


def upright(stored, orientation):
  """Undoes the orientation, by TIFF 6.0, page 36: where the stored row 0 and column 0 are."""
  return {
    1: stored,
    2: stored[:, ::-1],
    3: stored[::-1, ::-1],
    4: stored[::-1],
    5: stored.swapaxes(0, 1),
    6: np.rot90(stored, -1),
    7: stored[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(stored, 1),
  }[orientation]


GRAYS = np.repeat(257 * np.arange(256), 3).reshape(256, 3).T.ravel().tolist()
# name: (pixels, tags, planar, colors)
LAYOUTS = {
  "gray 8": (RGB8[..., 0], {}, False, gray(RGB8[..., 0] / 255)),
  "gray 16": (GRAY16, {}, False, gray(GRAY16 / 65535)),
  "gray float": (np.float32(GRAY16 / 65535), {}, False, gray(GRAY16 / 65535)),
  "palette": (RGB8[..., 0], {262: (3, [3]), 320: (3, GRAYS)}, False, gray(RGB8[..., 0] / 255)),
  "color 8": (RGB8, {}, False, RGB8 / 255),
  "color 8 and alpha": (np.dstack([RGB8, ALPHA8]), {338: (3, [2])}, False, RGB8 / 255),
  "color 8 in planes": (RGB8, {}, True, RGB8 / 255),
  "color 16": (RGB16, {}, False, RGB16 / 65535),
  "color 16 in planes": (RGB16, {}, True, RGB16 / 65535),
  "white or black by CMYK": (
    np.dstack([0 * RGB8, (RGB8[..., 0] > 127) * np.uint8(255)]),
    {262: (3, [5])},
    False,
    gray(RGB8[..., 0] <= 127),
  ),
}


@pytest.mark.parametrize("orientation", ["1", "2", "3", "4", "5", "6", "7", "8"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_uncompressed_tiff_is_turned_upright(tmp_path, layout, orientation):
  # Pillow 13.0.0 opens these from a path by mapping the file into memory (ImageFile.load) with
  # `self.size`, whose sides TiffImagePlugin has already swapped: 5 to 8 are scrambled, without an
  # error. findings/pillow_tiff_lying_from_a_path.sh shows it.
  orientation = int(orientation)
  pixels, tags, planar, colors = LAYOUTS[layout]
  path = tmp_path / "a.tif"
  path.write_bytes(files.tiff(pixels, {**tags, ORIENTATION: (3, [orientation])}, planar=planar))
  want = upright(colors, orientation)
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb, want, atol=1 / 255)
  assert image_size(path) == want.shape[1::-1]
  if actual.alpha is None:
    np.testing.assert_allclose(decode_rgb(path) / 255, want, atol=1.01 / 255)


def written(tmp_path, pixels, **options):
  pytest.importorskip("imagecodecs", reason="tifffile compresses with it")
  tifffile = pytest.importorskip("tifffile")
  path = tmp_path / "a.tif"
  tifffile.imwrite(path, pixels, **options)
  return path


SPECKS = rng.integers(0, 65536, (40, 50, 3)).astype(np.uint16)
VEIL = rng.integers(1, 65536, (40, 50)).astype(np.uint16)
PLANAR = {
  "lzw": {"compression": "lzw"},
  "deflate and predictor": {"compression": "zlib", "predictor": True},
  "lzw, big-endian": {"compression": "lzw", "byteorder": ">"},
  "lzw, BigTIFF": {"compression": "lzw", "bigtiff": True},
  "deflate in strips of 7 rows": {"compression": "zlib", "rowsperstrip": 7},
  "deflate in tiles": {"compression": "zlib", "tile": (16, 16)},
  "not compressed": {},
}


@pytest.mark.parametrize("name", PLANAR)
@pytest.mark.parametrize("alpha", ["none", "straight", "premultiplied"])
def test_planes_of_16_bits_keep_their_low_bytes(tmp_path, name, alpha):
  pixels, extra, want = SPECKS, None, SPECKS / 65535
  if alpha != "none":
    straight = alpha == "straight"
    share = VEIL[..., None] / 65535
    colors = SPECKS if straight else np.rint(SPECKS * share).astype(np.uint16)
    pixels = np.dstack([colors, VEIL])
    want = colors / 65535 if straight else np.minimum(colors / 65535 / share, 1)
    extra = ["unassalpha" if straight else "assocalpha"]
  path = written(
    tmp_path,
    pixels.transpose(2, 0, 1),
    photometric="rgb",
    planarconfig="separate",
    extrasamples=extra,
    **PLANAR[name],
  )
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb, want, atol=1e-5)
  assert not actual.notes
  if alpha == "none":
    assert actual.alpha is None
  else:
    np.testing.assert_allclose(actual.alpha, VEIL / 65535, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "lzw"}], ids=str)
def test_premultiplied_colors_of_16_bits_keep_their_low_bytes(tmp_path, options):
  share = VEIL[..., None] / 65535
  colors = np.rint(SPECKS * share).astype(np.uint16)
  path = written(
    tmp_path, np.dstack([colors, VEIL]), photometric="rgb", extrasamples=["assocalpha"], **options
  )
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb, np.minimum(colors / 65535 / share, 1), atol=1e-5)
  np.testing.assert_allclose(actual.alpha, VEIL / 65535, atol=1e-6)


def test_second_page_of_planes(tmp_path):
  tifffile = pytest.importorskip("tifffile")
  path = tmp_path / "a.tif"
  with tifffile.TiffWriter(path) as file:
    for page in (SPECKS, SPECKS[::-1]):
      planes = page.transpose(2, 0, 1)
      file.write(planes, photometric="rgb", planarconfig="separate", compression="zlib")
  for (actual, _), want in zip(read_pages(path), (SPECKS, SPECKS[::-1]), strict=True):
    np.testing.assert_allclose(actual.rgb, want / 65535, atol=1e-6)


def test_signed_gray_of_8_bits(tmp_path):
  """SampleFormat 2 (TIFF 6.0, page 80): -128 to 127, where values below 0 are cut off."""
  numbers = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
  actual = read_image(written(tmp_path, numbers, photometric="minisblack"))
  np.testing.assert_allclose(actual.rgb, gray(np.maximum(numbers, 0) / 127), atol=1e-6)
  assert actual.notes == ("values down to -128 are clipped to 0",)
  actual = read_image(written(tmp_path, np.abs(numbers // 2), photometric="minisblack"))
  np.testing.assert_allclose(actual.rgb, gray(np.abs(numbers // 2) / 127), atol=1e-6)
  assert not actual.notes


def test_bits_that_are_not_read_are_said(tmp_path):
  ink = np.dstack([SPECKS, VEIL])
  actual = read_image(written(tmp_path, ink, photometric="separated"))
  assert actual.notes == ("only the upper 8 of its 16 bits per channel are read",)


# tifffile's options, and TIFF 6.0's name for such pixels.
REFUSED = {
  "12-bit RGB": (SPECKS >> 4, {"photometric": "rgb", "bitspersample": 12}),
  "16-bit floating-point gray": (VEIL.astype(np.float16), {}),
  "64-bit floating-point gray": (VEIL.astype(np.float64), {}),
  "32-bit floating-point RGB": (SPECKS.astype(np.float32), {"photometric": "rgb"}),
  "8-bit CMYK with 1 more channel": (
    np.dstack([SPECKS, VEIL, VEIL]).astype(np.uint8),
    {"photometric": "separated", "extrasamples": ["unassalpha"]},
  ),
  "16-bit RGB in a big-endian BigTIFF": (
    SPECKS,
    {"photometric": "rgb", "bigtiff": True, "byteorder": ">"},
  ),
  "8-bit RGB, compressed by JPEG 2000": (
    SPECKS.astype(np.uint8),
    {"photometric": "rgb", "compression": "jpeg2000"},
  ),
  "8-bit RGB, compressed by JPEG XL": (
    SPECKS.astype(np.uint8),
    {"photometric": "rgb", "compression": "jpegxl"},
  ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_are_not_read_are_named(tmp_path, kind):
  pixels, options = REFUSED[kind]
  with pytest.raises(InputError) as caught:
    read_image(written(tmp_path, pixels, **options))
  assert f"one of a kind that can't be read ({kind})" in str(caught.value)
  assert "\n" not in str(caught.value)


def test_tiff_that_ends_in_its_directory_is_called_damaged(tmp_path):
  (tmp_path / "a.tif").write_bytes(files.tiff(RGB8)[:30])
  with pytest.raises(InputError, match="a damaged TIFF or one of a kind that can't be read,"):
    read_image(tmp_path / "a.tif")
