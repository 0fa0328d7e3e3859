"""Image files written byte by byte from their formats' definitions, for tests.

No image library is used: PNG follows the W3C's third edition, TIFF Adobe's 6.0, ICC profiles
ICC.1:2022.
"""

import struct
import zlib

import numpy as np

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
  return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, *before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
  """A PNG of uint8 or uint16 [H, W] or [H, W, 2 to 4], with chunks before and after its pixels."""
  height, width = pixels.shape[:2]
  color_type = {2: 0}.get(pixels.ndim) if pixels.ndim == 2 else {2: 4, 3: 2, 4: 6}[pixels.shape[2]]
  depth = 8 * pixels.dtype.itemsize
  header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
  rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
  return b"".join(
    [
      PNG_SIGNATURE,
      chunk(b"IHDR", header),
      *before,
      chunk(b"IDAT", zlib.compress(rows)),
      *after,
      chunk(b"IEND", b""),
    ]
  )


def gamma(value: float) -> bytes:
  return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(red, green, blue, white) -> bytes:
  numbers = [number for point in (white, red, green, blue) for number in point]
  return chunk(b"cHRM", struct.pack(">8I", *(round(n * 100_000) for n in numbers)))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
  return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def iccp(profile: bytes) -> bytes:
  return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
  """An ICC profile of a display: b"GRAY" or b"RGB ", and its tags."""
  head = bytearray(128)
  head[8:12] = bytes([2, 0x40, 0, 0])
  head[12:16], head[16:20], head[20:24], head[36:40] = b"mntr", space, b"XYZ ", b"acsp"
  head[68:80] = struct.pack(">3i", *(round(x * 65536) for x in (0.9642, 1, 0.8249)))
  tags = {b"wtpt": xyz(0.9642, 1, 0.8249), **tags}
  table, body = b"", b""
  start = 128 + 4 + 12 * len(tags)
  for name, data in tags.items():
    data += bytes(-len(data) % 4)
    table += name + struct.pack(">II", start + len(body), len(data))
    body += data
  whole = bytearray(bytes(head) + struct.pack(">I", len(tags)) + table + body)
  whole[:4] = struct.pack(">I", len(whole))
  return bytes(whole)


def curve(exponent: float | None) -> bytes:
  """A curve tag: a power, or the identity for None."""
  if exponent is None:
    return b"curv" + bytes(8)
  return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256)) + bytes(2)


def xyz(*values: float) -> bytes:
  return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


LINEAR_GRAY = profile(b"GRAY", {b"kTRC": curve(None)})

# Colorants of sRGB as ICC profiles have them (adapted to D50), from IEC's own sRGB profile.
_SRGB = {
  b"rXYZ": xyz(0.43607, 0.22249, 0.01392),
  b"gXYZ": xyz(0.38515, 0.71687, 0.09708),
  b"bXYZ": xyz(0.14307, 0.06061, 0.71410),
}
LINEAR_RGB = profile(b"RGB ", {**_SRGB, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(None))})
GAMMA_18_RGB = profile(b"RGB ", {**_SRGB, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(1.8))})

TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 12: "d"}


def _entries(dtype: np.dtype, shape: tuple[int, int, int], rows: int, planar: bool) -> dict:
  """{tag: (type, values)} of an image [height, width, channels] in strips of `rows` rows."""
  height, width, count = shape
  return {
    254: (4, [0]),
    256: (4, [width]),
    257: (4, [height]),
    258: (3, [8 * dtype.itemsize] * count),
    259: (3, [1]),
    262: (3, [2 if count >= 3 else 1]),
    277: (3, [count]),
    278: (4, [rows]),
    284: (3, [2 if planar else 1]),
    339: (3, [{"u": 1, "i": 2, "f": 3}[dtype.kind]] * count),
  }


def tiff(
  pixels: np.ndarray,
  tags: dict[int, tuple[int, list]] | None = None,
  *,
  planar: bool = False,
  order: str = "<",
  pages: int = 1,
  rows: int | None = None,
) -> bytes:
  """An uncompressed TIFF of [H, W] or [H, W, C] numbers in the byte order "<" or ">".

  Args:
    pixels: any integers or floats.
    tags: {tag: (type, values)}, beside or instead of those that the pixels need.
    planar: whether each channel is stored separately.
    pages: how often the page is repeated.
    rows: number of rows in each strip; None is one strip.
  """
  height, width = pixels.shape[:2]
  channels = pixels[..., None] if pixels.ndim == 2 else pixels
  count = channels.shape[2]
  planes = [channels[..., c : c + 1] for c in range(count)] if planar else [channels]
  rows = rows or height
  strips = [
    plane[top : top + rows].astype(pixels.dtype.newbyteorder(order)).tobytes()
    for plane in planes
    for top in range(0, height, rows)
  ]
  out = bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8))
  for page in range(pages):
    entries = _entries(pixels.dtype, (height, width, count), rows, planar) | (tags or {})
    start = len(out) + 2 + 12 * (len(entries) + 2) + 4
    data, offsets = b"", []
    for strip in strips:
      offsets.append(start + len(data))
      data += strip
    entries[273], entries[279] = (4, offsets), (4, [len(strip) for strip in strips])
    out += struct.pack(f"{order}H", len(entries))
    for tag, (form, values) in sorted(entries.items()):
      packed = struct.pack(f"{order}{len(values)}{TYPES[form]}", *values)
      if len(packed) > 4:
        where = start + len(data)
        data += packed + bytes(len(packed) % 2)
        packed = struct.pack(f"{order}I", where)
      out += struct.pack(f"{order}HHI", tag, form, len(values)) + packed.ljust(4, b"\0")
    following = len(out) + 4 + len(data) + (len(out) + len(data)) % 2
    out += struct.pack(f"{order}I", following if page + 1 < pages else 0) + data
    out += bytes(following - len(out))
  return bytes(out)
