"""Optimised pixels: less loss with steps, between content and style, and only there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.data.perceptual import load_vgg
from stylejax.inference.optimise import optimize_image
from stylejax.losses.perceptual import gram_style_loss
from stylejax.models.vgg import STYLE_LAYERS, vgg16_features


@pytest.fixture(scope="module")
def pictures():
  """Smooth content, speckled style, [1, 32, 32, 3] each."""
  content = np.broadcast_to(np.linspace(0.2, 0.8, 32)[:, None, None], (1, 32, 32, 3))
  style = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)) * [1.0, 0.4, 0.1]
  return jnp.asarray(content, jnp.float32), jnp.asarray(style, jnp.float32)


def test_steps_bring_it_to_the_style(pictures):
  """Without a step it is the start; steps bring Gram matrices near the style's, weight nearer."""
  vgg_params, (content, style) = load_vgg(), pictures
  run = jax.jit(optimize_image)
  features = jax.jit(lambda picture: vgg16_features(vgg_params, picture, STYLE_LAYERS))

  def distance(picture):
    return float(gram_style_loss(features(picture), features(style)))

  start = content[:, ::-1]
  same = run(vgg_params, content, style, start=start, steps=0, style_weight=1.0)
  np.testing.assert_array_equal(same, start)
  light, heavy = (run(vgg_params, content, style, start=start, steps=12, style_weight=weight)
                  for weight in (0.01, 10.0))
  assert heavy.shape == content.shape and 0 <= heavy.min() and heavy.max() <= 1
  assert distance(heavy) < distance(light) < distance(start)
  assert distance(heavy) < 0.5 * distance(start)
