"""A descent to an image, leg by leg: looked at between its steps, and gone on with from a look.

Each method without training is a list of legs (`neighbor_stages`, `gram_stages`). What a look is
good for (a bar, an intermediate image, a state that is kept) is the caller's matter.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

MOST_AT_ONCE, LEAST_AT_ONCE = 10, 4
"""Steps between two looks, at most and, of the largest images, at least: what each call computes
before its first step is about a third of one."""

_PIXELS_AT_ONCE = MOST_AT_ONCE * 512 * 512


class Leg(Protocol):
  """A part of a descent: so many steps with the same targets at the same size.

  Attributes:
    steps: how many.
    size: (H, W) of the image that changes.
  """

  @property
  def steps(self) -> int:
    """As above; a leg may have it as a plain attribute."""
    ...

  @property
  def size(self) -> tuple[int, int]:
    """As above."""
    ...

  def targets(self) -> Any:
    """What the steps need and don't change, computed when the leg begins."""
    ...

  def begin(self, current: Any, targets: Any) -> Any:
    """The state before the first step, from what the leg before left.

    Has `step`, int32, and `loss`, the first number of which is shown.
    """
    ...

  def tree(self, current: Any, targets: Any) -> Any:
    """The structure of that state, as `jax.tree.structure` gives it, without computing it."""
    ...

  def advance(self, state: Any, targets: Any, steps: int) -> Any:
    """The state after some more steps."""
    ...

  def end(self, current: Any, state: Any) -> Any:
    """What the next leg gets, as if this one ended with the state."""
    ...

  def image(self, current: Any) -> Any:
    """[1, H, W, 3] of what a leg leaves."""
    ...


class Look(NamedTuple):
  """A descent between two steps.

  Attributes:
    done, total: steps, of all legs.
    share: of the work that is done, 0 to 1: steps at a large size are more of it.
    loss: before the last step; NaN before the first.
    image: computes the image [1, H, W, 3] as it is.
    saved: gives what `descend` goes on from.
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
    legs: at least one.
    start: what the first one gets.
    on_look: called before the first step, and then every few steps.
    saved: of an earlier descent of the same legs, which ends as if it had never been stopped.

  Returns:
    [1, H, W, 3], what the last leg leaves.
  """
  first, current, leaves = _restored(start, saved)
  work = [leg.steps * leg.size[0] * leg.size[1] for leg in legs]
  for number in range(first, len(legs)):
    leg, targets = legs[number], legs[number].targets()
    if leaves:
      state, leaves = jax.tree.unflatten(leg.tree(current, targets), leaves), []
    else:
      state = leg.begin(current, targets)
    made = int(state.step)
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
      state = leg.advance(state, targets, at_once)
      made = min(leg.steps, made + at_once)
      if on_look is not None:
        look(made, state)
    current = leg.end(current, state)
  return legs[-1].image(current)


def _restored(start: Any, saved: Sequence[np.ndarray] | None) -> tuple[int, Any, list]:
  """(number of the leg, what it gets, leaves of its state; none where it begins)."""
  if saved is None:
    return 0, start, []
  number, *leaves = saved
  count = len(jax.tree.leaves(start))
  current = jax.tree.unflatten(jax.tree.structure(start), leaves[:count])
  return int(number), current, leaves[count:]
