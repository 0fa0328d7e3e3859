"""Optimizes an image leg by leg; callers can look at it between steps and resume from a look.

Each method without training is a list of legs (`neighbor_stages`, `gram_stages`). The caller
decides what a look is for: a progress bar, an intermediate image, or a saved state.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

MOST_AT_ONCE, LEAST_AT_ONCE = 10, 4
"""Steps between two looks: the most, and the fewest, for the largest images."""

_PIXELS_AT_ONCE = MOST_AT_ONCE * 512 * 512


class Leg(Protocol):
  """A part of a descent: steps with the same targets at the same size.

  Attributes:
    steps: the number of steps.
    size: (H, W) of the image that is optimized.
  """

  @property
  def steps(self) -> int:
    """As above; it may also be a plain attribute."""
    ...

  @property
  def size(self) -> tuple[int, int]:
    """As above."""
    ...

  def targets(self) -> Any:
    """Computes, when the leg begins, what its steps need and don't change."""
    ...

  def begin(self, current: Any, targets: Any) -> Any:
    """The state before the first step, from the result of the previous leg.

    It has `step`, int32, and `loss`, whose first number is shown.
    """
    ...

  def tree(self, current: Any, targets: Any) -> Any:
    """The structure of that state as from `jax.tree.structure`, without computing the state."""
    ...

  def prepared(self, state: Any, targets: Any) -> Any:
    """The targets, with what else all steps need and the state decides when the leg begins."""
    ...

  def advance(self, state: Any, prepared: Any, steps: int) -> Any:
    """The state after this many more steps, or after those that are left."""
    ...

  def end(self, current: Any, state: Any) -> Any:
    """The result that the next leg gets if this one ends with the state."""
    ...

  def image(self, current: Any) -> Any:
    """The image [1, H, W, 3] of a leg's result."""
    ...


class Look(NamedTuple):
  """A descent between two steps.

  Attributes:
    done, total: number of steps, over all legs.
    share: fraction of the work that is done, 0 to 1; steps at a larger size count for more.
    loss: the loss before the last step; NaN before the first step.
    image: computes the current image [1, H, W, 3].
    saved: gives the arrays from which `descend` can resume.
  """

  done: int
  total: int
  share: float
  loss: float
  image: Callable[[], Any]
  saved: Callable[[], list[np.ndarray]]


OnLook = Callable[[Look], None]


def descend(
  legs: Sequence[Leg],
  start: Any,
  *,
  on_look: OnLook | None = None,
  saved: Sequence[np.ndarray] | None = None,
) -> Any:
  """Runs the legs.

  Args:
    legs: at least one leg.
    start: the input of the first leg.
    on_look: called before the first step, and then every few steps.
    saved: arrays saved by an earlier descent with the same legs, which is resumed with the same
      result as if it had never been stopped.

  Returns:
    The image of the last leg's result, [1, H, W, 3].
  """
  first, current, leaves = _restored(start, saved)
  work = [leg.steps * leg.size[0] * leg.size[1] for leg in legs]
  for number in range(first, len(legs)):
    leg, targets = legs[number], legs[number].targets()
    if leaves:
      state, leaves = jax.tree.unflatten(leg.tree(current, targets), leaves), []
    else:
      state = leg.begin(current, targets)
    prepared, made = leg.prepared(state, targets), int(state.step)
    at_once = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, _PIXELS_AT_ONCE // (leg.size[0] * leg.size[1])))

    def look(made, state, leg=leg, number=number, current=current):
      loss = float(np.ravel(state.loss)[0]) if made else float("nan")
      before = sum(each.steps for each in legs[:number])
      here = sum(work[:number]) + work[number] * made / max(leg.steps, 1)
      on_look(
        Look(
          before + made,
          sum(each.steps for each in legs),
          here / max(sum(work), 1),
          loss,
          lambda: leg.image(leg.end(current, state)),
          lambda: [np.asarray(number), *map(np.asarray, jax.tree.leaves((current, state)))],
        )
      )

    if on_look is not None and number == first:
      look(made, state)
    while made < leg.steps:
      state = leg.advance(state, prepared, at_once)
      made = min(leg.steps, made + at_once)
      if on_look is not None:
        look(made, state)
    current = leg.end(current, state)
  return legs[-1].image(current)


def _restored(start: Any, saved: Sequence[np.ndarray] | None) -> tuple[int, Any, list]:
  """(number of the leg, its input, leaves of its state, none if the leg has yet to begin)."""
  if saved is None:
    return 0, start, []
  number, *leaves = saved
  count = len(jax.tree.leaves(start))
  current = jax.tree.unflatten(jax.tree.structure(start), leaves[:count])
  return int(number), current, leaves[count:]
