"""Films in which a method without training stylizes keyframes, and other frames follow them.

The arithmetic is in `stylejax.keyframes`; this module decides which frames are keyframes.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from stylejax import keyframes, motion
from stylejax.controls.apply import apply_controls
from stylejax.controls.strength import blend_with_content, split
from stylejax.inference import neighbor_stages
from stylejax.inference.film import ByNetworks, Moved, Stylized
from stylejax.inference.neighbor_stages import checked_weights, settle_colors
from stylejax.inference.over_time import Settings
from stylejax.optimization import colors
from stylejax.runtime.jit import fast_jit

FRAME_BYTES = 4 * (3 + 3 + 3 + 3 + 3)
"""Bytes per pixel of a frame that waits for the next keyframe: content, filling, three flows."""

Paint = Callable[[np.ndarray, Any, bool], Any]
"""(content, starting image, whether a scene begins) → a stylized keyframe, [H, W, 3]."""


def paint_with(method: str, styles: Sequence[np.ndarray], weights: np.ndarray | None) -> Paint:
  """Makes a `Paint`; all keyframes but the first of a scene start from the previous one, warped.

  Args:
    method: "neighbors", which starts the first keyframe of a scene from its content, or "refine",
      which starts it from the networks' image.
    styles: images [h, w, 3].
    weights: the weight of each style; None for a single style.
  """
  images = [style[None] for style in styles]

  def paint(content: np.ndarray, start: Any, begins: bool) -> Any:
    content = content[None]
    mix = checked_weights(weights, len(images), content)
    from_content = begins and method == "neighbors"
    image = neighbor_stages.paint(
      content, images, start=None if from_content else start[None], weights=mix
    )
    return settle_colors(
      image, content, images, weights=mix, keep_color=0.0, own_color=colors.OWN_COLOR
    )[0]

  return paint


@dataclasses.dataclass
class _Waiting:
  """A frame that waits for the next keyframe.

  Attributes:
    moved: the frame.
    filling: the networks' stylized image of it.
    held, same_scene: as in `temporal.FrameState`.
    track: its motion since the last keyframe; None if it is that keyframe.
  """

  moved: Moved
  filling: Any
  held: Any
  same_scene: Any
  track: motion.Flow | None


class ByKeyframes:
  """Stylizes keyframes, among them the first and last frame of a scene, and fills in the rest."""

  def __init__(self, networks: ByNetworks, paint: Paint, every: int, settings: Settings):
    """Holds at most `every` + 1 frames at once.

    Args:
      networks: detect the cuts, and fill in what no keyframe shows.
      paint: stylizes a keyframe.
      every: number of frames from one keyframe to the next.
      settings: strength and pixel controls, applied to every frame.
    """
    self._networks, self._paint, self._every, self._settings = networks, paint, every, settings
    self._flow, self._follow = fast_jit(motion.optical_flow), fast_jit(keyframes.follow)
    self._propagate, self._finish = fast_jit(keyframes.propagate), fast_jit(_finish)
    self._waiting: list[_Waiting] = []
    self._painted: Any = None
    self._loaded, self._begins = False, True

  def start(self, shape: tuple[int, ...]) -> None:
    """Prepares for the first frame, of shape [H, W, 3]."""
    self._networks.start(shape)
    self._painted = np.zeros(shape, np.float32)

  def saved(self) -> Any:
    """The state that `load` takes, which has the same shapes."""
    return self._networks.saved(), self._painted, np.float32(self._begins)

  def load(self, saved: Any) -> None:
    """Continues with a frame that the networks have seen: the last keyframe, or a new scene's."""
    state, self._painted, begins = saved
    self._networks.load(state)
    self._loaded, self._begins = True, bool(begins)

  def stylize(self, frames: Iterable[Moved]) -> Iterator[Stylized]:
    """Stylizes frames in order, from keyframe to keyframe."""
    for moved in frames:
      loaded, self._loaded = self._loaded, False
      if not loaded:
        self._networks.step(moved, {"memory": self._settings.at(moved.number)["memory"]})
      state = self._networks.state
      if self._waiting and not float(state.same_scene):
        self._begins = True
        yield from self._emit(ends=True)
      track = None
      if self._waiting:
        before = self._waiting[-1].track
        track = moved.flow if before is None else self._follow(before, moved.flow)
      elif self._begins:
        self._painted = self._paint(moved.frame.rgb, state.stylized, True)
        self._begins = False
      self._waiting.append(_Waiting(moved, state.stylized, state.held, state.same_scene, track))
      if len(self._waiting) == self._every + 1:
        yield from self._emit(ends=False)
    if self._waiting:
      yield from self._emit(ends=True)

  def _emit(self, *, ends: bool) -> Iterator[Stylized]:
    """Yields the waiting frames up to the last, a keyframe that stays unless it ends a scene."""
    waiting, last = self._waiting, self._waiting[-1]
    first = keyframes.Keyframe(waiting[0].moved.rgb, self._painted)
    second, backward = first, dict[int, motion.Flow]()
    if len(waiting) > 1:
      content = last.moved.rgb
      start = self._propagate(content, last.filling, (first, first), (last.track,) * 2, 0.0)
      second = keyframes.Keyframe(content, self._paint(last.moved.frame.rgb, start, False))
      backward = self._backward(waiting)
    self._painted = second.stylized
    for number, each in enumerate(waiting if ends else waiting[:-1]):
      image = first.stylized if number == 0 else second.stylized
      if number in backward:
        image = self._propagate(
          each.moved.rgb,
          each.filling,
          (first, second),
          (each.track, backward[number]),
          np.float32(number / (len(waiting) - 1)),
        )
      settings = self._settings.at(each.moved.number)
      del settings["memory"]
      image = self._finish(image, each.moved.rgb, **settings)
      # The networks have already seen the frame after the last of these, unless the film ends.
      state = self.saved() if number == len(waiting) - (1 if ends else 2) else None
      yield Stylized(each.moved, image, each.held, each.same_scene, state)
    self._waiting = [] if ends else [dataclasses.replace(last, track=None)]

  def _backward(self, waiting: list[_Waiting]) -> dict[int, motion.Flow]:
    """The motion from each frame between two keyframes to the second one, by its index."""
    tracks: dict[int, motion.Flow] = {}
    for number in range(len(waiting) - 2, 0, -1):
      pair = (waiting[n].moved.rgb for n in (number, number + 1))
      flow = self._flow(*pair)
      later = tracks.get(number + 1)
      tracks[number] = flow if later is None else self._follow(later, flow)
    return tracks


def _finish(image: jax.Array, frame: jax.Array, strength: jax.Array, **controls: Any) -> jax.Array:
  """Applies the blending part of strength, and the pixel controls, to an image."""
  blend, _ = split(strength)
  return apply_controls(blend_with_content(image, frame, blend), frame, controls)
