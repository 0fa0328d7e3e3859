"""Stylizing in tiles gives the same image as at once, whatever the cuts."""

import dataclasses

import jax
import numpy as np
import pytest

import stylejax
from stylejax import transfer
from stylejax.inference.backends.tiled import Tiled
from stylejax.models.config import PRESETS


def assert_the_whole(image, whole):
  """Equal but for rounding of stored maps to float16: an eighth of a level of 8 bits."""
  np.testing.assert_allclose(image, whole, atol=5e-4)
  assert np.sqrt(np.square(image - whole).mean()) < 1e-4


def at_once(params, content, vector, noise_gain=1.0):
  """The image from one call of the networks."""

  def stylize(params, content, vector):
    code = transfer.encode_content(params, content[None])
    return transfer.generate_unblended(params, code, vector[None], noise_gain)[0]

  return np.asarray(jax.jit(stylize)(params, content, vector))


def in_tiles(params, content, vector, noise_gain=1.0, **settings):
  """The image, put together from its bands."""
  bands = Tiled(params, content, **settings).stylize(vector, noise_gain)
  return np.concatenate([band.pixels for band in bands])


@pytest.fixture(scope="module")
def inputs(tiny_params):
  """(content of an odd size, style vector)."""
  rng = np.random.default_rng(3)
  content = np.kron(rng.random((31, 22, 3)), np.ones((10, 10, 1))).astype(np.float32)[:301, :217]
  code = jax.jit(transfer.encode_style)(tiny_params, rng.random((40, 32, 3), np.float32))
  return content, np.asarray(code.vector)


def test_tiles_of_larger_cells_are_the_whole(inputs, folded_params):
  content, vector = inputs
  image = in_tiles(folded_params, content, vector, 1.3, tile_pixels=6_000)
  assert_the_whole(image, at_once(folded_params, content, vector, 1.3))


@pytest.mark.parametrize("pixels, in_files", [(4_000, False), (8_000, True)])
def test_tiles_are_the_whole(pixels, in_files, inputs, tiny_params, tmp_path):
  content, vector = inputs
  whole, fractions, rows = at_once(tiny_params, content, vector, 1.3), [], []
  image = np.full_like(whole, np.nan)
  backend = Tiled(tiny_params, content, tile_pixels=pixels, folder=tmp_path if in_files else None)
  for index, row, band in backend.stylize(vector, 1.3, on_progress=fractions.append):
    assert index == 0
    image[row : row + len(band)] = band
    rows.append(row)
  assert len(rows) > 2 and rows == sorted(rows)
  assert_the_whole(image, whole)
  assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
  assert list(tmp_path.iterdir()) == []


def test_faint_detail_on_a_large_mean_keeps_its_digits(inputs, tiny_params):
  """In float16, a map itself would lose the detail; stored relative to an offset, it doesn't."""
  content, vector = inputs
  conv = tiny_params.content_encoder["Conv_1"]
  params = tiny_params.replace(
    content_encoder=tiny_params.content_encoder | {"Conv_1": conv | {"bias": conv["bias"] + 20.0}}
  )
  image = in_tiles(params, content, vector, tile_pixels=8_000)
  assert_the_whole(image, at_once(params, content, vector))


def test_a_content_of_bytes_is_that_of_floats(inputs, tiny_params):
  content, vector = inputs
  as_bytes = np.rint(255 * content).astype(np.uint8)
  image = in_tiles(tiny_params, as_bytes, vector, tile_pixels=30_000)
  assert image.dtype == np.float32
  same = in_tiles(tiny_params, np.float32(as_bytes) / 255, vector, tile_pixels=30_000)
  assert_the_whole(image, same)


def test_a_finest_map_of_several_layers_is_kept(rng):
  """It is stored because one convolution can't recompute it."""
  config = dataclasses.replace(PRESETS["tiny"], content_blocks=(1, 0))
  params = stylejax.init_params(jax.random.key(0), config)
  content, style = (rng.random((*size, 3), np.float32) for size in ((90, 71), (40, 32)))
  vector = np.asarray(transfer.encode_style(params, style).vector)
  image = in_tiles(params, content, vector, tile_pixels=2_000)
  assert_the_whole(image, at_once(params, content, vector))


def test_a_content_too_small_is_refused(tiny_params):
  with pytest.raises(ValueError, match="found 20×12 pixels, expected at least 16 a side"):
    Tiled(tiny_params, np.zeros((12, 20, 3), np.uint8))
