"""Random crops and flips: which pixels they take, and at which size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylejax.data.crops import random_flip, random_resized_crop


def coordinates(height: int, width: int) -> np.ndarray:
  """An image whose red is the column and whose green is the row, in units of 1/255 of the side."""
  y, x = np.mgrid[:height, :width]
  planes = [x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), np.full_like(x, 128)]
  return np.stack(planes, -1).round().astype(np.uint8)


def side_of(crop: np.ndarray, width: int) -> float:
  """The square's side in source pixels, from the slope of the columns in a coordinates image."""
  row = crop[crop.shape[0] // 2, 2:-2, 0].astype(float)
  slope = np.polyfit(np.arange(len(row)), row, 1)[0]
  return slope * (width - 1) / 255 * crop.shape[1]


@settings(max_examples=100, deadline=None)
@given(
  height=st.integers(1, 200),
  width=st.integers(1, 200),
  size=st.integers(1, 64),
  hi=st.floats(1, 3),
  seed=st.integers(0, 2**32),
)
def test_any_image_gives_the_asked_size(height, width, size, hi, seed):
  rgb = np.full((height, width, 3), (10, 200, 90), np.uint8)
  rng = np.random.default_rng(seed)
  crop = random_resized_crop(rgb, rng, size=size, scale=(1, hi))
  assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
  assert (crop == (10, 200, 90)).all()


@settings(max_examples=50, deadline=None)
@given(size=st.integers(4, 40), extra=st.integers(0, 30), seed=st.integers(0, 2**32))
def test_at_scale_one_it_copies_pixels(size, extra, seed):
  noise = np.random.default_rng(1).integers(0, 256, (size + extra, size + 9, 3)).astype(np.uint8)
  rng = np.random.default_rng(seed)
  crop = random_resized_crop(noise, rng, size=size, scale=(1, 1), shorter_side=100)
  windows = np.lib.stride_tricks.sliding_window_view(noise, (size, size, 3))[:, :, 0]
  assert (windows == crop).all((2, 3, 4)).any()


def test_sides_fill_the_asked_range_and_places_the_image():
  rgb = coordinates(300, 400)
  rng = np.random.default_rng(0)
  crops = [random_resized_crop(rgb, rng, size=64, scale=(1.0, 2.0)) for _ in range(300)]
  sides = np.array([side_of(crop, 400) for crop in crops])
  unit = 300 / 160  # The shorter side counts as 2.5 · 64 = 160.
  assert sides.min() > 64 * unit * 0.97 and sides.max() < 128 * unit * 1.03
  # Uniform: mean and spread of U[1, 2] · 64 · unit.
  assert abs(sides.mean() / (64 * unit) - 1.5) < 0.06
  assert abs(sides.std() / (64 * unit) - 12**-0.5) < 0.04
  red = np.array([crop[0, 0, 0] for crop in crops])
  green = np.array([crop[0, 0, 1] for crop in crops])
  assert red.min() < 5 and green.min() < 5
  assert max(crop[-1, -1, 0] for crop in crops) > 250
  assert max(crop[-1, -1, 1] for crop in crops) > 250


def test_scale_means_the_same_for_every_resolution():
  small, large = coordinates(80, 80), coordinates(800, 800)
  for seed in range(10):
    sides = [
      side_of(
        random_resized_crop(
          rgb, np.random.default_rng(seed), size=32, scale=(1, 2.5), shorter_side=80
        ),
        rgb.shape[1],
      )
      / rgb.shape[1]
      for rgb in (small, large)
    ]
    assert abs(sides[0] - sides[1]) < 0.05


def test_a_small_image_is_enlarged_from_its_whole_shorter_side():
  rgb = coordinates(20, 50)
  crop = random_resized_crop(rgb, np.random.default_rng(0), size=64, scale=(1, 2))
  assert crop[0, :, 1].max() <= 3 and crop[-1, :, 1].min() >= 252
  assert abs(side_of(crop, 50) - 20) < 2


def test_shrinking_is_antialiased():
  # A checkerboard of single pixels has no detail left at a fifth of its size: all gray.
  y, x = np.mgrid[:320, :320]
  board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, -1)
  crop = random_resized_crop(board, np.random.default_rng(0), size=64, scale=(2.5, 2.5))
  assert np.abs(crop.astype(int) - 127).max() < 12


def test_it_depends_on_the_generator_only():
  rgb = coordinates(90, 120)
  one, same, other = (
    random_resized_crop(rgb, np.random.default_rng(seed), size=32) for seed in (5, 5, 6)
  )
  assert np.array_equal(one, same) and not np.array_equal(one, other)
  image = Image.fromarray(rgb)
  from_image = random_resized_crop(image, np.random.default_rng(5), size=32)
  assert np.array_equal(one, from_image)


@pytest.mark.parametrize(
  "change",
  [
    {"rgb": np.zeros((9, 9, 3), np.float32)},
    {"rgb": np.zeros((9, 9), np.uint8)},
    {"rgb": Image.new("L", (9, 9))},
    {"scale": (0.5, 1)},
    {"scale": (2, 1)},
    {"size": 0},
  ],
)
def test_wrong_arguments_raise(change):
  arguments = {"rgb": np.zeros((9, 9, 3), np.uint8), "size": 4, "scale": (1, 2)} | change
  with pytest.raises(ValueError, match="found .* expected"):
    random_resized_crop(arguments.pop("rgb"), np.random.default_rng(0), **arguments)


def test_flip_mirrors_half_of_the_time():
  rgb = coordinates(5, 7)
  rng = np.random.default_rng(0)
  flipped = 0
  for _ in range(200):
    got = random_flip(rgb, rng)
    if np.array_equal(got, rgb[:, ::-1]):
      flipped += 1
    else:
      assert np.array_equal(got, rgb)
    assert got.flags.c_contiguous
  assert 70 < flipped < 130
