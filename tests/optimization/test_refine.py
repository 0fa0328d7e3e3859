"""Refine: begins at what is given, ends nearer to the style."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.errors import InputError
from stylejax.optimization import refine
from stylejax.optimization.colors import srgb_to_oklab
from stylejax.optimization.neighbors import Stage
from stylejax.weights.perceptual import load_vgg


@pytest.fixture(scope="module")
def images():
  """Stylized and content [1, 16, 64, 3], a style [1, 20, 24, 3]."""
  rng = np.random.default_rng(0)
  return [
    jnp.asarray(rng.uniform(size=size), jnp.float32)
    for size in ((1, 16, 64, 3), (1, 16, 64, 3), (1, 20, 24, 3))
  ]


def test_stages_are_the_last_ones():
  assert refine.refine_stages((512, 512), [(512, 512)]) == (
    Stage(1, False),
    Stage(0, False),
    Stage(0, True),
  )
  assert refine.refine_stages((512, 512), [(512, 512)], scales=1) == (
    Stage(0, False),
    Stage(0, True),
  )
  assert refine.refine_stages((64, 64), [(64, 64)]) == (Stage(0, False), Stage(0, True))
  with pytest.raises(InputError, match="scales: found 0, expected at least 1"):
    refine.refine_stages((64, 64), [(64, 64)], scales=0)


def test_it_begins_at_the_stylized_image_and_moves(images):
  stylized, content, style = images
  vgg_params = load_vgg()

  @jax.jit
  def run(vgg_params, steps):
    return refine.refine_neighbors(
      vgg_params, stylized, content, [style], steps=steps, own_color=1.0, palette=0.0
    )

  still, moved = (run(vgg_params, jnp.asarray([n, n])) for n in (0, 3))
  # The chroma is smoothed; the luminance isn't.
  light = srgb_to_oklab(stylized)[..., 0]
  np.testing.assert_allclose(srgb_to_oklab(still)[..., 0], light, atol=0.01)
  change = float(jnp.abs(moved - still).mean())
  assert 1e-3 < change < 0.1 and np.isfinite(moved).all()


def test_gram_goes_from_coarse_to_fine(images):
  """Each scale gets both images at its size and the image so far, and its change is kept."""
  stylized, content, style = images
  calls = []

  def optimize(_, content, style, *, start, steps, style_weight):
    calls.append((content.shape[1:3], style.shape[1:3], start.shape[1:3], steps, style_weight))
    return start + 0.0625

  inside = 0.25 + 0.5 * stylized
  actual = refine.refine_gram(
    None, inside, content, style, optimize=optimize, steps=(7, 3), style_weight=2.0
  )
  assert calls == [((8, 32), (10, 12), (8, 32), 7, 2.0), ((16, 64), (20, 24), (16, 64), 3, 2.0)]
  np.testing.assert_allclose(actual, inside + 0.125, atol=1e-5)


def test_wrong_settings_are_one_line(images):
  stylized, content, style = images
  for function in (
    lambda *a, **k: refine.refine_neighbors(None, *a, **k),
    lambda *a, **k: refine.refine_gram(None, *a, **k),
  ):
    with pytest.raises(InputError, match="stylized: found shape"):
      function(stylized[:, :8], content, style)
  with pytest.raises(InputError, match="steps: found none"):
    refine.refine_gram(None, stylized, content, style, steps=())
  with pytest.raises(InputError, match="steps: found 1 numbers, expected 2"):
    refine.refine_neighbors(None, stylized, content, [style], steps=(1,))
