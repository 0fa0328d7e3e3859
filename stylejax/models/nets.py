"""All nets and their initial parameters: everything for which the four steps need Flax."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models.autoencoder import ContentEncoder
from stylejax.models.autoencoder import Decoder as Decoder
from stylejax.models.autoencoder import finest_level as finest_level
from stylejax.models.config import ModelConfig
from stylejax.models.discriminator import Discriminator
from stylejax.models.generator import Generator
from stylejax.models.noise_generator import NoiseGenerator
from stylejax.models.params import MIN_SIDE, PARTS, Params
from stylejax.models.style_encoder import StyleEncoder


def init_params(key: jax.Array, config: ModelConfig) -> Params:
  """Draws initial parameters of all parts, for training.

  Args:
    key: PRNG key; each part draws from its own split of it.
    config: sizes, for example `stylejax.PRESETS["base"]`.

  Returns:
    Params with every part, float32.
  """
  image = jnp.zeros((1, 2 * MIN_SIDE, 2 * MIN_SIDE, 3), jnp.float32)
  keys = jax.random.split(key, len(PARTS))
  content_encoder = ContentEncoder(config)
  code, content_vars = content_encoder.init_with_output(keys[0], image)
  inits = (
    content_vars,
    StyleEncoder(config).init(keys[1], image),
    Generator(config).init(keys[2], code, jnp.zeros((1, config.style_dim), jnp.float32)),
    Discriminator(config).init(keys[3], image),
    noise_generator(config).init(keys[4], jnp.zeros((1, config.noise_dim), jnp.float32)),
  )
  parts = {name: variables["params"] for name, variables in zip(PARTS, inits, strict=True)}
  return Params(**parts, config=config)


def noise_generator(config: ModelConfig) -> NoiseGenerator:
  """The noise generator module at the config's sizes."""
  return NoiseGenerator(config.noise_base, config.noise_width, config.noise_stages, config.dtype)


def applied(module: nn.Module, params: dict, *arguments: Any, **keywords: Any) -> Any:
  """Applies a module with the parameters of one part."""
  return module.apply({"params": params}, *arguments, **keywords)
