"""The page in a browser: every control on images, with saved images compared to `stylize`."""

import base64
import io
import re
import struct

import numpy as np
import pytest
from PIL import Image

from stylejax.deploy import page
from stylejax.images.decode import DecodedImage, read_image
from stylejax.images.encode import resize
from tests.images.image_bytes import curve, profile, xyz
from tests.web.conftest import levels_apart, read_pixels, save_image

STATUS = (
  r"Painted in [\d.]+ seconds with WebAssembly on \w+ threads? \([\d.]+ of them in the networks\)\."
)
LEVELS = 2
"""Levels of 8 bits by which a saved image may differ."""


def pictures(rng):
  """A photo of an odd size, two styles and a larger photo, smooth and rough."""
  y, x = np.mgrid[:155, :203] / 50
  photo = np.stack([np.sin(x + c) * np.cos(y * (c + 1)) for c in range(3)], -1)
  photo = np.uint8(np.clip(127 + 100 * photo + 12 * rng.standard_normal(photo.shape), 0, 255))
  one = np.uint8(255 * rng.random((40, 50, 3))).repeat(8, 0).repeat(8, 1)
  two = np.uint8(255 * rng.random((60, 50, 3)) ** 3).repeat(8, 0).repeat(8, 1)
  large = photo.repeat(4, 0).repeat(4, 1)
  return photo, (one, two), large


def png(pixels):
  data = io.BytesIO()
  Image.fromarray(pixels).save(data, "PNG")
  return base64.b64encode(data.getvalue()).decode()


def check_requests(ran):
  """Nothing was requested from another server, and no policy was violated."""
  allowed = (ran["url"], "blob:", "data:")
  assert ran["seen"]["requests"]
  assert not [url for url in ran["seen"]["requests"] if not url.startswith(allowed)]
  assert not [line for line in ran["seen"]["console"] if "Content Security Policy" in line]


def test_every_control_gives_what_stylize_gives(browse, stylizer, rng, tmp_path):
  photo, styles, large = pictures(rng)
  ran = browse(
    "controls",
    tmp_path,
    photo=save_image(tmp_path / "photo.png", photo),
    styles=[save_image(tmp_path / f"{name}.png", style) for name, style in zip("ab", styles)],
    large=save_image(tmp_path / "large.png", large),
  )
  check_requests(ran)
  found = ran["found"]
  assert found["disabled"]
  assert found["first"] == "Choose a photo and a style."
  assert found["asked"] == "Choose a style."
  assert found["stale"].startswith("Paint again")
  assert found["clip"] == "inset(0px 50% 0px 0px)"
  assert found["dragged"] == "25"
  assert (found["name"], found["jpeg"]) == ("photo_painted.png", "photo_painted.jpg")
  for status in found["statuses"]:
    assert re.fullmatch(STATUS, status)

  # The second engine is only loaded when it is switched on.
  assert not [url for url in ran["seen"]["requests"] if "onnxruntime/webgpu" in url]

  small = np.uint8(np.rint(255 * resized(large, 512)))
  expected = {
    "plain": stylizer(photo, styles[0]),
    "strength_0": photo / 255,
    "strength_40": stylizer(photo, styles[0], strength=0.4),
    "color": stylizer(photo, styles[0], color=0.7),
    "beyond": stylizer(photo, styles[0], strength=1.5),
    "mixed": stylizer(photo, styles, weights=[0.7, 0.3]),
    "stroke": stylizer(photo, styles[1], stroke=0.5),
    "smaller": stylizer(small, styles[1]),
  }
  apart = {name: levels_apart(tmp_path / f"{name}.png", image) for name, image in expected.items()}
  assert max(apart.values()) <= LEVELS, apart
  jpeg = read_pixels(tmp_path / "plain.jpg") / 255 - expected["plain"]
  assert jpeg.shape == photo.shape
  assert np.abs(jpeg).mean() < 0.03


def resized(pixels, longer):
  """Scales a photo like the page."""
  scale = longer / max(pixels.shape[:2])
  height, width = (round(side * scale) for side in pixels.shape[:2])
  return resize(DecodedImage(pixels, None, "RGB"), height, width).rgb


def test_mistakes_are_sentences_and_a_painting_can_be_cancelled(browse, rng, tmp_path):
  (tmp_path / "notes.jpg").write_text("no image")
  ran = browse(
    "mistakes",
    tmp_path,
    text=str(tmp_path / "notes.jpg"),
    tiny=save_image(tmp_path / "tiny.png", np.zeros((9, 40, 3), np.uint8)),
  )
  check_requests(ran)
  photo, small, style = ran["found"]["sentences"]
  assert photo == style
  assert photo.startswith("notes.jpg can’t be opened as an image.")
  assert small == "tiny.png is too small: 40 × 9 pixels; each side needs at least 16."
  assert ran["found"]["cancelled"] == "Canceled."
  assert ran["found"]["painted"].startswith("Painted in")
  assert ran["found"]["workers"] == 0


def test_photos_are_pasted_dropped_and_taken(browse, rng, tmp_path):
  photo, _, _ = pictures(rng)
  ran = browse("inputs", tmp_path, png=png(photo))
  check_requests(ran)
  assert ran["found"]["status"].startswith("Painted in")
  assert ran["found"]["nameless"] == []


def test_the_keyboard_does_on_a_narrow_screen(browse, tmp_path):
  ran = browse("narrow", tmp_path, dark=True)
  check_requests(ran)
  assert ran["found"]["focus"] == "other-photo"  # what had it is hidden
  assert ran["found"]["strength"] == "99 %"
  spoken = {"strength": "99 %", "color": "0 %", "stroke": "1.00 ×", "mix": "50 : 50"}
  assert spoken.items() <= ran["found"]["spoken"].items()
  assert ran["found"]["status"].startswith("Painted in")
  assert ran["found"]["overflow"] <= 0
  assert min(ran["found"]["seen"]) >= 0  # the image stays in sight of what is at the end


def test_one_file_works_from_disk_and_offline(browse, files, stylizer, tmp_path):
  (tmp_path / "page.html").write_text(page.one_file(files), encoding="utf-8")
  size = (tmp_path / "page.html").stat().st_size
  assert size <= 12_000_000, size
  ran = browse("offline", tmp_path, url=(tmp_path / "page.html").as_uri())
  check_requests(ran)
  assert ran["found"]["runs"].startswith("Paints with WebAssembly on one thread, on this device.")
  assert ran["found"]["painted"].startswith("Painted in")
  assert ran["found"]["webgpu"]
  for words in ("Chelsea the cat", "Microsoft Corporation", "protocolbuffers/protobuf", "dawn"):
    assert words in ran["found"]["licenses"]
  samples = {name: read_image(page._SAMPLES / name) for name in SAMPLES}
  expected = stylizer(*(samples[name].rgb for name in SAMPLES))
  assert levels_apart(tmp_path / "offline.png", expected) <= LEVELS


SAMPLES = ("content/coffee.jpg", "style/adele_bloch_bauer.jpg")


# ICC.1, 10.18: the curve of sRGB, as phones' Display P3 has it.
SRGB_CURVE = b"para" + struct.pack(
  ">4xHxx5i", 3, *(round(65536 * x) for x in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)


def rgb_profile(curve, *colorants):
  """A display's profile: its curve, and XYZ of red, green and blue, adapted to D50."""
  tags = {f"{color}TRC".encode(): curve for color in "rgb"}
  tags |= {f"{color}XYZ".encode(): xyz(*each) for color, each in zip("rgb", colorants, strict=True)}
  return profile(b"RGB ", tags)


DISPLAY_P3 = rgb_profile(
  SRGB_CURVE, (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)
)
ADOBE_RGB = rgb_profile(
  curve(563 / 256),
  (0.60974, 0.31111, 0.01947),
  (0.20528, 0.62567, 0.06087),
  (0.14919, 0.06322, 0.74457),
)


def test_photos_are_upright_and_in_srgb(browse, stylizer, rng, tmp_path):
  """JPEG files as phones and cameras write them: pixels as the package reads them, to rounding."""
  photo, (style, _), _ = pictures(rng)
  files = {
    "phone.jpg": (6, Image.Transpose.ROTATE_90, DISPLAY_P3),
    "camera.jpg": (5, Image.Transpose.TRANSPOSE, ADOBE_RGB),
  }
  for name, (orientation, turned, icc) in files.items():
    exif = Image.Exif()
    exif[274] = orientation
    held = Image.fromarray(photo).transpose(turned)
    held.save(tmp_path / name, quality=92, exif=exif, icc_profile=icc)
  photos = [str(tmp_path / name) for name in files]
  style_file = save_image(tmp_path / "style.png", style)
  check_requests(browse("photos", tmp_path, photos=photos, styles=[style_file]))
  for name in files:
    package, page_reads = (
      read_image(tmp_path / each).rgb for each in (name, f"{name}.content.png")
    )
    assert np.abs(package - photo / 255).max() > 0.2  # the profile matters
    assert 255 * np.abs(package - page_reads).max() < 1.01
    painted = tmp_path / f"{name}.png"
    assert levels_apart(painted, stylizer(page_reads, style)) <= LEVELS
    # The networks amplify differences: from the package's pixels of the file, the result is several
    # levels away, as it is from these pixels if as many of them are changed by one level.
    own = stylizer(package, style)
    off = rng.random(package.shape) < (package != page_reads).mean()
    nearly = np.clip(package + off * rng.choice([-1, 1], package.shape) / 255, 0, 1)
    by_decoder = np.abs(255 * own - read_pixels(painted))
    by_chance = 255 * np.abs(own - stylizer(np.float32(nearly), style))
    assert by_decoder.max() <= 12
    assert by_decoder.mean() <= 1.5 * by_chance.mean() + 0.25  # rounding to levels is a quarter


def test_twelve_megapixels_in_tiles_are_the_whole_image(browse, stylizer, rng, tmp_path):
  y, x = np.mgrid[:3000, :4000] / 300
  photo = np.uint8(
    np.stack([127 + 120 * np.sin(x * (c + 1) + y) * np.cos(y) for c in range(3)], -1)
  )
  photo[::7, ::5] ^= 31
  style = pictures(rng)[1][0]
  ran = browse(
    "large",
    tmp_path,
    photo=save_image(tmp_path / "photo.png", photo),
    styles=[save_image(tmp_path / "style.png", style)],
  )
  check_requests(ran)
  assert ran["found"]["painted"].startswith("Painted in")
  expected = stylizer(photo, style, tile_pixels=2**20)
  assert levels_apart(tmp_path / "large.png", expected) <= LEVELS


@pytest.mark.parametrize("provider", ["wasm", "webgpu"])
def test_the_engines_numbers(provider, browse, stylizer, rng, tmp_path):
  """WebGPU runs on a software adapter. Images have 16 bits, so 1e-5 is two thirds of a level."""
  photo, (style, _), _ = pictures(rng)
  photos = [np.ascontiguousarray(photo[:height, :width]) for height, width in ((64, 64), (53, 75))]
  ran = browse(
    "webgpu", tmp_path, provider=provider, photos=list(map(png, photos)), style=png(style)
  )
  check_requests(ran)
  assert ran["found"]["enabled"]
  for photo, painting in zip(photos, ran["found"]["paintings"], strict=True):
    found = np.frombuffer(base64.b64decode(painting), np.uint16).reshape(photo.shape) / 65535
    assert np.abs(found - stylizer(photo, style)).max() <= 1e-5 + 0.5 / 65535


def test_the_archive_of_engines_and_the_page_are_small(files):
  """What a browser downloads before it can stylize, without WebGPU: at most 8.5 MB compressed."""
  sizes = {name: len(page._compressed(data)) * 3 // 4 for name, data in files.items()}
  needed = sum(size for name, size in sizes.items() if not name.startswith("onnxruntime/webgpu."))
  assert needed <= 8_500_000, sizes
