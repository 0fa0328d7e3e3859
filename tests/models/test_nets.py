"""Shapes, sizes and contracts of the nets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stylejax
from stylejax import PRESETS, ModelConfig, models, transfer
from stylejax.models import autoencoder
from stylejax.models.generator import Adaptation
from stylejax.models.noise_generator import NoiseGenerator

# Compiled, since each operation of an eager call would be a program of its own.
encode_content = jax.jit(transfer.encode_content)
encode_style = jax.jit(transfer.encode_style)


def count(tree) -> int:
  return sum(x.size for x in jax.tree.leaves(tree))


def test_noise_generator_is_the_described_net():
  """100 → 8·8·128 → 8×8×128 → 256 wide, three stages; parameters counted by hand, by layer."""
  shapes = jax.eval_shape(lambda: NoiseGenerator().init(jax.random.key(0), jnp.zeros((1, 100))))[
    "params"
  ]
  kernels = [("Dense_0", (100, 8 * 8 * 128)), ("Conv_0", (3, 3, 128, 256))]
  for stage in range(3):
    kernels += [
      (f"ConvTranspose_{stage}", (4, 4, 256, 256)),
      (f"Conv_{2 * stage + 1}", (3, 3, 256, 256)),
      (f"Conv_{2 * stage + 2}", (3, 3, 256, 256)),
    ]
  kernels += [("Conv_7", (3, 3, 256, 3))]
  assert {name: layer["kernel"].shape for name, layer in shapes.items()} == dict(kernels)
  by_hand = (
    (100 * 8192 + 8192)
    + (9 * 128 * 256 + 256)
    + 3 * ((16 * 256 * 256 + 256) + 2 * (9 * 256 * 256 + 256))
    + (9 * 256 * 3 + 3)
  )
  assert count(shapes) == by_hand == 7_816_451


def test_noise_generator_makes_64_pixel_textures_by_default():
  texture = jax.eval_shape(
    lambda z: NoiseGenerator().init_with_output(jax.random.key(0), z)[0], jnp.zeros((2, 100))
  )
  assert texture.shape == (2, 64, 64, 3)


def test_large_holds_the_described_noise_generator():
  config = PRESETS["large"]
  assert models.nets.noise_generator(config) == NoiseGenerator(dtype="bfloat16")
  assert config.noise_dim == 100


def test_base_is_small():
  params = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), PRESETS["base"]))
  path = count((params.content_encoder, params.style_encoder, params.generator))
  assert path <= 2_500_000


def test_presets_start_and_count_parts():
  for config in PRESETS.values():
    params = jax.eval_shape(lambda c=config: stylejax.init_params(jax.random.key(0), c))
    assert all(getattr(params, part) is not None for part in transfer.PARTS)
    assert params.config == config


def test_autoencoder_is_encoder_and_decoder(tiny_params, rng):
  image = rng.random((1, 18, 21, 3), np.float32)
  parts = {"encoder": tiny_params.content_encoder, "decoder": tiny_params.generator["decoder"]}
  actual = jax.jit(autoencoder.Autoencoder(tiny_params.config).apply)({"params": parts}, image)
  expected = jax.jit(transfer.reconstruct)(tiny_params, image)
  np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_style_code_holds_two_moments_for_each_level(tiny_params, rng):
  code = encode_style(tiny_params, rng.random((2, 32, 48, 3), np.float32))
  widths = tiny_params.config.style_widths
  assert [(m.shape, s.shape) for m, s in code.moments] == [((2, 1, 1, w),) * 2 for w in widths]
  assert code.vector.shape == (2, tiny_params.config.style_dim)


def test_a_style_adapts_to_the_content(tiny_params, rng):
  vector = rng.normal(size=(1, 16)).astype(np.float32)
  moments = [
    (4 * rng.random((2, 1, 1, w), np.float32), rng.random((2, 1, 1, w), np.float32))
    for w in tiny_params.config.content_widths
  ]
  net = Adaptation(16)
  fresh = net.init(jax.random.key(0), vector, moments)
  np.testing.assert_array_equal(net.apply(fresh, vector, moments), vector.repeat(2, 0))
  actual = net.apply({"params": tiny_params.generator["adaptation"]}, vector, moments)
  assert np.abs(actual - vector).max() > 1e-3
  assert np.abs(actual[0] - actual[1]).max() > 1e-3


def test_discriminator_scores_patches_at_each_scale(tiny_params, rng):
  scores = jax.jit(transfer.discriminator_scores)(
    tiny_params, rng.random((2, 64, 48, 3), np.float32)
  )
  assert [s.shape for s in scores] == [(2, 16, 12, 1), (2, 8, 6, 1)]


def test_bfloat16_activations_leave_moments_and_images_float32(tiny_params, rng):
  config = dataclasses.replace(tiny_params.config, dtype="bfloat16")
  params = tiny_params.replace(config=config)
  image = rng.random((1, 32, 32, 3), np.float32)
  content = encode_content(params, image)
  assert all(level.dtype == jnp.bfloat16 for level in content.levels)
  style = encode_style(params, image)
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(style))
  stylized = jax.jit(transfer.generate)(params, content, style)
  assert stylized.dtype == jnp.float32
  np.testing.assert_allclose(
    stylized, jax.jit(transfer.stylize)(tiny_params, image, image), atol=0.05
  )


def test_config_survives_json():
  for config in PRESETS.values():
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
  "fields, named",
  [
    ({"width": 3}, "width"),
    ({"style_dim": "big"}, "style_dim"),
    ({"dtype": "int8"}, "dtype"),
    ({"content_widths": [8]}, "content_widths"),
    ({"content_widths": [8, -1]}, "content_widths"),
    ({"content_blocks": [0]}, "content_blocks"),
  ],
)
def test_config_names_what_is_wrong(fields, named):
  with pytest.raises(ValueError, match=named):
    ModelConfig.from_dict({**PRESETS["tiny"].to_dict(), **fields})


def test_accelerators_convolve_in_bfloat16_alone():
  config = dataclasses.replace(PRESETS["tiny"], dtype="bfloat16")
  params = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), config))
  image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)

  def every_net(params, image):
    return (
      transfer.stylize(params, image, image),
      transfer.discriminate(params, image),
      transfer.textures(params, jnp.ones((2, config.noise_dim))),
    )

  text = jax.jit(every_net).trace(params, image).lower(lowering_platforms=("tpu",)).as_text()
  convolutions = [
    line.rsplit(" : ", 1)[1] for line in text.splitlines() if "stablehlo.convolution" in line
  ]
  assert len(convolutions) > 20
  assert all(types.count("xbf16>") == 3 for types in convolutions)
