"""Images that follow each other, stylized so that what stands still stays still.

Pure functions, one frame at a time: what the next frame needs to know of the last is passed on as
a FrameState. Reading and writing videos lives in `stylejax.inference`.
"""

from functools import partial

import flax
import jax
import jax.numpy as jnp

from stylejax import transfer
from stylejax.controls.strength import blend_with_content, split
from stylejax.models import adain, autoencoder
from stylejax.models.generator import Generator
from stylejax.models.meshes import on_any_mesh
from stylejax.models.style_encoder import StyleCode

MEMORY = 0.8
"""Share of the past in what stands still: it is averaged over about five frames."""

_SLOWER = 5  # Statistics are a scene's, not a frame's: they take so many times the frames.
_CUT = 0.15  # Mean change of a whole frame: another scene, which the past must not color.
_REACH = 5  # Pixels over which a change is averaged.
# A change as small as that of the stillest tenth of the frame is noise, up to the second figure.
_ROUNDING, _LOUDEST = 0.004, 0.04


@flax.struct.dataclass
class FrameState:
  """What is known of the frames so far.

  Attributes:
    content: [H, W, 3], the last frame.
    stylized: [H, W, 3], what was made of it, before it is blended with it.
    moments: (mean, std) of each modulated layer, [1, 1, 1, C], averaged over time.
    started: 1 once there was a frame, 0 before.
  """

  content: jax.Array
  stylized: jax.Array
  moments: tuple[tuple[jax.Array, jax.Array], ...]
  started: jax.Array


def first_state(params: transfer.Params, height: int, width: int) -> FrameState:
  """The state before the first frame of [height, width, 3]."""
  config = params.config
  widths = [config.content_widths[level] for level in autoencoder.modulated_levels(config)]
  moments = tuple(
    (jnp.zeros((1, 1, 1, c), jnp.float32), jnp.ones((1, 1, 1, c), jnp.float32)) for c in widths
  )
  nothing = jnp.zeros((height, width, 3), jnp.float32)
  return FrameState(nothing, nothing, moments, jnp.zeros((), jnp.float32))


@on_any_mesh
def next_frame(
  params: transfer.Params,
  frame: jax.Array,
  style_code: StyleCode,
  state: FrameState,
  *,
  strength: jax.Array | float = 1.0,
  memory: jax.Array | float = MEMORY,
) -> tuple[jax.Array, FrameState]:
  """Paints the next frame of a sequence: `generate`, steadied by the frames before.

  Two things are averaged over time, exponentially: the stylized image, wherever the content stands
  still but for noise, p_t = k p_(t−1) + (1 − k) generate(frame); and the channel moments that the
  decoder reads at every layer, with k^(1/5), so that what enters the image doesn't change the
  colors of the rest at once. k is the memory; after a cut to another scene it is 0.

  Args:
    params: needs content_encoder and generator.
    frame: [H, W, 3] in [0, 1].
    style_code: of one image, unbatched.
    state: from the frame before, or `first_state`.
    strength: scalar, 0 to 2, traced.
    memory: scalar, at least 0 and below 1, traced; 0 stylizes each frame by itself.

  Returns:
    (image [H, W, 3] in [0, 1], the state for the next frame).

  Source: moments over time after Wang et al. 2020, arXiv:2004.10955 (their running statistics);
  departs from it in needing neither motion nor training.
  """
  blend, noise_gain = split(jnp.asarray(strength, jnp.float32))
  change = _change(state.content, frame)
  keep = memory * state.started * (change.mean() < _CUT).astype(jnp.float32)
  code = transfer.encode_content(params, frame[None])
  image, moments = Generator(params.config).apply(
    {"params": params.generator},
    code,
    style_code.vector[None],
    noise_gain,
    state.moments,
    keep ** (1 / _SLOWER),
    method=_steadied,
  )
  stylized = image[0] + keep * _stillness(change) * (state.stylized - image[0])
  state = FrameState(frame, stylized, moments, jnp.ones((), jnp.float32))
  return blend_with_content(stylized, frame, blend), state


def flicker(
  frames: tuple[jax.Array, jax.Array], stylized: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
  """How much a stylized sequence changes where its content doesn't.

  Args:
    frames: two contents that follow each other, [H, W, 3] in [0, 1].
    stylized: what was made of them.

  Returns:
    (mean absolute change of the stylized image over the pixels that stand still in the content,
    share of those pixels); the first is 0 where nothing stands still. A pixel stands still when the
    change of the content around it is that of the stillest places, which is noise.
  """
  still = (_stillness(_change(*frames)) >= 0.5).astype(jnp.float32)
  return (_change(*stylized) * still).sum() / jnp.maximum(still.sum(), 1.0), still.mean()


def _change(before: jax.Array, after: jax.Array) -> jax.Array:
  """Mean absolute difference over the channels, [H, W, 1]."""
  return jnp.abs(after - before).mean(-1, keepdims=True)


def _stillness(change: jax.Array) -> jax.Array:
  """From 1, nothing but noise, to 0, moved, of changes [H, W, 1]; of their shape."""
  edge = _REACH // 2
  near = jnp.pad(change, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
  near = jax.lax.reduce_window(
    near, 0.0, jax.lax.add, (_REACH, _REACH, 1), (1, 1, 1), "VALID"
  ) / float(_REACH**2)
  floor = jnp.percentile(near[::_REACH, ::_REACH], 10)
  noise = jnp.minimum(1.5 * floor + _ROUNDING, _LOUDEST)
  return jnp.clip(2 - near / noise, 0, 1)


def _steadied(generator, code, vector, noise_gain, before, keep):
  """The generator's call with moments averaged over time, and those moments."""
  names = autoencoder.modulated_maps(generator.config)
  before, averaged = dict(zip(names, before, strict=True)), {}

  def average(name, x):
    averaged[name] = tuple(
      keep * old + (1 - keep) * new
      for old, new in zip(before[name], adain.channel_moments(x), strict=True)
    )
    return averaged[name]

  def modulate(x, name, gain, bias, noise_std):
    moments = averaged[name] if name in averaged else average(name, x)
    return adain.modulate(
      x, gain, bias, noise_std=noise_std, noise_gain=noise_gain, moments=moments
    )

  moments = [average(f"level{i}", level) for i, level in enumerate(code.levels)]
  targets = generator.targets(vector, moments)
  modulated = [
    partial(modulate, name=name, gain=gain, bias=bias, noise_std=noise_std)
    for name, (gain, bias, noise_std) in zip(names, targets, strict=True)
  ]
  return generator.decoder(code, modulation=modulated), tuple(averaged[name] for name in names)
