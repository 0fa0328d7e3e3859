"""GIF, WebP and APNG together: profiles, damage, pixels and transparency, in and out.

Tests of single formats, folders and times are in files beside this one.
"""

import io
import struct
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stylejax.errors import InputError
from stylejax.images import animation
from stylejax.images.frame import Frame
from stylejax.images.frames import Source, writer
from tests.images.animation_cases import APNG_CASES, GIF_CASES
from tests.images.animation_files import (
  BLUE,
  FORMATS,
  GREEN,
  NONE,
  PALETTE,
  RED,
  FakeSource,
  apng_file,
  as_rgba,
  decoded,
  film,
  gif,
  moving,
  patched,
  read,
  rgba,
  write,
)


def profile_with_gamma_1():
  """sRGB's primaries with a linear curve, as LittleCMS writes it."""
  profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
  count = struct.unpack_from(">I", profile, 128)[0]
  for tag in range(count):
    name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * tag)
    if name in (b"rTRC", b"gTRC", b"bTRC"):
      struct.pack_into(">4sIHHi", profile, offset, b"para", 0, 0, 0, 65_536)  # y = x^1
  return bytes(profile)


@pytest.mark.parametrize("name", ["apng", "webp"])
def test_profiles_of_animations_are_applied(tmp_path, name):
  """Linear 55 of 255 is sRGB 128 (IEC 61966-2-1)."""
  profile, path = profile_with_gamma_1(), tmp_path / f"a.{name.replace('apng', 'png')}"
  images = [Image.new("RGB", (16, 16), (level,) * 3) for level in (55, 255)]
  images[0].save(
    path, save_all=True, append_images=images[1:], duration=50, icc_profile=profile, lossless=True
  )
  _, frames, _ = read(path)
  assert abs(frames[0].rgb * 255 - 128).max() <= 1.5
  assert frames[1].rgb.min() > 0.99


def test_webp_alpha_and_times_as_libwebp_reads_them(tmp_path):
  images = [Image.fromarray(patched(NONE, ((at, at), RED))) for at in range(3)]
  images[0].save(
    tmp_path / "a.webp",
    save_all=True,
    append_images=images[1:],
    lossless=True,
    duration=[70, 30, 2000],
    loop=3,
  )
  source, frames, _ = read(tmp_path / "a.webp")
  np.testing.assert_array_equal([as_rgba(frame) for frame in frames], images)
  assert [frame.length * 1000 for frame in frames] == [70, 30, 2000]
  reader = animation.AnimationReader(tmp_path / "a.webp", Fraction(25), print)
  assert reader.rate == Fraction(1000, 30)
  assert source.plays == 3 and source.has_alpha


def test_webp_turned_by_exif(tmp_path):
  """EXIF orientation 6: row 0 is the right side."""
  exif = Image.Exif()
  exif[0x0112] = 6
  images = [Image.fromarray(patched(color, ((0, 0), RED))) for color in (BLUE, GREEN)]
  images[0].save(
    tmp_path / "a.webp",
    save_all=True,
    append_images=images[1:],
    lossless=True,
    duration=50,
    exif=exif.tobytes(),
  )
  _, frames, _ = read(tmp_path / "a.webp")
  np.testing.assert_array_equal(as_rgba(frames[0]), patched(BLUE, ((2, 0), RED)))


def test_tiff_pages_are_frames_at_the_rate(tmp_path):
  images = [Image.new("RGB", (16, 16), color) for color in PALETTE[:3]]
  images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
  source, frames, _ = read(tmp_path / "a.tif", rate=2)
  assert [frame.length for frame in frames] == [Fraction(1, 2)] * 3 and source.total == 3
  np.testing.assert_array_equal(as_rgba(frames[2])[0, 0], (*BLUE, 255))


def test_jpeg_of_several_images_is_one_frame(tmp_path):
  """A phone's JPEG has a gain map or a small copy as a second image (MPO)."""
  images = [Image.new("RGB", (32, 32), RED), Image.new("RGB", (16, 16), BLUE)]
  images[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=images[1:])
  source, frames, _ = read(tmp_path / "a.jpg")
  assert source.total == len(frames) == 1 and frames[0].rgb.shape == (32, 32, 3)


def damage_seeds():
  """One small animation of each format."""
  images = [Image.fromarray(pixels) for pixels in moving(3, (12, 14))]
  for form in ("GIF", "WEBP", "PNG"):
    file = io.BytesIO()
    images[0].save(file, form, save_all=True, append_images=images[1:], duration=[50, 80, 90])
    yield file.getvalue()
  yield gif((4, 4), GIF_CASES["unspecified after background"][0], loops=3)
  yield apng_file((4, 4), APNG_CASES["hidden default image"][1], hidden=rgba(BLUE))


@given(
  st.integers(0, 4),
  st.floats(0.02, 1),
  st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_damaged_animations_are_refused_in_one_line_or_read(
  tmp_path_factory, seed, fraction, changes
):
  data = bytearray(list(damage_seeds())[seed])
  for position, value in changes:
    data[int(position * len(data))] = value
  path = tmp_path_factory.getbasetemp() / "damaged"
  path.write_bytes(data[: int(len(data) * fraction)])
  try:
    for frame in animation.AnimationReader(path, Fraction(25), print, max_pixels=10**6):
      assert np.isfinite(frame.rgb).all() and frame.length > 0
  except InputError as error:
    assert "\n" not in str(error)


@pytest.mark.parametrize("suffix", [".webp", ".png"])
@pytest.mark.parametrize("alpha", [False, True])
def test_pixels_are_kept_exactly(tmp_path, suffix, alpha):
  frames = [
    Frame(pixels / np.float32(255), Fraction(n, 10), Fraction(1, 10))
    for n, pixels in enumerate(moving())
  ]
  expected = [
    np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1) for pixels in moving()
  ]
  if alpha:
    mask = np.random.default_rng(2).integers(0, 256, (6, *frames[0].rgb.shape[:2]))
    mask[:, :5] = 0
    mask[0] = 255  # a frame in which all is visible has no alpha
    frames = [
      Frame(
        frame.rgb,
        frame.seconds,
        frame.length,
        None if n == 0 else (mask[n] / 255).astype(np.float32),
      )
      for n, frame in enumerate(frames)
    ]
    expected = [
      np.where(mask[n][..., None] > 0, np.concatenate([pixels[..., :3], mask[n][..., None]], -1), 0)
      for n, pixels in enumerate(expected)
    ]
  path = tmp_path / f"a{suffix}"
  write(path, frames, has_alpha=alpha)
  actual = [np.where(frame[..., 3:] > 0, frame, 0) for frame in decoded(path)]
  np.testing.assert_array_equal(actual, expected)
  assert Image.open(path).mode == ("RGBA" if alpha else "RGB")


@pytest.mark.parametrize("suffix", FORMATS)
def test_alpha_that_nobody_announced_is_laid_on_white_and_said(tmp_path, suffix):
  frames = film([1, 1])
  frames[1] = Frame(
    np.zeros((16, 16, 3), np.float32),
    frames[1].seconds,
    frames[1].length,
    np.zeros((16, 16), np.float32),
  )
  notes = write(tmp_path / f"a{suffix}", frames)
  assert len(notes) == 1 and "laid on white" in notes[0]
  assert decoded(tmp_path / f"a{suffix}")[1].min() == 255


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_that_are_all_the_same_stay_a_film(tmp_path, suffix):
  """libwebp 1.6.0's animation encoder makes one image without a duration of them."""
  frame = film([1])[0]
  frames = [Frame(frame.rgb, Fraction(n), Fraction(1)) for n in range(3)]
  write(tmp_path / f"a{suffix}", frames)
  assert sum(frame.length for frame in Source(tmp_path / f"a{suffix}", 25)) == 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_doesnt_grow_with_the_film(tmp_path, suffix):
  """32 frames of 128 × 128 take 1.6 MB; the writer keeps only a few of them."""

  def peak(count):
    frames = (
      Frame(
        np.random.default_rng(n).random((128, 128, 3), np.float32), Fraction(n, 25), Fraction(1, 25)
      )
      for n in range(count)
    )
    source = FakeSource()
    tracemalloc.start()
    with writer(tmp_path / f"a{suffix}", source, (128, 128, 3)) as target:
      for frame in frames:
        target.write(frame)
    actual = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return actual

  assert peak(40) < peak(8) + 0.7e6


@pytest.mark.parametrize("suffix, side", [(".gif", 65_536), (".webp", 16_384)])
def test_too_many_pixels_a_side_are_refused_before_stylizing(tmp_path, suffix, side):
  refused = pytest.raises(InputError, match=f"found {side}×4 pixels, expected at most")
  with refused, writer(tmp_path / f"a{suffix}", FakeSource(), (4, side, 3)):
    pass
  assert list(tmp_path.iterdir()) == []
