"""TIFF files of every layout: each with the value that TIFF 6.0 gives its numbers.

They are written byte by byte (image_bytes.py), or by tifffile where a codec is needed; the expected
values are computed here.
"""

import numpy as np
import pytest

from stylejax.images.decode import decode_rgb, image_size, read_image
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
  """TIFF 6.0, page 36, undone: where row 0 and column 0 of the stored pixels lie in the scene."""
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
  # `self.size`, which TiffImagePlugin has already exchanged: 5 to 8 come out scrambled, without an
  # error. findings/pillow_tiff_lying_from_a_path.sh shows it.
  orientation = int(orientation)
  pixels, tags, planar, colors = LAYOUTS[layout]
  path = tmp_path / "a.tif"
  path.write_bytes(files.tiff(pixels, {**tags, ORIENTATION: (3, [orientation])}, planar=planar))
  want = upright(colors, orientation)
  found = read_image(path)
  np.testing.assert_allclose(found.rgb, want, atol=1 / 255)
  assert image_size(path) == want.shape[1::-1]
  if found.alpha is None:
    np.testing.assert_allclose(decode_rgb(path) / 255, want, atol=1.01 / 255)
