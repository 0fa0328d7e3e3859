"""The examples do what they say, with small nets and images."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stylejax

FOLDER = Path(__file__).parents[2] / "examples"


def load(name):
  spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_a_loss_reaches_the_style_through_stylize(tiny_params, rng):
  photo = rng.random((32, 32, 3), np.float32)
  orange = jnp.array([0.9, 0.5, 0.1])
  learn_style = load("differentiable_layer").learn_style
  style, losses = learn_style(tiny_params, photo, orange, steps=40, side=32)
  assert style.shape == (32, 32, 3)
  assert losses[-1] < 0.5 * losses[0]
  stylized = jax.jit(stylejax.stylize)(tiny_params, photo, style)
  assert float(jnp.square(stylized.mean((0, 1)) - orange).sum()) < 1.1 * losses[-1]


def test_64_styles_in_one_call_are_those_of_64_calls(tiny_params, rng):
  photo = rng.random((32, 48, 3), np.float32)
  keys = jax.random.split(jax.random.key(1), 64)
  stylized = jax.jit(load("many_styles").stylize_all)(tiny_params, photo, keys)
  assert stylized.shape == (64, 32, 48, 3)
  one = jax.jit(
    lambda params, key: stylejax.generate(
      params, stylejax.encode_content(params, photo), stylejax.sample_style(params, key)
    )
  )(tiny_params, keys[41])
  np.testing.assert_allclose(stylized[41], one, atol=1e-4)
  assert np.abs(stylized[41] - stylized[40]).max() > 1e-4


def test_a_pipeline_restyles_half_and_repeats_itself(tiny_params, rng):
  images = rng.random((16, 32, 32, 3), np.float32)
  module = load("grain_augment")
  first, second = (
    list(module.batches(tiny_params, images, np.arange(16), batch_size=8, seed=3)) for _ in range(2)
  )
  moved = []
  for a, b in zip(first, second, strict=True):
    np.testing.assert_array_equal(a["image"], b["image"])
    np.testing.assert_array_equal(a["label"], b["label"])
    moved += list(np.abs(a["image"] - images[a["label"]]).max((1, 2, 3)) > 0.01)
  assert sorted(label for batch in first for label in batch["label"]) == list(range(16))
  assert 0 < sum(moved) < 16
