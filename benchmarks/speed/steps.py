"""What does a step of neural neighbors cost, compared with VGG16 and its gradient at that size?

    python -m benchmarks steps

`ratio` is the time of ten steps over that of ten passes of VGG16 to relu4_3, forward and back to
the pixels, which each step needs; for the matching, done once per stage, it is over one pass. VGG16
runs in a loop like the steps: single calls would allocate memory anew each time. Rates count only
the FLOPs of VGG16, with direct convolutions, so they may exceed the matrix product's.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import command_line, records, timing
from stylejax.models.vgg16 import vgg16_features
from stylejax.optimization import neighbors
from stylejax.optimization.columns import column_aims
from stylejax.optimization.hypercolumns import LAYERS
from stylejax.optimization.pyramid import laplacian_pyramid
from stylejax.optimization.targets import Stage
from stylejax.weights.perceptual import load_vgg

VGG = "VGG16 and its gradient, ten times"
MATCHING = "matching, once a stage"
STEPS = 10


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  sizes: tuple[int, ...] = (256, 512)
  """Sides of the image and of the style, in pixels."""
  repeats: int = 9
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.all_at_least("--sizes", self.sizes, 64)
    command_line.at_least("--repeats", self.repeats, 1)


def cases(vgg_params: dict, side: int) -> Iterator[timing.Case]:
  """VGG16 alone, then the matching and a step of a stage, then a step of the last pass."""
  rng = np.random.default_rng(0)
  content, style = (
    jnp.asarray(rng.random((1, side // 8, side // 8, 3), np.float32).repeat(8, 1).repeat(8, 2))
    for _ in range(2)
  )
  about = {"size": side}

  def vgg_gradient(vgg_params, image):
    def total(image):
      features = vgg16_features(vgg_params, image, layers=LAYERS)
      return sum(jnp.square(x).sum() for x in features.values())

    return jax.grad(total)(image)

  def vgg_alone(vgg_params, image):
    return jax.lax.fori_loop(0, STEPS, lambda _, x: x - 1e-6 * vgg_gradient(vgg_params, x), image)

  once = timing.direct_flops(vgg_gradient, (vgg_params, content))
  flops = once and STEPS * once
  alone = timing.jit_case(VGG, vgg_alone, (vgg_params, content), STEPS, about)
  alone = dataclasses.replace(alone, flops=flops)
  yield alone
  pyramid = laplacian_pyramid(content)
  start = neighbors.content_start(pyramid)
  for stage, name in ((Stage(0, False), "ten steps"), (Stage(0, True), "ten of the last pass")):
    targets = jax.jit(neighbors.style_targets, static_argnums=2)(vgg_params, [style], stage)

    def begin(vgg_params, pyramid, start, targets):
      state = neighbors.init(vgg_params, pyramid, start, targets, STEPS)
      if targets.split:
        return state, None
      weight = neighbors.CONTENT_WEIGHT
      return state, column_aims(vgg_params, targets, state.matched, state.content, weight)

    def descend(vgg_params, state, targets, aims):
      return neighbors.run(vgg_params, state, targets, aims=aims, steps=STEPS)

    arguments = (vgg_params, pyramid, start, targets)
    if not stage.split:
      # Its FLOPs are not known: XLA counts the body of a loop over blocks of places only once.
      yield dataclasses.replace(timing.jit_case(MATCHING, begin, arguments, 1, about), flops=None)
    state, aims = jax.jit(begin)(*arguments)
    case = timing.jit_case(name, descend, (vgg_params, state, targets, aims), STEPS, about)
    yield dataclasses.replace(case, flops=flops)


def main(options: Options) -> dict:
  """Measures all cases of all sizes in turn and returns the result."""
  vgg_params = load_vgg()
  every = [case for side in options.sizes for case in cases(vgg_params, side)]
  result = timing.measure(every, options.repeats)
  alone = {row["size"]: row["seconds"]["median"] for row in result["rows"] if row["case"] == VGG}
  for row in result["rows"]:
    count = 1 if row["case"] == MATCHING else STEPS
    row["ratio"] = row["seconds"]["median"] / count / (alone[row["size"]] / STEPS)
  return records.report("steps", options, result)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
