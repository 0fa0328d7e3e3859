"""Frames between keyframes: stylized keyframes are carried along the motion to the frames between.

Pure functions; the caller chooses the keyframes and stylizes them, as
`stylejax.inference.keyframed` does.
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylejax import motion, temporal
from stylejax.models.replaceable import Replaceable

TOLERANCE = 0.45
"""Share of the local contrast by which a frame may differ from what is carried to it: over
many frames the errors of the estimated motion add up."""

MIXED = 10.0  # A pixel counts as blended once the lesser weight is a tenth of the sum.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Keyframe(Replaceable):
  """A frame and its stylization.

  Attributes:
    content: [H, W, 3] in [0, 1].
    stylized: likewise.
  """

  content: jax.Array
  stylized: jax.Array


def follow(track: motion.Flow, flow: motion.Flow) -> motion.Flow:
  """The motion from a frame to a keyframe, by way of a neighboring frame.

  Args:
    track: from the neighboring frame to the keyframe.
    flow: from the frame to its neighbor.

  Returns:
    The motion from the frame to the keyframe; a pixel is visible if it is so all the way.
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
  """Stylizes a frame between two keyframes, by moving these along the motion.

      (1 − s) h₀ a₀ + s h₁ a₁  over  (1 − s) h₀ + s h₁,    s = t² (3 − 2t)

  where t is the time, a are the keyframes moved along the tracks, and h = 1 where the frame shows
  what they do. Where only one of them does, the result is that one's; where neither does, it is the
  filling's. Blending blurs strokes that differ, so fine detail gets back the local energy that it
  has in the keyframes.

  Args:
    frame: [H, W, 3] in [0, 1].
    filling: the frame stylized by another method, of the same shape.
    keys: the keyframes before and after it.
    tracks: the motion from the frame to each of them, see `follow`.
    time: from 0, at the first, to 1, at the second; traced.

  Returns:
    [H, W, 3] in [0, 1].

  Source: keyframes from both sides, blended by time, after Jamriška et al. 2019, "Stylizing video
  by example"; departs from it in moving the stylized keyframes instead of synthesizing each frame.
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
  # Where a single keyframe decides, no detail is lost.
  share = jnp.minimum(MIXED * jnp.minimum(one, other) / both, 1.0)
  blended = temporal.sharpened(mean, energy, share=share)
  # A keyframe decides alone where the other isn't held, and only as far as it is held itself.
  known = jnp.where(one + other > 1e-6, jnp.maximum(first_held, second_held), 0.0)
  return jnp.clip(filling + known * (blended - filling), 0, 1)
