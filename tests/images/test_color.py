"""Transfer functions and primaries against numbers that their standards print."""

import numpy as np
import pytest

from stylejax.images import color

GRAYS = np.linspace(0, 1, 33, dtype=np.float32)[:, None].repeat(3, 1)


@pytest.mark.parametrize(
  "there, back",
  [
    (color.srgb_to_linear, color.linear_to_srgb),
    (color.bt709_to_linear, color.linear_to_bt709),
    (color.pq_to_linear, color.linear_to_pq),
    (color.hlg_to_linear, color.linear_to_hlg),
  ],
)
def test_transfer_functions_are_undone(there, back):
  np.testing.assert_allclose(back(there(GRAYS)), GRAYS, atol=2e-6)


def test_reference_white_as_bt2408_prints_it():
  # ITU-R BT.2408, table 1: HDR reference white is 58 % PQ and 75 % HLG, 203 cd/m².
  assert color.linear_to_pq(np.float32(1)) == pytest.approx(0.58, abs=0.005)
  np.testing.assert_allclose(color.linear_to_hlg(np.ones(3, np.float32)), 0.75, atol=0.005)


def test_pq_is_absolute():
  # SMPTE ST 2084: 100 cd/m² is 0.5081, 10,000 cd/m² is 1.
  assert color.linear_to_pq(np.float32(100 / 203)) == pytest.approx(0.5081, abs=1e-4)
  assert color.pq_to_linear(np.float32(1)) * 203 == pytest.approx(10_000, rel=1e-5)


def test_matrices_as_the_standards_print_them():
  # IEC 61966-2-1 (sRGB to XYZ) and ITU-R BT.2087, M2 inverse (BT.2020 to BT.709).
  np.testing.assert_allclose(
    color.rgb_to_xyz(color.PRIMARIES["bt709"]),
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
    atol=1e-4,
  )
  np.testing.assert_allclose(
    color.to_bt709_matrix(color.PRIMARIES["bt2020"]),
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    atol=1e-4,
  )


@pytest.mark.parametrize("name", color.PRIMARIES)
def test_white_stays_white(name):
  np.testing.assert_allclose(
    color.to_bt709_matrix(color.PRIMARIES[name]) @ np.ones(3), 1, atol=1e-5
  )


@pytest.mark.parametrize(
  "transfer, encode", [("pq", color.linear_to_pq), ("hlg", color.linear_to_hlg)]
)
def test_sdr_carried_in_hdr_comes_back(transfer, encode):
  rgb = np.random.default_rng(0).random((200, 3), np.float32)
  back = np.linalg.inv(color.to_bt709_matrix(color.PRIMARIES["bt2020"]))
  carried = encode(color.srgb_to_linear(rgb) @ np.float32(back).T)
  actual = color.to_srgb(carried, primaries="bt2020", transfer=transfer)
  np.testing.assert_allclose(actual, rgb, atol=0.5 / 255)


def test_tone_mapping_rises_and_keeps_hue_and_shadows():
  light = np.linspace(0, 10, 500, dtype=np.float32)[:, None] * np.float32([1, 0.5, 0.25])
  mapped = color.tone_map(light, 10)
  assert mapped.max() == pytest.approx(1, abs=1e-5)
  assert (np.diff(mapped[:, 0]) > -1e-6).all()
  np.testing.assert_allclose(mapped[:, 1], mapped[:, 0] / 2, atol=1e-6)
  dark = light[:, 0] < 0.2
  np.testing.assert_allclose(mapped[dark], light[dark], atol=1e-4)


def test_primaries_on_a_line_are_refused():
  with pytest.raises(ValueError, match="expected three apart"):
    color.rgb_to_xyz(((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.31, 0.33)))
