"""Neural neighbors, each stage compiled by itself, with progress between its steps.

`stylejax.optimization` has all stages in one pure function, which takes minutes to compile; here
are its parts, for whoever waits for an image. What is known of the styles is computed once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.mixing import mixing_weights
from stylejax.optimization import colors, neighbors
from stylejax.optimization import refine as refinement
from stylejax.optimization.pyramid import laplacian_pyramid, reconstruct
from stylejax.optimization.targets import Stage, Targets, style_targets
from stylejax.runtime.jit import fast_jit
from stylejax.weights.perceptual import load_vgg

AT_ONCE = 10
"""Steps between two looks at the loss."""

OnSteps = Callable[[int, float, Callable[[], Any]], None]
"""Called with (steps done, loss, a function that computes the image)."""


class NeighborStages:
  """Descends from stage to stage, for any number of images in the same styles."""

  def __init__(self, styles: Sequence[np.ndarray], *, weights: np.ndarray | None = None):
    """Reads the perceptual net.

    Args:
      styles: [1, h, w, 3] in [0, 1] each.
      weights: [S] or maps [S, H, W], as `neighbors.optimize_neighbors` takes them.
    """
    self._vgg, self._styles = load_vgg(), styles
    self._weights = None if weights is None else jnp.asarray(weights)
    self._targets: dict[Stage, Targets] = {}
    self._targets_of = fast_jit(style_targets, static_argnums=2)
    self._init, self._run = fast_jit(neighbors.init), fast_jit(neighbors.run)
    self._colors = fast_jit(colors.transfer_colors)
    self.split, self.whole = fast_jit(laplacian_pyramid), fast_jit(reconstruct)

  def plan(self, content: np.ndarray, *, refine: bool = False) -> tuple[Stage, ...]:
    """All stages for a content image [1, H, W, 3], or those that refine a stylized one."""
    stages = refinement.refine_stages if refine else neighbors.stages
    return stages(content.shape[1:3], [style.shape[1:3] for style in self._styles])

  def descend(
    self,
    content: Sequence[jax.Array],
    start: Sequence[jax.Array],
    plan: Sequence[Stage],
    steps: Sequence[int],
    shares: Sequence[float],
    *,
    on_steps: OnSteps | None = None,
  ) -> jax.Array:
    """Runs the stages.

    Args:
      content, start: pyramids of the content, and of where it begins.
      plan, steps, shares: the stages, and of each the number of steps and the share of the content.
      on_steps: is told of the progress.

    Returns:
      [1, H, W, 3], whose colors are not settled yet: `colored` does that.
    """
    done, current = 0, tuple(start)
    weights = self._weights_for(content[0])
    for stage, count, share in zip(plan, steps, shares, strict=True):
      if stage not in self._targets:
        self._targets[stage] = self._targets_of(self._vgg, self._styles, stage)
      targets = self._targets[stage]
      below = (tuple(levels[stage.level :]) for levels in (content, current))
      state = self._init(
        self._vgg,
        *below,
        targets,
        np.int32(count),
        weights=weights,
        content_share=np.float32(share),
      )
      made = 0
      while made < count:
        state = self._run(self._vgg, state, targets, steps=np.int32(AT_ONCE), weights=self._weights)
        made = min(count, made + AT_ONCE)
        levels = (*current[: stage.level], *state.pyramid)
        if on_steps is not None:
          image = functools.partial(self.whole, levels)
          on_steps(done + made, float(state.loss[0]), image)
      done += count
      current = (*current[: stage.level], *state.pyramid)
    return self.whole(current)

  def colored(self, image: jax.Array, content: np.ndarray, **shares: Any) -> jax.Array:
    """`colors.transfer_colors` of an image, its shares traced."""
    traced = {name: np.float32(share) for name, share in shares.items()}
    weights = self._weights_for(content)
    return self._colors(image, content, self._styles, weights=weights, **traced)

  def _weights_for(self, image: Any) -> Any:
    if self._weights is None:
      return None
    return mixing_weights(self._weights, len(self._styles), image.shape[1:3])
