"""More than 8 bits per channel are kept, or a line says that they aren't.

PPM follows Netpbm's ppm(5); JPEG 2000 and AVIF are written by imagecodecs (OpenJPEG and libavif).
"""

import numpy as np
import pytest
from PIL import features

from stylejax.images.decode import decode_rgb, read_image

rng = np.random.default_rng(0)
NUMBERS = rng.integers(0, 1024, (24, 32, 3)).astype(np.uint16)
SMOOTH = (np.mgrid[:24, :32].sum(0)[..., None] * np.array([18, 17, 16])).astype(np.uint16)


@pytest.mark.parametrize("white", [1023, 4095, 65535])
def test_ppm_keeps_all_bits(tmp_path, white):
  header = f"P6\n# a remark\n32 24 {white}\n".encode()
  (tmp_path / "a.ppm").write_bytes(header + NUMBERS.astype(">u2").tobytes())
  actual = read_image(tmp_path / "a.ppm")
  np.testing.assert_allclose(actual.rgb, NUMBERS / white, atol=1e-6)
  assert not actual.notes
  np.testing.assert_allclose(decode_rgb(tmp_path / "a.ppm"), NUMBERS / white * 255, atol=0.51)


@pytest.mark.parametrize("white", [1023, 65535])
def test_ppm_in_text_keeps_all_bits(tmp_path, white):
  numbers = "\n# a remark\n".join(" ".join(map(str, row.ravel())) for row in NUMBERS)
  (tmp_path / "a.ppm").write_text(f"P3\n32 24\n{white}\n{numbers}\n")
  actual = read_image(tmp_path / "a.ppm")
  np.testing.assert_allclose(actual.rgb, NUMBERS / white, atol=1e-6)
  (tmp_path / "a.ppm").write_text(f"P3\n32 24\n{white}\n{numbers[:-5]}")
  with pytest.raises(ValueError, match="found a damaged image"):
    read_image(tmp_path / "a.ppm")


def test_ppm_that_is_cut_is_refused(tmp_path):
  (tmp_path / "a.ppm").write_bytes(b"P6\n32 24 1023\n" + NUMBERS.astype(">u2").tobytes()[:-2])
  with pytest.raises(ValueError, match="found a damaged image"):
    read_image(tmp_path / "a.ppm")


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_jpeg_2000_says_that_bits_are_left_out(tmp_path, bits):
  codecs = pytest.importorskip("imagecodecs")
  pixels = (SMOOTH >> 2).astype(np.uint8) if bits == 8 else SMOOTH << bits - 10
  data = codecs.jpeg2k_encode(pixels, codecformat="JP2", bitspersample=bits, level=0)
  (tmp_path / "a.jp2").write_bytes(data)
  actual = read_image(tmp_path / "a.jp2")
  np.testing.assert_allclose(actual.rgb, pixels / (2**bits - 1), atol=1.5 / 255)
  assert actual.notes == (
    () if bits == 8 else (f"only the upper 8 of its {bits} bits per channel are read",)
  )


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("bits", [8, 10])
def test_avif_says_that_bits_are_left_out(tmp_path, bits):
  codecs = pytest.importorskip("imagecodecs")
  pixels = (SMOOTH >> 2).astype(np.uint8) if bits == 8 else SMOOTH
  (tmp_path / "a.avif").write_bytes(codecs.avif_encode(pixels, level=100, bitspersample=bits))
  actual = read_image(tmp_path / "a.avif")
  np.testing.assert_allclose(actual.rgb, pixels / (2**bits - 1), atol=3 / 255)
  assert actual.notes == (
    () if bits == 8 else (f"only the upper 8 of its {bits} bits per channel are read",)
  )
