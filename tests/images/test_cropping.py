"""Files that ask for their edges to be cut off: the pixels in between remain, and a line says so.

Boxes and elements follow the definitions: ISO/IEC 14496-12 (clap) and 23008-12 (AVIF's
properties); RFC 9559 (Matroska's PixelCrop).
"""

import io
import struct

import av
import numpy as np
import pytest
from PIL import Image, features

from stylejax.images import frames
from stylejax.images.decode import decode_rgb, image_size, read_image

W, H = 128, 64
LEFT, TOP, RIGHT, BOTTOM = 16, 8, 32, 4
Y, X = np.mgrid[:H, :W]
PIXELS = np.stack([2 * X, 3 * Y, 90 + 0 * X], -1).astype(np.uint8)
MIDDLE = PIXELS[TOP : H - BOTTOM, LEFT : W - RIGHT]


def clap():
  """A box with width, height and the offset between the centers, each a fraction."""
  numbers = (W - LEFT - RIGHT, 1, H - TOP - BOTTOM, 1, LEFT - RIGHT, 2, TOP - BOTTOM, 2)
  return struct.pack(">I4sIIIIiIiI", 40, b"clap", *numbers)


def insert(data, path, new):
  """Appends a box to the box at a path, and lengthens the boxes around it."""
  data = bytearray(data)

  def walk(at, end, names):
    while at < end:
      length, kind = struct.unpack_from(">I4s", data, at)
      if kind == names[0]:
        struct.pack_into(">I", data, at, length + len(new))
        if len(names) == 1:
          return at + length
        skipped = {b"stsd": 8, b"meta": 4}.get(kind, 0)
        return walk(at + 8 + skipped, at + length, names[1:])
      at += length
    raise AssertionError(names)

  place = walk(0, len(data), path)
  return bytes(data[:place]) + new + bytes(data[place:])


def write_film(path, codec, options):
  with av.open(str(path), "w") as file:
    stream = file.add_stream(codec, rate=10, options=options)
    stream.width, stream.height, stream.pix_fmt = W, H, "yuv444p" if codec == "libx264" else "bgr0"
    for number in range(3):
      frame = av.VideoFrame.from_ndarray(PIXELS, format="rgb24")
      frame.pts = number
      file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def check(source, path, tolerance):
  actual = list(source)
  assert len(actual) == 3
  np.testing.assert_allclose(actual[0].rgb * 255, MIDDLE, atol=tolerance)
  (note,) = [note for note in source.notes if "are cropped" in note]
  assert note == f"128×64 pixels are cropped to 80×52, as {path.name} asks"


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_clean_aperture_of_a_film(tmp_path, name):
  path = tmp_path / name
  write_film(path, "libx264", {"crf": "1"})
  data = path.read_bytes()
  assert data.index(b"moov") > data.index(b"mdat")  # the inserted box moves no pixels
  path.write_bytes(
    insert(data, [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"], clap())
  )
  check(frames.Source(path, 25), path, 4)


def matroska_element(identifier, value):
  return bytes.fromhex(identifier) + b"\x81" + bytes([value])


def test_pixel_crop_of_matroska(tmp_path):
  """RFC 9559, 5.1.4.1.28: pixels to take away at each side of the stored frame."""
  path = tmp_path / "a.mkv"
  write_film(path, "ffv1", {})
  data = path.read_bytes()
  crop = b"".join(
    matroska_element(identifier, value)
    for identifier, value in (("54cc", LEFT), ("54bb", TOP), ("54dd", RIGHT), ("54aa", BOTTOM))
  )
  path.write_bytes(with_video_elements(data, crop))
  check(frames.Source(path, 25), path, 0.6)


def with_video_elements(data, new):
  """A Matroska with more elements in its track's Video; outer sizes grow, checksums are removed."""

  def size_at(at):
    width = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1, width

  def element(identifier, start, end):
    """(first byte, body, end) of the element with this identifier."""
    at = start
    while at < end:
      width = 9 - data[at].bit_length()
      size, length = size_at(at + width)
      body = at + width + length
      if data[at : at + width] == bytes.fromhex(identifier):
        return at, body, min(body + size, len(data))
      at = body + size
    raise AssertionError(identifier)

  segment = element("18538067", 0, len(data))
  tracks = element("1654ae6b", *segment[1:])
  track = element("ae", *tracks[1:])
  video = element("e0", *track[1:])

  def master(identifier, body):
    return bytes.fromhex(identifier) + (1 << 28 | len(body)).to_bytes(4, "big") + body

  video_bytes = master("e0", data[video[1] : video[2]] + new)
  track_bytes = master("ae", data[track[1] : video[0]] + video_bytes + data[video[2] : track[2]])
  inside = data[tracks[1] : track[0]] + track_bytes + data[track[2] : tracks[2]]
  if inside[0] == 0xBF:  # the checksum of what has changed
    inside = inside[6:]
  body = data[segment[1] : tracks[0]] + master("1654ae6b", inside) + data[tracks[2] : segment[2]]
  return (
    data[: segment[0]] + bytes.fromhex("18538067") + (1 << 56 | len(body)).to_bytes(8, "big") + body
  )


def avif(**options):
  buffer = io.BytesIO()
  Image.fromarray(PIXELS).save(buffer, "AVIF", quality=100, subsampling="4:4:4", **options)
  return buffer.getvalue()


def with_property(data, box):
  """An AVIF whose only image has one more property."""
  at = data.index(b"ipco") - 4
  length = struct.unpack_from(">I", data, at)[0]
  kinds, place = 0, at + 8
  while place < at + length:
    place += struct.unpack_from(">I", data, place)[0]
    kinds += 1
  before = len(data)
  data = insert(data, [b"meta", b"iprp", b"ipco"], box)
  ipma = data.index(b"ipma") - 4
  count = ipma + 8 + 4 + 4 + 2  # version and flags, how many items, its number
  data = bytearray(data)
  data[count] += 1
  data = insert(bytes(data), [b"meta", b"iprp", b"ipma"], bytes([0x80 | kinds + 1]))
  # The pixels follow, so their offset, four bytes in the only extent of `iloc`, moves too.
  iloc = data.index(b"iloc") - 4
  old = before - (len(data[data.index(b"mdat") + 4 :]))
  offset = struct.pack(">I", old)
  actual = data.index(offset, iloc)
  return data[:actual] + struct.pack(">I", old + len(data) - before) + data[actual + 4 :]


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@needs_avif
@pytest.mark.parametrize("orientation", [1, 6])
def test_clean_aperture_of_avif(tmp_path, orientation):
  exif = Image.Exif()
  exif[274] = orientation
  path = tmp_path / "a.avif"
  path.write_bytes(with_property(avif(**({} if orientation == 1 else {"exif": exif})), clap()))
  want = MIDDLE if orientation == 1 else np.rot90(MIDDLE, -1)
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb * 255, want, atol=4)
  assert actual.notes == ("its 128×64 pixels are cropped to 80×52, as the file asks",)
  assert decode_rgb(path).shape == want.shape and image_size(path) == want.shape[1::-1]


@needs_avif
def test_shape_of_pixels_of_avif(tmp_path):
  path = tmp_path / "a.avif"
  path.write_bytes(with_property(avif(), struct.pack(">I4sII", 16, b"pasp", 2, 1)))
  actual = read_image(path)
  np.testing.assert_allclose(actual.rgb * 255, PIXELS, atol=4)
  assert actual.notes == ("its pixels of 2:1 are treated as square",)
