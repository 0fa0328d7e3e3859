"""BMP files with an alpha mask (Microsoft's BITMAPV4HEADER), written byte by byte."""

import struct

import numpy as np
import pytest

from stylejax.images.decode import decode_rgb, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def bmp(alpha):
  """A BMP of 32 bits a pixel, bottom-up; blue, green, red and alpha from the lowest byte on."""
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
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb, PIXELS / 255, atol=1e-6)
  assert actual.alpha is None
  assert actual.notes == ("it is fully transparent everywhere, which is ignored, as in browsers",)
  np.testing.assert_array_equal(decode_rgb(path), PIXELS)


@pytest.mark.parametrize("visible", [1, 54])
def test_alpha_mask_that_is_used_counts(tmp_path, visible):
  alpha = np.zeros(54, np.uint8)
  alpha[:visible] = 200
  path = tmp_path / "a.bmp"
  path.write_bytes(bmp(alpha.reshape(6, 9)))
  actual = read_image(path)
  np.testing.assert_allclose(actual.alpha * 255, alpha.reshape(6, 9), atol=1e-4)
  assert not actual.notes


@pytest.mark.parametrize("top_down", [False, True])
def test_alpha_bit_of_16_bits_a_pixel_counts(tmp_path, top_down):
  # Masks of 5 bits per color and 1 bit of alpha, rows padded to multiples of 4 bytes; Pillow 13.0
  # reads the colors only.
  visible = np.random.default_rng(1).integers(0, 2, (6, 9))
  five = PIXELS.astype(int) >> 3
  words = visible << 15 | five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]
  rows = np.zeros((6, 10), "<u2")
  rows[:, :9] = words if top_down else words[::-1]
  masks, height = (0x7C00, 0x3E0, 0x1F, 0x8000), -6 if top_down else 6
  header = struct.pack("<IiiHHIIiiII4I", 108, 9, height, 1, 16, 3, 120, 2835, 2835, 0, 0, *masks)
  header += b"BGRs" + bytes(108 - len(header) - 4)
  path = tmp_path / "a.bmp"
  path.write_bytes(struct.pack("<2sIHHI", b"BM", 242, 0, 0, 122) + header + rows.tobytes())
  actual = read_image(path)
  np.testing.assert_array_equal(actual.alpha, visible)
  shown = visible.astype(bool)
  np.testing.assert_allclose(actual.rgb[shown], five[shown] / 31, atol=1 / 255)
