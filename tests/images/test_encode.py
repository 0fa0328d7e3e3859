"""Scaling and writing images, and files that are whole or not there."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.runtime import files


def noise(height, width, channels=3, seed=0):
  return np.random.default_rng(seed).random((height, width, channels), np.float32)


class TestWrite:
  def test_png_rounds_to_the_nearest_level(self, tmp_path):
    levels = np.arange(256, dtype=np.float32).reshape(16, 16, 1).repeat(3, -1)
    path = encode.write_image(tmp_path / "a.png", (levels + 0.4) / 255)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), levels)

  def test_values_outside_are_cut_off(self, tmp_path):
    rgb = np.array([[[-0.5, 0.5, 1.5]]], np.float32)
    path = encode.write_image(tmp_path / "a.png", rgb)
    assert Image.open(path).getpixel((0, 0)) == (0, 128, 255)

  @pytest.mark.parametrize("name", ["a.png", "a.webp"])
  def test_alpha_and_the_colors_under_it_are_kept(self, tmp_path, name):
    rgb, alpha = noise(9, 7), np.zeros((9, 7), np.float32)
    alpha[2:5] = 1
    path = encode.write_image(tmp_path / name, rgb, alpha=alpha, quality=100)
    actual = np.asarray(Image.open(path))
    np.testing.assert_array_equal(actual[..., 3], alpha * 255)
    np.testing.assert_array_equal(actual[..., :3], np.rint(rgb * 255))

  def test_jpeg_lies_on_white(self, tmp_path):
    rgb = np.zeros((32, 32, 3), np.float32)
    path = encode.write_image(tmp_path / "a.jpg", rgb, alpha=np.full((32, 32), 0.25, np.float32))
    np.testing.assert_allclose(np.asarray(Image.open(path)), 191, atol=2)

  def test_quality_changes_the_bytes(self, tmp_path):
    for name in ("a.jpg", "a.webp"):
      sizes = [
        encode.write_image(tmp_path / name, noise(64, 64), quality=q).stat().st_size
        for q in (20, 90)
      ]
      assert sizes[0] < sizes[1]

  @pytest.mark.parametrize("value", [np.nan, np.inf])
  def test_nan_is_refused(self, tmp_path, value):
    rgb = noise(4, 4)
    rgb[1, 2, 0] = value
    with pytest.raises(InputError, match="a.png: found NaN or infinity in the image"):
      encode.write_image(tmp_path / "a.png", rgb)
    assert os.listdir(tmp_path) == []

  def test_formats_have_limits(self, tmp_path):
    rgb = np.zeros((1, 16_384, 3), np.float32)
    with pytest.raises(InputError, match="a.webp: found 16384×1 pixels, expected at most 16383"):
      encode.write_image(tmp_path / "a.webp", rgb)
    assert encode.write_image(tmp_path / "a.png", rgb).exists()

  def test_unknown_extension(self, tmp_path):
    with pytest.raises(InputError, match="found extension '.gif', expected .jpg, .jpeg, .png"):
      encode.write_image(tmp_path / "a.gif", noise(2, 2))


class TestReplacing:
  @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
  def test_an_interrupted_write_leaves_the_old_file(self, tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as temporary:
      temporary.write_text("half")
      assert temporary.parent == tmp_path
      raise error
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text() == "old"

  def test_a_link_stays_a_link(self, tmp_path):
    (tmp_path / "link").symlink_to("target")
    with files.replacing(tmp_path / "link") as temporary:
      temporary.write_text("new")
    assert os.readlink(tmp_path / "link") == "target"
    assert (tmp_path / "target").read_text() == "new"

  def test_printable_is_one_line(self):
    assert files.printable("a\nb\x1b[1m\udcff ü") == "a\\nb\\x1b[1m\\udcff ü"


class TestResize:
  @given(st.integers(16, 3000), st.integers(16, 3000), st.integers(16, 3000))
  def test_shorter_side(self, height, width, shorter):
    actual = encode.fit_shorter_side(height, width, shorter)
    assert min(actual) == shorter
    assert abs(actual[0] * width - actual[1] * height) <= 0.5 * max(height, width) + 1e-6

  def test_a_constant_stays_constant_and_ramps_stay_ramps(self):
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(64, 0).repeat(3, 2)
    small = encode.resize(DecodedImage(ramp, None, "RGB"), 16, 16).rgb
    assert small.dtype == np.float32
    # Each pixel of the small image is centerd on four of the large one.
    expected = ramp[0].reshape(16, 4, 3).mean(1)
    np.testing.assert_allclose(small[5, 2:-2], expected[2:-2], atol=1e-3)

  def test_hidden_colors_do_not_bleed(self):
    rgb = np.zeros((32, 32, 3), np.float32)
    rgb[:, 16:] = (1, 0, 0)
    rgb[:, :16] = (0, 1, 0)
    alpha = np.zeros((32, 32), np.float32)
    alpha[:, 16:] = 1
    small = encode.resize(DecodedImage(rgb, alpha, "RGBA"), 11, 11)
    visible = small.alpha > 0.02
    np.testing.assert_allclose(
      small.rgb[visible], np.broadcast_to((1, 0, 0), (visible.sum(), 3)), atol=0.02
    )

  def test_the_same_size_is_the_same_object(self):
    image = DecodedImage(noise(20, 30), None, "RGB")
    assert encode.resize(image, 20, 30) is image


class TestStylePixels:
  @settings(deadline=None, max_examples=40)
  @given(st.integers(16, 400), st.integers(16, 400), st.integers(16, 128))
  def test_sizes(self, height, width, shorter):
    actual = encode.style_pixels(
      DecodedImage(np.full((height, width, 3), 0.3, np.float32), None, ""), shorter
    )
    assert actual.dtype == np.float32
    assert min(actual.shape[:2]) == shorter
    assert max(actual.shape[:2]) <= 4 * shorter
    assert max(actual.shape[:2]) == shorter or max(actual.shape[:2]) % 32 == 0
    np.testing.assert_allclose(actual, 0.3, atol=1e-6)

  def test_right_size_is_untouched(self):
    rgb = noise(64, 96)
    np.testing.assert_array_equal(encode.style_pixels(DecodedImage(rgb, None, ""), 64), rgb)

  def test_the_middle_is_kept(self):
    rgb = noise(64, 75)
    np.testing.assert_array_equal(
      encode.style_pixels(DecodedImage(rgb, None, ""), 64), rgb[:, 5:69]
    )

  def test_transparency_adds_no_color(self):
    image = DecodedImage(
      np.full((32, 32, 3), 0.3, np.float32), np.eye(32, dtype=np.float32), "RGBA"
    )
    np.testing.assert_allclose(encode.style_pixels(image, 32), 0.3)
