"""Films of which a few frames are painted by a method without training, and the rest follows them.

The arithmetic is `stylejax.keyframes`'; here is which frames are painted, and when.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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
"""Bytes a pixel of a frame that waits for the next keyframe: content, filling, three flows."""

Paint = Callable[[np.ndarray, Any, bool], Any]
"""(content, where to begin, whether a scene begins) → a keyframe, [H, W, 3]."""


def paint_with(method: str, styles: Sequence[np.ndarray], weights: np.ndarray | None) -> Paint:
  """Paints keyframes; all but the first of a scene begin from what the one before looks like there.

  Args:
    method: neighbors, which paints the first of a scene from its content, or refine, which begins
      it from the networks' image.
    styles: images [h, w, 3].
    weights: of each style; None for a single one.
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
  """A frame that the next keyframe isn't there for.

  Attributes:
    moved: the frame.
    filling: what the networks made of it.
    held, same_scene: as in `temporal.FrameState`.
    track: its motion since the last keyframe; None is that itself.
  """

  moved: Moved
  filling: Any
  held: Any
  same_scene: Any
  track: motion.Flow | None


class ByKeyframes:
  """Every so many frames one is painted, and the first and the last of each scene."""

  def __init__(self, networks: ByNetworks, paint: Paint, every: int, settings: Settings):
    """Holds at most `every` frames and one at once.

    Args:
      networks: find the cuts, and fill in what no keyframe shows.
      paint: paints a keyframe.
      every: frames from one keyframe to the next.
      settings: strength and pixel controls, applied to every frame.
    """
    self._networks, self._paint, self._every, self._settings = networks, paint, every, settings
    self._flow, self._follow = fast_jit(motion.optical_flow), fast_jit(keyframes.follow)
    self._propagate, self._finish = fast_jit(keyframes.propagate), fast_jit(_finish)
    self._waiting: list[_Waiting] = []
    self._painted: Any = None
    self._loaded, self._begins = False, True

  def start(self, shape: tuple[int, ...]) -> None:
    """Before the first frame of [H, W, 3]."""
    self._networks.start(shape)
    self._painted = np.zeros(shape, np.float32)

  def saved(self) -> Any:
    """What `load` takes: of these shapes."""
    return self._networks.saved(), self._painted, np.float32(self._begins)

  def load(self, saved: Any) -> None:
    """Goes on with a frame that the networks know: the keyframe painted last, or a new scene's."""
    state, self._painted, begins = saved
    self._networks.load(state)
    self._loaded, self._begins = True, bool(begins)

  def stylize(self, frames: Iterable[Moved]) -> Iterator[Stylized]:
    """Frames in their order, from keyframe to keyframe."""
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
        self._painted = self._paint(moved.resized.rgb, state.stylized, True)
        self._begins = False
      self._waiting.append(_Waiting(moved, state.stylized, state.held, state.same_scene, track))
      if len(self._waiting) == self._every + 1:
        yield from self._emit(ends=False)
    if self._waiting:
      yield from self._emit(ends=True)

  def _emit(self, *, ends: bool) -> Iterator[Stylized]:
    """What waits, up to the next keyframe, which goes on waiting unless a scene ends with it."""
    waiting, last = self._waiting, self._waiting[-1]
    first = keyframes.Keyframe(jnp.asarray(waiting[0].moved.resized.rgb), self._painted)
    second, backward = first, dict[int, motion.Flow]()
    if len(waiting) > 1:
      content = jnp.asarray(last.moved.resized.rgb)
      start = self._propagate(content, last.filling, (first, first), (last.track,) * 2, 0.0)
      second = keyframes.Keyframe(content, self._paint(last.moved.resized.rgb, start, False))
      backward = self._backward(waiting)
    self._painted = second.stylized
    for number, each in enumerate(waiting if ends else waiting[:-1]):
      image = first.stylized if number == 0 else second.stylized
      if number in backward:
        image = self._propagate(
          each.moved.resized.rgb,
          each.filling,
          (first, second),
          (each.track, backward[number]),
          np.float32(number / (len(waiting) - 1)),
        )
      settings = self._settings.at(each.moved.number)
      del settings["memory"]
      image = self._finish(image, each.moved.resized.rgb, **settings)
      # Behind the last of these comes a frame that the networks know, but for the film's end.
      state = self.saved() if number == len(waiting) - (1 if ends else 2) else None
      yield Stylized(each.moved, image, each.held, each.same_scene, state)
    self._waiting = [] if ends else [dataclasses.replace(last, track=None)]

  def _backward(self, waiting: list[_Waiting]) -> dict[int, motion.Flow]:
    """The motion from each frame between two keyframes to the second, by its place."""
    tracks: dict[int, motion.Flow] = {}
    for number in range(len(waiting) - 2, 0, -1):
      pair = (waiting[n].moved.resized.rgb for n in (number, number + 1))
      flow = self._flow(*pair)
      later = tracks.get(number + 1)
      tracks[number] = flow if later is None else self._follow(later, flow)
    return tracks


def _finish(image: jax.Array, frame: jax.Array, strength: jax.Array, **controls: Any) -> jax.Array:
  """An image after strength, as far as it blends, and the pixel controls."""
  blend, _ = split(strength)
  return apply_controls(blend_with_content(image, frame, blend), frame, controls)
