"""Frames on their way through a sequence, and the networks that stylize them one by one.

sequence.py reads, writes and measures them; keyframed.py handles keyframes.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from stylejax import motion, temporal
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.images.frame import Frame
from stylejax.inference.over_time import Settings
from stylejax.runtime.jit import compiler_options
from stylejax.runtime.program_cache import compiled_step


class Moved(NamedTuple):
  """A frame that has been read.

  Attributes:
    number: the frame's number, counted from 1.
    frame: the frame at the output's size.
    rgb: its pixels [H, W, 3], on the device.
    flow: its motion since the previous frame; None if motion is ignored.
  """

  number: int
  frame: Frame
  rgb: jax.Array
  flow: motion.Flow | None


class Stylized(NamedTuple):
  """A stylized frame.

  Attributes:
    moved: the frame as it was read.
    image: [H, W, 3] in [0, 1].
    held, same_scene: as in `temporal.FrameState`.
    state: what the next frame needs, a tree of arrays; None if a run can't be resumed from here.
  """

  moved: Moved
  image: Any
  held: Any
  same_scene: Any
  state: Any


class ByNetworks:
  """Stylizes each frame with the networks, given their state from the frames before."""

  def __init__(self, params, style_code, settings: Settings):
    self._params, self._style_code, self._settings = params, style_code, settings
    self._step = compiled_step(temporal.next_frame, options=compiler_options)
    self.state: Any = None

  def start(self, shape: tuple[int, ...]) -> None:
    """Prepares for the first frame, of shape [H, W, 3]."""
    self.state = temporal.first_state(self._params, *shape[:2])

  def saved(self) -> Any:
    """The state that `load` takes, which has the same shapes."""
    return self.state

  def load(self, saved: Any) -> None:
    """Continues after the frame that the state belongs to."""
    self.state = jax.tree.map(np.asarray, saved)

  def stylize(self, frames: Iterable[Moved]) -> Iterator[Stylized]:
    """Stylizes frames in order; the next is begun before one is waited for.

    If a frame can't be read or stylized, those before it come first, then the error.
    """
    begun: Stylized | None = None
    try:
      for moved in frames:
        image = self.step(moved, self._settings.at(moved.number))
        before = begun
        begun = Stylized(moved, image, self.state.held, self.state.same_scene, self.state)
        if before is not None:
          yield before
    except Exception:
      if begun is not None:
        yield begun
      raise
    if begun is not None:
      yield begun

  def step(self, moved: Moved, settings: dict[str, Any]) -> Any:
    """Stylizes one frame on the device; transparent pixels have the colors of their neighbors."""
    image, self.state = self._step(
      self._params, moved.rgb, self._style_code, self.state, flow=moved.flow, **settings
    )
    return image


def resized(frame: Frame, size: int | None) -> Frame:
  """A frame whose shorter side has `size` pixels, or the frame itself if that is None."""
  if size is None:
    return frame
  height, width = encode.fit_shorter_side(frame.rgb.shape[0], frame.rgb.shape[1], int(size))
  encode.check_pixels("--size", height, width)
  image = encode.resize(DecodedImage(frame.rgb, frame.alpha, "RGB"), height, width)
  return dataclasses.replace(frame, rgb=image.rgb, alpha=image.alpha)
