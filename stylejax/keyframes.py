"""Frames between keyframes: what was painted of a few frames is carried along the motion to others.

Pure functions; which frames are keyframes and what paints them is for others to say, as
`stylejax.inference.keyframed` does.
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylejax import motion, temporal
from stylejax.models.replaceable import Replaceable

TOLERANCE = 0.45
"""Share of the local contrast by which a frame may differ from what is carried to it: over many
frames estimates of the motion add up their errors."""

MIXED = 10.0  # From a tenth of the lesser one on a blend counts as one.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Keyframe(Replaceable):
  """A frame and what was painted of it.

  Attributes:
    content: [H, W, 3] in [0, 1].
    stylized: likewise.
  """

  content: jax.Array
  stylized: jax.Array


def follow(track: motion.Flow, flow: motion.Flow) -> motion.Flow:
  """The motion from a frame to a keyframe, over the frame beside it.

  Args:
    track: from the frame beside it to the keyframe.
    flow: from the frame to the one beside it.

  Returns:
    The motion from the frame to the keyframe; visible is what is so all the way.
  """
  moved = motion.warp(jnp.concatenate([track.vectors, track.visible], -1), flow.vectors)
  return motion.Flow(flow.vectors + moved[..., :2], flow.visible * moved[..., 2:])


def propagate(
  frame: jax.Array,
  filling: jax.Array,
  keys: tuple[Keyframe, Keyframe],
  tracks: tuple[motion.Flow, motion.Flow],
  time: jax.Array | float,
) -> jax.Array:
  """What a frame between two keyframes looks like.

      (1 − s) h₀ a₀ + s h₁ a₁  over  (1 − s) h₀ + s h₁,    s = t² (3 − 2t)

  with the keyframes a moved along the tracks and h = 1 where the frame shows what they do. Where
  only one of them does, it is that one's; where none does, the filling's. Strokes that differ blur
  when they are blended, so fine detail gets back the local energy that it has in the keyframes.

  Args:
    frame: [H, W, 3] in [0, 1].
    filling: what another method made of the frame, of the same shape.
    keys: the keyframes before and after it.
    tracks: from the frame to each of them, see `follow`.
    time: from 0, at the first, to 1, at the second; traced.

  Returns:
    [H, W, 3] in [0, 1].

  Source: keyframes from both sides, blended by time, after Jamriška et al. 2019, "Stylizing video
  by example"; departs from it in moving the painted keyframes instead of synthesizing each frame.
  """
  late = jnp.square(time) * (3 - 2 * jnp.asarray(time, jnp.float32))
  (first, first_held), (second, second_held) = (
    temporal.carried(key.content, key.stylized, frame, track, interpolated=TOLERANCE)
    for key, track in zip(keys, tracks, strict=True)
  )
  one, other = (1 - late) * first_held, late * second_held
  both = jnp.maximum(one + other, 1e-6)
  mean = jnp.where(one + other > 1e-6, (one * first + other * second) / both, filling)
  energy = (one * temporal.detail(first) + other * temporal.detail(second)) / both
  # Where one decides nothing is lost.
  share = jnp.minimum(MIXED * jnp.minimum(one, other) / both, 1.0)
  blended = temporal.sharpened(mean, energy, share=share)
  # A keyframe that the other is far from decides alone, and not more than it is there.
  known = jnp.where(one + other > 1e-6, jnp.maximum(first_held, second_held), 0.0)
  return jnp.clip(filling + known * (blended - filling), 0, 1)
