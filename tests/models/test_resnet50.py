"""ResNet-50 of half width against PyTorch operations on the same arrays, and its contracts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import F, torch

from stylejax import InputError
from stylejax.models.resnet50 import (
  RESNET_LAYERS,
  STAGES,
  HalfResNet50,
  max_pool_3x3,
  resnet_features,
)
from stylejax.weights.perceptual import load_resnet


@pytest.fixture(scope="module")
def params():
  return load_resnet()


def torch_features(params, image: np.ndarray) -> dict[str, np.ndarray]:
  """All four layers in float64 by PyTorch: [B, H, W, 3] → {layer: [B, h, w, C]}."""

  def array(x):
    return torch.tensor(np.asarray(x), dtype=torch.float64)

  def conv(x, layer, **settings):
    return F.conv2d(x, array(layer["kernel"]).permute(3, 2, 0, 1), array(layer["bias"]), **settings)

  mean, scale = (array(params["input"][part]).view(1, 3, 1, 1) for part in ("mean", "scale"))
  x = F.relu(
    conv((array(image).permute(0, 3, 1, 2) - mean) * scale, params["conv1"], stride=2, padding=3)
  )
  actual = {"conv1": x}
  x = F.max_pool2d(x, 3, 2, ceil_mode=True)
  for stage, (blocks, _) in STAGES.items():
    for index in range(1, blocks + 1):
      block, stride = params[f"{stage}_{index}"], 2 if index == 1 and stage != "conv2" else 1
      y = F.relu(conv(x, block["reduce"], stride=stride))
      y = conv(F.relu(conv(y, block["middle"], padding=1)), block["expand"])
      x = F.relu(y + (conv(x, block["shortcut"], stride=stride) if index == 1 else x))
    actual[f"{stage}_x"] = x
  return {name: value.permute(0, 2, 3, 1).numpy() for name, value in actual.items()}


@pytest.mark.torch
@pytest.mark.parametrize("size", [(48, 32), (53, 39)])
def test_every_layer_is_pytorchs(params, rng, size):
  image = rng.uniform(size=(2, *size, 3)).astype(np.float32)
  actual = jax.jit(resnet_features)(params, jnp.asarray(image))
  assert tuple(actual) == RESNET_LAYERS
  for name, want in torch_features(params, image).items():
    assert actual[name].shape == want.shape
    np.testing.assert_allclose(actual[name], want, atol=1e-4 * want.max(), rtol=0, err_msg=name)


@pytest.mark.torch
@pytest.mark.parametrize("size", [(2, 3), (6, 9), (7, 8)])
def test_max_pool_is_caffes(rng, size):
  features = rng.uniform(size=(2, *size, 3)).astype(np.float32)
  want = F.max_pool2d(torch.tensor(features).permute(0, 3, 1, 2), 3, 2, ceil_mode=True)
  np.testing.assert_array_equal(max_pool_3x3(features), want.permute(0, 2, 3, 1).numpy())


def test_trained_weights_tell_images_from_noise(params, rng):
  """Deep channels respond to structure: shuffling pixels changes their moments, not the colors."""
  ramp = np.linspace(0, 1, 64, dtype=np.float32)
  image = np.stack(
    [
      np.broadcast_to(ramp[:, None], (64, 64)),
      np.sin(6 * ramp[:, None] * ramp),
      np.cos(9 * ramp[None]) * ramp[:, None],
    ],
    -1,
  )[None]
  shuffled = rng.permutation(image.reshape(-1, 3)).reshape(image.shape)
  a, b = (
    resnet_features(params, jnp.asarray(x), layers=("conv4_x",))["conv4_x"].mean((1, 2))
    for x in (image, shuffled)
  )
  assert float(jnp.linalg.norm(a - b)) > 0.3 * float(jnp.linalg.norm(a))


def test_nothing_deeper_is_computed(params):
  for layers, convolutions in ((("conv1",), 1), (("conv2_x", "conv1"), 11), (RESNET_LAYERS, 43)):
    trace = jax.make_jaxpr(lambda x, layers=layers: resnet_features(params, x, layers=layers))(
      jnp.zeros((1, 32, 32, 3))
    )
    assert str(trace).count("conv_general_dilated") == convolutions


def test_gradient_and_bfloat16(params, rng):
  image = jnp.asarray(rng.uniform(size=(1, 32, 32, 3)), jnp.float32)
  for x in (image, jnp.zeros_like(image)):
    gradient = jax.grad(lambda x: resnet_features(params, x)["conv4_x"].mean())(x)
    assert np.isfinite(gradient).all()
  actual = resnet_features(params, image, dtype=jnp.bfloat16)["conv4_x"]
  exact = resnet_features(params, image)["conv4_x"]
  assert actual.dtype == jnp.bfloat16
  assert float(jnp.linalg.norm(actual - exact)) < 0.05 * float(jnp.linalg.norm(exact))


def test_module_makes_its_own_parameters():
  shapes = jax.eval_shape(
    lambda: HalfResNet50().init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  )["params"]
  assert jax.tree.map(jnp.shape, load_resnet()) == jax.tree.map(lambda x: x.shape, dict(shapes))


@pytest.mark.parametrize(
  "image, layers, message",
  [
    ((32, 32, 3), RESNET_LAYERS, "expected [B, H, W, 3]"),
    ((1, 32, 32, 4), RESNET_LAYERS, "expected [B, H, W, 3]"),
    ((1, 15, 40, 3), RESNET_LAYERS, "sides of 16 at least"),
    ((1, 32, 32, 3), ("conv5_x",), "found 'conv5_x'"),
    ((1, 32, 32, 3), (), "found none"),
  ],
)
def test_mistakes_are_named(params, image, layers, message):
  with pytest.raises(InputError) as error:
    resnet_features(params, jnp.zeros(image), layers=layers)
  assert message in str(error.value)
