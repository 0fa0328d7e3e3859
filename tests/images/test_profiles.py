"""ICC profiles of image files; expected values follow ICC.1 and IEC 61966-2-1."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from stylejax.images.decode import decode_rgb, read_image
from tests.images import image_bytes as files

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def srgb(light):
  """Linear light to sRGB values, by IEC 61966-2-1."""
  power = np.maximum(light, 0) ** (1 / 2.4)
  return np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055)


def gray(values):
  return np.repeat(np.asarray(values)[..., None], 3, -1)


def saved(image, form, **options):
  buffer = io.BytesIO()
  image.save(buffer, form, **options)
  return buffer.getvalue()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
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
  actual = read_image(tmp_path / "a")
  want = gray(srgb((LEVELS / 255.0) ** exponent))
  np.testing.assert_allclose(actual.rgb * 255, want * 255, atol=0.01)
  assert not actual.notes
  if actual.alpha is None:
    np.testing.assert_allclose(decode_rgb(tmp_path / "a"), want * 255, atol=0.51)


def with_profile(jp2: bytes, profile: bytes, method: int = 2) -> bytes:
  """A JP2 whose colr box has a profile instead of a number (ISO/IEC 15444-1, I.5.3.3)."""

  def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body

  def boxes(data):
    at = 0
    while at < len(data):
      length, kind = struct.unpack_from(">I4s", data, at)
      length = length or len(data) - at
      yield kind, data[at + 8 : at + length]
      at += length

  out = b""
  for kind, body in boxes(jp2):
    if kind == b"jp2h":
      inner = [
        (name, bytes([method, 0, 0]) + profile if name == b"colr" else content)
        for name, content in boxes(body)
      ]
      assert [name for name, _ in inner].count(b"colr") == 1
      body = b"".join(box(*each) for each in inner)
    out += box(kind, body)
  return out


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("method", [2, 3])
@pytest.mark.parametrize("kind", ["color", "gray"])
def test_profile_of_jpeg_2000(tmp_path, kind, method):
  pixels = np.stack([LEVELS, LEVELS[::-1], LEVELS.T], -1) if kind == "color" else LEVELS
  profile = files.LINEAR_RGB if kind == "color" else files.LINEAR_GRAY
  jp2 = saved(Image.fromarray(np.ascontiguousarray(pixels)), "JPEG2000")
  (tmp_path / "a.jp2").write_bytes(with_profile(jp2, profile, method))
  want = srgb(pixels / 255.0)
  want = want if kind == "color" else gray(want)
  actual = read_image(tmp_path / "a.jp2")
  np.testing.assert_allclose(actual.rgb * 255, want * 255, atol=1.1)
  assert not actual.notes
  (tmp_path / "a.jp2").write_bytes(with_profile(jp2, b"no profile", method))
  actual = read_image(tmp_path / "a.jp2")
  np.testing.assert_allclose(actual.rgb, pixels / 255 if kind == "color" else gray(pixels / 255))
  assert actual.notes == ("its ICC profile can't be read and is ignored",)


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


# Adobe RGB (1998) Color Image Encoding, 4.3.4.1 and Annex: its linear light in linear sRGB, which
# has the same white point.
ADOBE_TO_SRGB = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])


def exif(index, space):
  remarks = Image.Exif()
  remarks[274] = 1  # upright: Pillow's MPO writer leaves out EXIF without a tag of its own
  remarks.get_ifd(34665).update({40961: space, 40965: {1: index, 2: b"0100"}})
  return remarks


@pytest.mark.parametrize("form", ["JPEG", "MPO"])
def test_adobe_rgb_by_exif_alone(tmp_path, form):
  # DCF 2.0 (CIPA DC-009): such cameras write "R03" and no profile.
  colors = np.repeat(np.array([[40, 60, 200], [90, 140, 60], [128, 128, 128]]), 32, 0)
  pixels = np.repeat(colors[None], 32, 0).astype(np.uint8)
  options = {"quality": 98, "subsampling": 0}
  if form == "MPO":
    options |= {"save_all": True, "append_images": [Image.fromarray(pixels[:16, :16])]}
  path = tmp_path / "a.jpg"
  path.write_bytes(saved(Image.fromarray(pixels), form, exif=exif("R03", 0xFFFF), **options))
  expected = srgb(np.clip((pixels / 255) ** (563 / 256) @ ADOBE_TO_SRGB.T, 0, 1))
  actual = read_image(path)
  middles = slice(16, None, 32)
  np.testing.assert_allclose(actual.rgb[16, middles], expected[16, middles], atol=3 / 255)
  assert actual.notes == ("its colors are Adobe RGB, as its EXIF says, and are converted to sRGB",)
  for index, space, profile in (("R98", 1, b""), ("R03", 1, b""), ("R03", 0xFFFF, SRGB)):
    data = saved(
      Image.fromarray(pixels), form, exif=exif(index, space), icc_profile=profile, **options
    )
    path.write_bytes(data)
    actual = read_image(path)
    np.testing.assert_allclose(actual.rgb[16, middles] * 255, pixels[16, middles], atol=3)
    assert actual.notes == ()
