"""Every way to paint gives the image of the plain one; a few programs do for many sizes."""

import random

import jax
import numpy as np
import pytest

from stylejax import controls, transfer
from stylejax.images import encode
from stylejax.inference import buckets, painters

COLORS = painters.Colors()


@pytest.fixture(scope="module")
def codes(tiny_params):
  styles = np.random.default_rng(1).random((2, 32, 40, 3), np.float32)
  return [jax.jit(transfer.encode_style)(tiny_params, style) for style in styles]


def content(height, width, seed=2):
  coarse = np.random.default_rng(seed).random((height // 4 + 2, width // 4 + 2, 3))
  return encode.as_bytes(np.kron(coarse, np.ones((4, 4, 1)))[:height, :width])


def controls_of(kind, height, width):
  rng = np.random.default_rng(3)
  regions = rng.random((2, height, width), np.float32)
  strengths = 1.5 * rng.random((height, width), np.float32)
  strengths[: height // 4] = 0
  return {
    "one": (None, np.float32(0.8)),
    "none": (None, np.float32(0)),
    "mixture": (np.float32([0.3, 0.7]), np.float32(1)),
    "regions": (regions, np.float32(1)),
    "faint regions": (regions, np.float32(0.4)),
    "strengths": (None, strengths),
    "light": (None, strengths / 1.5),
    "regions and strengths": (regions, strengths),
    "nothing": (regions, 0 * strengths),
  }[kind]


@pytest.mark.parametrize(
  "kind",
  [
    "one",
    "none",
    "mixture",
    "regions",
    "faint regions",
    "strengths",
    "light",
    "regions and strengths",
    "nothing",
  ],
)
@pytest.mark.parametrize("colors", [COLORS, painters.Colors(0.7, moments=True)])
def test_tiles_and_shared_rows_are_the_whole(tiny_params, codes, kind, colors, monkeypatch):
  monkeypatch.setattr("stylejax.inference.parts.PART_PIXELS", 1500)
  image, asked = content(135, 53), controls_of(kind, 135, 53)
  (whole,) = painters.Whole(tiny_params, image, colors).paint(codes, *asked)
  (tiled,) = painters.Tiled(tiny_params, image, colors, 1500).paint(codes, *asked)
  (shared,) = painters.Shared(tiny_params, image, colors).paint(codes, *asked)
  assert tiled.dtype == np.uint8
  # Rounding to 8 bits, and tiles' maps in float16 (test_tiles.py).
  assert np.abs(tiled - 255 * whole).max() <= 0.5 + 255 * 5e-4
  # Spreads of colors are matched through sums of 7,155 pixels.
  np.testing.assert_allclose(shared, whole, atol=1e-4)
  if colors == COLORS:  # Where nothing is painted, the image's own bytes.
    bare = np.broadcast_to(asked[1] == 0, (135, 53))
    np.testing.assert_array_equal(tiled[bare], image[bare])
    np.testing.assert_array_equal(encode.as_bytes(shared)[bare], image[bare])


@pytest.mark.parametrize("count, devices", [(1, 1), (3, 4)])
@pytest.mark.parametrize("colors", [COLORS, painters.Colors(0.7, moments=True)])
def test_a_frame_is_never_seen(tiny_params, codes, colors, count, devices):
  several = [
    content(height, width, seed)
    for seed, (height, width) in enumerate(((44, 60), (61, 33), (64, 64)))
  ][:count]
  for kind in ("one", "none", "mixture"):
    asked = controls_of(kind, 0, 0)
    framed = painters.Framed(tiny_params, several, (64, 64), colors, devices).paint(codes, *asked)
    assert len(framed) == count
    for image, found in zip(several, framed, strict=True):
      (whole,) = painters.Whole(tiny_params, image, colors).paint(codes, *asked)
      assert np.abs(found - 255 * whole).max() <= 0.51
      if kind == "none" and colors == COLORS:
        np.testing.assert_array_equal(found, image)


def test_a_seamless_image_of_any_size_keeps_it(tiny_params, codes):
  asked = controls_of("regions", 45, 61)
  (painted,) = painters.Whole(tiny_params, content(45, 61), COLORS, "xy").paint(codes, *asked)
  assert painted.shape == (45, 61, 3)


def test_colors_are_kept_by_parts_as_by_the_whole(monkeypatch):
  monkeypatch.setattr("stylejax.inference.parts.PART_PIXELS", 500)
  rng = np.random.default_rng(0)
  painted, kept = rng.random((2, 60, 40, 3), np.float32) * np.linspace(0, 1, 60)[:, None, None]
  painted, kept = np.float32(painted), np.float32(kept)
  for mode in (None, np.float32(1)):
    expected = jax.jit(controls.preserve_color)(painted, kept, 0.5, mode=mode)
    found = painted.copy()
    painters.keep_colors(found, kept, color=np.float32(0.5), mode=mode)
    np.testing.assert_allclose(found, expected, atol=1e-4)


class TestBuckets:
  def test_everything_fits_in_few(self):
    draw = random.Random(0)
    sizes = [(draw.randrange(16, 900), draw.randrange(16, 900)) for _ in range(200)]
    found = buckets.plan(sizes, stride=8)
    assert set(found) == set(sizes) and len(set(found.values())) <= buckets.MOST
    for size, frame in found.items():
      assert all(side <= whole and whole % 8 == 0 for side, whole in zip(size, frame))

  def test_photos_waste_little(self):
    long = (480, 479, 470, 427, 426, 420, 400, 384, 360, 320)
    sizes = [size for side in long for size in ((320, side), (side, 320))] * 5
    found = buckets.plan(sizes, stride=8)
    area = sum(height * width for height, width in sizes)
    assert sum(found[size][0] * found[size][1] for size in sizes) < 1.2 * area

  def test_one_size_is_its_own(self):
    assert buckets.plan([(480, 320)] * 9, stride=8) == {(480, 320): (480, 320)}
    assert buckets.plan([], stride=8) == {}

  def test_a_compilation_must_be_worth_it(self):
    sizes = [(320, 480)] * 2 + [(328, 480)] * 2
    assert len(set(buckets.plan(sizes, stride=8).values())) == 1
    assert len(set(buckets.plan(sizes, stride=8, compilation=100).values())) == 2
