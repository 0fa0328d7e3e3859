"""The noise map: always the same, without any pattern, and in parts as in the whole."""

import dataclasses

import jax
import numpy as np
import pytest

from stylejax import PRESETS
from stylejax.models import adain, noise_map
from stylejax.models.decoder_stages import has_noise, modulated_levels, modulated_maps
from stylejax.models.nets import init_params

FIRST = [[-1.732051, -0.317488, 1.097075], [0.994786, 0.672992, 0.073045]]


def test_its_numbers_never_change():
  # Weights are trained on these very cells.
  np.testing.assert_allclose(noise_map.PATTERN[:2, :3], FIRST, atol=1e-6)


def test_it_is_noise_of_mean_0_and_variance_1():
  pattern = noise_map.PATTERN
  assert abs(pattern.mean()) < 0.02 and abs(pattern.std() - 1) < 0.02
  spectrum = np.abs(np.fft.fft2(pattern)) ** 2 / pattern.size
  spectrum[0, 0] = 1
  # White: each frequency's power is exponential with mean 1; the largest of 65,536 is about 11.
  assert spectrum.max() < 20
  assert np.unique(pattern).size > 0.99 * pattern.size


def test_a_part_is_the_wholes_also_beyond_the_pattern():
  whole = np.asarray(noise_map.noise_map(300, 280))
  part = jax.jit(noise_map.noise_map, static_argnums=(0, 1))(
    60, 50, top=np.int32(230), left=np.int32(225)
  )
  np.testing.assert_array_equal(part, whole[230:290, 225:275])
  np.testing.assert_array_equal(whole[:256, :256], noise_map.PATTERN)


@pytest.mark.parametrize("shift", [(256, 0), (0, 256), (256, 256), (251, 0), (0, 251), (7, 31)])
def test_it_does_not_repeat(shift):
  whole = np.asarray(noise_map.noise_map(1024, 1024, top=300))
  there = np.asarray(noise_map.noise_map(1024, 1024, top=300 + shift[0], left=shift[1]))
  # The mean of 63,001 random signs is off by 0.004 on average.
  assert abs(np.mean(whole * there)) < 0.02
  assert abs(whole.mean()) < 0.01 and abs(whole.std() - 1) < 0.01


def test_it_repeats_after_its_period():
  first, last = (noise_map.noise_map(300, 300, top=at, left=at) for at in (0, noise_map.PERIOD))
  np.testing.assert_array_equal(first, last)
  edge = np.asarray(noise_map.noise_map(2, 3, top=noise_map.PERIOD - 1))
  np.testing.assert_array_equal(edge[1], noise_map.PATTERN[0, :3])


def test_a_key_draws_another_part_for_all_of_a_batch():
  corners = [np.asarray(noise_map.drawn_corner(jax.random.key(seed))) for seed in range(50)]
  assert len({tuple(corner) for corner in corners}) == 50
  assert np.min(corners) >= 0 and np.max(corners) < noise_map.PERIOD


def test_noise_grows_with_its_gain_and_spares_what_gets_none(rng):
  x = rng.normal(size=(1, 6, 5, 2)).astype(np.float32)
  gain, bias = np.ones((2, 1, 1, 1, 2), np.float32)
  noise_std = np.array([0.5, 0.0], np.float32)[None, None, None]
  without = adain.modulate(x, gain, bias)
  for noise_gain in (0.0, 0.4, 1.5):
    actual = adain.modulate(x, gain, bias, noise_std=noise_std, noise_gain=noise_gain)
    np.testing.assert_allclose(
      actual - without,
      noise_gain * noise_std * np.asarray(noise_map.noise_map(6, 5))[None, :, :, None],
      atol=1e-6,
    )


@pytest.mark.parametrize("cell", [2, 4])
def test_a_drift_of_whole_cells_moves_the_map(cell):
  drift = np.broadcast_to(np.float32([3 * cell, -5 * cell]), (24, 32, 2))
  moved = noise_map.moved_noise_map(24 // cell, 32 // cell, drift, cell)
  expected = noise_map.noise_map(24 // cell, 32 // cell, top=-5, left=3)
  np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize(("noisy_levels", "noisy"), [(0, 3), (1, 1), (2, 2), (3, 3)])
def test_noise_comes_into_as_many_of_the_finest_levels_as_asked(noisy_levels, noisy):
  config = dataclasses.replace(
    PRESETS["tiny"], content_widths=(8, 16, 24), content_blocks=(0, 0, 0), noisy_levels=noisy_levels
  )
  params = jax.eval_shape(lambda: init_params(jax.random.key(0), config))
  for number, name in enumerate(modulated_maps(config)):
    is_noisy = name in ("level0", "level1", "level2")[:noisy]
    assert has_noise(config, name) == is_noisy
    width = config.content_widths[modulated_levels(config)[number]]
    rows = params.generator[f"modulation_{number}"]["bias"].shape
    assert rows == ((3 if is_noisy else 2) * width,)


def test_more_noisy_levels_than_levels():
  with pytest.raises(ValueError, match="noisy_levels: found 3, expected at most the 2 levels"):
    dataclasses.replace(PRESETS["tiny"], noisy_levels=3)
