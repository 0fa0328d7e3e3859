"""The pure, jitted steps that `tiled` runs on each tile; windows, files and order are its own."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import models, transfer
from stylejax.images.decode import as_float
from stylejax.models import adain, decoder_stages
from stylejax.models.codes import ContentMoments
from stylejax.runtime.jit import fast_jit

_FLOAT16_MAX = float(np.finfo(np.float16).max)


@fast_jit
def modulation_targets(params: transfer.Params, vector: jax.Array, moments: ContentMoments):
  """`Generator.targets` for a style vector [D] and the moments of the content's levels."""
  return models.nets.Generator(params.config).apply(
    {"params": params.generator}, vector[None], moments, method="targets"
  )


@fast_jit
def encode(params: transfer.Params, pixels: jax.Array, edges: jax.Array, offsets):
  """Encodes a tile [h, w, 3]; returns what `_stored` does for each level of its content code."""
  levels = transfer.encode_content(params, as_float(pixels)).levels
  return [
    _stored(level, edges // params.config.cell(i), offset)
    for i, (level, offset) in enumerate(zip(levels, offsets, strict=True))
  ]


@functools.partial(fast_jit, static_argnums=1)
def run_stage(
  params: transfer.Params,
  number: int,
  features: Sequence[jax.Array],
  offsets: Sequence[jax.Array | None],
  modulations: Sequence[tuple],
  corners: jax.Array,
  edges: jax.Array,
  offset: jax.Array,
):
  """What `_stored` returns for a stage's output; the other arguments are as in `_decode_stage`."""
  return _stored(
    _decode_stage(params, number, features, offsets, modulations, corners), edges, offset
  )


@functools.partial(fast_jit, static_argnums=1)
def run_last_stage(params: transfer.Params, number: int, features, offsets, modulations, corners):
  """The stylized tile [h, w, 3], float32; arguments are as in `_decode_stage`."""
  return _decode_stage(params, number, features, offsets, modulations, corners)


def _decode_stage(
  params: transfer.Params,
  number: int,
  features: Sequence[jax.Array],
  offsets: Sequence[jax.Array | None],
  modulations: Sequence[tuple],
  corners: jax.Array,
) -> jax.Array:
  """A stage's output [h, w, C], from feature maps that are not modulated yet.

  Args:
    params: needs content_encoder and generator.
    number: the stage's number, static.
    features: for each input, the map as it is stored; the tile's pixels if its offset is None.
    offsets: for each input, the channel offset [C] that was subtracted to store it, or None.
    modulations: for each input, (scale, shift, noise_std or None).
    corners: for each input, the row and column of its first cell in the whole map.
  """
  config, modulated = params.config, []
  for x, offset, (scale, shift, noise_std), corner in zip(
    features, offsets, modulations, corners, strict=True
  ):
    if offset is None:
      x = models.nets.finest_level(config, params.content_encoder, as_float(x)[None])
    else:
      x = (x.astype(jnp.float32) + offset[None, None])[None].astype(config.dtype)
    x = adain.affine(x, scale, shift)
    modulated.append(
      x if noise_std is None else adain.add_noise(x, noise_std, top=corner[0], left=corner[1])
    )
  fine = None
  if decoder_stages.stages(config)[number].fine is not None:
    *modulated, fine = modulated
  return models.nets.Decoder(config).apply(
    {"params": params.generator["decoder"]}, number, modulated, fine=fine, method="stage"
  )[0]


def _stored(x: jax.Array, edges: jax.Array, offset: jax.Array | None):
  """A map as it is stored, its moments, and its channel offset.

  It is stored in float16, as the difference from an offset, so that a nearly constant channel that
  is amplified later keeps its precision. Scaling it too would not help: deviations below √1e-5
  don't count (`adain.channel_moments`), and above that float16 has full precision.

  Args:
    x: [h, w, C].
    edges: [[first row, row after the last], the same for columns] that are exact in the tile.
    offset: [C]; if it is NaN, it is set here to the mean of this tile; if None, the map isn't
      stored.

  Returns:
    (float16 map or None, (count, mean, sum of squared deviations), offset or None).
  """
  moments = _sums(x, edges)
  if offset is None:
    return None, moments, None
  offset = jnp.where(jnp.isnan(offset), moments[1], offset)
  difference = jnp.clip(x.astype(jnp.float32) - offset[None, None], -_FLOAT16_MAX, _FLOAT16_MAX)
  return difference.astype(jnp.float16), moments, offset


def _sums(x: jax.Array, edges: jax.Array):
  """(count, mean [C], sum of squared deviations [C]) of the pixels between edges, in one pass."""
  inside = [
    (jnp.arange(side) >= first) & (jnp.arange(side) < last)
    for side, (first, last) in zip(x.shape, edges)
  ]
  x = jnp.where((inside[0][:, None] & inside[1][None])[..., None], x.astype(jnp.float32), 0.0)
  count = jnp.prod(edges[:, 1] - edges[:, 0]).astype(jnp.float32)
  mean = x.sum((0, 1)) / count
  return count, mean, jnp.maximum(jnp.square(x).sum((0, 1)) - count * jnp.square(mean), 0.0)
