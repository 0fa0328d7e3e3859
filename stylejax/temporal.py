"""Stylizes frames one after another so that what stands still or moves along stays the same.

Pure functions, one frame at a time: what the next frame needs from the last is passed on as a
FrameState. The motion itself is found in motion.py; reading and writing videos lives in
`stylejax.inference`.
"""

import dataclasses
from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import models, motion, reductions, transfer
from stylejax.controls.apply import apply_controls
from stylejax.controls.strength import blend_with_content, split
from stylejax.controls.table import PixelControls, takes_pixel_controls
from stylejax.models import adain, decoder_stages
from stylejax.models.codes import StyleCode
from stylejax.models.meshes import on_any_mesh
from stylejax.models.noise_map import moved_noise_map
from stylejax.models.params import part_of
from stylejax.models.replaceable import Replaceable

MEMORY = 0.9
"""Share of the past where the content stands still: an average over about ten frames."""

SLOWER = 5  # Moments belong to a scene, not a frame: they are averaged so many times longer.
CUT = 0.15  # Mean change of a frame that makes it another scene, which the past must not color.
REACH = 5  # Side, in pixels, of the windows over which a change is averaged.
# A change up to about that of the stillest tenth of the frame is noise: 1.5 times that plus the
# first figure, but at most the second.
ROUNDING, LOUDEST = 0.004, 0.04
# Along a motion, interpolation may change a pixel by this share of the local contrast; and a frame
# of which less than this share comes from the frame before shows another scene.
INTERPOLATED, LEAST_HELD = 0.15, 0.2
# Powers of k: what stands still is averaged over more frames, what moves over fewer, as it is
# interpolated each time. Fine detail that is lost is given back so many times, as some is lost
# again, but amplified at most so much.
LONGER, SHORTER, RESTORED, MOST_GAIN = 0.8, 2.8, 2.0, 2.3
SLOW = 0.25  # Speed, in pixels a frame, from which on all of that is given back.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FrameState(Replaceable):
  """What the next frame needs from the frames so far.

  Attributes:
    content: [H, W, 3], the last frame.
    stylized: [H, W, 3], the last frame stylized, before the blend with its content and the pixel
      controls.
    moments: (mean, std) of each modulated layer, [1, 1, 1, C], averaged over time.
    started: 1 once there was a frame, 0 before.
    drift: [H, W, 2], offset (x, y) in pixels at which each place reads the noise map, which moves
      along with the content; None: it stays in place, whatever moves.
    held: scalar, share of the last frame that came from the frame before; 0 for the first frame of
      a scene.
    same_scene: 1 if the last frame shows the scene of the frame before, else 0.
  """

  content: jax.Array
  stylized: jax.Array
  moments: tuple[tuple[jax.Array, jax.Array], ...]
  started: jax.Array
  drift: jax.Array | None = None
  held: jax.Array | float = 0.0
  same_scene: jax.Array | float = 0.0


def first_state(params: transfer.Params, height: int, width: int) -> FrameState:
  """The state before the first frame, which is [height, width, 3]."""
  config = params.config
  widths = [config.content_widths[level] for level in decoder_stages.modulated_levels(config)]
  # From NumPy's: each new shape of JAX's would be compiled.
  moments = tuple(
    (jnp.asarray(np.zeros(shape, np.float32)), jnp.asarray(np.ones(shape, np.float32)))
    for shape in ((1, 1, 1, c) for c in widths)
  )
  nothing, zero = jnp.zeros((height, width, 3), jnp.float32), jnp.zeros((), jnp.float32)
  drift = jnp.zeros((height, width, 2), jnp.float32)
  return FrameState(nothing, nothing, moments, zero, drift, zero, zero)


@takes_pixel_controls
@on_any_mesh
def next_frame(
  params: transfer.Params,
  frame: jax.Array,
  style_code: StyleCode,
  state: FrameState,
  *,
  strength: jax.Array | float = 1.0,
  memory: jax.Array | float = MEMORY,
  flow: motion.Flow | None = None,
  **controls: Unpack[PixelControls],
) -> tuple[jax.Array, FrameState]:
  """Stylizes the next frame of a sequence: `generate`, stabilized by the frames before.

  Two exponential averages are taken over time: one of the stylized image, wherever the content
  stands still up to noise, p_t = k p_(t−1) + (1 − k) generate(frame); and one of the channel
  moments at every modulated layer, with k^(1/5), so that what enters the image doesn't change the
  colors of the rest at once. k is the memory; after a cut to another scene it is 0.

  With a flow, the image before is first moved along it, and averaged wherever the content is what
  it was at its old place: with k^0.8, or k^2.8 where it moves, since interpolation blurs. Fine
  detail then gets the local energy that it has in generate(frame). The noise map moves along, too.

  Args:
    params: needs content_encoder and generator.
    frame: [H, W, 3] in [0, 1].
    style_code: of one image, unbatched.
    state: from the frame before, or `first_state`.
    strength: scalar, 0 to 2, traced.
    memory: scalar, at least 0 and below 1, traced; 0 stylizes each frame by itself.
    flow: `optical_flow(frame, state.content)`, or another; None: motion isn't followed.
    controls: pixel controls, as in `PixelControls`.

  Returns:
    (image [H, W, 3] in [0, 1], the state for the next frame).

  Raises:
    ValueError: a pixel control of another shape, range or mode.
    TypeError: a keyword that is no argument and no pixel control.

  Source: shared statistics after Wang et al. 2020, "Consistent video style transfer via relaxation
  and regularization"; departs from it in averaging while frames arrive, not beforehand.
  """
  blend, noise_gain = split(jnp.asarray(strength, jnp.float32))
  earlier, held, same_scene = earlier_and_held(state, frame, flow)
  # Not a power of the product, whose slope at 0 is infinite.
  keep, keep_moments = memory * same_scene, memory ** (1 / SLOWER) * same_scene
  drift = state.drift if flow is None else next_drift(state.drift, flow, same_scene)
  steadying = state.moments, keep_moments, None if flow is None else drift
  codes = transfer.encode_content(params, frame[None]), style_code.vector[None]
  generator = {"params": part_of(params, "generator")}
  found: Any = models.nets.Generator(params.config).apply(
    generator, *codes, noise_gain, *steadying, method=steadied
  )
  image, moments = found
  stylized = _averaged(image[0], earlier, held, keep, flow)
  started, share = jnp.ones((), jnp.float32), reductions.mean(held) * same_scene
  state = FrameState(frame, stylized, moments, started, drift, share, same_scene)
  return apply_controls(blend_with_content(stylized, frame, blend), frame, controls), state


def flicker(
  frames: tuple[jax.Array, jax.Array],
  stylized: tuple[jax.Array, jax.Array],
  *,
  flow: motion.Flow | None = None,
) -> tuple[jax.Array, jax.Array]:
  """How much a stylized sequence changes where its content doesn't.

  Args:
    frames: two contents that follow each other, [H, W, 3] in [0, 1].
    stylized: the same two frames, stylized.
    flow: motion from the second to the first: what moves along it doesn't stand still, even if the
      motion can't be seen, like a bare wall's.

  Returns:
    (mean absolute change of the stylized image over the pixels that stand still in the content,
    share of those pixels); the first is 0 where nothing stands still. A pixel stands still if the
    content around it changes no more than in the stillest places, which is noise.
  """
  still = (_stillness(_change(*frames)) >= 0.5).astype(jnp.float32)
  if flow is not None:
    still *= (jnp.abs(flow.vectors).max(-1, keepdims=True) < 0.5).astype(jnp.float32)
  share = reductions.mean(still)
  return reductions.mean(_change(*stylized) * still) / jnp.maximum(share, 1 / still.size), share


def warping_error(
  stylized: tuple[jax.Array, jax.Array], flow: motion.Flow, *, every: int = 1
) -> tuple[jax.Array, jax.Array]:
  """How much a stylized sequence changes along the motion of its content.

  Args:
    stylized: two frames that follow each other, [H, W, 3] in [0, 1].
    flow: motion from the second to the first, true or estimated.
    every: stride; only pixels in every `every`-th row and column are compared.

  Returns:
    (mean absolute difference of the second from the first moved along the flow, over the visible
    pixels; the share of those); the first is 0 where nothing is visible.

  Source: Lai et al. 2018, arXiv:1808.00449 (their warping error); departs from it in using
  absolute differences.
  """
  visible = (flow.visible[::every, ::every] >= 0.5).astype(jnp.float32)
  moved = motion.warp(stylized[0], flow.vectors, sharp=True, every=every)
  change = _change(jnp.clip(moved, 0, 1), stylized[1][::every, ::every])
  share = reductions.mean(visible)
  return reductions.mean(change * visible) / jnp.maximum(share, 1 / visible.size), share


def earlier_and_held(
  state: FrameState, frame: jax.Array, flow: motion.Flow | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """What a frame can take from the frame before.

  Returns:
    (the stylized frame before, moved to its places in this one, [H, W, 3]; from 1, where the
    content there is the same, to 0, [H, W, 1]; 1 if there was a frame before and both show one
    scene, else 0).

  Source: Ruder et al. 2016, arXiv:1604.08610 (their temporal consistency loss); departs from it in
  averaging the moved image and the new one instead of optimizing the latter.
  """
  if flow is None:
    change = _change(state.content, frame)
    earlier, held, same_scene = state.stylized, _stillness(change), reductions.mean(change) < CUT
  else:
    earlier, held = carried(state.content, state.stylized, frame, flow)
    same_scene = reductions.mean(held) > LEAST_HELD
  return earlier, held, jnp.where(same_scene, state.started, 0.0)


def carried(
  content: jax.Array,
  stylized: jax.Array,
  frame: jax.Array,
  flow: motion.Flow,
  *,
  interpolated: float = INTERPOLATED,
) -> tuple[jax.Array, jax.Array]:
  """Moves a stylized frame to where its content is in another one.

  Args:
    content, stylized: [H, W, 3] in [0, 1].
    frame: the other frame's content.
    flow: motion from the other frame to this one.
    interpolated: share of the local contrast by which moved content may differ from the frame.

  Returns:
    (the stylized frame, moved, [H, W, 3]; from 1, where the content there is the same, to 0,
    [H, W, 1]).
  """
  change = _change(motion.warp(content, flow.vectors), frame)
  held = flow.visible * _stillness(change, interpolated * _contrast(frame))
  return jnp.clip(motion.warp(stylized, flow.vectors, sharp=True), 0, 1), held


def _averaged(
  image: jax.Array, earlier: jax.Array, held: jax.Array, keep: jax.Array, flow: motion.Flow | None
) -> jax.Array:
  """Averages a stylized frame with the moved one before, and sharpens it where it moves.

  Giving averages their contrast back is after Heitz & Neyret 2018, "High-performance by-example
  noise using a histogram-preserving blending operator", section 3; departs from it in measuring
  what was lost.
  """
  if flow is None:
    return image + keep * held * (earlier - image)
  average = image + share_of_past(keep, flow) * held * (earlier - image)
  blurs = jnp.clip(_speed(flow) / SLOW, 0, 1)
  return sharpened(average, detail(image), share=RESTORED * blurs * keep)


def share_of_past(keep: jax.Array, flow: motion.Flow) -> jax.Array:
  """Share of the past in the average where all of it is held, [H, W, 1]."""
  power = LONGER + (SHORTER - LONGER) * jnp.clip(_speed(flow), 0, 1)
  # As XLA:CPU computes powers place by place. A logarithm of 0 has no finite slope.
  return jnp.exp(jnp.log(jnp.maximum(keep, 1e-30)) * power)


def _speed(flow: motion.Flow) -> jax.Array:
  """Speed in pixels a frame, [H, W, 1]."""
  x, y = flow.vectors[..., :1], flow.vectors[..., 1:]
  return jnp.sqrt(jnp.maximum(x * x + y * y, 1e-12))  # at 0 a root has no finite slope


def detail(image: jax.Array) -> jax.Array:
  """Local energy of the fine detail of an image: [H, W, 3] → [H, W, 1]."""
  return _near(_near(_mean_color(jnp.square(image - _near(image)))))


def sharpened(image: jax.Array, energy: jax.Array, *, share: jax.Array | float = 1.0) -> jax.Array:
  """Gives an average of images the fine detail that they had.

  Args:
    image: [H, W, 3] in [0, 1].
    energy: [H, W, 1], the energy that fine detail should have, from `detail`; where there is more,
      it stays.
    share: how much of the lost detail is given back; broadcasts with [H, W, 3].

  Returns:
    [H, W, 3] in [0, 1].
  """
  # Clipped before the root, whose slope at 0 is infinite.
  ratio = jnp.sqrt(jnp.clip(energy / (detail(image) + 1e-8), 1, MOST_GAIN**2))
  return jnp.clip(image + share * (ratio - 1) * (image - _near(image)), 0, 1)


def next_drift(drift: jax.Array | None, flow: motion.Flow, same_scene: jax.Array) -> jax.Array:
  """The noise map's drift for the next frame; what is new continues what is beside it."""
  if drift is None:
    drift = jnp.zeros_like(flow.vectors)
  return same_scene * (flow.vectors + motion.warp(drift, flow.vectors))


def _contrast(image: jax.Array) -> jax.Array:
  """Mean absolute slope over the channels, along both axes together, [H, W, 1]."""
  padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
  along = jnp.abs(padded[1:-1, 2:] - padded[1:-1, :-2])
  down = jnp.abs(padded[2:, 1:-1] - padded[:-2, 1:-1])
  return _mean_color(along + down) / 2


def _change(before: jax.Array, after: jax.Array) -> jax.Array:
  """Mean absolute difference over the channels, [H, W, 1]."""
  return _mean_color(jnp.abs(after - before))


def _mean_color(image: jax.Array) -> jax.Array:
  """Mean over the channels, [H, W, 1]; a reduction in XLA would compute its input once for each."""
  return (image[..., :1] + image[..., 1:2] + image[..., 2:]) / 3.0


def _stillness(change: jax.Array, allowed: jax.Array | None = None) -> jax.Array:
  """Rates changes [H, W, 1] from 1, only noise, to 0, moved; of the same shape.

  `allowed`, [H, W, 1], is how much change besides noise there may be in each place.
  """
  near = _near(change)
  floor = reductions.least_tenth(near[::REACH, ::REACH])
  noise = jnp.minimum(1.5 * floor + ROUNDING, LOUDEST)
  return jnp.clip(2 - near / (noise if allowed is None else noise + _near(allowed)), 0, 1)


def _near(values: jax.Array) -> jax.Array:
  """Means over REACH × REACH pixels of [H, W, C]."""
  return reductions.box_mean(reductions.box_mean(values, 0, REACH), 1, REACH)


def steadied(generator, code, vector, noise_gain, before, keep, drift):
  """Calls the generator with moments averaged over time, and returns these, too.

  Args:
    generator: the module, bound to its parameters.
    code: of the frame's content, batch of one.
    vector: of the style, [1, D].
    noise_gain: scalar.
    before: (mean, std) of each modulated map, averaged up to the frame before.
    keep: share of these in the new averages, scalar.
    drift: [H, W, 2], see `FrameState`; None: the noise map stays in place.

  Returns:
    ([1, H, W, 3] in [0, 1], the new averages, of the same structure as before).
  """
  names, cell = decoder_stages.modulated_maps(generator.config), generator.config.cell
  before, averaged = dict(zip(names, before, strict=True)), {}

  def average(name, x):
    averaged[name] = tuple(
      keep * old + (1 - keep) * new
      for old, new in zip(before[name], adain.channel_moments(x), strict=True)
    )
    return averaged[name]

  def modulate(x, name, gain, bias, noise_std):
    moments = averaged[name] if name in averaged else average(name, x)
    noise = None
    if drift is not None and noise_std is not None:
      height, width = x.shape[1:3]
      noise = moved_noise_map(height, width, drift, cell(int(name.removeprefix("level"))))
    return adain.modulate(
      x, gain, bias, noise_std=noise_std, noise_gain=noise_gain, moments=moments, noise=noise
    )

  moments = [average(f"level{i}", level) for i, level in enumerate(code.levels)]
  targets = generator.targets(vector, moments)
  modulated = [
    partial(modulate, name=name, gain=gain, bias=bias, noise_std=noise_std)
    for name, (gain, bias, noise_std) in zip(names, targets, strict=True)
  ]
  return generator.decoder(code, modulation=modulated), tuple(averaged[name] for name in names)
