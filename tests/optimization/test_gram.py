"""Optimized pixels: less loss with steps, between content and style, and only there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import infer
from stylejax.errors import InputError
from stylejax.losses.features import EPS, gram_style_loss
from stylejax.models.vgg16 import STYLE_LAYERS, vgg16_features
from stylejax.optimization.gram import (
  METHODS,
  Targets,
  _style_distance,
  image_targets,
  init,
  optimize_image,
  optimize_scales,
  run,
)
from stylejax.optimization.matching import on_grid
from stylejax.weights.perceptual import load_vgg


@pytest.fixture(scope="module")
def images():
  """Smooth content, speckled style, [1, 32, 32, 3] each."""
  content = np.broadcast_to(np.linspace(0.2, 0.8, 32)[:, None, None], (1, 32, 32, 3))
  style = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)) * [1.0, 0.4, 0.1]
  return jnp.asarray(content, jnp.float32), jnp.asarray(style, jnp.float32)


def test_steps_bring_it_to_the_style(images):
  """No steps give the start; steps bring Gram matrices near the style's, a larger weight nearer."""
  vgg_params, (content, style) = load_vgg(), images
  run = jax.jit(optimize_image)

  @jax.jit
  def gram_distance(vgg_params, *images):
    return gram_style_loss(
      *(vgg16_features(vgg_params, x, layers=STYLE_LAYERS) for x in images)
    ).mean()

  def distance(image):
    return float(gram_distance(vgg_params, image, style))

  start = content[:, ::-1]
  same = run(vgg_params, content, style, start=start, steps=0, style_weight=1.0)
  np.testing.assert_array_equal(same, start)
  light, heavy = (
    run(vgg_params, content, style, start=start, steps=12, style_weight=weight)
    for weight in (0.01, 10.0)
  )
  assert heavy.shape == content.shape and heavy.min() >= 0 and heavy.max() <= 1
  assert distance(heavy) < distance(light) < distance(start)
  assert distance(heavy) < 0.5 * distance(start)


def test_adam_descends_too_and_reports_each_step(images):
  vgg_params, (content, style) = load_vgg(), images
  losses = {}
  run = jax.jit(optimize_image, static_argnames=("method", "report"))
  stylized = run(
    vgg_params,
    content,
    style,
    steps=15,
    style_weight=10.0,
    method="adam",
    report=lambda number, loss: losses.update({int(number): float(loss)}),
  )
  jax.block_until_ready(stylized)
  jax.effects_barrier()
  assert sorted(losses) == list(range(1, 16))
  assert losses[15] < 0.7 * losses[1]
  with pytest.raises(InputError, match="method: found 'sgd', expected lbfgs or adam"):
    optimize_image(vgg_params, content, style, method="sgd")


@pytest.mark.parametrize("method", METHODS)
def test_some_steps_at_a_time_are_those_of_one_call(images, method):
  """Also, a state that is saved and read again continues bit for bit."""
  vgg_params, (content, style) = load_vgg(), images
  targets = jax.jit(image_targets)(vgg_params, content, [style])
  step = jax.jit(run, static_argnames="method")
  state = init(content, 5, method=method)
  for count in (2, 2, 7):
    state = step(vgg_params, state, targets, steps=count, style_weight=3.0, method=method)
    leaves = [np.asarray(leaf).copy() for leaf in jax.tree.leaves(state)]
    state = jax.tree.unflatten(jax.tree.structure(state), leaves)
  assert int(state.step) == 5 and np.isfinite(state.loss)
  again = step(
    vgg_params, init(content, 5, method=method), targets, style_weight=3.0, method=method
  )
  jax.tree.map(np.testing.assert_array_equal, state, again)
  whole = jax.jit(optimize_image, static_argnames="method")(
    vgg_params, content, style, steps=5, style_weight=3.0, method=method
  )
  np.testing.assert_allclose(np.clip(state.image, 0, 1), whole, atol=1e-3)


def test_style_distance_by_regions_and_of_mixtures():
  """Against NumPy: Gram matrices of regions, weighted by their areas, or the mean of both."""
  rng = np.random.default_rng(3)
  features = {
    layer: rng.random((1, 8 >> i // 2, 8 >> i // 2, 4), np.float32)
    for i, layer in enumerate(STYLE_LAYERS)
  }
  grams = tuple(rng.random((2, 4, 4), np.float32) for _ in STYLE_LAYERS)
  targets = Targets(jnp.zeros((1, 1, 1, 1)), grams)
  left = np.zeros((2, 8, 8), np.float32)
  left[0, :, :4], left[1, :, 4:] = 1, 1

  def ratio(found, wanted):
    return np.square(found - wanted).sum() / (np.square(wanted).sum() + EPS)

  regions, mixture = 0.0, 0.0
  for layer, gram in zip(STYLE_LAYERS, grams, strict=True):
    x = features[layer][0]
    flat = x.reshape(-1, 4)
    # Halved masks have soft borders, for which `on_grid` is responsible.
    for part, wanted in zip(np.asarray(on_grid(left, x.shape[:2])), gram, strict=True):
      part = part.reshape(-1, 1)
      regions += part.mean() * ratio((part * flat).T @ flat / part.sum(), wanted)
    mixture += ratio(flat.T @ flat / len(flat), 0.25 * gram[0] + 0.75 * gram[1])
  distance = jax.jit(_style_distance)
  np.testing.assert_allclose(distance(features, targets, jnp.asarray(left)), regions / 5, rtol=1e-4)
  weights = jnp.asarray([0.25, 0.75], jnp.float32)
  np.testing.assert_allclose(distance(features, targets, weights), mixture / 5, rtol=1e-4)


def test_scales_go_from_coarse_to_fine(images):
  """Each scale gets both images and the last result at its own size, at least 16 pixels."""
  content, style = images
  calls = []

  def optimize(_, content, style, *, start, steps, style_weight):
    calls.append((content.shape[1:3], style.shape[1:3], start.shape[1:3], steps, style_weight))
    return start + 0.125

  actual = optimize_scales(
    None,
    content,
    style[:, :, :24],
    optimize=optimize,
    style_weight=3.0,
    scales=((0.25, 7), (0.75, 5), (1.0, 2)),
  )
  assert calls == [
    ((16, 16), (16, 16), (16, 16), 7, 3.0),
    ((24, 24), (24, 18), (24, 24), 5, 3.0),
    ((32, 32), (32, 24), (32, 32), 2, 3.0),
  ]
  np.testing.assert_allclose(actual.mean(), content.mean() + 0.375, atol=0.01)


def test_the_command_writes_a_image_or_one_line(tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")
  rng = np.random.default_rng(0)
  for name in ("photo", "style"):
    pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"{name}.png")
  command = [
    "--method",
    "gram",
    "--content",
    str(tmp_path / "photo.png"),
    "--style",
    str(tmp_path / "style.png"),
    "--size",
    "64",
    "--optimizer",
    "adam",
    "--output",
  ]
  assert infer.main([*command, str(tmp_path / "o.png"), "--steps", "3"]) == 0
  assert Image.open(tmp_path / "o.png").size == (96, 64)
  assert "3/3 loss" in capsys.readouterr().err
  rgba = np.dstack([pixels, np.arange(600).reshape(20, 30) % 256]).astype(np.uint8)
  Image.fromarray(rgba).save(tmp_path / "photo.png")
  assert infer.main([*command, str(tmp_path / "o.jpg"), "--steps", "3"]) == 0
  assert "photo.png: its transparency is laid on white: JPEG has none" in capsys.readouterr().err
  (tmp_path / "o.jpg").unlink()
  for output, more, message in (
    ("photo.png", [], "found the input"),
    ("a.gif", [], "found extension '.gif'"),
    ("a.png", ["--steps", "0"], "--steps: found 0"),
    ("a.png", ["--style-weight", "nan"], "--style-weight: found nan"),
  ):
    assert infer.main([*command, str(tmp_path / output), *more]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
  assert sorted(path.name for path in tmp_path.iterdir()) == ["o.png", "photo.png", "style.png"]
