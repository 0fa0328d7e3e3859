"""Sequences are steadier than single frames, and equal to them where nothing is remembered."""

import io

import jax
import numpy as np
import pytest

from benchmarks.quality import clips
from benchmarks.quality import flicker as benchmark
from stylejax import motion, temporal, transfer

SIDE = 32
step = jax.jit(temporal.next_frame)
optical_flow = jax.jit(motion.optical_flow)
encode_style = jax.jit(transfer.encode_style)
encode_content = jax.jit(transfer.encode_content)


@pytest.mark.parametrize("strength", [0.6, 1.3])
def test_without_memory_each_frame_is_stylized_by_itself(tiny_params, rng, strength):
  frames, style = rng.random((3, SIDE, SIDE + 5, 3), np.float32), rng.random((SIDE, SIDE, 3))
  code = encode_style(tiny_params, style.astype(np.float32))
  alone = jax.jit(transfer.generate)
  state = temporal.first_state(tiny_params, SIDE, SIDE + 5)
  for number, frame in enumerate(frames):
    # The first frame has no past, so its memory has no effect.
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
  """A white bar on gray moves on: where it was, the image is that of the frame alone."""
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


@pytest.mark.parametrize("way", benchmark.WAYS[1:])
@pytest.mark.parametrize("name", ["noise", "pan"])
def test_it_flickers_at_most_0_6_of_frame_by_frame(tiny_params, name, way):
  clip = clips.static_noise(10, 48) if name == "noise" else clips.captioned_pan(10, 64, 2)
  code = encode_style(tiny_params, clip.frames[0][::-1])
  alone = benchmark.stylize(tiny_params, clip, code, benchmark.WAYS[0])
  together = benchmark.stylize(tiny_params, clip, code, way)
  assert 0 < together.flicker <= 0.6 * alone.flicker
  assert together.still > 0.2


@pytest.mark.parametrize("kind", ["pan", "zoom", "rotation"])
def test_it_changes_along_its_motion_at_most_0_6_of_frame_by_frame(tiny_params, kind):
  clip = getattr(clips, kind)(8, 64)
  code = encode_style(tiny_params, clip.frames[0][::-1])
  alone, still, moved = (
    benchmark.stylize(tiny_params, clip, code, way).warping_error for way in benchmark.WAYS
  )
  assert 0 < moved <= 0.6 * min(alone, still)


def test_a_cut_along_the_motion_forgets_the_past(tiny_params):
  """Both scenes are equally bright; the second's first frame is stylized as if alone."""
  photos = [clips.photo(name, 64)[:64, :64] for name in ("coffee.jpg", "cat.jpg")]
  photos[1] = photos[1] + (photos[0].mean() - photos[1].mean())
  photos = [np.clip(image, 0, 1).astype(np.float32) for image in photos]
  code, start = encode_style(tiny_params, photos[0]), temporal.first_state(tiny_params, 64, 64)
  flow = optical_flow(photos[1], photos[0])
  expected, _ = step(tiny_params, photos[1], code, start, memory=0.9, flow=flow)
  _, first = step(tiny_params, photos[0], code, start, memory=0.9, flow=flow)
  actual, state = step(tiny_params, photos[1], code, first, memory=0.9, flow=flow)
  np.testing.assert_allclose(actual, expected, atol=1e-6)
  assert state.same_scene == state.held == 0
  still = optical_flow(photos[0], photos[0])
  _, state = step(tiny_params, photos[0], code, first, memory=0.9, flow=still)
  assert state.same_scene == 1 and state.held > 0.9


def test_clips_of_a_batch_are_those_alone(tiny_params):
  films = [clips.pan(3, 48).frames, clips.zoom(3, 48).frames]
  code = encode_style(tiny_params, films[0][0])

  def whole(frames):
    def one(state, frame):
      flow = motion.optical_flow(frame, state.content)
      image, state = temporal.next_frame(tiny_params, frame, code, state, memory=0.9, flow=flow)
      return state, image

    start = temporal.first_state(tiny_params, *frames.shape[1:3])
    return jax.lax.scan(one, start, frames)[1]

  actual = jax.jit(jax.vmap(whole))(np.stack(films))
  for number, frames in enumerate(films):
    np.testing.assert_allclose(actual[number], jax.jit(whole)(np.stack(frames)), atol=2e-3)


def test_a_film_in_two_parts_is_the_whole(tiny_params):
  """The second part needs only the state of the first, which goes through a file."""
  frames = clips.pan(6, 48).frames
  code = encode_style(tiny_params, frames[0])

  def run(frames, state, images):
    for frame in frames:
      flow = optical_flow(frame, state.content)
      image, state = step(tiny_params, frame, code, state, memory=0.9, flow=flow)
      images.append(np.asarray(image))
    return state

  start = temporal.first_state(tiny_params, *frames[0].shape[:2])
  whole, parts = [], []
  run(frames, start, whole)
  leaves, tree = jax.tree.flatten(run(frames[:3], start, parts))
  file = io.BytesIO()
  np.savez(file, *leaves)
  file.seek(0)
  with np.load(file) as saved:
    state = jax.tree.unflatten(tree, [saved[name] for name in saved.files])
  run(frames[3:], state, parts)
  np.testing.assert_array_equal(parts, whole)


def test_every_third_pixel_tells_the_warping_error(rng):
  """A gray image that moves by (2, 1), against itself 0.1 brighter and with a corner hidden."""
  image = rng.random((40, 51, 1), np.float32).repeat(3, -1) / 2
  vectors = np.broadcast_to(np.float32([2, 1]), (40, 51, 2))
  moved = motion.warp(image, vectors)
  visible = np.ones((40, 51, 1), np.float32)
  visible[20:, 20:] = 0
  error, share = temporal.warping_error(
    (image, moved + 0.1), motion.Flow(vectors, visible), every=3
  )
  np.testing.assert_allclose(error, 0.1, atol=1e-5)
  np.testing.assert_allclose(share, visible[::3, ::3].mean(), atol=1e-6)


def test_flicker_counts_only_what_stands_still(rng):
  frames = rng.random((2, SIDE, SIDE, 3), np.float32)
  frames[1, :, :16] = frames[0, :, :16]
  stylized = np.zeros((2, SIDE, SIDE, 3), np.float32)
  stylized[1, :, :16], stylized[1, :, 16:] = 0.25, 1.0
  change, still = temporal.flicker(tuple(frames), tuple(stylized))
  np.testing.assert_allclose(change, 0.25, atol=1e-6)
  assert 0.35 <= still <= 0.5


def test_gradients_are_finite_before_anything_moves(tiny_params, rng):
  """Of a first frame, which has no past, and of one that doesn't move; motion is found in it."""
  frame = rng.random((SIDE, SIDE, 3), np.float32)
  code, state = encode_style(tiny_params, frame), temporal.first_state(tiny_params, SIDE, SIDE)

  def score(frame, memory, state):
    flow = motion.optical_flow(frame, state.content)
    image, state = temporal.next_frame(tiny_params, frame, code, state, memory=memory, flow=flow)
    return image.sum(), state

  for _ in range(2):
    slopes, after = jax.jit(jax.grad(score, argnums=(0, 1), has_aux=True))(frame, 0.9, state)
    assert all(np.isfinite(slope).all() for slope in slopes)
    # A first frame is compared with itself, as in a film.
    state = after
  still = motion.Flow(np.zeros((SIDE, SIDE, 2), np.float32), np.ones((SIDE, SIDE, 1), np.float32))

  def along(vectors):
    flow = still.replace(vectors=vectors)
    return temporal.next_frame(tiny_params, frame, code, state, flow=flow)[0].sum()

  assert np.isfinite(jax.jit(jax.grad(along))(still.vectors)).all()


def test_flat_images_have_finite_slopes_when_sharpened():
  flat = np.full((SIDE, SIDE, 3), 0.5, np.float32)

  def score(image, other):
    return temporal.sharpened(image, temporal.detail(other)).sum()

  for slope in jax.jit(jax.grad(score, argnums=(0, 1)))(flat, flat):
    assert np.isfinite(slope).all()
