"""How much nearer to a style could the same decoder come with a better style vector?

For each pair, the vector and nothing else is optimized by Adam on the losses of training. The gain
is what the style encoder and the generator's adaptation miss.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.harness import command_line, records
from benchmarks.quality.methods import square
from benchmarks.quality.pairs import read, read_pairs
from stylejax import transfer
from stylejax.losses import features
from stylejax.models.vgg16 import vgg16_features
from stylejax.runtime.jit import fast_jit
from stylejax.training.terms import CONTENT_LAYERS, DETAIL_LAYERS, STYLE_LAYERS
from stylejax.weights.model_file import load_pretrained
from stylejax.weights.perceptual import load_vgg


@dataclasses.dataclass(frozen=True)
class Options:
  """What to optimize."""

  pairs: Path
  """List of pairs, as benchmarks.quality.quality takes it."""
  root: Path | None = None
  """Folder that the list's paths are relative to; by default the one above the list's."""
  every: int = 8
  """Take every N-th pair, beginning with the first."""
  steps: int = 60
  """Steps of Adam."""
  rate: float = 0.01
  """Step size of Adam."""
  size: int = 192
  """Side of the squares, in pixels."""
  style_weight: float = 100.0
  """Weight of the style's moments; content has 1, detail 0.5."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  output: Path | None = None
  """JSON file for the result."""

  def check(self) -> None:
    """Raises InputError for a number that is too small."""
    for flag, value, least in (
      ("--every", self.every, 1),
      ("--steps", self.steps, 1),
      ("--size", self.size, 32),
    ):
      command_line.at_least(flag, value, least)


@functools.partial(fast_jit, static_argnums=4)
def optimized(
  params: transfer.Params, vgg_params, content: jax.Array, style: jax.Array, options: Options
) -> dict[str, jax.Array]:
  """{"content", "detail", "style"}: [2], losses of images [1, S, S, 3] before and after."""
  features_of = functools.partial(vgg16_features, vgg_params, layers=STYLE_LAYERS)
  code = transfer.encode_content(params, content)
  target, style_features = features_of(content), features_of(style)

  def losses(vector):
    stylized = features_of(transfer.generate(params, code, transfer.StyleCode((), vector)))
    terms = {
      "content": features.content_loss(stylized, target, CONTENT_LAYERS).mean(),
      "detail": features.content_loss(stylized, target, DETAIL_LAYERS).mean(),
      "style": features.moment_style_loss(stylized, style_features).mean(),
    }
    return (terms["content"] + 0.5 * terms["detail"] + options.style_weight * terms["style"]), terms

  tx = optax.adam(options.rate)

  def step(carry, _):
    vector, state = carry
    gradient, terms = jax.grad(losses, has_aux=True)(vector)
    updates, state = tx.update(gradient, state, vector)
    return (optax.apply_updates(vector, updates), state), terms

  vector = transfer.encode_style(params, style).vector
  (vector, _), before = jax.lax.scan(step, (vector, tx.init(vector)), None, length=options.steps)
  return jax.tree.map(
    lambda all_steps, last: jnp.stack([all_steps[0], last]), before, losses(vector)[1]
  )


def main(options: Options) -> None:
  """Optimizes each pair and reports."""
  params, vgg_params = load_pretrained(options.weights), load_vgg()
  pairs = read_pairs(options.pairs, options.root)[:: options.every]
  rows = []
  for pair in pairs:
    content, style = (
      square(read(path), options.size)[None].astype(np.float32)
      for path in (pair.content, pair.style)
    )
    losses = jax.device_get(optimized(params, vgg_params, content, style, options))
    rows.append({"pair": pair.name, **{name: values.tolist() for name, values in losses.items()}})
  records.report("reach", options, {"rows": rows}, show=show)


def show(result: dict) -> None:
  """Prints a line for each pair."""
  for row in result["rows"]:
    print(
      f"{row['pair']:12}"
      + ", ".join(
        f"{name} {row[name][0]:.4f} → {row[name][1]:.4f}" for name in ("style", "content", "detail")
      )
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
