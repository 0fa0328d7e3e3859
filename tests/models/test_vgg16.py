"""VGG16 against PyTorch operations on the same arrays, and the contracts of its functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import F, torch

from stylejax import InputError
from stylejax.models.vgg16 import VGG16, VGG16_LAYERS, max_pool_2x2, vgg16_features
from stylejax.weights.perceptual import load_vgg

RELUS = tuple(name.replace("conv", "relu") for name in VGG16_LAYERS)


@pytest.fixture(scope="module")
def vgg_params():
  return load_vgg()


@pytest.fixture(scope="module")
def shallow(vgg_params):
  """Only what relu2_2 needs."""
  return {name: vgg_params[name] for name in ("input", "conv1_1", "conv1_2", "conv2_1", "conv2_2")}


def torch_features(vgg_params, image: "torch.Tensor") -> dict[str, "torch.Tensor"]:
  """All thirteen layers in float64 by PyTorch: image [B, 3, H, W] → {relu: [B, C, h, w]}."""

  def array(x):
    return torch.tensor(np.asarray(x), dtype=torch.float64)

  mean, scale = (array(vgg_params["input"][part]).view(1, 3, 1, 1) for part in ("mean", "scale"))
  x, actual = (image - mean) * scale, {}
  for block, count in enumerate((2, 2, 3, 3, 3), start=1):
    x = F.max_pool2d(x, 2) if block > 1 else x
    for index in range(1, count + 1):
      layer = vgg_params[f"conv{block}_{index}"]
      x = F.relu(
        F.conv2d(x, array(layer["kernel"]).permute(3, 2, 0, 1), array(layer["bias"]), padding=1)
      )
      actual[f"relu{block}_{index}"] = x
  return actual


@pytest.mark.torch
@pytest.mark.parametrize("size", [(16, 16), (37, 51)])
def test_every_layer_is_pytorchs(vgg_params, rng, size):
  image = rng.uniform(size=(2, *size, 3)).astype(np.float32)
  run = jax.jit(vgg16_features, static_argnames="layers")
  expected = torch_features(vgg_params, torch.tensor(image).double().permute(0, 3, 1, 2))
  actual = run(vgg_params, jnp.asarray(image), layers=RELUS)
  assert tuple(actual) == RELUS
  for name in RELUS:
    want = expected[name].permute(0, 2, 3, 1).numpy()
    assert actual[name].shape == want.shape
    np.testing.assert_allclose(actual[name], want, atol=1e-4 * want.max(), rtol=0, err_msg=name)


@pytest.mark.torch
def test_gradient_is_pytorchs(vgg_params, rng):
  image = rng.uniform(size=(1, 35, 38, 3)).astype(np.float32)
  gradient = jax.jit(
    jax.grad(
      lambda p: jnp.square(vgg16_features(vgg_params, p, layers=("relu4_1",))["relu4_1"]).mean()
    )
  )(jnp.asarray(image))
  tensor = torch.tensor(image).double().permute(0, 3, 1, 2).requires_grad_()
  torch_features(vgg_params, tensor)["relu4_1"].square().mean().backward()
  want = tensor.grad.permute(0, 2, 3, 1).numpy()
  np.testing.assert_allclose(gradient, want, atol=1e-3 * np.abs(want).max(), rtol=0)


def test_input_is_the_published_preprocessing(vgg_params):
  """x·255 − (123.68, 116.779, 103.939) in RGB, the ImageNet means of the original net."""
  np.testing.assert_allclose(vgg_params["input"]["scale"], [255, 255, 255])
  np.testing.assert_allclose(
    vgg_params["input"]["mean"] * 255, [123.68, 116.779, 103.939], rtol=1e-6
  )


def test_the_image_of_a_mean_color_excites_only_biases(vgg_params):
  mean = jnp.broadcast_to(vgg_params["input"]["mean"].reshape(1, 1, 1, 3), (1, 16, 16, 3))
  actual = vgg16_features(vgg_params, mean, layers=("relu1_1",))["relu1_1"]
  want = np.maximum(vgg_params["conv1_1"]["bias"], 0)
  np.testing.assert_allclose(actual[0, 8, 8], want, atol=1e-4)


def test_color_order_is_rgb(vgg_params):
  """Trained on photos, the first layer weighs green most and blue least, as luma does."""
  red, green, blue = np.square(np.asarray(vgg_params["conv1_1"]["kernel"])).sum((0, 1, 3))
  assert green > red > blue


@pytest.mark.parametrize(
  "layers, convolutions",
  [(("relu1_1",), 1), (("relu2_1", "relu1_2"), 3), (("relu4_1",), 8), (RELUS, 13)],
)
def test_nothing_deeper_is_computed(vgg_params, layers, convolutions):
  trace = jax.make_jaxpr(lambda p, x: vgg16_features(p, x, layers=layers))(
    vgg_params, jnp.zeros((1, 16, 16, 3))
  )
  assert str(trace).count("stylejax_conv3x3") == convolutions


def test_needs_no_deeper_parameters(shallow):
  assert set(vgg16_features(shallow, jnp.zeros((1, 16, 16, 3)), layers=("relu2_2",))) == {"relu2_2"}


def test_jit_vmap_and_gradient(shallow, rng):
  images = jnp.asarray(rng.uniform(size=(3, 19, 22, 3)), jnp.float32)

  def run(p):
    return vgg16_features(shallow, p, layers=("relu2_2",))["relu2_2"]

  eager = run(images)
  scale = float(eager.max())
  np.testing.assert_allclose(jax.jit(run)(images), eager, atol=1e-5 * scale)
  mapped = jax.jit(jax.vmap(lambda p: run(p[None])[0]))(images)
  np.testing.assert_allclose(mapped, eager, atol=1e-5 * scale)
  gradient = jax.jit(jax.grad(lambda p: run(p).mean()))
  for image in (images, jnp.zeros_like(images), jnp.full_like(images, 0.5)):
    assert np.isfinite(gradient(image)).all()


def test_bfloat16_is_close(shallow, rng):
  image = jnp.asarray(rng.uniform(size=(1, 32, 32, 3)), jnp.float32)
  run = jax.jit(vgg16_features, static_argnames=("layers", "dtype"))
  exact = run(shallow, image, layers=("relu2_2",))["relu2_2"]
  actual = run(shallow, image, layers=("relu2_2",), dtype=jnp.bfloat16)["relu2_2"]
  assert actual.dtype == jnp.bfloat16
  error = jnp.linalg.norm((actual.astype(jnp.float32) - exact).ravel())
  assert error < 0.02 * jnp.linalg.norm(exact.ravel())


@pytest.mark.torch
@pytest.mark.parametrize("size", [(2, 2), (5, 4), (4, 7), (9, 9)])
def test_max_pool_and_its_gradient_are_pytorchs(rng, size):
  features = rng.normal(size=(2, *size, 3)).astype(np.float32)
  weight = rng.normal(size=(2, size[0] // 2, size[1] // 2, 3)).astype(np.float32)
  actual, pull = jax.vjp(max_pool_2x2, jnp.asarray(features))
  tensor = torch.tensor(features).permute(0, 3, 1, 2).requires_grad_()
  want = F.max_pool2d(tensor, 2)
  want.backward(torch.tensor(weight).permute(0, 3, 1, 2))
  np.testing.assert_array_equal(actual, want.detach().permute(0, 2, 3, 1).numpy())
  np.testing.assert_array_equal(pull(jnp.asarray(weight))[0], tensor.grad.permute(0, 2, 3, 1))


def test_module_makes_its_own_parameters():
  """Random weights from Linen's own init have the shapes of the shipped ones."""
  shapes = jax.eval_shape(lambda: VGG16().init(jax.random.key(0), jnp.zeros((1, 16, 16, 3))))[
    "params"
  ]
  assert jax.tree.map(jnp.shape, load_vgg()) == jax.tree.map(lambda x: x.shape, dict(shapes))
  # 14,714,688: VGG16's published count without the classifier; 6 for mean and scale.
  assert sum(x.size for x in jax.tree.leaves(shapes)) == 14_714_688 + 6


@pytest.mark.parametrize(
  "image, layers, message",
  [
    ((16, 16, 3), ("relu1_1",), "expected [B, H, W, 3]"),
    ((1, 16, 16, 4), ("relu1_1",), "expected [B, H, W, 3]"),
    ((1, 1, 40, 3), ("relu2_1",), "found 1×40 pixels, expected at least 2×2"),
    ((1, 16, 16, 3), ("relu6_1",), "found 'relu6_1'"),
    ((1, 16, 16, 3), ("conv1_1",), "found 'conv1_1'"),
    ((1, 16, 16, 3), (), "found none"),
    ((1, 16, 16, 3), ("relu3_1",), "found no 'conv3_1'"),
  ],
)
def test_mistakes_are_named(shallow, image, layers, message):
  with pytest.raises(InputError) as error:
    vgg16_features(shallow, jnp.zeros(image), layers=layers)
  assert message in str(error.value)
