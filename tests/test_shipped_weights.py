"""What the package ships does what the package says."""

from pathlib import Path

import jax
import numpy as np
import pytest

import stylejax
from stylejax import transfer
from stylejax.images.decode import read_image
from stylejax.images.encode import as_bytes
from stylejax.metrics.style import moment_distance
from stylejax.weights import model_file
from stylejax.weights.perceptual import load_vgg

ASSETS = Path(stylejax.__file__).parent / "assets"
PHOTOS = sorted((ASSETS / "samples" / "content").iterdir())
ARTWORKS = sorted((ASSETS / "samples" / "style").iterdir())


@pytest.fixture(scope="module")
def params():
  return stylejax.load_pretrained()


# These programs are big enough to gain from the optimization that other tests omit.
OPTIMIZED = {"xla_backend_optimization_level": 3}
distance = jax.jit(moment_distance, compiler_options=OPTIMIZED)


@pytest.fixture(scope="module")
def stylize():
  return jax.jit(transfer.stylize, compiler_options=OPTIMIZED)


def square(path):
  """The middle 256 × 256 pixels: one shape for all, since each takes seconds to compile."""
  rgb = read_image(path).rgb
  top, left = ((side - 256) // 2 for side in rgb.shape[:2])
  return rgb[top : top + 256, left : left + 256]


def test_base_is_whole_and_small(params):
  assert all(getattr(params, part) is not None for part in transfer.PARTS)
  assert (ASSETS / "weights" / "base.safetensors").stat().st_size <= 5_000_000
  path = jax.tree.leaves((params.content_encoder, params.style_encoder, params.generator))
  assert sum(x.size for x in path) <= 2_500_000


@pytest.mark.parametrize("name", [name for names in model_file.PACKAGED.values() for name in names])
def test_files_are_what_their_config_says(name):
  # load_pretrained takes this for granted.
  model_file.load_weights(ASSETS / "weights" / name)


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.stem)
def test_strength_0_gives_the_image_back(params, stylize, photo):
  content = square(photo)
  back = stylize(params, content, square(ARTWORKS[0]), strength=0.0)
  np.testing.assert_array_equal(as_bytes(np.asarray(back)), as_bytes(np.asarray(content)))


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.stem)
def test_the_autoencoder_gives_the_image_back(params, photo):
  content = square(photo)
  actual = jax.jit(transfer.reconstruct)(params, content)
  assert -10 * np.log10(np.mean((np.asarray(actual) - content) ** 2)) > 25


@pytest.mark.parametrize("artwork", ARTWORKS, ids=lambda p: p.stem)
def test_style_is_reached_and_content_kept(params, stylize, artwork):
  content, style = square(PHOTOS[0]), square(artwork)
  stylized = np.asarray(stylize(params, content, style))
  near, far = (
    float(distance(load_vgg(), image[None], style[None])[0]) for image in (stylized, content)
  )
  assert near < 0.5 * far
  gray = [x.mean(-1).ravel() for x in (stylized, content)]
  assert np.corrcoef(*gray)[0, 1] > 0.5


def test_strength_moves_away_from_the_image_and_stays_one(params, stylize):
  content, style = square(PHOTOS[0]), square(ARTWORKS[0])
  images = [np.asarray(stylize(params, content, style, strength=s)) for s in (0.0, 0.5, 1.0, 1.5)]
  away = [np.abs(p - content).mean() for p in images]
  assert away == sorted(away)
  # Beyond the trained strengths, it must still show the same thing.
  assert np.corrcoef(images[-1].mean(-1).ravel(), content.mean(-1).ravel())[0, 1] > 0.4


@pytest.mark.parametrize("artwork", ARTWORKS, ids=lambda p: p.stem)
def test_no_grid_of_two_pixels(params, stylize, artwork):
  """Pixel-shuffle upsamplers can leave a pattern of period 2: a peak at that frequency."""
  stylized = np.asarray(stylize(params, square(PHOTOS[0]), square(artwork)))
  spectrum = np.abs(np.fft.rfft(stylized.mean(-1), axis=1)) ** 2
  power = spectrum.mean(0)
  assert power[-1] < 3 * np.median(power[-16:-2])


def test_sampled_styles_paint_differently(params):
  @jax.jit
  def stylize_sampled(params, keys):
    codes = jax.vmap(transfer.sample_style, (None, 0))(params, keys)
    return transfer.generate(
      params, transfer.encode_content(params, square(PHOTOS[0])[:128, :128]), codes
    )

  first, second = np.asarray(stylize_sampled(params, jax.random.split(jax.random.key(0))))
  assert np.abs(first - second).mean() > 0.02


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.stem)
@pytest.mark.parametrize("artwork", ARTWORKS, ids=lambda p: p.stem)
def test_no_strength_magnifies_rounding(params, stylize, photo, artwork):
  """If a layer almost vanishes at some strength, its remainder could be amplified to blotches."""
  content, style = square(photo), square(artwork)
  beside = content + 1e-6 * np.random.default_rng(0).choice([-1, 1], content.shape)
  for strength in (1.0, 1.5):
    actual, other = (
      stylize(params, np.float32(x), style, strength=strength) for x in (content, beside)
    )
    assert np.abs(actual - other).max() < 1e-4, strength
