"""The four steps of style transfer as pure functions of (params, pictures).

    content_code = encode_content(params, content)
    style_code   = encode_style(params, style)
    stylized     = generate(params, content_code, style_code, strength=1.0)
    score        = discriminate(params, stylized)

Pictures are RGB, float32 in [0, 1], [H, W, 3] or [B, H, W, 3] with any H, W ≥ 16. `params` carries
its config as static data, so it is all that `jit`, `vmap`, `grad` or `shard_map` need to pass on.
"""

import flax
import jax
import jax.numpy as jnp
import numpy as np

from stylejax.models import autoencoder, encoder, gan
from stylejax.models.autoencoder import ContentCode
from stylejax.models.config import ModelConfig
from stylejax.models.encoder import StyleCode

MIN_SIDE = 16
MAX_STRENGTH = 2.0


@flax.struct.dataclass
class Params:
  """Parameters of all parts and the config that says how to run them; one pytree.

  Attributes:
    content_encoder, style_encoder, generator, discriminator, noise_generator: nested dicts of
      float32 arrays, or None for a part that is not there (a weights file may hold only some).
      The autoencoder's decoder is generator["decoder"].
    config: sizes of the nets, static.
  """

  content_encoder: dict | None
  style_encoder: dict | None
  generator: dict | None
  discriminator: dict | None
  noise_generator: dict | None
  config: ModelConfig = flax.struct.field(pytree_node=False)


PARTS = ("content_encoder", "style_encoder", "generator", "discriminator", "noise_generator")


def init_params(key: jax.Array, config: ModelConfig) -> Params:
  """Fresh parameters of all parts, for training.

  Args:
    key: PRNG key; each part draws from its own fold of it.
    config: sizes, for example `stylejax.PRESETS["base"]`.

  Returns:
    Params with every part, float32.
  """
  picture = jnp.zeros((1, 2 * MIN_SIDE, 2 * MIN_SIDE, 3))
  keys = jax.random.split(key, len(PARTS))
  content_encoder = autoencoder.ContentEncoder(config)
  code, content_vars = content_encoder.init_with_output(keys[0], picture)
  inits = (
    content_vars,
    encoder.StyleEncoder(config).init(keys[1], picture),
    gan.Generator(config).init(keys[2], code, jnp.zeros((1, config.style_dim))),
    gan.Discriminator(config).init(keys[3], picture),
    noise_generator(config).init(keys[4], jnp.zeros((1, config.noise_dim))),
  )
  return Params(*(variables["params"] for variables in inits), config=config)


def noise_generator(config: ModelConfig) -> gan.NoiseGenerator:
  """The noise generator module at the config's sizes."""
  return gan.NoiseGenerator(
    config.noise_base, config.noise_width, config.noise_stages, config.dtype)


def encode_style(params: Params, picture: jax.Array) -> StyleCode:
  """Step 1: what the style of a picture is.

  Args:
    params: needs style_encoder.
    picture: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.

  Returns:
    StyleCode with leaves batched as the picture is.

  Raises:
    ValueError: a wrong shape or dtype, or params without that part.

  Source: Huang & Belongie 2017, arXiv:1703.06868, section 5.
  """
  part = _part(params, "style_encoder")
  picture, single = _as_batch(picture, "style")
  with jax.named_scope("encode_style"):
    code = encoder.StyleEncoder(params.config).apply({"params": part}, picture)
  return _first(code) if single else code


def encode_content(params: Params, picture: jax.Array) -> ContentCode:
  """Step 2: what is to be seen on a picture.

  Args:
    params: needs content_encoder.
    picture: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.

  Returns:
    ContentCode with leaves batched as the picture is; it remembers (H, W).

  Raises:
    ValueError: a wrong shape or dtype, or params without that part.
  """
  part = _part(params, "content_encoder")
  picture, single = _as_batch(picture, "content")
  with jax.named_scope("encode_content"):
    code = autoencoder.ContentEncoder(params.config).apply({"params": part}, picture)
  return _first(code) if single else code


def reconstruct(params: Params, picture: jax.Array) -> jax.Array:
  """The autoencoder: decode(encode(picture)), of the picture's shape, in [0, 1].

  Equals `generate` at strength 0 with whatever style. Arguments and errors as `encode_content`,
  and params needs the generator, whose body is the decoder.
  """
  decoder = _part(params, "generator")["decoder"]
  code, single = _batched_content(encode_content(params, picture))
  with jax.named_scope("reconstruct"):
    output = autoencoder.Decoder(params.config).apply({"params": decoder}, code)
  return output[0] if single else output


def generate(params: Params, content_code: ContentCode, style_code: StyleCode, *,
             strength: jax.Array | float = 1.0) -> jax.Array:
  """Step 3: a picture of that content in that style.

  Args:
    params: needs generator.
    content_code: of one picture, or of a batch B.
    style_code: of one picture, or of a batch B. One content with B styles, or B contents with one
      style, give B pictures.
    strength: scalar or [B], traced: 0 gives the content's picture back, 1 is as trained, up to 2
      goes beyond. At every layer the channel moments move that far from the content's own
      to the style's.

  Returns:
    [B, H, W, 3], or [H, W, 3] when both codes are single; float32 in [0, 1], of the content's size.

  Raises:
    ValueError: batch sizes that don't fit, a strength outside 0 to 2 (when it is not traced), or
      params without the generator.

  Source: modulation after Huang & Belongie 2017, arXiv:1703.06868; Ghiasi et al. 2017,
  arXiv:1705.06830.
  """
  part = _part(params, "generator")
  content_code, single_content = _batched_content(content_code)
  vector = jnp.asarray(style_code.vector)
  single_style = vector.ndim == 1
  vector = vector[None] if single_style else vector
  strength = _checked_strength(strength)
  batches = {"content": content_code.levels[0].shape[0], "style": vector.shape[0]}
  if strength.ndim:
    batches["strength"] = strength.size
  batch = max(batches.values())
  for name, found in batches.items():
    if found not in (1, batch):
      raise ValueError(f"{name}: found a batch of {found}, expected 1 or {batch}")
  levels = tuple(_broadcast(level, batch) for level in content_code.levels)
  content_code = content_code.replace(levels=levels)
  with jax.named_scope("generate"):
    output = gan.Generator(params.config).apply(
      {"params": part}, content_code, vector, strength.reshape(-1, 1, 1, 1))
  return output[0] if single_content and single_style and not strength.ndim else output


def discriminate(params: Params, picture: jax.Array) -> jax.Array:
  """Step 4: how much a picture looks like a real artwork to the discriminator.

  Args:
    params: needs discriminator.
    picture: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.

  Returns:
    [B] or a scalar, unbounded, higher is more real: mean over patches, then over scales.

  Raises:
    ValueError: a wrong shape or dtype, or params without that part.
  """
  score = mean_score(discriminator_scores(params, _as_batch(picture, "picture")[0]))
  return score[0] if jnp.ndim(picture) == 3 else score


def discriminator_scores(params: Params, picture: jax.Array) -> tuple[jax.Array, ...]:
  """The patch scores behind `discriminate`: for each scale [B, h, w, 1]; picture [B, H, W, 3]."""
  part = _part(params, "discriminator")
  with jax.named_scope("discriminate"):
    return gan.Discriminator(params.config).apply({"params": part}, picture)


def mean_score(scores: tuple[jax.Array, ...]) -> jax.Array:
  """Mean of patch scores over patches, then scales: tuple of [B, h, w, 1] → [B]."""
  return jnp.stack([s.mean((1, 2, 3)) for s in scores]).mean(0)


def sample_swatch(params: Params, key: jax.Array) -> jax.Array:
  """A swatch of paint that the noise generator invents for `key`: [S, S, 3] in [0, 1].

  Raises:
    ValueError: params without noise_generator.
  """
  z = jax.random.normal(key, (1, params.config.noise_dim))
  return swatches(params, z)[0]


def swatches(params: Params, z: jax.Array) -> jax.Array:
  """Swatches for given noise: z [B, Z], standard normal → [B, S, S, 3] in [0, 1]."""
  part = _part(params, "noise_generator")
  with jax.named_scope("sample"):
    return noise_generator(params.config).apply({"params": part}, z)


def sample_style(params: Params, key: jax.Array) -> StyleCode:
  """A style nobody painted: the style code of `sample_swatch(params, key)`, unbatched.

  Raises:
    ValueError: params without noise_generator or style_encoder.
  """
  return encode_style(params, sample_swatch(params, key))


def stylize(params: Params, content: jax.Array, style: jax.Array, *,
            strength: jax.Array | float = 1.0) -> jax.Array:
  """Paints `content` in the style of `style`: steps 1 to 3 in one call.

  Args:
    params: from `load_pretrained` or `init_params`.
    content: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.
    style: likewise, of any other size; read best at a shorter side of about 256 pixels.
    strength: scalar or [B], 0 (the content itself) over 1 (as trained) to 2; traced.

  Returns:
    [B, H, W, 3], or [H, W, 3] when both pictures are single; of the content's size.

  Raises:
    ValueError: as `encode_content`, `encode_style` and `generate`.
  """
  return generate(params, encode_content(params, content), encode_style(params, style),
                  strength=strength)


def _part(params: Params, name: str) -> dict:
  part = getattr(params, name)
  if part is None:
    there = [p for p in PARTS if getattr(params, p) is not None]
    raise ValueError(f"params: found {', '.join(there) or 'nothing'}, expected also {name}")
  return part


def _as_batch(picture: jax.Array, name: str) -> tuple[jax.Array, bool]:
  shape = jnp.shape(picture)
  if len(shape) not in (3, 4) or shape[-1] != 3:
    raise ValueError(f"{name}: found shape {shape}, expected [H, W, 3] or [B, H, W, 3]")
  if min(shape[-3:-1]) < MIN_SIDE:
    raise ValueError(
      f"{name}: found {shape[-2]}×{shape[-3]} pixels, expected at least {MIN_SIDE}×{MIN_SIDE}")
  if isinstance(picture, np.ndarray) and picture.dtype.kind == "f":
    # Arrays on a device are taken as they are: looking at them would wait for the device.
    low, high = picture.min(), picture.max()
    if not (low >= -1e-3 and high <= 1.001):
      raise ValueError(f"{name}: found values from {low:g} to {high:g}, expected 0 to 1")
  picture = jnp.asarray(picture)
  if not jnp.issubdtype(picture.dtype, jnp.floating):
    raise ValueError(f"{name}: found dtype {picture.dtype}, expected float32 in [0, 1]")
  single = picture.ndim == 3
  return (picture[None] if single else picture), single


def _batched_content(code: ContentCode) -> tuple[ContentCode, bool]:
  single = code.levels[0].ndim == 3
  return (jax.tree.map(lambda x: x[None], code) if single else code), single


def _first(tree):
  return jax.tree.map(lambda x: x[0], tree)


def _broadcast(x: jax.Array, batch: int) -> jax.Array:
  return x if x.shape[0] == batch else jnp.broadcast_to(x, (batch, *x.shape[1:]))


def _checked_strength(strength: jax.Array | float) -> jax.Array:
  if not isinstance(strength, jax.core.Tracer):
    # NumPy, since under an outer jit a jnp comparison of constants would be traced.
    found = np.asarray(strength)
    if not ((found >= 0) & (found <= MAX_STRENGTH)).all():
      raise ValueError(f"strength: found {strength}, expected 0 to {MAX_STRENGTH:g}")
  strength = jnp.asarray(strength, jnp.float32)
  if strength.ndim > 1:
    raise ValueError(f"strength: found shape {strength.shape}, expected a scalar or [B]")
  return strength
