"""One line says what of a file isn't used: the shape of its pixels, a motion photo's video.

Sources: JFIF (ITU-T T.871), PNG's third edition, TIFF 6.0, Android's Motion Photo format 1.0.
"""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from stylejax.images.decode import read_image
from tests.images import image_bytes as files

PIXELS = (np.mgrid[:24, :32].sum(0)[..., None] * np.array([4, 3, 2])).astype(np.uint8)
VIDEO = ("it has a short video besides the image (motion photo), left out",)


def jpeg(units=1, density=(72, 72)):
  buffer = io.BytesIO()
  Image.fromarray(PIXELS).save(buffer, "JPEG", quality=95)
  data = bytearray(buffer.getvalue())
  data[13:18] = struct.pack(">BHH", units, *density)
  return bytes(data)


def phys(across, down, unit):
  return files.png(PIXELS, files.chunk(b"pHYs", struct.pack(">IIB", across, down, unit)))


def dots(across, down):
  buffer = io.BytesIO()
  Image.fromarray(PIXELS).save(buffer, "TIFF", dpi=(across, down))
  return buffer.getvalue()


# name: (bytes, width and height of a pixel, from densities, which are dots per length)
SHAPES = {
  "jpeg of twice as many dots across": (jpeg(0, (2, 1)), "1:2"),
  "jpeg of 72 × 144 dots an inch": (jpeg(1, (72, 144)), "2:1"),
  "jpeg of 72 dots an inch": (jpeg(), None),
  "jpeg without a density": (jpeg(0, (0, 0)), None),
  "jpeg of a density that can't be": (jpeg(1, (1, 300)), None),
  "png of a ratio": (phys(4, 3, 0), "3:4"),
  "png of dots a meter": (phys(2835, 5669, 1), "2:1"),
  "png of dots a meter, rounded": (phys(2834, 2835, 1), None),
  "png of no dots": (phys(0, 0, 0), None),
  "tiff of a fax": (dots(204, 98), "12:25"),
  "tiff of 300 dots an inch": (dots(300, 300), None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_pixels_that_are_not_square_are_said(tmp_path, name):
  data, shape = SHAPES[name]
  (tmp_path / "a").write_bytes(data)
  actual = read_image(tmp_path / "a")
  assert actual.rgb.shape == PIXELS.shape
  assert actual.notes == (
    () if shape is None else (f"its pixels of {shape} are treated as square",)
  )


def box(kind, body):
  return struct.pack(">I4s", 8 + len(body), kind) + body


MP4 = box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + box(b"mdat", bytes(100))


def test_video_behind_a_jpeg_is_said(tmp_path):
  path = tmp_path / "a.jpg"
  path.write_bytes(jpeg() + MP4)
  assert read_image(path).notes == VIDEO
  path.write_bytes(jpeg() + b"MotionPhoto_Data" + MP4 + b"SEFT")  # Samsung's trailer
  assert read_image(path).notes == VIDEO
  path.write_bytes(jpeg() + b"ftyp of nothing")
  assert read_image(path).notes == ()


def test_video_behind_a_jpeg_with_a_gain_map_is_said(tmp_path):
  buffer = io.BytesIO()
  small = Image.fromarray(PIXELS[::2, ::2])
  Image.fromarray(PIXELS).save(buffer, "MPO", save_all=True, append_images=[small])
  (tmp_path / "a.jpg").write_bytes(buffer.getvalue() + MP4)
  assert read_image(tmp_path / "a.jpg").notes == VIDEO


def test_video_in_a_heic_is_said(tmp_path):
  pillow_heif = pytest.importorskip("pillow_heif")
  pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(tmp_path / "a.heic", quality=90)
  assert read_image(tmp_path / "a.heic").notes == ()
  with open(tmp_path / "a.heic", "ab") as file:
    file.write(box(b"mpvd", MP4))
  assert read_image(tmp_path / "a.heic").notes == VIDEO
