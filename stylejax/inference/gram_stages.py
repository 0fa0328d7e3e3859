"""Gram matrices from coarse to fine, each scale compiled by itself: the legs of a descent."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stylejax.inference.descent import OnLook, descend
from stylejax.models.padding import image_size
from stylejax.optimization import gram
from stylejax.runtime.jit import fast_jit
from stylejax.weights.perceptual import load_vgg

_targets = fast_jit(gram.image_targets)
_init = fast_jit(gram.init, static_argnames="method")
_run = fast_jit(gram.run, static_argnames="method")


@dataclasses.dataclass(frozen=True)
class ScaleLeg:
  """A scale, as `descent.Leg`.

  Attributes:
    steps: as in `Leg`.
    content: [1, H, W, 3] at this scale.
    styles: [1, h, w, 3] each, at this scale.
    settings: keywords of `gram.run`.
    method: of the descent, "lbfgs" or "adam".
  """

  steps: int
  content: Any
  styles: Sequence[Any]
  settings: dict[str, Any]
  method: str

  @property
  def size(self) -> tuple[int, int]:
    """(H, W) at this scale."""
    return image_size(self.content)

  def targets(self) -> gram.Targets:
    """Gram matrices of the styles, features of the content."""
    return _targets(load_vgg(), self.content, tuple(self.styles))

  def begin(self, current: Any, targets: gram.Targets) -> gram.State:
    """From the image of the scale before."""
    del targets
    return _init(gram.resized(current, self.size), np.int32(self.steps), method=self.method)

  def tree(self, current: Any, targets: gram.Targets) -> Any:
    """The structure of the state."""
    del current, targets
    begin = functools.partial(gram.init, method=self.method)
    return jax.tree.structure(jax.eval_shape(begin, self.content, np.int32(self.steps)))

  def advance(self, state: gram.State, targets: gram.Targets, steps: int) -> gram.State:
    """Steps of L-BFGS or Adam."""
    return _run(
      load_vgg(), state, targets, steps=np.int32(steps), method=self.method, **self.settings
    )

  def end(self, current: Any, state: gram.State) -> jax.Array:
    """The image."""
    del current
    return jax.numpy.clip(state.image, 0, 1)

  def image(self, current: jax.Array) -> jax.Array:
    """Itself."""
    return current


def paint(
  content: Any,
  styles: Sequence[Any],
  *,
  weights: jax.Array | None = None,
  steps: int | None = None,
  style_weight: float | None = None,
  method: str | None = None,
  on_look: OnLook | None = None,
  saved: Sequence[np.ndarray] | None = None,
) -> jax.Array:
  """Gatys: L-BFGS or Adam on the pixels, from coarse to fine.

  Args:
    content: [1, H, W, 3] in [0, 1].
    styles: [1, h, w, 3] each.
    weights: as `gram.run` takes them.
    steps: in all, shared out among the scales; None: `gram.STEPS`.
    style_weight: None: `gram.STYLE_WEIGHT`.
    method: None: "lbfgs".
    on_look, saved: as `descend` takes them.

  Returns:
    [1, H, W, 3] in [0, 1].
  """
  weight = gram.STYLE_WEIGHT if style_weight is None else style_weight
  settings = {"weights": weights, "style_weight": np.float32(weight)}
  legs = [
    ScaleLeg(
      count,
      gram.scaled(content, scale),
      [gram.scaled(style, scale) for style in styles],
      settings,
      method or "lbfgs",
    )
    for scale, count in gram.scale_steps(steps)
  ]
  return descend(legs, content, on_look=on_look, saved=saved)
