"""Colors under alpha 0: they come from visible pixels and from nowhere else."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylejax.images import alpha as alpha_module
from stylejax.images.alpha import fill_invisible
from stylejax.images.decode import decode_rgb, read_image
from stylejax.images.frames import Source
from tests.images import image_bytes as files


def disk(height, width, radius=0.3):
  y, x = np.mgrid[:height, :width]
  distance = np.hypot(y / height - 0.5, x / width - 0.5)
  return np.float32(distance < radius)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_what_is_stored_under_alpha_0_has_no_influence(height, width, seed):
  rng = np.random.default_rng(seed)
  rgb, alpha = rng.random((height, width, 3), np.float32), rng.random((height, width), np.float32)
  alpha[alpha < 0.6] = 0
  black, white = (np.where(alpha[..., None] > 0, rgb, np.float32(v)) for v in (0, 1))
  filled = fill_invisible(black, alpha)
  np.testing.assert_array_equal(filled, fill_invisible(white, alpha))
  np.testing.assert_array_equal(filled[alpha > 0], rgb[alpha > 0])
  assert filled.dtype == np.float32 and filled.min() >= 0 and filled.max() <= 1


def test_one_color_goes_on_everywhere():
  alpha = disk(37, 50)
  for dtype, color in ((np.float32, (0.2, 0.5, 0.9)), (np.uint8, (20, 130, 250))):
    rgb = np.where(alpha[..., None] > 0, np.array(color), 0).astype(dtype)
    filled = fill_invisible(rgb, alpha)
    assert filled.dtype == dtype
    np.testing.assert_allclose(filled, np.broadcast_to(color, rgb.shape), atol=1e-5)


def test_colors_are_those_of_the_neighbors():
  rgb = np.zeros((32, 64, 3), np.float32)
  rgb[:, :8], rgb[:, -8:] = (1, 0, 0), (0, 0, 1)
  alpha = np.zeros((32, 64), np.float32)
  alpha[:, :8] = alpha[:, -8:] = 1
  filled = fill_invisible(rgb, alpha)
  red = filled[16, :, 0]
  assert red[8] > 0.85 and red[-9] < 0.15
  assert np.abs(np.diff(red)).max() < 0.2  # no new edge
  assert filled[..., 1].max() == 0


def test_strips_do_not_show(monkeypatch):
  rng = np.random.default_rng(0)
  rgb, alpha = rng.integers(0, 256, (61, 33, 3)).astype(np.uint8), disk(61, 33)
  whole = fill_invisible(rgb, alpha)
  monkeypatch.setattr(alpha_module, "_STRIP", 33 * 4)
  assert np.abs(fill_invisible(rgb, alpha).astype(int) - whole).max() <= 1


def test_nothing_visible_is_white_and_nothing_invisible_is_untouched():
  rgb = np.random.default_rng(0).random((9, 7, 3), np.float32)
  np.testing.assert_array_equal(fill_invisible(rgb, np.zeros((9, 7), np.float32)), 1)
  assert fill_invisible(rgb, np.full((9, 7), 0.1, np.float32)) is rgb


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_alpha_is_a_weight(dtype):
  # A nearly invisible neighbor counts a hundredth of a visible one at the same distance.
  full = 255 if dtype == np.uint8 else 1
  rgb = np.array([[[0, 0, 0]], [[7, 7, 7]], [[full] * 3]], dtype).transpose(1, 0, 2)
  filled = fill_invisible(rgb, np.float32([[1, 0, 0.01]]))
  assert filled[0, 1, 0] < 0.6 * full


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_gray_of_few_bits(tmp_path, bits):
  # PNG, third edition, 11.3.1.1: the number in tRNS has as many bits as the pixels.
  numbers = np.arange(16).reshape(2, 8) % 2**bits
  rows = np.packbits((numbers[..., None] >> np.arange(bits)[::-1] & 1).reshape(2, -1), axis=1)
  key = 2**bits - 2
  path = tmp_path / "a.png"
  path.write_bytes(
    files.PNG_SIGNATURE
    + files.chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0))
    + files.chunk(b"tRNS", struct.pack(">H", key))
    + files.chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    + files.chunk(b"IEND", b"")
  )
  actual, visible = read_image(path), numbers != key
  np.testing.assert_array_equal(actual.alpha, visible)
  np.testing.assert_allclose(actual.rgb[visible, 0], numbers[visible] / (2**bits - 1), atol=1e-6)
  assert (decode_rgb(path)[~visible] == 255).all()
  (frame,) = Source(path, 25)
  np.testing.assert_array_equal(frame.alpha, visible)
