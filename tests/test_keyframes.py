"""Propagation from keyframes is exact along whole-pixel pans, from both sides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax import keyframes, motion

HEIGHT, WIDTH = 40, 60
follow, propagate = jax.jit(keyframes.follow), jax.jit(keyframes.propagate)


def pan(image, at):
  return jnp.asarray(image[:, at : at + WIDTH])


def moved(pixels):
  """The motion of a pan: what is at p was at p + pixels before."""
  x = np.arange(WIDTH, dtype=np.float32) + pixels
  visible = np.broadcast_to(((x >= 0) & (x < WIDTH)).astype(np.float32)[:, None], (WIDTH, 1))
  vectors = np.broadcast_to(np.float32([pixels, 0]), (HEIGHT, WIDTH, 2))
  return motion.Flow(
    jnp.asarray(vectors), jnp.asarray(np.broadcast_to(visible, (HEIGHT, WIDTH, 1)))
  )


def test_motions_follow_each_other():
  actual = follow(follow(moved(4), moved(3)), moved(2))
  np.testing.assert_array_equal(actual.vectors, moved(9).vectors)
  np.testing.assert_array_equal(actual.visible, moved(9).visible)


def test_between_keyframes_a_pan_is_what_they_show_and_the_filling_elsewhere(rng):
  """The keyframes are 30 pixels before the frame and 45 after it: neither shows the middle 15."""
  image, filling = (
    rng.random((HEIGHT, 200, 3), np.float32),
    np.zeros((HEIGHT, WIDTH, 3), np.float32),
  )
  keys = [keyframes.Keyframe(pan(image, at), 1 - pan(image, at)) for at in (0, 75)]
  frame, tracks = pan(image, 30), (moved(30), moved(-45))
  actual = np.asarray(propagate(frame, filling, tuple(keys), tracks, 0.4))
  expected = 1 - np.asarray(frame)
  np.testing.assert_allclose(actual[:, :28], expected[:, :28], atol=1e-5)
  np.testing.assert_allclose(actual[:, 47:], expected[:, 47:], atol=1e-5)
  np.testing.assert_array_equal(actual[:, 32:43], 0)


def test_time_decides_between_keyframes_and_content_that_differs_counts_for_neither(rng):
  image = rng.random((HEIGHT, WIDTH, 3), np.float32)
  still, filling = moved(0), np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
  black, white = (
    keyframes.Keyframe(jnp.asarray(image), jnp.full_like(image, value)) for value in (0, 1)
  )
  at = [
    float(propagate(image, filling, (black, white), (still, still), time).mean())
    for time in (0.0, 0.25, 0.5, 1.0)
  ]
  np.testing.assert_allclose(at, [0, 0.25**2 * 2.5, 0.5, 1], atol=1e-5)
  other = keyframes.Keyframe(1 - jnp.asarray(image), white.stylized)
  neither = propagate(image, filling, (other, other), (still, still), 0.5)
  assert np.abs(np.asarray(neither) - 0.5).mean() < 0.1


def test_strokes_that_differ_keep_their_detail_where_they_are_blended(rng):
  """The mean of two uncorrelated patterns would have only 0.71 of their standard deviation."""
  image = jnp.full((HEIGHT, WIDTH, 3), 0.5)
  keys = [
    keyframes.Keyframe(image, jnp.asarray(0.3 + 0.4 * rng.random(image.shape, np.float32)))
    for _ in range(2)
  ]
  for time in (0.0, 0.3, 0.5):
    actual = propagate(image, image, tuple(keys), (moved(0),) * 2, time)
    assert float(actual.std()) == pytest.approx(0.4 / 12**0.5, rel=0.05)


def test_films_of_a_batch_are_those_alone(rng):
  images, filling = rng.random((2, HEIGHT, 200, 3), np.float32), np.zeros((HEIGHT, WIDTH, 3))

  def one(image):
    keys = keyframes.Keyframe(image[:, :WIDTH], image[:, :WIDTH])
    return keyframes.propagate(image[:, 9 : 9 + WIDTH], filling, (keys, keys), (moved(9),) * 2, 0.3)

  actual = jax.jit(jax.vmap(one))(images)
  for number, image in enumerate(images):
    np.testing.assert_allclose(actual[number], jax.jit(one)(image), atol=1e-5)
