"""Does `--stroke` move the size of strokes? The scale of what is painted on plain areas.

python -m benchmarks stroke_size --pairs docs/results/pairs.csv --root FOLDER
"""

import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import rich.progress

from benchmarks.harness import command_line, records
from benchmarks.quality.chroma import PLAIN_STD, WINDOW
from benchmarks.quality.methods import square
from benchmarks.quality.pairs import read, read_pairs
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images.encode import STYLE_SIZE
from stylejax.metrics.style import resize_area
from stylejax.optimization.colors import srgb_to_oklab
from stylejax.runtime.jit import fast_jit
from stylejax.weights.model_file import load_pretrained

OCTAVES = (1, 2, 4, 8, 16)
"""Sides in pixels of the blocks whose means are compared with those of blocks twice as wide."""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to stylize, and with which strokes."""

  pairs: Path
  """CSV of name,content,style."""
  root: Path | None = None
  """Folder that its paths are relative to."""
  limit: int | None = None
  """Number of pairs to take, from the first on."""
  strokes: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
  """Sizes of strokes, ascending."""
  size: int = 320
  """Side of the squares, in pixels."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  output: Path | None = None
  """JSON file for the result."""

  def check(self) -> None:
    """Raises InputError for a size or strokes that can't be compared."""
    command_line.at_least("--size", self.size, WINDOW)
    if len(self.strokes) < 2 or list(self.strokes) != sorted(set(self.strokes)):
      found = " ".join(map(str, self.strokes)) or "none"
      raise InputError(f"--strokes: found {found}, expected two or more that ascend")


def detail_scale(image: jax.Array, content: jax.Array) -> jax.Array:
  """The scale in pixels of an image's detail where its content is plain.

  With m_b the means over blocks of b pixels, all in Oklab and in windows of WINDOW pixels,

      e_b = mean m_b² − mean m_2b²,   log₂ scale = Σ_b e_b log₂ b / Σ_b e_b

  where each window weighs exp(−v / PLAIN_STD²); v is the content's variance in it.

  Args:
    image: [B, H, W, 3] in [0, 1]; what goes beyond a multiple of WINDOW is left out.
    content: what was stylized, of the same shape.

  Returns:
    [B], 1 to 16.
  """
  height, width = (side // WINDOW * WINDOW for side in image.shape[1:3])
  image, content = (srgb_to_oklab(x[:, :height, :width]) for x in (image, content))
  plain = jnp.exp(-(_mean_square(content, 1) - _mean_square(content, WINDOW)) / PLAIN_STD**2)
  squares = [(plain * _mean_square(image, side)).sum((1, 2)) for side in (*OCTAVES, WINDOW)]
  energies = jnp.stack([fine - coarse for fine, coarse in itertools.pairwise(squares)])
  mean = (energies * jnp.log2(jnp.array(OCTAVES))[:, None]).sum(0) / (energies.sum(0) + 1e-12)
  return jnp.exp2(mean)


def _mean_square(x: jax.Array, side: int) -> jax.Array:
  """Mean square in each window of the means over blocks, summed over the channels."""
  height, width = x.shape[1:3]
  squares = jnp.square(resize_area(x, height // side, width // side)).sum(-1, keepdims=True)
  return resize_area(squares, height // WINDOW, width // WINDOW)[..., 0]


@fast_jit
def _scale(params: transfer.Params, content: jax.Array, style: jax.Array, stroke: jax.Array):
  return detail_scale(transfer.stylize(params, content, style, stroke=stroke), content)[0]


def main(options: Options) -> None:
  """Stylizes each pair with each stroke and reports."""
  params, rows = load_pretrained(options.weights), []
  pairs = read_pairs(options.pairs, options.root, options.limit)
  for pair in rich.progress.track(pairs, "stylizing"):
    content, style = (
      square(read(path), side)[None].astype(np.float32)
      for path, side in ((pair.content, options.size), (pair.style, STYLE_SIZE))
    )
    scales = [float(_scale(params, content, style, np.float32(s))) for s in options.strokes]
    rows.append({"pair": pair.name, "scales": scales})
  records.report("stroke_size", options, {"rows": rows}, show=show)


def show(result: dict) -> None:
  """Prints the geometric mean for each stroke, and on how many pairs the scale rises."""
  logs = np.log2([row["scales"] for row in result["rows"]])
  strokes = result["options"]["strokes"]
  for number, (stroke, mean) in enumerate(zip(strokes, logs.mean(0))):
    line = f"stroke {stroke}: {2**mean:.2f} pixels"
    if number:
      rises = int((logs[:, number] > logs[:, number - 1]).sum())
      line += f", larger than at {strokes[number - 1]} on {rises} of {len(logs)} pairs"
    print(line)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
