"""Color conversion in NumPy: transfer functions, primaries, HDR to SDR. No file is opened here.

Linear light is relative: 1 is white, in HDR the reference white of 203 cd/m² (ITU-R BT.2408).
PNG, AVIF, HEIF and videos all name primaries and transfer by the codes of ITU-T H.273 (CICP).
"""

from collections.abc import Callable

import numpy as np

REFERENCE_WHITE = 203.0
"""Luminance of HDR reference white (ITU-R BT.2408), in cd/m²."""

HLG_PEAK = 1000.0
"""Peak luminance of the display that HLG is rendered for (ITU-R BT.2100), in cd/m²."""

_D65 = (0.3127, 0.3290)
_BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
_SMPTE170M = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)

# H.273, table 2: CIE 1931 (x, y) of red, green, blue and white.
PRIMARIES: dict[str, tuple[tuple[float, float], ...]] = {
  "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
  "bt470m": ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316)),
  "bt470bg": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
  "smpte170m": _SMPTE170M,
  "film": ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
  "bt2020": _BT2020,
  "xyz": ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
  "dci_p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
  "display_p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
  "ebu3213": ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}

CICP_PRIMARIES = {
  1: "bt709",
  4: "bt470m",
  5: "bt470bg",
  6: "smpte170m",
  7: "smpte170m",
  8: "film",
  9: "bt2020",
  10: "xyz",
  11: "dci_p3",
  12: "display_p3",
  22: "ebu3213",
}
"""Code points of H.273, table 2, to names in PRIMARIES; 2 is "unspecified"."""

CICP_TRANSFERS = {
  1: "bt709",
  4: "gamma22",
  5: "gamma28",
  6: "bt709",
  8: "linear",
  13: "srgb",
  14: "bt709",
  15: "bt709",
  16: "pq",
  18: "hlg",
}
"""Code points of H.273, table 3, to names in TO_LINEAR; 2 is "unspecified"."""

HDR_TRANSFERS = ("pq", "hlg")
"""Transfer functions that encode light brighter than white and are tone-mapped."""

_BRADFORD = np.array(
  [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

# ITU-R BT.2100, tables 4 and 5.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A = 0.17883277
_HLG_B, _HLG_C = 1 - 4 * _HLG_A, 0.5 - _HLG_A * np.log(4 * _HLG_A)
_HLG_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_HLG_GAMMA = 1.2


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
  """Converts sRGB values to linear light (IEC 61966-2-1), mirrored for negative values."""
  size = np.abs(values)
  light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
  return np.copysign(light, values).astype(np.float32)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
  """Converts linear light to sRGB values (IEC 61966-2-1), mirrored for negative values."""
  size = np.abs(light)
  values = np.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055)
  return np.copysign(values, light).astype(np.float32)


def bt709_to_linear(values: np.ndarray) -> np.ndarray:
  """Converts BT.709 values to a display's light (ITU-R BT.1886 with black at 0): V^2.4.

  This is not the inverse of BT.709's camera curve, which no display applies.
  """
  return np.copysign(np.abs(values) ** 2.4, values).astype(np.float32)


def linear_to_bt709(light: np.ndarray) -> np.ndarray:
  """The inverse of `bt709_to_linear`."""
  return np.copysign(np.abs(light) ** (1 / 2.4), light).astype(np.float32)


def pq_to_linear(values: np.ndarray) -> np.ndarray:
  """Converts PQ values (ITU-R BT.2100; SMPTE ST 2084) to light, where 1 is the reference white."""
  powered = np.clip(values, 0, 1).astype(np.float64) ** (1 / _M2)
  light = (np.maximum(powered - _C1, 0) / (_C2 - _C3 * powered)) ** (1 / _M1)
  return (light * (10_000 / REFERENCE_WHITE)).astype(np.float32)


def linear_to_pq(light: np.ndarray) -> np.ndarray:
  """The inverse of `pq_to_linear`; light below 0 becomes 0."""
  powered = np.maximum(light, 0).astype(np.float64) * (REFERENCE_WHITE / 10_000)
  powered = powered**_M1
  return (((_C1 + _C2 * powered) / (1 + _C3 * powered)) ** _M2).astype(np.float32)


def hlg_to_linear(values: np.ndarray) -> np.ndarray:
  """Converts HLG values [..., 3] (ITU-R BT.2100) to the light of a display that peaks at HLG_PEAK.

  1 is the reference white. The OOTF maps scene light E to the display, E · Y^(γ − 1), γ = 1.2.
  """
  values = np.clip(values, 0, 1)
  high = (np.exp((values - _HLG_C) / _HLG_A) + _HLG_B) / 12
  scene = np.where(values <= 0.5, values**2 / 3, high)
  luminance = (scene @ _HLG_LUMA)[..., None]
  light = scene * luminance ** (_HLG_GAMMA - 1) * (HLG_PEAK / REFERENCE_WHITE)
  return light.astype(np.float32)


def linear_to_hlg(light: np.ndarray) -> np.ndarray:
  """The inverse of `hlg_to_linear` for [..., 3]; light below 0 becomes 0."""
  display = np.maximum(light, 0) * (REFERENCE_WHITE / HLG_PEAK)
  luminance = np.maximum((display @ _HLG_LUMA)[..., None], 1e-12)
  scene = display * luminance ** ((1 - _HLG_GAMMA) / _HLG_GAMMA)
  values = np.where(
    scene <= 1 / 12,
    np.sqrt(3 * scene),
    _HLG_A * np.log(np.maximum(12 * scene - _HLG_B, 1e-12)) + _HLG_C,
  )
  return values.astype(np.float32)


def _power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
  return lambda values: np.copysign(np.abs(values) ** exponent, values).astype(np.float32)


TO_LINEAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  "srgb": srgb_to_linear,
  "bt709": bt709_to_linear,
  "gamma22": _power(2.2),
  "gamma28": _power(2.8),
  "linear": np.float32,
  "pq": pq_to_linear,
  "hlg": hlg_to_linear,
}
"""For each transfer function's name, the function from its values to linear light."""


def rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
  """The matrix from linear RGB to CIE XYZ.

  Args:
    primaries: (x, y) of red, green, blue and white, as in PRIMARIES.

  Returns:
    [3, 3] float64; RGB of (1, 1, 1) gives the white at Y = 1.

  Raises:
    ValueError: the primaries lie on one line, or the white's y is 0.
  """
  x, y = np.array(primaries, np.float64).T
  columns = np.stack([x, y, 1 - x - y])
  if y[3] == 0 or abs(np.linalg.det(columns[:, :3])) < 1e-9:
    raise ValueError(f"primaries: found {primaries}, expected three apart and a white with y > 0")
  return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3] / y[3])


def to_bt709_matrix(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
  """The matrix [3, 3] float32 from linear RGB of given primaries to that of sRGB and BT.709.

  White stays white: one that isn't D65 is adapted with the Bradford matrix.
  """
  target = rgb_to_xyz(PRIMARIES["bt709"])
  return np.linalg.solve(target, _adapted(rgb_to_xyz(primaries), target.sum(1))).astype(np.float32)


def rgb_to_d50(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
  """The matrix [3, 3] float64 from linear RGB to XYZ as in ICC profiles, adapted to D50."""
  return _adapted(rgb_to_xyz(primaries), np.array([0.9642, 1.0, 0.8249]))


def _adapted(to_xyz: np.ndarray, white: np.ndarray) -> np.ndarray:
  """A matrix to XYZ, adapted to another white with the Bradford matrix."""
  before, after = _BRADFORD @ to_xyz.sum(1), _BRADFORD @ white
  return np.linalg.solve(_BRADFORD, (after / before)[:, None] * _BRADFORD) @ to_xyz


def tone_map(light: np.ndarray, peak: float) -> np.ndarray:
  """Maps HDR light into [0, 1] by ITU-R BT.2390's curve on the largest channel, preserving hue.

  Each pixel is scaled by one factor so that its largest channel follows the curve: the identity up
  to the knee, then a Hermite spline in PQ that takes `peak` to 1. A peak of 1 or less needs no
  curve; light is only clipped to 1.

  Args:
    light: [..., 3] linear light, where 1 is the reference white.
    peak: the largest channel value, from the image itself or the file's metadata.

  Returns:
    [..., 3] float32, at most 1.

  Source: ITU-R BT.2390-11, section 5.4.1, with black at 0 on both sides.
  """
  if peak <= 1:
    return np.minimum(light, 1).astype(np.float32)
  largest = np.maximum(light.max(-1, keepdims=True), 1e-9)
  top = float(linear_to_pq(np.float32(peak)))
  limit = float(linear_to_pq(np.float32(1))) / top
  knee = 1.5 * limit - 0.5
  level = np.minimum(linear_to_pq(largest) / top, 1)
  part = np.clip((level - knee) / (1 - knee), 0, 1)
  curve = (
    (2 * part**3 - 3 * part**2 + 1) * knee
    + (part**3 - 2 * part**2 + part) * (1 - knee)
    + (3 * part**2 - 2 * part**3) * limit
  )
  mapped = np.where(level < knee, largest, pq_to_linear(curve * top))
  return np.minimum(light * (mapped / largest), 1).astype(np.float32)


def to_srgb(
  rgb: np.ndarray,
  *,
  primaries: str | tuple[tuple[float, float], ...] = "bt709",
  transfer: str | Callable[[np.ndarray], np.ndarray] = "srgb",
  peak: float | None = None,
) -> np.ndarray:
  """Converts RGB values of another color space to sRGB; HDR is tone-mapped.

  Args:
    rgb: [..., 3] float in [0, 1].
    primaries: a name in PRIMARIES, or (x, y) of red, green, blue and white.
    transfer: a name in TO_LINEAR, or a function from values to linear light.
    peak: for PQ and HLG, the largest channel value in units of the reference white, as in
      `tone_map`; None takes this image's.

  Returns:
    [..., 3] float32 in [0, 1]; colors outside the sRGB gamut are clipped.
  """
  hdr = transfer in HDR_TRANSFERS
  light = (TO_LINEAR[transfer] if isinstance(transfer, str) else transfer)(rgb)
  if primaries != "bt709":
    points = PRIMARIES[primaries] if isinstance(primaries, str) else primaries
    light = light @ to_bt709_matrix(points).T
  if hdr:
    light = tone_map(light, float(light.max(initial=0)) if peak is None else peak)
  return np.clip(linear_to_srgb(np.clip(light, 0, 1)), 0, 1)
