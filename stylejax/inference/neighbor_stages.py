"""Neural neighbors as the legs of a descent, with each stage compiled separately.

`stylejax.optimization` has all stages in one pure function, which takes minutes to compile; the
parts here compile sooner, and images of the same size share their programs.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from stylejax.controls.mixing import mixing_weights
from stylejax.inference.descent import OnLook, descend
from stylejax.models.padding import image_size
from stylejax.optimization import colors, neighbors
from stylejax.optimization import refine as refinement
from stylejax.optimization.columns import Aims, column_aims
from stylejax.optimization.pyramid import Pyramid, laplacian_pyramid, reconstruct
from stylejax.optimization.targets import Stage, Targets, style_targets
from stylejax.runtime.jit import fast_jit
from stylejax.weights.perceptual import load_vgg

_targets = fast_jit(style_targets, static_argnums=2)
_init = fast_jit(neighbors.init, static_argnames="tiles")
_aims = fast_jit(column_aims)
_run = fast_jit(neighbors.run, static_argnames="tiles")
_colors = fast_jit(colors.transfer_colors)
_palette = fast_jit(colors.match_palette)
_split, _whole = fast_jit(laplacian_pyramid), fast_jit(reconstruct)

Bands = Callable[[tuple[int, int]], int]
"""(H, W) of a stage → number of bands of rows into which its image is divided."""


@dataclasses.dataclass(frozen=True)
class StageLeg:
  """A stage, as a `descent.Leg`.

  Attributes:
    stage: the stage.
    steps: as in `Leg`.
    bands: number of bands of rows into which the image is divided.
    content_share: as in `neighbors.init`.
    content_weight: as in `neighbors.run`.
    pyramid: the content's pyramid.
    styles: [1, h, w, 3] each.
    weights: as in `neighbors.init`.
  """

  stage: Stage
  steps: int
  bands: int
  content_share: float
  content_weight: float
  pyramid: Pyramid
  styles: Sequence[np.ndarray]
  weights: jax.Array | None

  @property
  def size(self) -> tuple[int, int]:
    """(H, W) at the stage."""
    return image_size(self.pyramid[self.stage.level])

  def targets(self) -> Targets:
    """Computes the features of the styles."""
    return _targets(load_vgg(), tuple(self.styles), self.stage)

  def begin(self, current: Pyramid, targets: Targets) -> neighbors.State:
    """Matches every place of the image with the styles."""
    arguments, keywords = self._arguments(current, targets)
    return _init(*arguments, **keywords, tiles=self.bands)

  def tree(self, current: Pyramid, targets: Targets) -> Any:
    """The structure of the state."""
    arguments, keywords = self._arguments(current, targets)
    begin = functools.partial(neighbors.init, tiles=self.bands)
    return jax.tree.structure(jax.eval_shape(begin, *arguments, **keywords))

  def _arguments(self, current: Pyramid, targets: Targets) -> tuple[tuple, dict[str, Any]]:
    """The arguments and keyword arguments of `neighbors.init`."""
    level = self.stage.level
    arguments = (
      load_vgg(),
      tuple(self.pyramid[level:]),
      tuple(current[level:]),
      targets,
      np.int32(self.steps),
    )
    keywords = {"weights": self.weights, "content_share": np.float32(self.content_share)}
    return arguments, keywords

  def prepared(self, state: neighbors.State, targets: Targets) -> tuple[Targets, Aims | None]:
    """The targets, and the aims if the whole image is in memory at once."""
    if targets.split or self.bands > 1:
      return targets, None
    weight = np.float32(self.content_weight)
    return targets, _aims(load_vgg(), targets, state.matched, state.content, weight)

  def advance(
    self, state: neighbors.State, prepared: tuple[Targets, Aims | None], steps: int
  ) -> neighbors.State:
    """Does steps of Adam."""
    targets, aims = prepared
    return _run(
      load_vgg(),
      state,
      targets,
      steps=np.int32(steps),
      weights=self.weights,
      content_weight=np.float32(self.content_weight),
      aims=aims,
      tiles=self.bands,
    )

  def end(self, current: Pyramid, state: neighbors.State) -> Pyramid:
    """The pyramid with the levels that the stage changed."""
    return (*current[: self.stage.level], *state.pyramid)

  def image(self, current: Pyramid) -> jax.Array:
    """The image of the whole pyramid."""
    return _whole(current)


def paint(
  content: Any,
  styles: Sequence[Any],
  *,
  start: Any = None,
  weights: jax.Array | None = None,
  palette: float = colors.PALETTE,
  steps: int | None = None,
  content_share: float | None = None,
  content_weight: float | None = None,
  bands: Bands = lambda size: 1,
  on_look: OnLook | None = None,
  saved: Sequence[np.ndarray] | None = None,
) -> jax.Array:
  """Neural neighbors: all stages from the content, or those that refine a stylized image.

  Args:
    content: [1, H, W, 3] in [0, 1].
    styles: [1, h, w, 3] each.
    start: [1, H, W, 3], the stylized image; None runs all stages, from the content.
    weights: [S] or maps [S, H, W], as in `mixing_weights`; None prefers no style.
    palette: how far the content first takes on the light and the colors of the styles, 0 to 1.
    steps: total number of steps, divided among the stages in the usual proportions; None takes the
      usual number.
    content_share: share of the content in what is looked up in the styles, 0 to 1; with all stages
      it is 1 at the coarsest scale. None takes the method's default.
    content_weight: as in `neighbors.run`; None takes the default.
    bands: number of bands for each stage.
    on_look, saved: as in `descend`.

  Returns:
    [1, H, W, 3], whose final colors are still to be set by `settle_colors`.
  """
  colored = _palette(content, tuple(styles), weights=weights, amount=np.float32(palette))
  pyramid = _split(colored)
  sizes = image_size(content), [image_size(style) for style in styles]
  if start is None:
    plan = neighbors.stages(*sizes)
    usual, share = neighbors.default_steps(plan), neighbors.CONTENT_SHARE
    current = neighbors.content_start(pyramid)
  else:
    plan = refinement.refine_stages(*sizes)
    usual, share = refinement.default_steps(plan), refinement.CONTENT_SHARE
    current = _split(start)
  weight = neighbors.CONTENT_WEIGHT if content_weight is None else content_weight
  shares = [share if content_share is None else content_share] * len(plan)
  if start is None:
    shares[0] = 1.0
  legs = [
    StageLeg(
      stage, count, bands(image_size(pyramid[stage.level])), share, weight, pyramid, styles, weights
    )
    for stage, count, share in zip(plan, _spread(steps, usual), shares, strict=True)
    if count
  ]
  return descend(legs, current, on_look=on_look, saved=saved)


def settle_colors(
  image: jax.Array,
  content: np.ndarray,
  styles: Sequence[np.ndarray],
  *,
  weights: jax.Array | None = None,
  keep_color: float,
  own_color: float,
  palette: float = colors.PALETTE,
) -> jax.Array:
  """Sets an image's final colors: `colors.transfer_colors` with traced amounts."""
  return _colors(
    image,
    content,
    tuple(styles),
    weights=weights,
    keep_color=np.float32(keep_color),
    own_color=np.float32(own_color),
    style_light=np.float32(palette),
  )


def checked_weights(weights: Any, count: int, content: Any) -> jax.Array | None:
  """Weights, with sum 1, of `count` styles for a content [1, H, W, 3]; None stays None."""
  return None if weights is None else mixing_weights(weights, count, image_size(content))


def _spread(total: int | None, usual: Sequence[int]) -> list[int]:
  """Divides a total number of steps among the stages in the usual proportions."""
  if total is None:
    return list(usual)
  bounds = np.round(np.cumsum([0, *usual]) * total / sum(usual)).astype(int)
  return np.diff(bounds).tolist()
