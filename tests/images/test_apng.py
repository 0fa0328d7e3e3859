"""APNG: how frames are put together, times and damaged files, in and out.

Expected values come from the PNG specification, third edition, and from FFmpeg's decoder.
"""

import io
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import apng
from stylejax.images.frames import Source
from tests.images.animation_cases import APNG_CASES
from tests.images.animation_files import (
  BLUE,
  GREEN,
  NONE,
  NTSC,
  PALETTE,
  RED,
  apng_file,
  as_rgba,
  by_ffmpeg,
  film,
  patched,
  plain,
  png_chunk,
  read,
  rgba,
  write,
)


@pytest.mark.parametrize("case", APNG_CASES)
def test_apng_frames_are_put_together(tmp_path, case):
  settings, frames, expected = APNG_CASES[case]
  path = tmp_path / "a.png"
  path.write_bytes(apng_file((4, 4), frames, **settings))
  source, actual, notes = read(path)
  np.testing.assert_allclose([as_rgba(frame) for frame in actual], expected, atol=1)
  if "small" not in case:  # FFmpeg 8 doesn't support this
    np.testing.assert_allclose(np.array(by_ffmpeg(path), int), np.array(expected, int), atol=1)
  assert notes == [] and source.total == len(frames)


def test_apng_without_alpha_clears_to_nothing(tmp_path):
  """By the specification, any color type is cleared to "fully transparent black"; Pillow 13.0.0
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
  _, actual, _ = read(path)
  for frame, value in zip(actual, (300, 40_000), strict=True):
    np.testing.assert_allclose(frame.rgb, value / 65_535, atol=1e-6)


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


def test_apng_writes_ntsc_rates_exactly(tmp_path):
  write(tmp_path / "a.png", film([NTSC] * 5))
  assert {frame.length for frame in Source(tmp_path / "a.png", 25)} == {NTSC}


def test_apng_layout_of_a_still_image_is_none():
  file = io.BytesIO()
  info = Image.new("RGB", (4, 4))
  info.save(file, "PNG", icc_profile=b"acTL")  # the letters alone make no animation
  assert apng.read_layout(file.getvalue(), "a.png") is None
