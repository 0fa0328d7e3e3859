"""What `transport.py` moves, and where: one program for each row, at 256×256.

How features are moved is in `transport_maps.py`; nothing is measured here.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.quality.transport_maps import covariance_map, sliced_map
from stylejax import transfer
from stylejax.models import adain, decoder_stages, nets
from stylejax.models.codes import ContentCode
from stylejax.runtime.jit import fast_jit

OURS = "ours: moments"
# (features [1, h, w, C], the style's, key) → features.
Map = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
MAPS: dict[str, Map] = {
  "covariance": lambda features, target, key: covariance_map(features, target),
  "sliced4": functools.partial(sliced_map, rotations=4),
}


@dataclasses.dataclass(frozen=True)
class Row:
  """What is moved, and how.

  Attributes:
    where: "nowhere"; "code", the content's levels before the generator; "coarsest", only the last
      of them; "before" or "after", each map that the generator modulates, before or after it does
      so; "decoder", the levels before the decoder, which no style then modulates; "output", the
      levels of the generator's own image, which are then decoded; "pixels", that image's colors.
    map: a key of MAPS.
    share: how much of the way the features are moved, 0 to 1.
  """

  where: str
  map: str = "covariance"
  share: float = 1.0


ROWS: dict[str, Row] = {
  OURS: Row("nowhere"),
  "code, coarsest level: covariance": Row("coarsest"),
  "code: covariance, half of the way": Row("code", share=0.5),
  "code: covariance": Row("code"),
  "code: 4 rotations, a quarter of the way": Row("code", "sliced4", 0.25),
  "code: 4 rotations": Row("code", "sliced4"),
  "maps before AdaIN: covariance": Row("before"),
  "maps after AdaIN: covariance": Row("after"),
  "decoder alone: covariance": Row("decoder"),
  "code of the output, decoded: covariance": Row("output"),
  "colors of the output: covariance": Row("pixels"),
}


@functools.partial(fast_jit, static_argnames=("where", "how"))
def stylize(
  params: transfer.Params,
  content: jax.Array,
  style: jax.Array,
  vector: jax.Array,
  key: jax.Array,
  *,
  where: str,
  how: str,
  share: jax.Array | float,
) -> jax.Array:
  """What a row makes of images [1, H, W, 3] and a style vector [1, D]: [1, H, W, 3].

  where and how are static, a row's `where` and `map`; its share is traced.
  """
  code, style_code = (transfer.encode_content(params, image) for image in (content, style))
  move = functools.partial(_moved, how=how, share=share)
  if where in ("code", "coarsest"):
    code = _moved_levels(code, style_code, key, move, coarsest=where == "coarsest")
  if where == "decoder":
    return _decoded(params, _moved_levels(code, style_code, key, move))
  if where in ("before", "after"):
    return _moved_inside(params, code, style_code, vector, key, move, after=where == "after")
  output = transfer.generate(params, code, transfer.StyleCode((), vector))
  if where == "pixels":
    return jnp.clip(move(output, style, key), 0.0, 1.0)
  if where == "output":
    code = transfer.encode_content(params, output)
    return _decoded(params, _moved_levels(code, style_code, key, move))
  return output


def _moved(
  features: jax.Array, target: jax.Array, key: jax.Array, *, how: str, share: jax.Array | float
) -> jax.Array:
  return features + share * (MAPS[how](features, target, key) - features)


def _moved_levels(
  code: ContentCode, target: ContentCode, key: jax.Array, move: Map, *, coarsest: bool = False
) -> ContentCode:
  """The code with all levels moved, or only the coarsest."""
  levels = list(code.levels)
  for i in range(len(levels) - 1 if coarsest else 0, len(levels)):
    levels[i] = move(levels[i], target.levels[i], jax.random.fold_in(key, i))
  return dataclasses.replace(code, levels=tuple(levels))


def _decoded(params: transfer.Params, code: ContentCode) -> jax.Array:
  decoder = transfer.part_of(params, "generator")["decoder"]
  return nets.applied(nets.Decoder(params.config), decoder, code)


def _moved_inside(
  params: transfer.Params,
  code: ContentCode,
  style_code: ContentCode,
  vector: jax.Array,
  key: jax.Array,
  move: Map,
  *,
  after: bool,
) -> jax.Array:
  """The generator with each modulated map moved to that of the style image in its own style."""
  part = {"params": transfer.part_of(params, "generator")}
  generator = nets.Generator(params.config).bind(part)
  names = decoder_stages.modulated_maps(params.config)
  targets: dict[str, jax.Array] = {}

  def modulate(features, name, key, gain, bias, noise_std):
    if not after:
      features = move_or_keep(features, name, key)
    features = adain.modulate(features, gain, bias)
    if after:
      features = move_or_keep(features, name, key)
    return features if noise_std is None else adain.add_noise(features, noise_std)

  def move_or_keep(features, name, key):
    if key is not None:
      return move(features, targets[name], key)
    targets[name] = features
    return features

  def run(code, keys):
    moments = [adain.channel_moments(level) for level in code.levels]
    modulation = [
      functools.partial(modulate, name=name, key=key, gain=gain, bias=bias, noise_std=noise_std)
      for name, key, (gain, bias, noise_std) in zip(
        names, keys, generator.targets(vector, moments), strict=True
      )
    ]
    return generator.decoder(code, modulation=modulation)

  run(style_code, [None] * len(names))
  return run(code, list(jax.random.split(key, len(names))))
