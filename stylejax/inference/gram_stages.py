"""The method gram from coarse to fine; each scale is a leg of a descent, compiled separately."""

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
  """A scale, as a `descent.Leg`.

  Attributes:
    steps: as in `Leg`.
    content: [1, H, W, 3] at this scale.
    styles: [1, h, w, 3] each, at this scale.
    settings: keyword arguments of `gram.run`.
    method: the optimizer, "lbfgs" or "adam".
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
    """Computes the Gram matrices of the styles and the features of the content."""
    return _targets(load_vgg(), self.content, tuple(self.styles))

  def begin(self, current: Any, targets: gram.Targets) -> gram.State:
    """Starts from the image of the previous scale."""
    del targets
    return _init(gram.resized(current, self.size), np.int32(self.steps), method=self.method)

  def tree(self, current: Any, targets: gram.Targets) -> Any:
    """The structure of the state."""
    del current, targets
    begin = functools.partial(gram.init, method=self.method)
    return jax.tree.structure(jax.eval_shape(begin, self.content, np.int32(self.steps)))

  def prepared(self, state: gram.State, targets: gram.Targets) -> gram.Targets:
    """The targets alone."""
    del state
    return targets

  def advance(self, state: gram.State, prepared: gram.Targets, steps: int) -> gram.State:
    """Does steps of L-BFGS or Adam."""
    return _run(
      load_vgg(), state, prepared, steps=np.int32(steps), method=self.method, **self.settings
    )

  def end(self, current: Any, state: gram.State) -> jax.Array:
    """The image, clipped to [0, 1]."""
    del current
    return jax.numpy.clip(state.image, 0, 1)

  def image(self, current: jax.Array) -> jax.Array:
    """The result itself, which is an image."""
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
  """The method of Gatys et al.: L-BFGS or Adam on the pixels, from coarse to fine.

  Args:
    content: [1, H, W, 3] in [0, 1].
    styles: [1, h, w, 3] each.
    weights: as in `gram.run`.
    steps: total number of steps, divided among the scales; None means `gram.STEPS`.
    style_weight: as in `gram.run`; None means `gram.STYLE_WEIGHT`.
    method: the optimizer, "lbfgs" or "adam"; None means "lbfgs".
    on_look, saved: as in `descend`.

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
