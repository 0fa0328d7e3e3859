"""ICC profiles of image files: the expected numbers are those of ICC.1 and IEC 61966-2-1."""

import io

import numpy as np
import pytest
from PIL import Image

from stylejax.images.decode import decode_rgb, read_image
from tests.images import image_bytes as files

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def srgb(light):
  """IEC 61966-2-1."""
  power = np.maximum(light, 0) ** (1 / 2.4)
  return np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055)


def gray(values):
  return np.repeat(np.asarray(values)[..., None], 3, -1)


def saved(image, form, **options):
  buffer = io.BytesIO()
  image.save(buffer, form, **options)
  return buffer.getvalue()


GAMMA_30_GRAY = files.profile(b"GRAY", {b"kTRC": files.curve(3.0)})
# name: (bytes, the exponent of the profile)
GRAYS = {
  "png linear": (files.png(LEVELS, files.iccp(files.LINEAR_GRAY)), 1),
  "png of gamma 3": (files.png(LEVELS, files.iccp(GAMMA_30_GRAY)), 3),
  "png linear with alpha": (
    files.png(np.stack([LEVELS, LEVELS | 1], -1), files.iccp(files.LINEAR_GRAY)),
    1,
  ),
  "tiff linear": (saved(Image.fromarray(LEVELS), "TIFF", icc_profile=files.LINEAR_GRAY), 1),
}


@pytest.mark.parametrize("data, exponent", GRAYS.values(), ids=GRAYS)
def test_gray_profile_is_exact_in_the_shadows(tmp_path, data, exponent):
  # LittleCMS 2 at 8 bits is up to 9.7 levels off in a linear gray profile.
  (tmp_path / "a").write_bytes(data)
  found = read_image(tmp_path / "a")
  want = gray(srgb((LEVELS / 255.0) ** exponent))
  np.testing.assert_allclose(found.rgb * 255, want * 255, atol=0.01)
  assert not found.notes
  if found.alpha is None:
    np.testing.assert_allclose(decode_rgb(tmp_path / "a"), want * 255, atol=0.51)


def test_gray_jpeg_with_a_linear_profile(tmp_path):
  levels = LEVELS.repeat(8, 0).repeat(8, 1)
  data = saved(Image.fromarray(levels), "JPEG", quality=100, icc_profile=files.LINEAR_GRAY)
  (tmp_path / "a.jpg").write_bytes(data)
  decoded = np.asarray(Image.open(tmp_path / "a.jpg"))  # without its profile
  np.testing.assert_allclose(
    read_image(tmp_path / "a.jpg").rgb * 255, gray(srgb(decoded / 255)) * 255, atol=0.01
  )


def test_gray_profile_that_is_srgb_changes_nothing(tmp_path):
  points = np.linspace(0, 1, 1024)
  light = np.where(points <= 0.04045, points / 12.92, ((points + 0.055) / 1.055) ** 2.4)
  numbers = np.rint(light * 65535).astype(">u2").tobytes()
  curve = b"curv" + bytes(4) + (1024).to_bytes(4, "big") + numbers
  profile = files.profile(b"GRAY", {b"kTRC": curve})
  (tmp_path / "a.png").write_bytes(files.png(LEVELS, files.iccp(profile)))
  np.testing.assert_array_equal(
    read_image(tmp_path / "a.png", compact=True).rgb, gray(LEVELS).astype(np.uint8)
  )
