"""`conv3x3` is the direct convolution, whichever algorithm it picks, and so are its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import PartitionSpec as P

from stylejax.models import conv_cpu
from stylejax.models.conv_cpu import conv3x3, direct_conv3x3, edged_conv3x3, winograd_conv3x3


@pytest.fixture
def always_winograd(monkeypatch):
  monkeypatch.setattr(conv_cpu, "is_faster", lambda *_: True)
  jax.clear_caches()
  yield
  jax.clear_caches()


# Compiled, since each operation of an eager call would be a program of its own.
direct = jax.jit(direct_conv3x3, static_argnames="padding")
by_winograd = jax.jit(winograd_conv3x3, static_argnames="padding")
edged = jax.jit(edged_conv3x3, static_argnames="stride")


def arrays(rng, *shapes):
  return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def valid_conv(x, kernel, padding):
  """The definition, in double precision: a sum over the nine taps of the padded image."""
  mode = "constant" if padding == "zeros" else padding
  x, kernel = np.float64(x), np.float64(kernel)
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
  height, width = x.shape[1:3]
  return sum(
    padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
  )


@settings(deadline=None, max_examples=8)
@given(
  batch=st.integers(1, 3),
  height=st.integers(2, 13),
  width=st.integers(2, 13),
  channels=st.integers(1, 9),
  features=st.integers(1, 9),
  padding=st.sampled_from(["zeros", "reflect"]),
  seed=st.integers(0, 99),
)
def test_every_way_is_the_definition_at_any_size(
  batch, height, width, channels, features, padding, seed
):
  x, kernel = arrays(
    np.random.default_rng(seed), (batch, height, width, channels), (3, 3, channels, features)
  )
  expected = valid_conv(x, kernel, padding)
  np.testing.assert_allclose(direct(x, kernel, padding=padding), expected, atol=1e-4)
  np.testing.assert_allclose(by_winograd(x, kernel, padding=padding), expected, atol=2e-3)
  if padding == "reflect":
    np.testing.assert_allclose(edged(x, kernel), expected, atol=1e-4)
    if not (height % 2 or width % 2):
      np.testing.assert_allclose(edged(x, kernel, stride=2), expected[:, ::2, ::2], atol=1e-4)


def test_error_is_small_on_wide_channels(rng):
  x, kernel = arrays(rng, (1, 32, 32, 256), (3, 3, 256, 64))
  kernel = kernel / 48
  error = np.abs(by_winograd(x, kernel) - valid_conv(x, kernel, "zeros"))
  assert error.max() < 1e-4


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_derivatives_are_the_direct_ones(rng, padding, always_winograd):
  x, kernel, weight = arrays(rng, (2, 9, 6, 5), (3, 3, 5, 4), (2, 9, 6, 4))

  def value(conv):
    return lambda x, kernel: (weight * jnp.sin(conv(x, kernel))).sum()

  def steepness(conv):
    return lambda x, kernel: (jax.grad(value(conv))(x, kernel) ** 2).sum()

  def direct(x, kernel):
    return direct_conv3x3(x, kernel, padding=padding)

  def chosen(x, kernel):
    return conv3x3(x, kernel, padding=padding)

  for order in (value, steepness):
    expected = jax.jit(jax.grad(order(direct), (0, 1)))(x, kernel)
    actual = jax.jit(jax.grad(order(chosen), (0, 1)))(x, kernel)
    for a, b in zip(actual, expected, strict=True):
      np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_forward_derivatives_are_the_direct_ones(rng, padding, always_winograd):
  """With respect to x and the kernel, also of a gradient, and over a batch of examples."""
  x, kernel, along, kernel_along, weight = arrays(
    rng, (2, 2, 9, 6, 5), (2, 3, 3, 5, 4), (2, 2, 9, 6, 5), (2, 3, 3, 5, 4), (2, 9, 6, 4)
  )

  def slopes(conv):
    def value(x, kernel):
      return (weight * jnp.sin(conv(x, kernel))).sum()

    def one(x, kernel, along, kernel_along):
      arguments, steps = (x, kernel), (along, kernel_along)
      return (
        jax.jvp(value, arguments, steps)[1],
        jax.jvp(jax.grad(value, (0, 1)), arguments, steps)[1],
        jax.grad(lambda x: jax.jvp(value, (x, kernel), steps)[1])(x),
      )

    return jax.jit(jax.vmap(one))(x, kernel, along, kernel_along)

  expected = slopes(lambda x, kernel: direct_conv3x3(x, kernel, padding=padding))
  actual = slopes(lambda x, kernel: conv3x3(x, kernel, padding=padding))
  for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3 * float(jnp.abs(b).max()))


def test_maps_over_images_as_a_loop_does(rng, always_winograd):
  x, kernel = arrays(rng, (3, 1, 8, 8, 4), (3, 3, 4, 4))

  def gradient(conv):
    return jax.grad(lambda one: jnp.sin(conv(one, kernel)).sum())

  mapped = jax.jit(jax.vmap(gradient(conv3x3)))(x)
  one_by_one = jax.jit(gradient(direct_conv3x3))
  expected = jnp.stack([one_by_one(one) for one in x])
  np.testing.assert_allclose(mapped, expected, atol=1e-3 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("x_spec, kernel_spec", [(P("data"), P()), (P("data"), P("data"))], ids=str)
def test_gradients_under_shard_map(rng, always_winograd, x_spec, kernel_spec):
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
  (x,) = arrays(rng, (2, 8, 8, 4))
  (kernel,) = arrays(rng, (6 if kernel_spec else 3, 3, 4, 4))

  def gradient(conv):
    def value(x, kernel):
      return jnp.square(conv(x, kernel)).sum()

    return jax.jit(
      jax.shard_map(
        jax.grad(value, (0, 1)),
        mesh=mesh,
        in_specs=(x_spec, kernel_spec),
        out_specs=(x_spec, kernel_spec),
      )
    )

  for a, b in zip(gradient(conv3x3)(x, kernel), gradient(direct_conv3x3)(x, kernel), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-3 * float(jnp.abs(b).max()))


def test_only_a_cpu_takes_the_detour(always_winograd):
  arguments = (jnp.ones((1, 16, 16, 64)), jnp.ones((3, 3, 64, 64)))
  text = {
    platform: jax.jit(conv3x3).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    for platform in ("cpu", "cuda", "tpu")
  }
  assert "stablehlo.convolution" not in text["cpu"]
  for platform in ("cuda", "tpu"):
    assert text[platform].count("stablehlo.convolution") == 1
    assert "stablehlo.dot_general" not in text[platform]


def test_small_and_narrow_convolutions_stay_direct():
  assert conv_cpu.is_faster((4, 64, 64, 128), (3, 3, 128, 128))
  assert not conv_cpu.is_faster((4, 64, 64, 32), (3, 3, 32, 128))
  assert not conv_cpu.is_faster((1, 8, 8, 512), (3, 3, 512, 512))
  assert not conv_cpu.is_faster((1, 32, 32, 64), (3, 3, 64, 64))


def test_exports_with_an_open_batch(rng):
  (batch,) = jax.export.symbolic_shape("b")
  kernel = jnp.ones((3, 3, 128, 128))
  exported = jax.export.export(jax.jit(lambda x: conv3x3(x, kernel)))(
    jax.ShapeDtypeStruct((batch, 32, 32, 128), jnp.float32)
  )
  (x,) = arrays(rng, (2, 32, 32, 128))
  np.testing.assert_allclose(exported.call(x), direct(x, kernel), atol=1e-3)
