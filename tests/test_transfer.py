"""The four steps: pure under every transformation, right in shape, strict about input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import stylejax
from stylejax import transfer
from stylejax.models.generator import Generator

SIDE = 24


def stylized_twice(params, images):
  return transfer.stylize(params, images, images[..., ::-1, :, :])


# name → function of (params, image or batch of images).
CASES = {
  "encode_style": transfer.encode_style,
  "encode_content": transfer.encode_content,
  "reconstruct": transfer.reconstruct,
  "discriminate": transfer.discriminate,
  "generate": lambda p, x: transfer.generate(
    p, transfer.encode_content(p, x), transfer.encode_style(p, x), strength=0.7
  ),
  "stylize": stylized_twice,
  "stylize with a key": lambda p, x: transfer.stylize(
    p, x, x[..., ::-1, :, :], noise_key=jax.random.key(3)
  ),
}
cases = pytest.mark.parametrize("function", CASES.values(), ids=CASES.keys())


# Compiled, since each operation of an eager call would be a program of its own; the first test
# checks that this changes nothing.
encode_style, encode_content, reconstruct, generate, stylize, sample_style = map(
  jax.jit,
  (
    transfer.encode_style,
    transfer.encode_content,
    transfer.reconstruct,
    transfer.generate,
    transfer.stylize,
    transfer.sample_style,
  ),
)


# Pixels: black, on the straight part of sRGB's curve, white.
EXTREMES = [[0], [0.02], [1]]


@pytest.fixture
def images(rng):
  return rng.random((8, SIDE, SIDE, 3), np.float32)


def assert_trees_close(actual, expected, atol=1e-5):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, atol=atol, rtol=1e-4)


@cases
def test_jit_is_eager(function, tiny_params, images):
  assert_trees_close(jax.jit(function)(tiny_params, images), function(tiny_params, images))


@cases
def test_vmap_and_batch_are_a_loop(function, tiny_params, images):
  compiled = jax.jit(function)
  loop = [compiled(tiny_params, image) for image in images]
  stacked = jax.tree.map(lambda *x: np.stack(x), *loop)
  assert_trees_close(jax.jit(jax.vmap(function, (None, 0)))(tiny_params, images), stacked)
  assert_trees_close(compiled(tiny_params, images), stacked)


@cases
def test_gradients_are_finite(function, tiny_params, images):
  def total(params, x):
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(function(params, x)))

  gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(tiny_params, images)
  leaves = jax.tree.leaves(gradients)
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert any(np.abs(leaf).max() > 0 for leaf in leaves)


@cases
def test_shard_map_over_devices_is_one_device(function, tiny_params, images):
  mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  sharded = jax.jit(
    jax.shard_map(
      function,
      mesh=mesh,
      in_specs=(PartitionSpec(), PartitionSpec("data")),
      out_specs=PartitionSpec("data"),
    )
  )
  assert_trees_close(sharded(tiny_params, images), jax.jit(function)(tiny_params, images))


@cases
def test_pmap_over_devices_is_one_device(function, tiny_params, images):
  actual = jax.pmap(function, in_axes=(None, 0))(tiny_params, images[:, None])
  actual = jax.tree.map(lambda x: x.reshape(x.shape[0], *x.shape[2:]), actual)
  assert_trees_close(actual, jax.jit(function)(tiny_params, images))


@cases
def test_export_is_the_function(function, tiny_params, images):
  compiled = jax.jit(function)
  exported = jax.export.export(compiled)(
    tiny_params, jax.ShapeDtypeStruct(images.shape, jnp.float32)
  )
  assert_trees_close(exported.call(tiny_params, images), compiled(tiny_params, images))


def test_sampled_styles_under_jit_and_vmap(tiny_params):
  keys = jax.random.split(jax.random.key(0), 3)
  loop = [sample_style(tiny_params, key) for key in keys]
  stacked = jax.tree.map(lambda *x: np.stack(x), *loop)
  assert_trees_close(
    jax.jit(jax.vmap(transfer.sample_style, (None, 0)))(tiny_params, keys), stacked
  )


def test_stylize_composes_the_steps(tiny_params, images):
  by_hand = generate(
    tiny_params,
    encode_content(tiny_params, images),
    encode_style(tiny_params, images[:1]),
    strength=1.3,
  )
  np.testing.assert_allclose(
    stylize(tiny_params, images, images[:1], strength=1.3), by_hand, atol=1e-6
  )


def test_moments_left_alone_are_the_autoencoder(tiny_params, images):
  code, style = encode_content(tiny_params, images[:2]), encode_style(tiny_params, images[2:4])
  actual = jax.jit(Generator(tiny_params.config).apply)(
    {"params": tiny_params.generator}, code, style.vector, noise_gain=0.0, moment_shift=0.0
  )
  np.testing.assert_allclose(actual, reconstruct(tiny_params, images[:2]), atol=1e-6)
  full = stylize(tiny_params, images[:2], images[2:4])
  assert np.abs(full - actual).max() > 1e-2


def test_strengths_below_1_fade_to_the_image_as_light(tiny_params, images):
  content, style = images[:1], images[2:3]
  content[0, 0, :3] = EXTREMES
  code, vector = encode_content(tiny_params, content), encode_style(tiny_params, style).vector
  net = jax.jit(Generator(tiny_params.config).apply)
  for strength, opacity in ((0.0, 0), (0.2, 0.28), (0.5, 0.625), (1.0, 1), (1.5, 1)):
    stylized = net({"params": tiny_params.generator}, code, vector, noise_gain=max(strength, 1.0))
    actual = np.float64(stylize(tiny_params, content, style, strength=strength))
    assert actual.min() >= 0 and actual.max() <= 1
    mixed = opacity * light(stylized) + (1 - opacity) * light(content)
    np.testing.assert_allclose(light(actual), mixed, atol=2e-6)
  np.testing.assert_allclose(stylize(tiny_params, content, style, strength=0.0), content, atol=1e-6)


def light(x):
  """sRGB values to linear light, by IEC 61966-2-1."""
  x = np.float64(x)
  return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def test_strength_is_traced_and_one_for_each_image(tiny_params, images):
  # A function of its own: jit shares the cache of one function among all that compile it.
  compiled = jax.jit(lambda *args, **controls: transfer.stylize(*args, **controls))
  each = compiled(tiny_params, images[:3], images[3], strength=jnp.array([0.0, 0.5, 2.0]))
  for i, strength in enumerate((0.0, 0.5, 2.0)):
    one = stylize(tiny_params, images[i], images[3], strength=strength)
    np.testing.assert_allclose(each[i], one, atol=1e-5)
  for strength in (0.1, 0.9, 1.7):
    compiled(tiny_params, images[0], images[3], strength=strength)
  assert compiled._cache_size() == 2


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.5])
def test_strength_and_content_have_gradients(tiny_params, images, strength):
  content = images[0]
  content[0, :3] = EXTREMES
  slope, slopes = jax.jit(
    jax.grad(lambda s, x: transfer.stylize(tiny_params, x, images[1], strength=s).std(), (0, 1))
  )(strength, content)
  assert np.isfinite(slope) and slope != 0
  assert np.isfinite(slopes).all() and np.abs(slopes).max() > 0


@pytest.mark.parametrize("height, width, side", [(16, 16, 16), (17, 31, 21), (50, 33, 40)])
def test_any_size_gives_the_content_size(tiny_params, height, width, side):
  content = np.linspace(0, 1, height * width * 3, dtype=np.float32).reshape(height, width, 3)
  style = np.linspace(1, 0, side * side * 3, dtype=np.float32).reshape(side, side, 3)
  stylized = stylize(tiny_params, content, style)
  assert stylized.shape == content.shape
  assert stylized.dtype == jnp.float32
  assert np.isfinite(stylized).all()
  assert stylized.min() >= 0 and stylized.max() <= 1


def test_one_content_many_styles_and_the_reverse(tiny_params, images):
  assert stylize(tiny_params, images[0], images).shape == images.shape
  assert stylize(tiny_params, images, images[0]).shape == images.shape


def test_codes_can_be_mixed(tiny_params, images):
  a, b = (encode_style(tiny_params, images[i]) for i in (0, 1))
  mixed = jax.tree.map(lambda x, y: 0.5 * (x + y), a, b)
  content = encode_content(tiny_params, images[2])
  assert generate(tiny_params, content, mixed).shape == (SIDE, SIDE, 3)


def test_a_key_changes_the_noise_alone_and_is_traced(tiny_params, images):
  compiled = jax.jit(lambda key: stylize(tiny_params, images, images, noise_key=key))
  plain = np.asarray(stylize(tiny_params, images, images))
  first, again, other = (np.asarray(compiled(jax.random.key(seed))) for seed in (0, 0, 1))
  assert compiled._cache_size() == 1
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 0.01 and np.abs(first - plain).max() > 0.01
  assert abs(first.mean() - plain.mean()) < 0.02


def test_sampled_styles_differ_and_repeat(tiny_params):
  codes = [sample_style(tiny_params, jax.random.key(i)).vector for i in (1, 2, 1)]
  np.testing.assert_array_equal(codes[0], codes[2])
  assert np.abs(codes[0] - codes[1]).max() > 1e-6
  texture = jax.jit(transfer.sample_texture)(tiny_params, jax.random.key(1))
  side = tiny_params.config.texture_size
  assert texture.shape == (side, side, 3)


def test_params_carry_their_config_through_transformations(tiny_params):
  doubled = jax.jit(lambda p: jax.tree.map(lambda x: 2 * x, p))(tiny_params)
  assert doubled.config == tiny_params.config


def test_nothing_outside_the_arguments_matters(tiny_params, images):
  def fresh(*images):  # a function of its own each time, so that it is traced anew
    return jax.jit(lambda *args: transfer.stylize(*args))(tiny_params, *images)

  before = fresh(images[0], images[1])
  fresh(images[2], images[3])
  np.testing.assert_array_equal(before, fresh(images[0], images[1]))


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda p, x: transfer.encode_style(p, x[0, 0]), r"style: found shape \(24, 3\)"),
    (lambda p, x: transfer.encode_content(p, x[..., :2]), r"content: found shape .*, expected \[H"),
    (lambda p, x: transfer.encode_content(p, x[:, :9]), "content: found 24×9 pixels, expected"),
    (lambda p, x: transfer.encode_content(p, 255 * x), "content: found values from"),
    (lambda p, x: transfer.encode_content(p, (x * 255).astype(np.uint8)), "found dtype uint8"),
    (
      lambda p, x: jax.eval_shape(transfer.stylize, p, x, x[:3]),
      "style: found a batch of 3, expected 1 or 8",
    ),
    (lambda p, x: transfer.stylize(p, x, x, strength=2.1), "strength: found 2.1, expected 0 to 2"),
    (lambda p, x: transfer.stylize(p, x, x, strength=float("nan")), "strength: found nan"),
    (lambda p, x: transfer.stylize(p, x, x, strength=jnp.ones((8, 2))), "strength: found shape"),
    (lambda p, x: transfer.discriminate(p.replace(discriminator=None), x), "also discriminator"),
    (
      lambda p, x: transfer.sample_style(p.replace(noise_generator=None), jax.random.key(0)),
      "expected also noise_generator",
    ),
  ],
)
def test_mistakes_are_named(tiny_params, images, make, message):
  with pytest.raises(ValueError, match=message):
    make(tiny_params, images)


def test_public_names_are_there():
  assert all(hasattr(stylejax, name) for name in stylejax.__all__)
