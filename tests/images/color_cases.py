"""Image files as people have them, each with the colors that its format's definition gives.

The names start with the format's name. The bytes are written by image_bytes.py.
"""

import numpy as np

from tests.images import image_bytes as files
from tests.images.color_math import TO_2020, TO_P3, as8, gray, light, pq, srgb

H, W = 6, 9
rng = np.random.default_rng(0)
RGB16 = rng.integers(0, 65536, (H, W, 3)).astype(np.uint16)
GRAY16 = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
RGB8 = rng.integers(0, 256, (H, W, 3)).astype(np.uint8)
HALF = 0.5 / 255


FLOAT = np.linspace(0, 0.6, H * W, dtype=np.float32).reshape(H, W)
OVER = np.linspace(0, 3, H * W, dtype=np.float32).reshape(H, W)
S = np.linspace(0.05, 0.95, H * W * 3).reshape(H, W, 3)  # sRGB colors for the HDR and P3 cases
TWELVE = (GRAY16 >> 4).astype(np.uint16)
WHITE_IS_ZERO = {262: (3, [0])}

# name: (bytes, colors, alpha or None, tolerance, words of the notes)
CASES = {
  "png 16-bit gray": (files.png(GRAY16), gray(GRAY16 / 65535), None, 1e-6, []),
  "png 16-bit color keeps 16 bits": (files.png(RGB16), RGB16 / 65535, None, 1e-6, []),
  "png 16-bit gray and alpha": (
    files.png(np.stack([GRAY16, RGB16[..., 0] | 1], -1)),
    gray(GRAY16 / 65535),
    (RGB16[..., 0] | 1) / 65535,
    1e-6,
    [],
  ),
  "png 16-bit color and alpha": (
    files.png(np.dstack([RGB16, GRAY16 | 1])),
    RGB16 / 65535,
    (GRAY16 | 1) / 65535,
    1e-6,
    [],
  ),
  "png 16-bit gray, linear gray profile": (
    files.png(GRAY16, files.iccp(files.LINEAR_GRAY)),
    gray(srgb(GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "png 16-bit gray, linear RGB profile": (
    files.png(GRAY16, files.iccp(files.LINEAR_RGB)),
    gray(srgb(GRAY16 / 65535)),
    None,
    2e-3,
    [],
  ),
  "png 16-bit color, linear RGB profile": (
    files.png(RGB16, files.iccp(files.LINEAR_RGB)),
    srgb(RGB16 / 65535),
    None,
    2e-3,
    [],
  ),
  "png 16-bit color, profile of gamma 1.8": (
    files.png(RGB16, files.iccp(files.GAMMA_18_RGB)),
    srgb((RGB16 / 65535) ** 1.8),
    None,
    2e-3,
    [],
  ),
  "png 8-bit gray, linear gray profile": (
    files.png(RGB8[..., 0], files.iccp(files.LINEAR_GRAY)),
    gray(srgb(RGB8[..., 0] / 255)),
    None,
    2.5 / 255,
    [],
  ),
  "png gAMA 1.0 is linear": (files.png(RGB8, files.gamma(1.0)), srgb(RGB8 / 255), None, HALF, []),
  "png gAMA 1.0, 16 bits": (
    files.png(RGB16, files.gamma(1.0)),
    srgb(RGB16 / 65535),
    None,
    1e-5,
    [],
  ),
  "png gAMA 1/1.8": (
    files.png(RGB8, files.gamma(1 / 1.8)),
    srgb((RGB8 / 255) ** 1.8),
    None,
    HALF,
    [],
  ),
  "png gAMA 1/2.2 stands for sRGB": (
    files.png(RGB8, files.gamma(0.45455)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png gAMA and cHRM of Display P3": (
    files.png(
      as8(srgb(light(S) @ TO_P3.T)),
      files.gamma(0.45455),
      files.chromaticities((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)),
    ),
    srgb((as8(srgb(light(S) @ TO_P3.T)) / 255.0) ** 2.2 @ np.linalg.inv(TO_P3).T),
    None,
    1.5 / 255,
    [],
  ),
  "png sRGB chunk wins over gAMA": (
    files.png(RGB8, files.chunk(b"sRGB", b"\0"), files.gamma(1.0)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png ICC profile wins over gAMA": (
    files.png(RGB8, files.iccp(files.LINEAR_RGB), files.gamma(0.1)),
    srgb(RGB8 / 255),
    None,
    2.5 / 255,
    [],
  ),
  "png cICP wins over the ICC profile": (
    files.png(RGB8, files.cicp(1, 13), files.iccp(files.LINEAR_RGB)),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png cICP Display P3": (
    files.png(as8(srgb(light(S) @ TO_P3.T)), files.cicp(12, 13)),
    S,
    None,
    2 / 255,
    [],
  ),
  "png cICP BT.2020 in PQ": (
    files.png(np.rint(pq(203 * light(S) @ TO_2020.T) * 65535).astype(np.uint16), files.cicp(9, 16)),
    S,
    None,
    2 / 255,
    ["HDR (PQ) is tone-mapped"],
  ),
  "png cICP in PQ, 8 bits": (
    files.png(as8(pq(203 * light(S) @ TO_2020.T)), files.cicp(9, 16)),
    S,
    None,
    5 / 255,
    ["HDR (PQ) is tone-mapped"],
  ),
  "png cICP linear": (files.png(RGB16, files.cicp(1, 8)), srgb(RGB16 / 65535), None, 1e-5, []),
  "png cICP of a narrow range": (
    files.png(np.rint(16 + S * 219).astype(np.uint8), files.cicp(1, 13, full=0)),
    S,
    None,
    1.2 * HALF,
    [],
  ),
  "png cICP unspecified": (files.png(RGB8, files.cicp(2, 2)), RGB8 / 255, None, 1e-6, []),
  "png remark of 2 MB": (
    files.png(RGB8, files.chunk(b"zTXt", b"Comment\0\0" + files.zlib.compress(bytes(2_000_000)))),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png remark of 2 MB behind the pixels": (
    files.png(
      RGB8, after=(files.chunk(b"zTXt", b"Comment\0\0" + files.zlib.compress(bytes(2_000_000))),)
    ),
    RGB8 / 255,
    None,
    1e-6,
    [],
  ),
  "png profile of 2 MB": (
    files.png(RGB8, files.iccp(bytes(2_000_000))),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png broken profile": (
    files.png(RGB8, files.iccp(b"no profile")),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png broken profile, 16 bits": (
    files.png(RGB16, files.iccp(b"no profile")),
    RGB16 / 65535,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png profile chunk of an unknown compression": (
    files.png(RGB8, files.chunk(b"iCCP", b"profile\0\7" + bytes(9))),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png gray profile on colors": (
    files.png(RGB8, files.iccp(files.LINEAR_GRAY)),
    RGB8 / 255,
    None,
    1e-6,
    ["its ICC profile can't be read and is ignored"],
  ),
  "png 16-bit color with a transparent color": (
    files.png(RGB16, files.chunk(b"tRNS", RGB16[2, 3].astype(">u2").tobytes())),
    RGB16 / 65535,
    (RGB16[2, 3] != RGB16).any(-1),
    1e-6,
    [],
  ),
  "tiff 16-bit gray": (files.tiff(GRAY16), gray(GRAY16 / 65535), None, 1e-6, []),
  "tiff 16-bit gray, big-endian": (
    files.tiff(GRAY16, order=">"),
    gray(GRAY16 / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit gray, white is zero": (
    files.tiff(GRAY16, WHITE_IS_ZERO),
    gray(1 - GRAY16 / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff 8-bit gray, white is zero": (
    files.tiff(RGB8[..., 0], WHITE_IS_ZERO),
    gray(1 - RGB8[..., 0] / 255),
    None,
    1e-6,
    [],
  ),
  "tiff float gray, white is zero": (
    files.tiff(FLOAT, WHITE_IS_ZERO),
    gray(1 - FLOAT),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit gray, linear profile": (
    files.tiff(GRAY16, {34675: (7, list(files.LINEAR_GRAY))}),
    gray(srgb(GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "tiff 16-bit gray, linear profile, white is zero": (
    files.tiff(GRAY16, {34675: (7, list(files.LINEAR_GRAY)), **WHITE_IS_ZERO}),
    gray(srgb(1 - GRAY16 / 65535)),
    None,
    1e-3,
    [],
  ),
  "tiff 12 bits in 16 by MaxSampleValue": (
    files.tiff(TWELVE, {281: (3, [4095])}),
    gray(TWELVE / 4095),
    None,
    1e-6,
    [],
  ),
  "tiff 12 bits in 16 by SMaxSampleValue": (
    files.tiff(TWELVE, {341: (3, [4095])}),
    gray(TWELVE / 4095),
    None,
    1e-6,
    [],
  ),
  "tiff MaxSampleValue that is a statistic": (
    files.tiff(TWELVE, {281: (3, [4000])}),
    gray(TWELVE / 65535),
    None,
    1e-6,
    [],
  ),
  "tiff float up to 0.6": (files.tiff(FLOAT), gray(FLOAT), None, 1e-6, []),
  "tiff float beyond 1": (
    files.tiff(OVER),
    gray(np.minimum(OVER, 1)),
    None,
    1e-6,
    ["values up to 3 are clipped to 1"],
  ),
  "tiff unsigned 32 bits": (
    files.tiff(GRAY16.astype(np.uint32) * 65537),
    gray(GRAY16 / 65535),
    None,
    1e-5,
    [],
  ),
  "tiff signed 16 bits": (
    files.tiff((GRAY16 >> 1).astype(np.int16)),
    gray((GRAY16 >> 1) / 32767),
    None,
    1e-6,
    [],
  ),
  "tiff 16-bit color keeps 16 bits": (files.tiff(RGB16), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color, big-endian": (files.tiff(RGB16, order=">"), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in strips": (files.tiff(RGB16, rows=2), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in planes": (files.tiff(RGB16, planar=True), RGB16 / 65535, None, 1e-6, []),
  "tiff 16-bit color in planes and strips, big-endian": (
    files.tiff(RGB16, planar=True, order=">", rows=4),
    RGB16 / 65535,
    None,
    1e-6,
    [],
  ),
  "tiff 8-bit color in planes": (files.tiff(RGB8, planar=True), RGB8 / 255, None, 1e-6, []),
  "tiff 16-bit color and alpha": (
    files.tiff(np.dstack([RGB16, GRAY16 | 1]), {338: (3, [2])}),
    RGB16 / 65535,
    (GRAY16 | 1) / 65535,
    1e-6,
    [],
  ),
  "tiff 16-bit color, linear profile": (
    files.tiff(RGB16, {34675: (7, list(files.LINEAR_RGB))}),
    srgb(RGB16 / 65535),
    None,
    2e-3,
    [],
  ),
  "tiff 16-bit gray and alpha": (
    files.tiff(np.dstack([GRAY16, RGB16[..., 0] | 1]), {338: (3, [2])}),
    gray(GRAY16 / 65535),
    (RGB16[..., 0] | 1) / 65535,
    1e-6,
    [],
  ),
  "tiff 16-bit gray times alpha, big-endian, in pages": (
    files.tiff(
      np.dstack([GRAY16 >> 1, RGB16[..., 0] | 0x8000]), {338: (3, [1])}, order=">", pages=2
    ),
    gray((GRAY16 >> 1) / (RGB16[..., 0] | 0x8000)),
    (RGB16[..., 0] | 0x8000) / 65535,
    1e-6,
    ["several pages, of which the first is used"],
  ),
  "tiff 16-bit gray and a mask, white is zero": (
    files.tiff(np.dstack([GRAY16, RGB16[..., 0]]), {338: (3, [0]), 262: (3, [0])}),
    gray(1 - GRAY16 / 65535),
    None,
    1e-6,
    ["it has 1 more channel besides color and transparency, left out"],
  ),
  "tiff of colors and a mask": (
    files.tiff(np.dstack([RGB8, RGB8[..., :1]]), {338: (3, [0])}),
    RGB8 / 255,
    None,
    1e-6,
    ["it has 1 more channel besides color and transparency, left out"],
  ),
  "tiff of 16-bit colors and a mask": (
    files.tiff(np.dstack([RGB16, GRAY16]), {338: (3, [0])}),
    RGB16 / 65535,
    None,
    1e-6,
    ["it has 1 more channel besides color and transparency, left out"],
  ),
  "tiff of colors times alpha": (  # TIFF 6.0, section 18: 1 is associated alpha
    files.tiff(
      np.dstack([np.full((H, W, 3), 100), np.full((H, W), 128)]).astype(np.uint8), {338: (3, [1])}
    ),
    np.full((H, W, 3), 100 / 128),
    np.full((H, W), 128 / 255),
    HALF,
    [],
  ),
  "tiff of three pages": (
    files.tiff(RGB8, pages=3),
    RGB8 / 255,
    None,
    1e-6,
    ["several pages, of which the first is used"],
  ),
}


REFUSED = {
  "tiff of colors in floating point": (files.tiff(np.float32(RGB8) / 255), "a kind that can't be"),
  "tiff of colors of 32 bits": (files.tiff(RGB8.astype(np.uint32)), "a kind that can't be"),
  "dng, a camera's raw file": (files.tiff(RGB8, {50706: (1, [1, 4, 0, 0])}), "camera's raw file"),
  "nef, which starts with a preview": (files.tiff(RGB8, {254: (4, [1])}), "camera's raw file"),
}
