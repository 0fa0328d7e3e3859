"""Do random styles differ as much as artworks? Distances of texture samples and of crops."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stylejax
from benchmarks.harness import command_line, records
from benchmarks.quality.methods import square
from stylejax import transfer
from stylejax.data.sources import find_images
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import read_image
from stylejax.metrics.content import LPIPS_LAYERS, lpips_from_features
from stylejax.models.vgg16 import vgg16_features
from stylejax.runtime.jit import fast_jit
from stylejax.weights.perceptual import load_lpips_heads, load_vgg

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples" / "style"
SIDE = 64


@dataclasses.dataclass(frozen=True)
class Options:
  """Which texture samples and artworks to compare."""

  style_dir: Path = SAMPLES
  """Folder of artworks to compare with; crops are taken from each in turn, at random places."""
  count: int = 64
  """Number of texture samples, and of crops."""
  weights: str = "base"
  """Name of packaged weights, or a file."""
  seed: int = 0
  """Seed of the texture samples and of the places of the crops."""
  output: Path | None = None
  """JSON file for the result."""
  sheet: Path | None = None
  """Image to write, with all texture samples."""

  def check(self) -> None:
    """Raises InputError for a number that can't be compared."""
    command_line.at_least("--count", self.count, 2)


def real_crops(folder: Path, count: int, seed: int) -> np.ndarray:
  """Random crops of SIDE² pixels from artworks with a shorter side of 2·SIDE: [count, S, S, 3]."""
  rng, artworks = np.random.default_rng(seed), find_images(folder, flag="--style-dir")
  artworks = [artworks[i] for i in rng.permutation(len(artworks))[:count]]
  crops = []
  for number in range(count):
    artwork = square(read_image(artworks[number % len(artworks)]).rgb, 2 * SIDE)
    top, left = rng.integers(0, SIDE + 1, 2)
    crops.append(artwork[top : top + SIDE, left : left + SIDE])
  return np.stack(crops)


@fast_jit
def mean_distance(vgg_params, heads, batch: jax.Array) -> jax.Array:
  """Mean LPIPS-form distance over all pairs of different images of [B, S, S, 3]."""
  features = vgg16_features(vgg_params, batch, layers=LPIPS_LAYERS)

  def from_one(number):
    one = jax.tree.map(lambda f: jax.lax.dynamic_slice_in_dim(f, number, 1), features)
    return lpips_from_features(features, one, heads).sum()

  count = batch.shape[0]
  return jax.lax.map(from_one, jnp.arange(count)).sum() / (count * (count - 1))


def main(options: Options) -> None:
  """Measures both distances, prints them and writes the result."""
  params, frozen = stylejax.load_pretrained(options.weights), (load_vgg(), load_lpips_heads())
  if params.noise_generator is None:
    raise InputError(f"--weights: found no noise generator in {options.weights}, expected one")
  z = jax.random.normal(jax.random.key(options.seed), (options.count, params.config.noise_dim))
  textures = fast_jit(transfer.textures)(params, z)
  shape = (options.count, SIDE, SIDE, 3)
  textures = np.asarray(jax.image.resize(textures, shape, "linear"))
  crops = real_crops(options.style_dir, options.count, options.seed)
  of_textures, of_artworks = (float(mean_distance(*frozen, batch)) for batch in (textures, crops))
  if options.sheet:
    columns = math.isqrt(options.count - 1) + 1
    rows = [textures[first : first + columns] for first in range(0, options.count, columns)]
    encode.write_image(options.sheet, contact_sheet(rows))
  records.report(
    "texture_samples",
    options,
    {"textures": of_textures, "artworks": of_artworks, "ratio": of_textures / of_artworks},
    show=show,
  )


def show(result: dict) -> None:
  """Prints the result in one line."""
  print(
    "mean LPIPS-form distance of pairs: texture samples {textures:.3f}, crops of artworks "
    "{artworks:.3f}, ratio {ratio:.2f}".format(**result)
  )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
