"""Sequences: steadier than their frames one by one, the same where nothing is remembered."""

import jax
import numpy as np
import pytest

from benchmarks.quality import flicker as benchmark
from stylejax import temporal, transfer

SIDE = 32
step = jax.jit(temporal.next_frame)
encode_style = jax.jit(transfer.encode_style)
encode_content = jax.jit(transfer.encode_content)


@pytest.mark.parametrize("strength", [0.6, 1.3])
def test_without_memory_each_frame_is_stylized_by_itself(tiny_params, rng, strength):
  frames, style = rng.random((3, SIDE, SIDE + 5, 3), np.float32), rng.random((SIDE, SIDE, 3))
  code = encode_style(tiny_params, style.astype(np.float32))
  alone = jax.jit(transfer.generate)
  state = temporal.first_state(tiny_params, SIDE, SIDE + 5)
  for number, frame in enumerate(frames):
    # The first frame has no past, so that its memory is nothing either.
    stylized, state = step(
      tiny_params, frame, code, state, strength=strength, memory=0.9 if number == 0 else 0.0
    )
    expected = alone(tiny_params, encode_content(tiny_params, frame), code, strength=strength)
    np.testing.assert_allclose(stylized, expected, atol=1e-5)


def test_strength_0_is_the_frames(tiny_params, rng):
  frames = rng.random((2, SIDE, SIDE, 3), np.float32)
  code, state = encode_style(tiny_params, frames[0]), temporal.first_state(tiny_params, SIDE, SIDE)
  for frame in frames:
    stylized, state = step(tiny_params, frame, code, state, strength=0.0, memory=0.8)
    np.testing.assert_allclose(stylized, frame, atol=1e-6)


def test_a_cut_forgets_the_past(tiny_params, rng):
  dark, bright = 0.2 * rng.random((2, SIDE, SIDE, 3), np.float32) + [[[[0]]], [[[0.7]]]]
  dark, bright = dark.astype(np.float32), bright.astype(np.float32)
  code = encode_style(tiny_params, dark)
  state = temporal.first_state(tiny_params, SIDE, SIDE)
  alone, _ = step(tiny_params, bright, code, state)
  _, state = step(tiny_params, dark, code, state)
  after_cut, _ = step(tiny_params, bright, code, state)
  np.testing.assert_allclose(after_cut, alone, atol=1e-6)


def test_what_moves_leaves_no_trail(tiny_params):
  """A white bar on gray, one frame on: where it was, the image is that of the frame alone."""
  frames = np.full((2, 64, 64, 3), 0.4, np.float32)
  frames[0, :, 8:16] = 0.9
  frames[1, :, 40:48] = 0.9
  code = encode_style(tiny_params, frames[0])
  state = temporal.first_state(tiny_params, 64, 64)
  expected, _ = step(tiny_params, frames[1], code, state)
  _, state = step(tiny_params, frames[0], code, state)
  stylized, _ = step(tiny_params, frames[1], code, state)
  first, _ = step(tiny_params, frames[0], code, temporal.first_state(tiny_params, 64, 64))
  trail = np.abs(stylized - expected)[:, 8:16].mean()
  assert trail < 0.2 * np.abs(first - expected)[:, 8:16].mean()


@pytest.mark.parametrize("name", ["noise", "pan"])
def test_it_flickers_at_most_0_6_of_frame_by_frame(tiny_params, name):
  frames = benchmark.static_noise(10, 48) if name == "noise" else benchmark.pan(10, 64, 2)
  code = encode_style(tiny_params, frames[0][::-1])
  _, alone, still = benchmark.stylize(tiny_params, frames, code, 0.0)
  _, together, _ = benchmark.stylize(tiny_params, frames, code, temporal.MEMORY)
  assert 0 < together <= 0.6 * alone
  assert still > 0.2


def test_flicker_counts_only_what_stands_still(rng):
  frames = rng.random((2, SIDE, SIDE, 3), np.float32)
  frames[1, :, :16] = frames[0, :, :16]
  stylized = np.zeros((2, SIDE, SIDE, 3), np.float32)
  stylized[1, :, :16], stylized[1, :, 16:] = 0.25, 1.0
  change, still = temporal.flicker(tuple(frames), tuple(stylized))
  np.testing.assert_allclose(change, 0.25, atol=1e-6)
  assert 0.35 <= still <= 0.5
