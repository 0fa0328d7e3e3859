"""GIF, WebP, APNG and folders of frames: pixels, times, transparency, in and out.

Expected values come from the formats' definitions (GIF89a; the APNG part of the PNG specification,
third edition; the WebP container specification) and from two other decoders: FFmpeg through PyAV
for GIF and APNG, libwebp through Pillow for WebP.
"""

import io
import struct
import tracemalloc
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import GifImagePlugin, Image, ImageCms

from stylejax.errors import InputError
from stylejax.images import animation, apng, decode, encode, ffconcat, timing
from stylejax.images.frame import Frame
from stylejax.images.frames import Source, writer

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE = (RED, GREEN, BLUE, WHITE)
NONE = (0, 0, 0, 0)
FORMATS = (".gif", ".webp", ".png")


# --- files made by hand ---------------------------------------------------------------------------


def gif_codes(numbers):
  """The pixels' codes, as Pillow's encoder makes them for a still image."""
  image = Image.frombytes("P", numbers.shape[::-1], numbers.tobytes())
  data = b"".join(GifImagePlugin.getdata(image))
  return data[data.index(b",") + 10 :]


def gif(size, images, *, palette=PALETTE, background=3, loops=None, end=b";"):
  """A GIF of (left, top, numbers, hundredths, disposal, transparent or None)."""
  table = np.array(palette, np.uint8).tobytes()
  out = [
    b"GIF89a",
    struct.pack("<HHBBB", *size, 0x80 | (len(palette).bit_length() - 2), background, 0),
    table,
  ]
  if loops is not None:
    out.append(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loops, 0))
  for left, top, numbers, hundredths, disposal, transparent in images:
    flags = disposal << 2 | (transparent is not None)
    out.append(b"!\xf9\x04" + struct.pack("<BHBB", flags, hundredths, transparent or 0, 0))
    out.append(b"," + struct.pack("<HHHHB", left, top, *numbers.shape[::-1], 0))
    out.append(gif_codes(numbers))
  return b"".join(out) + end


def png_chunk(kind, body):
  return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_rows(pixels):
  """A PNG's compressed pixels, each row without a filter."""
  if pixels.dtype == np.uint16:
    pixels = pixels.astype(">u2")
  return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def apng_file(size, frames, *, color=6, depth=8, plays=0, hidden=None, extra=b""):
  """An APNG of (left, top, pixels, (delay, parts), dispose, blend)."""
  out = [
    b"\x89PNG\r\n\x1a\n",
    png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)),
    extra,
    png_chunk(b"acTL", struct.pack(">II", len(frames), plays)),
  ]
  if hidden is not None:
    out.append(png_chunk(b"IDAT", png_rows(hidden)))
  number = 0
  for left, top, pixels, delay, dispose, blend in frames:
    height, width = pixels.shape[:2]
    out.append(
      png_chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, left, top, *delay, dispose, blend)
      )
    )
    number += 1
    if number == 1 and hidden is None:
      out.append(png_chunk(b"IDAT", png_rows(pixels)))
    else:
      out.append(png_chunk(b"fdAT", struct.pack(">I", number) + png_rows(pixels)))
      number += 1
  return b"".join(out) + png_chunk(b"IEND", b"")


def plain(value, side=4):
  return np.full((side, side), value, np.uint8)


def rgba(color, side=4):
  return np.full((side, side, 4), (*color, 255)[:4] if len(color) == 3 else color, np.uint8)


def patched(base, *patches):
  """[4, 4, 4] of one color with 2×2 squares of others at (left, top)."""
  image = rgba(base)
  for (left, top), color in patches:
    image[top : top + 2, left : left + 2] = rgba(color, 2)
  return image


def read(path, rate=25):
  notes = []
  source = Source(path, rate, on_note=notes.append)
  return source, list(source), notes


def as_rgba(frame):
  """[H, W, 4] uint8, the color of invisible pixels 0."""
  alpha = np.ones(frame.rgb.shape[:2]) if frame.alpha is None else frame.alpha
  pixels = np.concatenate([frame.rgb, alpha[..., None]], -1)
  return np.where(alpha[..., None] > 0, np.rint(pixels * 255), 0).astype(np.uint8)


def by_ffmpeg(path):
  with av.open(str(path)) as file:
    found = [frame.to_ndarray(format="rgba") for frame in file.decode(video=0)]
  return [np.where(frame[..., 3:] > 0, frame, 0) for frame in found]


# --- reading: what is drawn -----------------------------------------------------------------------

SMALL = plain(1, 2)
HIDDEN_MIDDLE = plain(1)
HIDDEN_MIDDLE[1:3, 1:3] = 3  # which the control calls transparent

GIF_CASES = {
  # (images, expected frames, whether FFmpeg agrees: it clears to the background color)
  "no disposal keeps": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 0, None), (2, 2, SMALL, 10, 0, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), GREEN), ((2, 2), GREEN))],
    True,
  ),
  "background becomes invisible": (
    [(0, 0, plain(0), 10, 1, 3), (0, 0, SMALL, 10, 2, 3), (2, 2, SMALL, 10, 1, 3)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
    True,
  ),
  "background without a transparent color": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 2, None), (2, 2, SMALL, 10, 1, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
    False,
  ),
  # Pillow 13.0.0 (GifImagePlugin._seek) keeps disposal 2 of the frame before: "seems to prevent the
  # last frame from looking odd". GIF89a, 23.c.iv: 0 means that no action is required.
  "unspecified after background": (
    [
      (0, 0, plain(0), 10, 1, 3),
      (0, 0, SMALL, 10, 2, 3),
      (2, 2, SMALL, 10, 0, 3),
      (2, 0, SMALL, 10, 0, 3),
    ],
    [
      patched(RED),
      patched(RED, ((0, 0), GREEN)),
      patched(RED, ((0, 0), NONE), ((2, 2), GREEN)),
      patched(RED, ((0, 0), NONE), ((2, 2), GREEN), ((2, 0), GREEN)),
    ],
    True,
  ),
  "previous is restored": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 3, None), (2, 2, SMALL, 10, 1, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((2, 2), GREEN))],
    True,
  ),
  # GIF89a, section 23: what was there before comes back; before the first frame nothing was.
  "previous of the first is nothing": (
    [(0, 0, plain(0), 10, 3, 3), (2, 2, SMALL, 10, 1, 3)],
    [patched(RED), patched(NONE, ((2, 2), GREEN))],
    True,
  ),
  # Pillow 13.0.0 fills the rest with the palette's first color.
  "small first frame": (
    [(1, 1, SMALL, 10, 1, None), (2, 2, plain(2, 2), 10, 1, None)],
    [patched(NONE, ((1, 1), GREEN)), patched(NONE, ((1, 1), GREEN), ((2, 2), BLUE))],
    False,
  ),
  "transparent pixels show what is below": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, HIDDEN_MIDDLE, 10, 1, 3)],
    [patched(RED), patched(GREEN, ((1, 1), RED))],
    True,
  ),
}


@pytest.mark.parametrize("case", GIF_CASES)
def test_gif_frames_are_put_together(tmp_path, case):
  images, expected, same_in_ffmpeg = GIF_CASES[case]
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), images))
  source, frames, notes = read(path)
  np.testing.assert_array_equal([as_rgba(frame) for frame in frames], expected)
  if same_in_ffmpeg:
    np.testing.assert_array_equal(by_ffmpeg(path), expected)
  assert notes == [] and source.total == len(images)
  assert source.has_alpha or all(frame.alpha is None for frame in frames)


def test_gif_still_that_does_not_fill_its_screen(tmp_path):
  """As of animations: what the one image leaves free is invisible (also in browsers)."""
  path = tmp_path / "a.gif"
  for transparent, middle in ((None, GREEN), (1, NONE)):
    path.write_bytes(gif((4, 4), [(1, 1, SMALL, 10, 0, transparent)]))
    found = decode.read_image(path)
    np.testing.assert_array_equal(as_rgba(found), patched(NONE, ((1, 1), middle)))
    np.testing.assert_array_equal(as_rgba(read(path)[1][0]), as_rgba(found))


def test_gif_interlaced_and_with_palettes_of_its_frames(tmp_path):
  """Of ImageMagick's kind: each frame has its own table; Pillow writes interlaced rows."""
  rng = np.random.default_rng(0)
  pixels = [rng.integers(0, 256, (32, 24, 3)).astype(np.uint8) for _ in range(3)]
  images = [Image.fromarray(frame).quantize(200) for frame in pixels]
  images[0].save(
    tmp_path / "a.gif", save_all=True, append_images=images[1:], interlace=1, optimize=False
  )
  images[2].save(tmp_path / "still.gif", interlace=1)
  _, frames, _ = read(tmp_path / "a.gif")
  expected = [np.asarray(image.convert("RGBA")) for image in images]
  np.testing.assert_array_equal([as_rgba(frame) for frame in frames], expected)
  np.testing.assert_array_equal(as_rgba(read(tmp_path / "still.gif")[1][0]), expected[2])


def test_gif_beyond_its_edge_is_cut_off_and_said(tmp_path):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(0), 10, 1, None), (3, 3, SMALL, 10, 1, None)]))
  _, frames, notes = read(path)
  expected = patched(RED)
  expected[3, 3] = (*GREEN, 255)
  np.testing.assert_array_equal(as_rgba(frames[1]), expected)
  assert len(notes) == 1 and "frame 2 reaches beyond the edge of 4×4" in notes[0]


def test_gif_that_goes_on_with_something_else_is_said(tmp_path):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2, end=b"\x07rubbish"))
  _, frames, notes = read(path)
  assert len(frames) == 2 and len(notes) == 1 and "the byte 7 after frame 2" in notes[0]


@pytest.mark.parametrize("kept", [5, 12, 20, 30, 45, 60])
def test_gif_cut_is_refused(tmp_path, kept):
  path, whole = tmp_path / "a.gif", gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2)
  path.write_bytes(whole[:kept])
  with pytest.raises(InputError, match=r"a.gif: found a damaged|not an image|not an image"):
    read(path)


def test_gif_bomb_in_a_later_frame_is_refused(tmp_path):
  """A frame's own size, 2,000 × 2,000, is written over that of the second of two small frames."""
  content = bytearray(gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2))
  second = content.rindex(b",\0\0\0\0\x04\0\x04\0")
  content[second + 5 : second + 9] = (2000).to_bytes(2, "little") * 2
  (tmp_path / "a.gif").write_bytes(content)
  with pytest.raises(InputError, match="found 2000×2000 pixels"):
    list(animation.AnimationReader(tmp_path / "a.gif", Fraction(25), print, max_pixels=10**6))


HALF = np.array((0, 0, 255, 128), np.uint8)
APNG_CASES = {
  "source replaces": (
    {},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, rgba(NONE, 2), (1, 10), 0, 0)],
    [patched(RED), patched(RED, ((0, 0), NONE))],
  ),
  "over blends": (
    {},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, np.broadcast_to(HALF, (2, 2, 4)), (1, 10), 0, 1)],
    # 128/255 of blue over red.
    [patched(RED), patched(RED, ((0, 0), (127, 0, 128)))],
  ),
  "background becomes invisible": (
    {},
    [
      (0, 0, rgba(RED), (1, 10), 0, 0),
      (0, 0, rgba(GREEN, 2), (1, 10), 1, 0),
      (2, 2, rgba(GREEN, 2), (1, 10), 0, 0),
    ],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
  ),
  "previous is restored": (
    {},
    [
      (0, 0, rgba(RED), (1, 10), 0, 0),
      (0, 0, rgba(GREEN, 2), (1, 10), 2, 0),
      (2, 2, rgba(GREEN, 2), (1, 10), 0, 0),
    ],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((2, 2), GREEN))],
  ),
  # An IDAT before the first fcTL is no frame; Pillow 13.0.0 gives it as frame 0.
  "hidden default image": (
    {"hidden": rgba(BLUE)},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, rgba(GREEN, 2), (1, 10), 0, 0)],
    [patched(RED), patched(RED, ((0, 0), GREEN))],
  ),
  # ... and what the first frame leaves free is invisible; Pillow shows the default image there.
  "hidden default image and a small first frame": (
    {"hidden": rgba(BLUE)},
    [(1, 1, rgba(RED, 2), (1, 10), 0, 1), (0, 0, rgba(GREEN, 2), (1, 10), 0, 0)],
    [patched(NONE, ((1, 1), RED)), patched(NONE, ((1, 1), RED), ((0, 0), GREEN))],
  ),
}


@pytest.mark.parametrize("case", APNG_CASES)
def test_apng_frames_are_put_together(tmp_path, case):
  settings, frames, expected = APNG_CASES[case]
  path = tmp_path / "a.png"
  path.write_bytes(apng_file((4, 4), frames, **settings))
  source, found, notes = read(path)
  np.testing.assert_allclose([as_rgba(frame) for frame in found], expected, atol=1)
  if "small" not in case:  # FFmpeg 8 asks for patches here
    np.testing.assert_allclose(np.array(by_ffmpeg(path), int), np.array(expected, int), atol=1)
  assert notes == [] and source.total == len(frames)


def test_apng_without_alpha_clears_to_nothing(tmp_path):
  """The specification clears to "fully transparent black" whatever the color type; Pillow 13.0.0
  and FFmpeg 8 leave opaque black in RGB files."""
  path = tmp_path / "a.png"
  path.write_bytes(
    apng_file(
      (4, 4),
      [
        (0, 0, rgba(RED)[..., :3], (1, 10), 0, 0),
        (0, 0, rgba(GREEN, 2)[..., :3], (1, 10), 1, 0),
        (2, 2, rgba(GREEN, 2)[..., :3], (1, 10), 0, 0),
      ],
      color=2,
    )
  )
  source, frames, _ = read(path)
  np.testing.assert_array_equal(as_rgba(frames[2]), patched(RED, ((0, 0), NONE), ((2, 2), GREEN)))
  assert source.has_alpha


def test_apng_palette_with_transparency(tmp_path):
  """Pillow 13.0.0 clears to the palette's first color here."""
  extra = png_chunk(b"PLTE", bytes((*RED, *GREEN, *BLUE))) + png_chunk(b"tRNS", b"\xff\xff\0")
  path = tmp_path / "a.png"
  path.write_bytes(
    apng_file(
      (4, 4),
      [
        (0, 0, plain(0), (1, 10), 0, 0),
        (0, 0, plain(1, 2), (1, 10), 1, 0),
        (2, 2, plain(2, 2), (1, 10), 0, 0),
      ],
      color=3,
      extra=extra,
    )
  )
  _, frames, _ = read(path)
  np.testing.assert_array_equal(as_rgba(frames[1]), patched(RED, ((0, 0), GREEN)))
  np.testing.assert_array_equal(as_rgba(frames[2]), patched(RED, ((0, 0), NONE), ((2, 2), NONE)))


def test_apng_of_16_bits_keeps_gray_levels(tmp_path):
  """300 / 65,535 is 1.17 levels of 8 bits."""
  frames = [(0, 0, np.full((4, 4), value, np.uint16), (1, 10), 0, 0) for value in (300, 40_000)]
  path = tmp_path / "a.png"
  path.write_bytes(apng_file((4, 4), frames, color=0, depth=16))
  _, found, _ = read(path)
  for frame, value in zip(found, (300, 40_000), strict=True):
    np.testing.assert_allclose(frame.rgb, value / 65_535, atol=1e-6)


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


@pytest.mark.parametrize("damage", ["order", "checksum", "place", "cut"])
def test_apng_damaged_is_refused(tmp_path, damage):
  frames = [
    (0, 0, rgba(RED), (1, 10), 0, 0),
    (3 if damage == "place" else 0, 0, rgba(GREEN, 2), (1, 10), 0, 0),
  ]
  content = bytearray(apng_file((4, 4), frames))
  last = content.rindex(b"fdAT")
  if damage == "order":
    length = struct.unpack_from(">I", content, last - 4)[0]
    content[last + 7] += 1
    checksum = zlib.crc32(content[last : last + 4 + length])
    struct.pack_into(">I", content, last + 4 + length, checksum)
  elif damage == "checksum":
    content[last + 12] ^= 1
  elif damage == "cut":
    content = content[: last + 10]
  (tmp_path / "a.png").write_bytes(content)
  with pytest.raises(InputError, match="a.png: found a damaged"):
    read(tmp_path / "a.png")


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


def test_apng_turned_by_exif(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 8  # row 0 is the left side
  extra = png_chunk(b"eXIf", exif.tobytes()[6:])
  (tmp_path / "a.png").write_bytes(
    apng_file(
      (4, 4), [(0, 0, rgba(BLUE), (1, 10), 0, 0), (0, 0, rgba(RED, 2), (1, 10), 0, 0)], extra=extra
    )
  )
  _, frames, _ = read(tmp_path / "a.png")
  np.testing.assert_array_equal(as_rgba(frames[1]), patched(BLUE, ((0, 2), RED)))


def test_tiff_pages_are_frames_at_the_rate(tmp_path):
  images = [Image.new("RGB", (16, 16), color) for color in PALETTE[:3]]
  images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
  source, frames, _ = read(tmp_path / "a.tif", rate=2)
  assert [frame.length for frame in frames] == [Fraction(1, 2)] * 3 and source.total == 3
  np.testing.assert_array_equal(as_rgba(frames[2])[0, 0], (*BLUE, 255))


def test_jpeg_of_several_images_is_one_frame(tmp_path):
  """A phone's JPEG holds its gain map or a small copy as a second image (MPO)."""
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
def test_damaged_animations_are_refused_in_one_line_or_read(tmp_path_factory, seed, kept, changes):
  data = bytearray(list(damage_seeds())[seed])
  for position, value in changes:
    data[int(position * len(data))] = value
  path = tmp_path_factory.getbasetemp() / "damaged"
  path.write_bytes(data[: int(len(data) * kept)])
  try:
    for frame in animation.AnimationReader(path, Fraction(25), print, max_pixels=10**6):
      assert np.isfinite(frame.rgb).all() and frame.length > 0
  except InputError as error:
    assert "\n" not in str(error)


@pytest.mark.parametrize("kind", [b"acTL", b"fcTL", b"eXIf", b"IHDR"])
def test_apng_with_a_short_chunk_is_refused(tmp_path, kind):
  whole = apng_file(
    (4, 4),
    APNG_CASES["source replaces"][1],
    extra=png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
  )
  at = whole.index(kind)
  length = struct.unpack_from(">I", whole, at - 4)[0]
  (tmp_path / "a.png").write_bytes(
    whole[: at - 4] + png_chunk(kind, whole[at + 4 : at + 7]) + whole[at + 8 + length :]
  )
  with pytest.raises(InputError, match="a.png: found"):
    read(tmp_path / "a.png")


# --- reading: times -------------------------------------------------------------------------------


def test_gif_of_no_delay_is_shown_as_browsers_do(tmp_path):
  """0 and 1 hundredth are 100 ms in browsers (WebKit bug 36082: "a duration of 100 ms for any
  frames that specify a duration of <= 10 ms"); FFmpeg 8 does so for 0 alone."""
  path = tmp_path / "a.gif"
  path.write_bytes(
    gif((4, 4), [(0, 0, plain(n), delay, 1, None) for n, delay in enumerate((0, 1, 2, 300))])
  )
  _source, frames, notes = read(path)
  assert [frame.length * 100 for frame in frames] == [10, 10, 2, 300]
  assert [frame.seconds * 100 for frame in frames] == [0, 10, 20, 22]
  assert notes == [
    f"{path}: found 2 of 4 frames that ask for 10 ms or less; each is shown for "
    "100 ms, as browsers do"
  ]


def test_apng_times_are_fractions(tmp_path):
  """A denominator of 0 stands for 100 (PNG, third edition, 11.3.6.2)."""
  delays = ((1001, 24_000), (5, 0), (3, 1), (0, 7))
  (tmp_path / "a.png").write_bytes(
    apng_file(
      (4, 4), [(0, 0, rgba(PALETTE[n]), delay, 0, 0) for n, delay in enumerate(delays)], plays=4
    )
  )
  source, frames, notes = read(tmp_path / "a.png")
  assert [frame.length for frame in frames] == [
    Fraction(1001, 24_000),
    Fraction(1, 20),
    3,
    Fraction(1, 10),
  ]
  assert source.plays == 4 and len(notes) == 1


@pytest.mark.parametrize("loops, plays", [(None, 1), (0, 0), (1, 2), (7, 8)])
def test_gif_counts_repeats_not_plays(tmp_path, loops, plays):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(n), 10, 1, None) for n in range(2)], loops=loops))
  assert read(path)[0].plays == plays


# --- folders --------------------------------------------------------------------------------------


def folder_of(tmp_path, files):
  folder = tmp_path / "frames"
  folder.mkdir()
  for number, name in enumerate(files):
    Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / name)
  return folder


@pytest.mark.parametrize(
  "names",
  [
    ["1.png", "2.png", "10.png", "11.png"],
    ["a 9.png", "a 10.png", "b 1.png"],
    ["img007.png", "img8.png", "img09.png", "img0010.png"],
    ["t1.5.png", "t1.10.png", "t2.1.png"],
  ],
)
def test_folder_sorts_numbers_as_numbers(tmp_path, names):
  folder = folder_of(tmp_path, names)
  found = [round(float(frame.rgb[0, 0, 0]) * 255) for frame in Source(folder, 1)]
  assert found == list(range(len(names)))


def test_folder_of_mixed_formats_is_one_sequence_and_said(tmp_path):
  folder = folder_of(tmp_path, ["1.png", "2.jpg", "3.webp", "4.png"])
  source, frames, notes = read(folder, rate=2)
  assert len(frames) == source.total == 4
  assert [frame.seconds for frame in frames] == [0, Fraction(1, 2), 1, Fraction(3, 2)]
  assert len(notes) == 1 and "in 3 formats (2 PNG, 1 JPEG, 1 WEBP)" in notes[0]


def test_folder_with_an_animation_in_it_is_said(tmp_path):
  folder = folder_of(tmp_path, ["1.png"])
  images = [Image.new("RGB", (16, 16), color) for color in (RED, BLUE)]
  images[0].save(folder / "2.png", save_all=True, append_images=images[1:], duration=50)
  _, frames, notes = read(folder)
  assert len(frames) == 2 and any("several images each (2.png)" in note for note in notes)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_folder_keeps_alpha(tmp_path, suffix):
  folder = tmp_path / "frames"
  folder.mkdir()
  pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4)).astype(np.uint8)
  pixels[:8, :, 3] = 0
  for number in range(2):
    Image.fromarray(pixels).save(folder / f"{number}.{suffix}", lossless=True, exact=True)
  source, frames, _ = read(folder)
  assert source.has_alpha
  np.testing.assert_array_equal(np.rint(frames[0].alpha * 255), pixels[..., 3])
  with writer(tmp_path / "out", source, frames[0].rgb.shape) as target:
    for frame in frames:
      target.write(frame)
  found, seen = np.asarray(Image.open(tmp_path / "out" / "000002.png")), pixels[..., 3] > 0
  np.testing.assert_array_equal(found[..., 3], pixels[..., 3])
  np.testing.assert_array_equal(found[seen], pixels[seen])


# --- writing: times -------------------------------------------------------------------------------


def film(lengths, side=16, seed=0):
  """Frames of noise, each shown for so many seconds."""
  rng, seconds, frames = np.random.default_rng(seed), Fraction(0), []
  for length in lengths:
    frames.append(Frame(rng.random((side, side, 3), np.float32), seconds, Fraction(length)))
    seconds += Fraction(length)
  return frames


class FakeSource:
  """What `writer` asks of a source."""

  def __init__(self, *, has_alpha=False, plays=0, timed=True):
    self.has_alpha, self.plays, self.timed = has_alpha, plays, timed
    self.notes, self.video = [], None

  def note(self, line):
    self.notes.append(line)


def write(path, frames, **settings):
  source = FakeSource(**settings)
  with writer(path, source, frames[0].rgb.shape) as target:
    for frame in frames:
      target.write(frame)
  return source.notes


def written_lengths(path):
  """Seconds of each frame, by FFmpeg; of a WebP by its ANMF chunks (WebP container, "ANMF")."""
  if path.suffix != ".webp":
    with av.open(str(path)) as file:
      return [packet.duration * packet.time_base for packet in file.demux(video=0) if packet.size]
  data, at, found = path.read_bytes(), 12, []
  while at < len(data):
    kind, length = struct.unpack_from("<4sI", data, at)
    if kind == b"ANMF":
      found.append(Fraction(int.from_bytes(data[at + 20 : at + 23], "little"), 1000))
    at += 8 + length + length % 2
  return found


NTSC = Fraction(1001, 24_000)
LENGTHS = {
  "1 fps": [1] * 5,
  "23.976 fps": [NTSC] * 48,
  "25 fps": [Fraction(1, 25)] * 10,
  "30 fps": [Fraction(1, 30)] * 60,
  "60 fps": [Fraction(1, 60)] * 60,
  "120 fps": [Fraction(1, 120)] * 120,
  "1000 fps": [Fraction(1, 1000)] * 500,
  "varying": [Fraction(n, 1000) for n in (17, 33, 250, 17, 1, 1, 1, 480, 21, 3)],
  "long last": [Fraction(1, 10)] * 3 + [3],
  "one frame": [Fraction(7, 4)],
  "12 minutes": [Fraction(1, 10), 720, Fraction(1, 10)],
}


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_lengths_of_the_film_are_kept(tmp_path, suffix, case):
  frames, path = film(LENGTHS[case], side=4), tmp_path / f"a{suffix}"
  notes = write(path, frames)
  lengths = written_lengths(path)
  total = sum(frame.length for frame in frames)
  # A GIF's hundredth, a WebP's millisecond, an APNG's 16-bit fraction (FFmpeg: 1/100,000 s).
  tick = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000), ".png": Fraction(1, 2000)}[suffix]
  assert abs(sum(lengths) - total) <= tick / 2
  # Browsers take 10 ms and less for 100 ms.
  assert min(lengths) >= (Fraction(2, 100) if suffix == ".gif" else Fraction(11, 1000))
  assert any("left out" in note for note in notes) == (len(lengths) < len(frames)), (
    "what is left out is said"
  )


def test_gif_of_30_and_of_60_frames_a_second(tmp_path):
  """3, 4, 3 … hundredths: 60 frames in 2.00 s. Beyond 50 a second frames are left out."""
  write(tmp_path / "30.gif", film(LENGTHS["30 fps"]))
  lengths = [length * 100 for length in written_lengths(tmp_path / "30.gif")]
  assert lengths[:6] == [3, 4, 3, 3, 4, 3] and sum(lengths) == 200 and len(lengths) == 60
  notes = write(tmp_path / "60.gif", film(LENGTHS["60 fps"]))
  lengths = [length * 100 for length in written_lengths(tmp_path / "60.gif")]
  assert lengths == [2] * 50
  assert notes == ["left out 10 of 60 frames: GIF shows at most 50 a second"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_start_when_they_should(tmp_path, suffix):
  """Rounding isn't added up: every start is within one tick, of 300 frames of 29.97 a second."""
  frames, path = film([Fraction(1001, 30_000)] * 300, side=4), tmp_path / f"a{suffix}"
  write(path, frames)
  starts = np.cumsum([0, *(float(length) for length in written_lengths(path))])
  tick = {".gif": 0.005, ".webp": 0.0005, ".png": 0.0016}[suffix]
  np.testing.assert_allclose(
    starts[:-1], [float(frame.seconds) for frame in frames], atol=tick + 1e-6
  )


def test_apng_writes_ntsc_rates_exactly(tmp_path):
  write(tmp_path / "a.png", film([NTSC] * 5))
  assert {frame.length for frame in Source(tmp_path / "a.png", 25)} == {NTSC}


@given(
  st.lists(st.fractions(Fraction(1, 2000), 3, max_denominator=90_000), min_size=1, max_size=40),
  st.sampled_from([timing.GIF_CLOCK, timing.WEBP_CLOCK, timing.APNG_CLOCK]),
)
@settings(max_examples=60, deadline=None)
def test_timelines_add_up(lengths, clock):
  """Whatever the lengths: the sum is the film's, each can be written, frames keep their order."""
  timeline, written, seconds = timing.Timeline(clock), [], Fraction(5)
  for number, length in enumerate(lengths):
    written += timeline.add(number, seconds, length)
    seconds += length
  written += timeline.close()
  assert all(length == clock.nearest(length) >= clock.shortest for _, length in written)
  assert [number for number, _ in written] == sorted({number for number, _ in written})
  assert len(written) + timeline.dropped == len(lengths)
  total = sum(length for _, length in written)
  assert total == max(clock.nearest(sum(lengths)), clock.shortest) or (
    clock is timing.APNG_CLOCK and abs(total - sum(lengths)) < 1e-6
  )
  start = Fraction(0)
  for number, length in written:
    assert -Fraction(1, 200) <= start - sum(lengths[:number]) <= clock.shortest + Fraction(1, 200)
    start += length


def test_folder_of_one_rate_says_which(tmp_path):
  """Times in whole milliseconds, as Matroska has them, are of one rate all the same."""
  lengths = [Fraction(n, 1000) for n in (33, 33, 34) * 10]
  notes = write(tmp_path / "out", film(lengths))
  assert notes == ["a folder holds no times: its 30 frames are meant to be shown at 30 a second"]
  assert max(path.name for path in (tmp_path / "out").glob("*")) == "000030.png"
  assert write(tmp_path / "again", film(lengths), timed=False) == []


def test_folder_of_several_rates_keeps_them_in_a_list(tmp_path):
  """FFmpeg's concat demuxer and a later run read it."""
  lengths = [Fraction(n, 30_000) for n in (1001, 3003, 900, 60_000)]
  notes = write(tmp_path / "out", film(lengths))
  assert len(notes) == 1 and "frames.ffconcat beside the frames" in notes[0]
  with av.open(str(tmp_path / "out" / "frames.ffconcat"), format="concat") as file:
    starts = [float(packet.pts * packet.time_base) for packet in file.demux(video=0) if packet.size]
  expected = [float(sum(lengths[:n])) for n in range(4)]
  np.testing.assert_allclose(np.array(starts) - starts[0], expected, atol=0.021)  # in 25ths
  source, frames, notes = read(tmp_path / "out")
  np.testing.assert_allclose(
    [float(frame.length) for frame in frames], [float(length) for length in lengths], atol=1e-6
  )
  assert abs(sum(frame.length for frame in frames) - sum(lengths)) < Fraction(1, 10**6)
  assert source.timed and notes == [
    f"{tmp_path / 'out'}: frames are shown as long as frames.ffconcat says"
  ]


def test_folder_with_a_list_of_other_files_says_so(tmp_path):
  folder = folder_of(tmp_path, ["1.png", "2.png"])
  ffconcat.write(folder, ["1.png", "3.png"], [Fraction(1), Fraction(2)])
  source, frames, notes = read(folder, rate=4)
  assert [frame.length for frame in frames] == [Fraction(1, 4)] * 2 and not source.timed
  assert len(notes) == 1 and "other files than are there; each is shown for 0.25 s" in notes[0]


@pytest.mark.parametrize(
  "line",
  [
    "duration x",
    "duration 0",
    "duration -1",
    "duration 1/0",
    "duration nan",
    "duration 1e999999999",
    "stream",
  ],
)
def test_folder_with_a_damaged_list_is_refused(tmp_path, line):
  folder = folder_of(tmp_path, ["1.png"])
  (folder / "frames.ffconcat").write_text(f"ffconcat version 1.0\nfile 1.png\n{line}\n")
  with pytest.raises(InputError, match="line 3: found .*, expected a file and then its duration"):
    Source(folder, 25)


# --- writing: pixels ------------------------------------------------------------------------------


def decoded(path):
  """All frames by a decoder that is not ours."""
  if path.suffix != ".webp":
    return by_ffmpeg(path)
  image, found = Image.open(path), []
  for number in range(image.n_frames):
    image.seek(number)
    found.append(np.asarray(image.convert("RGBA")))
  return found


def moving(count=6, side=(24, 31)):
  """Noise in which only a square moves, back and forth; the fourth frame is the third again."""
  rng = np.random.default_rng(1)
  base, frames = rng.integers(0, 256, (*side, 3)).astype(np.uint8), []
  for number in range(count):
    pixels = base.copy()
    at = (0, 3, 1, 1, 5, 2)[number]
    pixels[3 + at : 8 + at, 2 * at : 2 * at + 5] = (250, 20 * at, 5)
    frames.append(pixels)
  return frames


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
  found = [np.where(frame[..., 3:] > 0, frame, 0) for frame in decoded(path)]
  np.testing.assert_array_equal(found, expected)
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
  """libwebp 1.6.0's encoder of animations makes one image without a length of them."""
  frame = film([1])[0]
  frames = [Frame(frame.rgb, Fraction(n), Fraction(1)) for n in range(3)]
  write(tmp_path / f"a{suffix}", frames)
  assert sum(frame.length for frame in Source(tmp_path / f"a{suffix}", 25)) == 3


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("plays", [0, 1, 5])
def test_loop_counts_are_kept(tmp_path, suffix, plays):
  write(tmp_path / f"a{suffix}", film([1, 1]), plays=plays)
  assert Source(tmp_path / f"a{suffix}", 25).plays == plays
  # NETSCAPE2.0 counts repeats, WebP and APNG count plays; Pillow gives the files' numbers.
  stored = Image.open(tmp_path / f"a{suffix}").info.get("loop")
  assert stored == ({0: 0, 1: None, 5: 4}[plays] if suffix == ".gif" else plays)


@pytest.mark.parametrize("count", [1, 2, 3, 200, 255, 256])
def test_gif_of_few_colors_keeps_them_all(tmp_path, count):
  rng = np.random.default_rng(3)
  colors = np.unique(rng.integers(0, 1 << 24, 2 * count))[:count]
  colors = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], -1).astype(np.uint8)
  pixels = [
    colors[rng.permutation(np.arange(32 * 32) % count)].reshape(32, 32, 3) for _ in range(3)
  ]
  write(
    tmp_path / "a.gif",
    [
      Frame(frame / np.float32(255), Fraction(n, 10), Fraction(1, 10))
      for n, frame in enumerate(pixels)
    ],
  )
  np.testing.assert_array_equal([frame[..., :3] for frame in by_ffmpeg(tmp_path / "a.gif")], pixels)
  np.testing.assert_array_equal(
    [as_rgba(frame)[..., :3] for frame in Source(tmp_path / "a.gif", 25)], pixels
  )


def test_gif_keeps_what_is_invisible(tmp_path):
  frames = [
    Frame(
      np.ones((8, 8, 3), np.float32) * 0.5,
      Fraction(n, 10),
      Fraction(1, 10),
      (np.arange(64).reshape(8, 8) % 3 == n).astype(np.float32),
    )
    for n in range(3)
  ]
  notes = write(tmp_path / "a.gif", frames, has_alpha=True)
  for frame, before in zip(by_ffmpeg(tmp_path / "a.gif"), frames, strict=True):
    np.testing.assert_array_equal(frame[..., 3], before.alpha * 255)
    np.testing.assert_array_equal(frame[..., :3][frame[..., 3] > 0], 128)
  assert notes == []
  soft = [Frame(frame.rgb, frame.seconds, frame.length, frame.alpha * 0.6) for frame in frames]
  notes = write(tmp_path / "a.gif", soft, has_alpha=True)
  assert len(notes) == 1 and "no partly transparent pixels" in notes[0]


def steady_scene():
  """Eight frames of a smooth scene with noise of 1.3 levels, in which a square moves."""
  rng = np.random.default_rng(4)
  y, x = np.mgrid[0:96, 0:128] / 128
  base = np.stack([0.5 + 0.4 * np.sin(9 * x + 3 * y), 0.2 + 0.6 * y, 0.9 - 0.8 * x], -1)
  frames = np.clip(base + rng.normal(0, 1.3 / 255, (8, *base.shape)), 0, 1).astype(np.float32)
  for number, frame in enumerate(frames):
    frame[40:56, 10 * number : 10 * number + 16] = (1, 0.9, 0.1)
  return frames


def unsteadiness(frames):
  """(mean change in levels, share of changed pixels) above the moving square."""
  change = np.abs(np.diff(np.array(frames, float)[:, :40, :, :3], axis=0)).mean(-1)
  return change.mean(), (change > 0).mean()


def test_gif_is_as_steady_as_its_frames(tmp_path):
  """One palette, and a color that stays until another is clearly better: still parts change less
  than in the frames themselves. A palette for each frame, measured beside it, more than doubles
  the change."""
  frames = steady_scene()
  write(
    tmp_path / "a.gif",
    [Frame(frame, Fraction(n, 10), Fraction(1, 10)) for n, frame in enumerate(frames)],
  )
  pixels = [encode.as_bytes(frame) for frame in frames]
  change, share = unsteadiness(by_ffmpeg(tmp_path / "a.gif"))
  change_before, _ = unsteadiness(pixels)
  alone, share_alone = unsteadiness(
    [np.asarray(Image.fromarray(frame).quantize(256).convert("RGB")) for frame in pixels]
  )
  assert change < change_before / 2 and share < 0.1
  assert alone > 2 * change_before and share_alone > 0.5


def test_gif_colors_are_near(tmp_path):
  frames = steady_scene()
  write(
    tmp_path / "a.gif",
    [Frame(frame, Fraction(n, 10), Fraction(1, 10)) for n, frame in enumerate(frames)],
  )
  found = np.array(by_ffmpeg(tmp_path / "a.gif"), float)[..., :3]
  assert np.sqrt(((found - 255 * frames) ** 2).mean()) < 6
  assert abs((found - 255 * frames).mean()) < 1  # no shift as a whole


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_doesnt_grow_with_the_film(tmp_path, suffix):
  """32 frames of 128 × 128 are 1.6 MB; the writer keeps a few of them."""

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
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found

  assert peak(40) < peak(8) + 0.7e6


@pytest.mark.parametrize("suffix, side", [(".gif", 65_536), (".webp", 16_384)])
def test_too_many_pixels_a_side_are_refused_before_painting(tmp_path, suffix, side):
  with pytest.raises(InputError, match=f"found {side}×4 pixels, expected at most"):
    with writer(tmp_path / f"a{suffix}", FakeSource(), (4, side, 3)):
      pass
  assert list(tmp_path.iterdir()) == []


def test_gif_of_an_interpolation_has_one_palette_and_keeps_alpha(tmp_path):
  """animation.write_frames, for --interpolate way.gif: still pixels stay, 80 ms each."""
  frames, alpha = steady_scene()[:4], np.ones((96, 128), np.float32)
  alpha[:10] = 0
  animation.write_frames(tmp_path / "way.gif", list(frames))
  assert unsteadiness(by_ffmpeg(tmp_path / "way.gif"))[1] < 0.3
  assert [length * 100 for length in written_lengths(tmp_path / "way.gif")] == [8] * 4
  animation.write_frames(tmp_path / "way.gif", list(frames), alpha)
  for frame in by_ffmpeg(tmp_path / "way.gif"):
    np.testing.assert_array_equal(frame[..., 3], alpha * 255)


def test_apng_layout_of_a_still_image_is_none():
  file = io.BytesIO()
  info = Image.new("RGB", (4, 4))
  info.save(file, "PNG", icc_profile=b"acTL")  # the letters alone make no animation
  assert apng.read_layout(file.getvalue(), "a.png") is None
