"""Image files as people have them, each with the colors that its format's definition gives.

The ids start with the format's name. Files are written byte by byte (image_bytes.py), or by
Pillow and pillow-heif where a codec is needed; the expected values are computed here, from the
definitions.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb, image_size, read_image
from stylejax.images.pages import read_pages
from tests.images import image_bytes as files
from tests.images.color_cases import CASES, HALF, REFUSED, RGB8, TWELVE, H, W
from tests.images.color_math import gray, srgb
from tests.images.pillow_files import encoded, smooth


@pytest.mark.parametrize("name", CASES)
def test_colors_and_alpha(tmp_path, name):
  data, colors, alpha, tolerance, notes = CASES[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  actual = read_image(path)
  visible = np.ones((H, W), bool) if alpha is None else np.asarray(alpha) > 0
  np.testing.assert_allclose(actual.rgb[visible], colors[visible], atol=tolerance)
  assert (actual.alpha is None) == (alpha is None)
  if alpha is not None:
    np.testing.assert_allclose(actual.alpha, alpha, atol=1e-6)
  assert len(actual.notes) == len(notes)
  for note, words in zip(actual.notes, notes, strict=True):
    assert words in note and "\n" not in note


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] is None])
def test_training_sees_the_same_colors(tmp_path, name):
  data, colors, _, tolerance, _ = CASES[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  actual = decode_rgb(path)
  np.testing.assert_allclose(actual / 255, colors, atol=tolerance + 0.51 / 255)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_out_wrong_is_refused_by_name(tmp_path, name):
  data, words = REFUSED[name]
  path = tmp_path / "a"
  path.write_bytes(data)
  with pytest.raises(InputError) as caught:
    read_image(path)
  assert words in str(caught.value) and "expected an image" in str(caught.value)
  assert "\n" not in str(caught.value)


def test_jpeg_of_several_images_gives_the_first(tmp_path):
  # Phones append depth maps, gain maps and previews (CIPA DC-007, "MPO"): this is no animation.
  images = [
    Image.fromarray(np.full((height, 40, 3), level, np.uint8))
    for height, level in ((32, 200), (30, 20))
  ]
  images[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=images[1:], quality=95)
  actual = read_image(tmp_path / "a.jpg")
  np.testing.assert_allclose(actual.rgb, 200 / 255, atol=2 / 255)
  assert not actual.notes


@pytest.mark.parametrize("fmt", ["JPEG", "WEBP", "TIFF"])
def test_profiles_of_8_bits(tmp_path, fmt):
  colors = np.rint(60 + 0.6 * smooth(48, 64)).astype(np.uint8)
  options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}, "TIFF": {}}
  data = encoded(colors, fmt, icc_profile=files.GAMMA_18_RGB, **options[fmt])
  (tmp_path / "a").write_bytes(data)
  actual = read_image(tmp_path / "a")
  np.testing.assert_allclose(actual.rgb, srgb((colors / 255) ** 1.8), atol=6 / 255)
  assert not actual.notes
  (tmp_path / "a").write_bytes(encoded(colors, fmt, icc_profile=b"broken", **options[fmt]))
  actual = read_image(tmp_path / "a")
  np.testing.assert_allclose(actual.rgb, colors / 255, atol=4 / 255)
  assert actual.notes == ("its ICC profile can't be read and is ignored",)


def test_tiff_size_of_a_turned_image(tmp_path):
  exif = Image.Exif()
  exif[274] = 6
  (tmp_path / "a.tif").write_bytes(encoded(smooth(24, 40), "TIFF", exif=exif))
  assert image_size(tmp_path / "a.tif") == read_image(tmp_path / "a.tif").rgb.shape[1::-1]


@pytest.mark.parametrize("fmt, suffix", [("PPM", "ppm"), ("JPEG2000", "jp2"), ("BMP", "bmp")])
def test_lossless_formats_are_exact(tmp_path, fmt, suffix):
  if fmt == "JPEG2000" and not features.check("jpg_2000"):
    pytest.skip("this Pillow has no JPEG 2000")
  (tmp_path / f"a.{suffix}").write_bytes(encoded(smooth(32, 40), fmt))
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
  assert "several frames, of which the first is used; stylejax sequence uses all" in note
  Image.new("RGB", (W, H)).save(path, fmt, **options)
  assert not read_image(path).notes


def test_frames_have_the_colors_of_their_chunks(tmp_path):
  (tmp_path / "a.png").write_bytes(files.png(RGB8, files.gamma(1.0)))
  ((frame, _),) = read_pages(tmp_path / "a.png")
  np.testing.assert_allclose(frame.rgb, srgb(RGB8 / 255), atol=HALF)


@pytest.mark.parametrize("read", [read_image, decode_rgb], ids=["read_image", "decode_rgb"])
def test_png_with_a_damaged_byte_is_refused(tmp_path, read):
  """PNG, third edition, section 5.3: the CRC of a chunk covers its type and data. Pillow 13.0.0
  ignores that of IDAT, and decodes such files to wrong colors."""
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
  actual = [case[0] for case in CASES.values() if len(case[0]) < 20_000]
  for fmt in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"):
    try:
      actual.append(encoded(smooth(20, 30), fmt))
    except (KeyError, OSError):  # this Pillow can't write it
      continue
  return actual


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
  fraction=st.sampled_from([1, 1, 1, 0.9, 0.5]),
)
def test_damaged_bytes_give_an_image_or_one_line(tmp_path, seed, edits, fraction):
  data = bytearray(SEEDS[seed])
  for position, value in edits:
    data[int(position * len(data))] = value
  path = tmp_path / "damaged"
  path.write_bytes(data[: int(len(data) * fraction)])
  try:
    image = read_image(path, max_pixels=10**6)
  except InputError as error:
    assert "\n" not in str(error)
  else:
    assert image.rgb.ndim == 3 and np.isfinite(image.rgb).all()
    assert image.rgb.min() >= 0 and image.rgb.max() <= 1
    if image.alpha is not None:
      assert image.alpha.shape == image.rgb.shape[:2] and np.isfinite(image.alpha).all()
