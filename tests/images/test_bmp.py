"""BMP files with an alpha mask (Microsoft's BITMAPV4HEADER), written byte by byte."""

import struct

import numpy as np
import pytest

from stylejax.images.decode import decode_rgb, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def bmp(alpha):
  """32 bits a pixel, bottom-up; masks of blue, green, red and alpha from the lowest byte on."""
  data = np.dstack([PIXELS[..., ::-1], alpha])[::-1].tobytes()
  masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
  header = struct.pack("<IiiHHIIiiII4I", 108, 9, 6, 1, 32, 3, len(data), 2835, 2835, 0, 0, *masks)
  header += b"BGRs" + bytes(108 - len(header) - 4)
  return struct.pack("<2sIHHI", b"BM", 122 + len(data), 0, 0, 122) + header + data


def test_alpha_mask_that_is_not_used_hides_nothing(tmp_path):
  # Chrome, Edge and Safari show an image as opaque until a pixel's alpha is above 0
  # (BMPImageReader::ProcessNonRLEData in Blink and WebKit); Pillow 13.0 gives alpha 0.
  path = tmp_path / "a.bmp"
  path.write_bytes(bmp(np.zeros((6, 9), np.uint8)))
  found = read_image(path)
  np.testing.assert_allclose(found.rgb, PIXELS / 255, atol=1e-6)
  assert found.alpha is None
  assert found.notes == ("its transparency is complete everywhere and is ignored, as browsers do",)
  np.testing.assert_array_equal(decode_rgb(path), PIXELS)


@pytest.mark.parametrize("visible", [1, 54])
def test_alpha_mask_that_is_used_counts(tmp_path, visible):
  alpha = np.zeros(54, np.uint8)
  alpha[:visible] = 200
  path = tmp_path / "a.bmp"
  path.write_bytes(bmp(alpha.reshape(6, 9)))
  found = read_image(path)
  np.testing.assert_allclose(found.alpha * 255, alpha.reshape(6, 9), atol=1e-4)
  assert not found.notes
