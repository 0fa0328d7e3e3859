"""Frames on their way through a sequence, and the networks that stylize them one by one.

Reading, writing and measuring them is sequence.py's; keyframes are keyframed.py's.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from stylejax import motion, temporal
from stylejax.images.decode import DecodedImage
from stylejax.images.frame import Frame
from stylejax.inference.over_time import Settings
from stylejax.runtime.jit import fast_jit


class Moved(NamedTuple):
  """A frame that was read.

  Attributes:
    number: from 1.
    frame: at the output's size.
    resized: its image.
    flow: its motion since the frame before; None where motion is ignored.
  """

  number: int
  frame: Frame
  resized: DecodedImage
  flow: motion.Flow | None


class Stylized(NamedTuple):
  """A frame that is stylized.

  Attributes:
    moved: what it was.
    image: [H, W, 3] in [0, 1].
    held, same_scene: as in `temporal.FrameState`.
    state: what the next frame needs to know, a tree of arrays; None: one can't go on from here.
  """

  moved: Moved
  image: Any
  held: Any
  same_scene: Any
  state: Any


class ByNetworks:
  """Each frame by the networks, with what they know of those before."""

  def __init__(self, params, style_code, settings: Settings):
    self._params, self._style_code, self._settings = params, style_code, settings
    self._step = fast_jit(temporal.next_frame)
    self.state: Any = None

  def start(self, shape: tuple[int, ...]) -> None:
    """Before the first frame of [H, W, 3]."""
    self.state = temporal.first_state(self._params, *shape[:2])

  def saved(self) -> Any:
    """What `load` takes: of these shapes."""
    return self.state

  def load(self, saved: Any) -> None:
    """Goes on behind the frame whose state it was."""
    self.state = jax.tree.map(np.asarray, saved)

  def stylize(self, frames: Iterable[Moved]) -> Iterator[Stylized]:
    """Frames in their order."""
    for moved in frames:
      image = self.step(moved, self._settings.at(moved.number))
      yield Stylized(moved, image, self.state.held, self.state.same_scene, self.state)

  def step(self, moved: Moved, settings: dict[str, Any]) -> Any:
    """One frame on the device; what is invisible of it has the colors of its neighbors."""
    image, self.state = self._step(
      self._params, moved.resized.rgb, self._style_code, self.state, flow=moved.flow, **settings
    )
    return image
