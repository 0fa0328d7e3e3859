"""Files with several images, of which one is read and a line says so; and files that are cut.

Sources: CIPA DC-007 (MPO), ITU-T T.81 (JPEG), Netpbm's ppm(5) and the PNG specification.
"""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylejax.images.decode import read_image
from stylejax.images.whole import is_cut, jpeg_end
from tests.images import image_bytes as files

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
SEVERAL = ("it has several images, of which the first is used",)


def saved(pixels, form, **options):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, form, **options)
  return buffer.getvalue()


def mpo(*images):
  first, *others = map(Image.fromarray, images)
  buffer = io.BytesIO()
  first.save(buffer, "MPO", save_all=True, append_images=others, quality=95)
  return buffer.getvalue()


def pnm(magic, pixels, white):
  header = f"{magic}\n32 24\n{white}\n" if magic != "P4" else f"{magic}\n32 24\n"
  return header.encode() + pixels


# Bytes of one image of each kind.
PNMS = {
  "P4": pnm("P4", bytes(4 * 24), 1),
  "P5": pnm("P5", bytes(32 * 24), 255),
  "P5 of 10 bits": pnm("P5", bytes(2 * 32 * 24), 1023),
  "P5 of 16 bits": pnm("P5", bytes(2 * 32 * 24), 65535),
  "P6": pnm("P6", PIXELS.tobytes(), 255),
  "P6 of 4 bits": pnm("P6", (PIXELS >> 4).tobytes(), 15),
  "P6 of 16 bits": pnm("P6", bytes(6 * 32 * 24), 65535),
}


@pytest.mark.parametrize("name", PNMS)
def test_pnm_of_two_images(tmp_path, name):
  for count in (1, 2):
    (tmp_path / "a.pnm").write_bytes(PNMS[name] * count)
    assert read_image(tmp_path / "a.pnm").notes == (SEVERAL if count > 1 else ())
  (tmp_path / "a.pnm").write_bytes(PNMS[name] + b"\n")
  assert read_image(tmp_path / "a.pnm").notes == ()


def test_mpo_of_two_views(tmp_path):
  (tmp_path / "a.jpg").write_bytes(mpo(PIXELS, PIXELS[:, ::-1]))
  assert read_image(tmp_path / "a.jpg").notes == SEVERAL
  (tmp_path / "a.jpg").write_bytes(mpo(PIXELS, PIXELS[::2, ::2]))  # a preview
  assert read_image(tmp_path / "a.jpg").notes == ()


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_with_another_behind_it(tmp_path, progressive):
  data = saved(PIXELS, "JPEG", progressive=progressive, quality=95)
  (tmp_path / "a.jpg").write_bytes(data + data)
  assert read_image(tmp_path / "a.jpg").notes == SEVERAL
  (tmp_path / "a.jpg").write_bytes(data + b"what a telephone adds\xff\xd8\xff")
  assert read_image(tmp_path / "a.jpg").notes == ()


def with_thumbnail(pixels):
  """A JPEG with a whole JPEG in its EXIF block."""
  body = b"Exif\0\0" + saved(pixels[::2, ::2], "JPEG")
  data = saved(pixels, "JPEG", quality=95)
  return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


WHOLE = {
  "jpeg": saved(PIXELS, "JPEG", quality=95),
  "progressive jpeg": saved(PIXELS, "JPEG", progressive=True),
  "jpeg with restart marks": saved(PIXELS, "JPEG", restart_marker_blocks=1),
  "jpeg with a thumbnail": with_thumbnail(PIXELS),
  "png": files.png(PIXELS),
  "webp": saved(PIXELS, "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", WHOLE)
def test_cut_files_are_known_by_their_lengths(tmp_path, name):
  path, data = tmp_path / "a", WHOLE[name]
  path.write_bytes(data)
  assert not is_cut(path)
  path.write_bytes(data + b"behind it")
  assert not is_cut(path)
  for fraction in (0.1, 0.5, 0.9):
    path.write_bytes(data[: int(len(data) * fraction)])
    assert is_cut(path)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), name=st.sampled_from(list(WHOLE)), at=st.floats(0, 1))
def test_any_bytes_are_looked_at_without_an_error(tmp_path_factory, data, name, at):
  whole = WHOLE[name]
  place = int(len(whole) * at)
  path = tmp_path_factory.getbasetemp() / "any"
  path.write_bytes(whole[:place] + data + whole[place:])
  assert is_cut(path) in (True, False)
  jpeg_end(b"\xff\xd8\xff" + data)
