"""Alternatives to what temporal.next_frame averages over time along the motion.

Used by flicker.py alone: content codes, the noise map and pixels, one by one and together. The
share of the past, scene cuts and averaged statistics are those of temporal.py.
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylejax import models, motion, temporal, transfer
from stylejax.models.codes import StyleCode
from stylejax.models.params import part_of

AVERAGES = {
  "noise map": ("noise map",),
  "content code": ("content code",),
  "content code, noise map": ("content code", "noise map"),
  "pixels": ("pixels",),
  "pixels, noise map": ("pixels", "noise map"),
}
"""What each variant averages, or moves with the motion."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """What is carried over from the frames so far.

  Attributes:
    known: the state of temporal.next_frame.
    levels: the levels of the content code, averaged where asked for, [1, h, w, C] each.
  """

  known: temporal.FrameState
  levels: tuple[jax.Array, ...]


def first_state(params: transfer.Params, height: int, width: int) -> State:
  """The state before the first frame of [height, width, 3]."""
  frame = jnp.zeros((1, height, width, 3), jnp.float32)
  code = jax.eval_shape(transfer.encode_content, params, frame)
  levels = tuple(jnp.zeros(level.shape, level.dtype) for level in code.levels)
  return State(temporal.first_state(params, height, width), levels)


def next_frame(
  params: transfer.Params,
  frame: jax.Array,
  style_code: StyleCode,
  state: State,
  *,
  averaged: tuple[str, ...],
  memory: jax.Array | float,
  flow: motion.Flow,
) -> tuple[jax.Array, State]:
  """Like temporal.next_frame at strength 1, but averages other things.

  Args:
    params, frame, style_code, memory, flow: as in temporal.next_frame.
    state: from the frame before, or `first_state`.
    averaged: some of "content code", "noise map" and "pixels".

  Returns:
    (image [H, W, 3] in [0, 1], the state for the next frame).
  """
  known = state.known
  earlier, held, same_scene = temporal.earlier_and_held(known, frame, flow)
  keep = memory * same_scene
  share = held * temporal.share_of_past(keep, flow)
  code = transfer.encode_content(params, frame[None])
  if "content code" in averaged:
    levels = zip(state.levels, code.levels, strict=True)
    code = code.replace(levels=tuple(_averaged_level(*pair, share, flow) for pair in levels))
  drift = temporal.next_drift(known.drift, flow, same_scene) if "noise map" in averaged else None
  past = known.moments, keep ** (1 / temporal.SLOWER), drift
  (image, *_), moments = models.nets.Generator(params.config).apply(
    {"params": part_of(params, "generator")},
    code,
    style_code.vector[None],
    1.0,
    *past,
    method=temporal.steadied,
  )
  if "pixels" in averaged:
    image = image + share * (earlier - image)
  known = known.replace(
    content=frame,
    stylized=image,
    moments=moments,
    started=jnp.ones((), jnp.float32),
    drift=known.drift if drift is None else drift,
  )
  return image, State(known, code.levels)


def _averaged_level(
  earlier: jax.Array, level: jax.Array, share: jax.Array, flow: motion.Flow
) -> jax.Array:
  """Averages a level of the content code with the previous one, warped: [1, h, w, C]."""
  height, width = level.shape[1:3]
  cell = -(-share.shape[1] // width)

  def of_cells(values):
    edges = [(0, cells * cell - side) for cells, side in zip((height, width), values.shape)]
    padded = jnp.pad(values, (*edges, (0, 0)), mode="edge")
    return padded.reshape(height, cell, width, cell, -1).mean((1, 3))

  moved = motion.warp(earlier[0], of_cells(flow.vectors) / cell, sharp=True)
  return level + of_cells(share)[None] * (moved[None] - level)
