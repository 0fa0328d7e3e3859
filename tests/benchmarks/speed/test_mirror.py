"""Two independent implementations, in JAX and PyTorch, give the same images and features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch: compares with PyTorch, which is not installed")

import torch

import stylejax
from benchmarks.speed import mirror, mirror_step
from stylejax import transfer
from stylejax.models.vgg16 import vgg16_features
from stylejax.training.tasks import TransferConfig
from stylejax.training.tasks.transfer import stylize_partially
from stylejax.weights.perceptual import load_vgg

pytestmark = pytest.mark.torch


def back(tensor):
  return tensor.detach().permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def params():
  return stylejax.load_pretrained()


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_stylized_images_agree(params, rng, strength):
  content = rng.random((2, 96, 160, 3), np.float32)
  style = rng.random((2, 64, 64, 3), np.float32)
  expected = jax.jit(transfer.stylize)(params, content, style, strength=strength)
  actual = mirror.stylize(
    mirror.read_params(params), mirror.tensor(content), mirror.tensor(style), strength
  )
  np.testing.assert_allclose(back(actual), expected, atol=1e-4)


def test_torch_compile_takes_the_whole_network(params, rng):
  """torch 2.13's compiler looks into cached functions; its stand-in for NumPy can't add uint32."""
  parts = mirror.read_params(params)
  content, style = (mirror.tensor(x) for x in rng.random((2, 1, 64, 64, 3), np.float32))
  with torch.inference_mode():
    expected = mirror.stylize(parts, content, style)
    compiled = torch.compile(mirror.stylize, backend="eager", fullgraph=True, dynamic=False)
    np.testing.assert_allclose(compiled(parts, content, style), expected, atol=1e-5)


def test_images_with_moments_moved_less_far_agree(params, rng):
  content, style = rng.random((2, 1, 64, 64, 3), np.float32)
  expected = jax.jit(stylize_partially)(params, content, style, np.float32([0.4]))
  actual = mirror.stylize_partially(
    mirror.read_params(params), mirror.tensor(content), mirror.tensor(style), 0.4
  )
  np.testing.assert_allclose(back(actual), expected, atol=1e-4)


@pytest.mark.slow
def test_scores_agree(rng):
  params = stylejax.init_params(jax.random.key(3), stylejax.PRESETS["base"])
  image = rng.random((2, 64, 64, 3), np.float32)
  expected = transfer.discriminator_scores(params, image)
  actual = mirror.discriminate(mirror.read_params(params)["discriminator"], mirror.tensor(image))
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(back(a), b, atol=1e-4)


def test_perceptual_features_agree(rng):
  frozen, image = load_vgg(), rng.random((1, 64, 64, 3), np.float32)
  expected = jax.jit(vgg16_features, static_argnames="layers")(
    frozen, image, layers=("relu1_1", "relu4_1")
  )
  actual = mirror.vgg_features(mirror.read_part(frozen), mirror.tensor(image))
  for layer, b in expected.items():
    np.testing.assert_allclose(back(actual[layer]), b, rtol=1e-4, atol=1e-4 * jnp.abs(b).max())


@pytest.mark.slow
def test_train_step_lowers_its_loss(rng):
  config = TransferConfig(batch=2, size=128, learning_rate=1e-3)
  params = stylejax.init_params(jax.random.key(0), stylejax.PRESETS["base"])
  step = mirror_step.TransferStep(params, load_vgg(), config)
  content, style = (mirror.tensor(rng.random((2, 128, 128, 3), np.float32)) for _ in range(2))
  losses = [step(content, style) for _ in range(6)]
  assert np.isfinite(losses).all() and losses[-1] < losses[0]
