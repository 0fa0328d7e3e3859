"""AVIF and HEIC: colors, transparency, orientation, and the message where a package is missing."""

import numpy as np
import pytest
from PIL import Image, features

from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb, image_size, read_image
from tests.images import image_bytes as files
from tests.images.color_math import TO_2020, TO_P3, light, light_of_pq, srgb
from tests.images.pillow_files import encoded, smooth

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@needs_avif
class TestAvif:
  def test_avif_colors_and_alpha(self, tmp_path):
    colors = np.dstack([smooth(32, 48), np.full((32, 48), 200, np.uint8)])
    (tmp_path / "a.avif").write_bytes(encoded(colors, "AVIF", quality=95, subsampling="4:4:4"))
    actual = read_image(tmp_path / "a.avif")
    np.testing.assert_allclose(actual.rgb, colors[..., :3] / 255, atol=6 / 255)
    np.testing.assert_allclose(actual.alpha, 200 / 255, atol=2 / 255)

  @pytest.mark.parametrize("orientation", range(1, 9))
  def test_avif_orientation(self, tmp_path, orientation):
    # EXIF 2.3: where row 0 and column 0 of the stored pixels lie in the scene.
    upright = smooth(24, 40)
    turned = {
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
    path = tmp_path / "a.avif"
    path.write_bytes(
      encoded(np.ascontiguousarray(turned), "AVIF", quality=95, exif=exif, subsampling="4:4:4")
    )
    np.testing.assert_allclose(read_image(path).rgb, upright / 255, atol=6 / 255)
    assert image_size(path) == (40, 24)

  @pytest.mark.parametrize(
    "codes, want, notes",
    [
      ((12, 13), lambda v: srgb(light(v) @ np.linalg.inv(TO_P3).T), 0),
      ((1, 8), srgb, 0),
      # ITU-R BT.2100 and BT.2408: PQ's light over 203 cd/m² is SDR's; light above 1 is tone-mapped.
      ((9, 16), lambda v: srgb(light_of_pq(v) / 203 @ np.linalg.inv(TO_2020).T), 1),
    ],
  )
  def test_avif_nclx(self, tmp_path, codes, want, notes):
    colors = np.rint(80 + 0.2 * smooth(32, 48)).astype(np.uint8)
    data = bytearray(encoded(colors, "AVIF", quality=100, subsampling="4:4:4"))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = codes[0].to_bytes(2, "big") + codes[1].to_bytes(2, "big")
    (tmp_path / "a.avif").write_bytes(data)
    plain = read_image(tmp_path / "a.avif")
    assert len(plain.notes) == notes
    decoded = np.asarray(Image.open(tmp_path / "a.avif")) / 255  # Pillow ignores nclx
    np.testing.assert_allclose(plain.rgb, np.clip(want(decoded), 0, 1), atol=1.5 / 255)

  def test_avif_animation(self, tmp_path):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=200)
    actual = read_image(tmp_path / "a.avif")
    assert actual.rgb[0, 0, 0] > 0.9
    assert "several frames, of which the first" in actual.notes[0]


class TestHeic:
  @pytest.fixture
  def heif(self):
    return pytest.importorskip("pillow_heif", reason="pillow-heif isn't installed")

  def save(self, heif, path, array, **options):
    heif.from_pillow(Image.fromarray(array)).save(path, quality=95, chroma=444, **options)
    return path

  def test_heic_colors(self, heif, tmp_path):
    path = self.save(heif, tmp_path / "a.heic", smooth(64, 80))
    np.testing.assert_allclose(read_image(path).rgb, smooth(64, 80) / 255, atol=8 / 255)
    assert decode_rgb(path).shape == (64, 80, 3)
    assert "HEIF" not in Image.OPEN  # nothing is registered in Pillow

  def test_heic_orientation(self, heif, tmp_path):
    # Cameras write both EXIF's tag and HEIF's own rotation; it must be applied once.
    exif = Image.Exif()
    exif[274] = 6
    image = Image.fromarray(np.ascontiguousarray(np.rot90(smooth(48, 80), 1)))
    buffer = heif.from_pillow(image)
    buffer.save(tmp_path / "a.heic", quality=95, chroma=444, exif=exif.tobytes())
    actual = read_image(tmp_path / "a.heic").rgb
    np.testing.assert_allclose(actual, smooth(48, 80) / 255, atol=8 / 255)
    assert image_size(tmp_path / "a.heic") == (80, 48)

  def test_heic_profile(self, heif, tmp_path):
    path = tmp_path / "a.heic"
    self.save(heif, path, smooth(64, 80), icc_profile=files.LINEAR_RGB)
    np.testing.assert_allclose(
      read_image(path).rgb[8:, 8:], srgb(smooth(64, 80) / 255)[8:, 8:], atol=16 / 255
    )

  def test_heic_cut(self, heif, tmp_path):
    path = self.save(heif, tmp_path / "a.heic", smooth(64, 80))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="found a damaged image"):
      read_image(path)

  def test_heic_without_the_package(self, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(40))
    with pytest.raises(InputError) as caught:
      read_image(tmp_path / "a.heic")
    said = str(caught.value)
    assert "a.heic: found a HEIC image and no package to decode it (pip install " in said
    assert "heif" in said.split("pip install ")[1]
