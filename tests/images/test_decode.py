"""Files of every mode become arrays, and every kind of bad file one line."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb, read_image
from stylejax.images.profiles import _lcms_transform
from tests.images.pillow_files import encoded, smooth

H, W = 6, 9


@pytest.fixture
def rgb() -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)


def check(image, mode, want, alpha=None, tolerance=1e-6):
  assert image.mode == mode
  assert image.rgb.dtype == np.float32
  # What is invisible has colors of its own; see test_alpha.py.
  visible = np.ones((H, W), bool) if alpha is None else np.asarray(alpha) > 0
  visible = visible if visible.shape == image.rgb.shape[:2] else ...
  np.testing.assert_allclose(image.rgb[visible], np.asarray(want)[visible], atol=tolerance)
  if alpha is None:
    assert image.alpha is None
  else:
    assert image.alpha.dtype == np.float32
    np.testing.assert_allclose(image.alpha, alpha, atol=tolerance)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_rgb_is_exact_in_lossless_formats(tmp_path, rgb, suffix):
  path = tmp_path / f"a.{suffix}"
  Image.fromarray(rgb).save(path, **({"lossless": True} if suffix == "webp" else {}))
  check(read_image(path), "RGB", rgb / 255)
  assert np.array_equal(decode_rgb(path), rgb)


def test_jpeg_is_near(tmp_path):
  path = tmp_path / "a.jpg"
  path.write_bytes(encoded(smooth(40, 60), quality=95))
  check(read_image(path), "RGB", smooth(40, 60) / 255, tolerance=0.04)


def test_gray_and_one_bit(tmp_path, rgb):
  gray = rgb[..., 0]
  Image.fromarray(gray).save(tmp_path / "l.png")
  check(read_image(tmp_path / "l.png"), "L", np.repeat(gray[..., None] / 255, 3, -1))
  bits = gray > 128
  Image.fromarray(bits).save(tmp_path / "1.png")
  check(read_image(tmp_path / "1.png"), "1", np.repeat(bits[..., None], 3, -1))
  assert decode_rgb(tmp_path / "1.png").max() == 255


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_gray_keeps_its_bits(tmp_path, suffix):
  gray = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
  path = tmp_path / f"a.{suffix}"
  Image.fromarray(gray).save(path)
  image = read_image(path)
  check(image, "I;16", np.repeat(gray[..., None] / 65535, 3, -1))
  assert len(np.unique(image.rgb)) == H * W
  assert np.array_equal(decode_rgb(path)[..., 0], np.rint(gray / 257).astype(np.uint8))


def test_big_endian_thirty_two_bit_and_float_gray(tmp_path):
  gray = np.linspace(0, 65535, H * W).reshape(H, W)
  wide = Image.fromarray(gray.astype(np.int32))
  assert wide.mode == "I"
  wide.save(tmp_path / "i.tif")
  want = np.repeat(gray[..., None] / 65535, 3, -1)
  check(read_image(tmp_path / "i.tif"), "I", want, tolerance=2e-5)
  Image.fromarray((gray / 65535).astype(np.float32)).save(tmp_path / "f.tif")
  check(read_image(tmp_path / "f.tif"), "F", want)
  big = gray.astype(">u2")
  Image.frombytes("I;16B", (W, H), big.tobytes()).save(tmp_path / "b.tif")
  want = np.repeat(big[..., None].astype(float) / 65535, 3, -1)
  np.testing.assert_allclose(read_image(tmp_path / "b.tif").rgb, want, atol=1e-6)


def test_alpha_is_kept_apart(tmp_path, rgb):
  alpha = np.linspace(0, 255, H * W).reshape(H, W).astype(np.uint8)
  rgba = np.dstack([rgb, alpha])
  Image.fromarray(rgba).save(tmp_path / "rgba.png")
  check(read_image(tmp_path / "rgba.png"), "RGBA", rgb / 255, alpha / 255)
  la = Image.merge("LA", [Image.fromarray(rgb[..., 0]), Image.fromarray(alpha)])
  la.save(tmp_path / "la.png")
  want = np.repeat(rgb[..., :1] / 255, 3, -1)
  check(read_image(tmp_path / "la.png"), "LA", want, alpha / 255)


def test_transparency_is_laid_on_white_for_training(tmp_path, rgb):
  alpha = np.zeros((H, W), np.uint8)
  alpha[:, 4:] = 255
  Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
  got = decode_rgb(tmp_path / "a.png")
  assert (got[:, :4] == 255).all()
  assert np.array_equal(got[:, 4:], rgb[:, 4:])


def test_palette_with_and_without_transparency(tmp_path):
  index = Image.fromarray((np.arange(H * W).reshape(H, W) % 3).astype(np.uint8), "L")
  image = Image.new("P", (W, H))
  image.putdata(list(np.asarray(index).ravel()))
  image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
  colors = np.eye(3)[np.asarray(index)]
  image.save(tmp_path / "p.png")
  check(read_image(tmp_path / "p.png"), "P", colors)
  image.save(tmp_path / "t.png", transparency=1)
  check(read_image(tmp_path / "t.png"), "P", colors, np.asarray(index) != 1)
  image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
  want = np.array([0, 128, 255])[np.asarray(index)] / 255
  check(read_image(tmp_path / "a.png"), "P", colors, want)


def test_gray_and_color_key_transparency(tmp_path):
  gray = (np.arange(H * W).reshape(H, W)).astype(np.uint8)
  Image.fromarray(gray).save(tmp_path / "l.png", transparency=7)
  np.testing.assert_array_equal(read_image(tmp_path / "l.png").alpha, gray != 7)
  wide = gray.astype(np.uint16) * 1000
  Image.fromarray(wide).save(tmp_path / "w.png", transparency=7000)
  image = read_image(tmp_path / "w.png")
  np.testing.assert_array_equal(image.alpha, wide != 7000)
  assert (decode_rgb(tmp_path / "w.png")[wide == 7000] == 255).all()


def test_cmyk_jpeg(tmp_path):
  image = Image.fromarray(smooth(32, 32)).convert("CMYK")
  image.save(tmp_path / "a.jpg", quality=95)
  check(read_image(tmp_path / "a.jpg"), "CMYK", smooth(32, 32) / 255, tolerance=0.08)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_orientation_is_undone(tmp_path, orientation, suffix):
  # The definition of EXIF 2.3: where row 0 and column 0 of the stored pixels lie in the scene.
  upright = smooth(24, 40)
  stored = {
    1: upright,
    2: upright[:, ::-1],
    3: upright[::-1, ::-1],
    4: upright[::-1],
    5: upright.transpose(1, 0, 2),
    6: np.rot90(upright, 1),
    7: upright[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(upright, -1),
  }[orientation]
  exif = Image.Exif()
  exif[274] = orientation
  path = tmp_path / f"a.{suffix}"
  Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
  check(read_image(path), "RGB", upright / 255, tolerance=0.04)
  assert decode_rgb(path).shape == upright.shape


def srgb_profile_with(edit) -> bytes:
  """The sRGB profile after edit(data, entries), with the offsets of its tag table's entries."""
  data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
  count = int.from_bytes(data[128:132], "big")
  edit(data, {bytes(data[132 + 12 * i :][:4]): 132 + 12 * i for i in range(count)})
  return bytes(data)


def exchange_red_and_blue(data: bytearray, entries: dict[bytes, int]) -> None:
  red, blue = entries[b"rXYZ"] + 4, entries[b"bXYZ"] + 4
  data[red : red + 8], data[blue : blue + 8] = data[blue : blue + 8], data[red : red + 8]


def make_linear(data: bytearray, entries: dict[bytes, int]) -> None:
  # A curve without points is the identity (ICC.1, curveType); all three channels share it.
  offset = int.from_bytes(data[entries[b"rTRC"] + 4 :][:4], "big")
  data[offset : offset + 12] = b"curv" + bytes(8)


def test_a_profile_is_converted_to_srgb(tmp_path, rgb):
  path = tmp_path / "a.png"
  profile = srgb_profile_with(exchange_red_and_blue)
  Image.fromarray(rgb).save(path, icc_profile=profile)
  check(read_image(path), "RGB", rgb[..., ::-1] / 255, tolerance=2.5 / 255)
  assert np.abs(decode_rgb(path).astype(int) - rgb[..., ::-1]).max() <= 2
  alpha = np.full((H, W), 77, np.uint8)
  Image.fromarray(np.dstack([rgb, alpha])).save(path, icc_profile=profile)
  check(read_image(path), "RGBA", rgb[..., ::-1] / 255, alpha / 255, tolerance=2.5 / 255)


def test_an_rgb_profile_holds_for_gray_too(tmp_path, rgb):
  path = tmp_path / "a.png"
  Image.fromarray(rgb[..., 0]).save(path, icc_profile=srgb_profile_with(make_linear))
  linear = rgb[..., :1] / 255
  # IEC 61966-2-1: linear light to sRGB numbers.
  want = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
  check(read_image(path), "L", np.repeat(want, 3, -1), tolerance=2.5 / 255)


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored(tmp_path, rgb):
  srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
  assert _lcms_transform(srgb, ("RGB",)) == ("RGB", None)  # Not even run: it would cost time.
  for name, profile in (("s", srgb), ("b", b"not a profile"), ("t", srgb[:200])):
    path = tmp_path / f"{name}.png"
    Image.fromarray(rgb).save(path, icc_profile=profile)
    check(read_image(path), "RGB", rgb / 255)


def test_first_frame_of_an_animation(tmp_path):
  frames = [Image.new("RGB", (W, H), color) for color in ((255, 0, 0), (0, 0, 255))]
  for suffix, options in (("gif", {}), ("webp", {"lossless": True}), ("png", {})):
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(read_image(path).rgb[0, 0], [1, 0, 0])


def test_draft_halves_only_while_the_shorter_side_suffices(tmp_path):
  path = tmp_path / "a.jpg"
  path.write_bytes(encoded(smooth(400, 640), quality=95))
  assert decode_rgb(path).shape == (400, 640, 3)
  assert decode_rgb(path, min_side=201).shape == (400, 640, 3)
  assert decode_rgb(path, min_side=200).shape == (200, 320, 3)
  assert decode_rgb(path, min_side=60).shape == (100, 160, 3)
  small = decode_rgb(path, min_side=100)
  want = smooth(400, 640).reshape(100, 4, 160, 4, 3).mean((1, 3))
  assert np.abs(small - want).max() < 8


def expect_one_line(path, *words, **options):
  for read in (read_image, decode_rgb):
    with pytest.raises(InputError) as caught:
      read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: found ")
    for word in (*words, "expected"):
      assert word in message


def test_bad_files_are_named(tmp_path, rgb):
  expect_one_line(tmp_path / "none.png", "no such file")
  expect_one_line(tmp_path, "folder")
  empty = tmp_path / "empty.jpg"
  empty.touch()
  expect_one_line(empty, "empty", "0 bytes")
  text = tmp_path / "text.png"
  text.write_text("I am not an image\n")
  expect_one_line(text, "not an image")
  expect_one_line(text / "below.png", "no such file")
  # A format that Pillow reads by running another program: it must not even be tried.
  eps = tmp_path / "a.png"
  Image.fromarray(rgb).save(eps, "EPS")
  expect_one_line(eps, "not an image")


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, fmt, fraction):
  data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), fmt)
  path = tmp_path / "cut"
  path.write_bytes(data[: int(len(data) * fraction)])
  expect_one_line(path)


def test_truncated_progressive_jpeg_is_refused(tmp_path):
  data = encoded(smooth(200, 200), progressive=True)
  path = tmp_path / "cut.jpg"
  path.write_bytes(data[: len(data) * 2 // 3])
  expect_one_line(path, "damaged")


def test_too_many_pixels(tmp_path, recwarn):
  path = tmp_path / "bomb.png"
  # Above both limits of Pillow (89 and 179 megapixels), from a few kB of file.
  Image.new("1", (20_000, 16_000)).save(path)
  limit = Image.MAX_IMAGE_PIXELS
  expect_one_line(path, "320 megapixels", "300 megapixels")
  expect_one_line(path, max_pixels=1000)
  assert limit == Image.MAX_IMAGE_PIXELS
  assert not recwarn.list


def test_between_pillows_limit_and_ours_is_read_without_a_warning(tmp_path, recwarn):
  path = tmp_path / "large.jpg"
  Image.new("L", (10_000, 9_000)).save(path)
  assert decode_rgb(path, min_side=1125).shape == (1125, 1250, 3)
  assert not recwarn.list


def test_orientation_counts_beside_an_odd_tag(tmp_path):
  """With a width of type ASCII, ImageOps.exif_transpose of Pillow 13.0 raises an error."""
  entries = struct.pack(">HHI4s", 256, 2, 4, b"abc\0") + struct.pack(">HHIHxx", 274, 3, 1, 6)
  exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4)
  stored = smooth(24, 40)
  (tmp_path / "a.png").write_bytes(encoded(stored, "PNG", exif=exif))
  np.testing.assert_allclose(read_image(tmp_path / "a.png").rgb, np.rot90(stored, -1) / 255)
  with pytest.raises((struct.error, AttributeError, TypeError)):
    ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))


def test_odd_exif_is_read_without_a_warning(tmp_path, recwarn):
  exif = Image.Exif()
  exif[270] = "x" * 40
  data = bytearray(encoded(smooth(20, 30), exif=exif))
  # The description's length, 41 bytes, becomes one beyond the end of the file.
  at = data.index(b"\x00\x29", data.index(b"Exif"))
  data[at] = 255
  path = tmp_path / "a.jpg"
  path.write_bytes(data)
  read_image(path)
  assert not recwarn.list
