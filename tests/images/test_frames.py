"""A path's reader is chosen by the file's bytes, whatever its name."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, features

from stylejax.errors import InputError
from stylejax.images.frames import Source
from tests.images.video.conftest import film

LEVELS = (40, 90, 160, 220)
LENGTHS = (100, 40, 300, 200)  # milliseconds


def animation(form):
  """Bytes of four gray frames as Pillow writes them."""
  if form == "AVIF" and not features.check("avif"):
    pytest.skip("this Pillow has no AVIF")
  images = [Image.new("RGB", (32, 24), (level,) * 3) for level in LEVELS]
  options = {"AVIF": {"quality": 100}, "WEBP": {"lossless": True}}
  buffer = io.BytesIO()
  images[0].save(
    buffer,
    form,
    save_all=True,
    append_images=images[1:],
    duration=list(LENGTHS),
    **options.get(form, {}),
  )
  return buffer.getvalue()


NAMES = {
  "gif-called-mp4": ("GIF", "movie.mp4"),
  "gif-without-extension": ("GIF", "noext"),
  "gif-called-webp": ("GIF", "anim.webp"),
  "apng-called-mov": ("PNG", "movie.mov"),
  "webp-called-avi": ("WEBP", "movie.avi"),
  "avif-sequence-called-avifs": ("AVIF", "a.avifs"),
  "avif-sequence-without-extension": ("AVIF", "noext"),
}


@pytest.mark.parametrize("form, name", NAMES.values(), ids=NAMES)
def test_animation_is_known_by_its_bytes(tmp_path, form, name):
  (tmp_path / name).write_bytes(animation(form))
  source = Source(tmp_path / name, 25)
  frames = list(source)
  assert source.video is None
  assert [round(float(frame.rgb.mean() * 255)) for frame in frames] == list(LEVELS)
  assert [frame.length for frame in frames] == [Fraction(length, 1000) for length in LENGTHS]
  assert not source.notes


VIDEOS = {"mp4-called-gif": ".gif", "mp4-called-png": ".png", "mp4-without-extension": ""}


@pytest.mark.parametrize("suffix", VIDEOS.values(), ids=VIDEOS)
def test_video_is_known_by_its_bytes(tmp_path, suffix):
  film(tmp_path / "a.mp4", [Fraction(n, 25) for n in range(5)])
  (tmp_path / f"giphy{suffix}").write_bytes((tmp_path / "a.mp4").read_bytes())
  source = Source(tmp_path / f"giphy{suffix}", 25)
  assert source.video is not None
  np.testing.assert_allclose(
    [frame.rgb.mean() * 255 for frame in source], [30 + 3 * n for n in range(5)], atol=1.5
  )


@pytest.mark.parametrize("name, expected", [("a.gif", "an image"), ("a.mp4", "a video")])
def test_what_is_neither_is_called_by_its_name(tmp_path, name, expected):
  (tmp_path / name).write_bytes(b"neither of the two" * 100)
  with pytest.raises(InputError, match=expected):
    list(Source(tmp_path / name, 25))


def test_a_stream_of_jpegs_is_a_video(tmp_path):
  """Such a stream is one JPEG after another."""
  for level in (60, 180):
    Image.new("RGB", (32, 24), (level,) * 3).save(tmp_path / f"{level}.jpg", quality=95)
  stream = b"".join((tmp_path / f"{level}.jpg").read_bytes() for level in (60, 180))
  (tmp_path / "a.mjpeg").write_bytes(stream)
  frames = list(Source(tmp_path / "a.mjpeg", 25))
  np.testing.assert_allclose([frame.rgb.mean() * 255 for frame in frames], [60, 180], atol=2)
