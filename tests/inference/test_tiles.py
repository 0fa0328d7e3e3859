"""Painting in tiles: the same image as at once, whatever the cuts."""

import dataclasses

import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.inference import maps, tiles
from stylejax.models.config import PRESETS


def assert_the_whole(found, whole):
  """But for what float16 drops of the maps between the stages: an eighth of a level of 8 bits."""
  np.testing.assert_allclose(found, whole, atol=5e-4)
  assert np.sqrt(np.square(found - whole).mean()) < 1e-4


@pytest.fixture(scope="module")
def painted(tiny_params):
  """(content, style code, the image painted at once), of an odd size."""
  rng = np.random.default_rng(3)
  content = np.kron(rng.random((31, 22, 3)), np.ones((10, 10, 1))).astype(np.float32)[:301, :217]
  code = jax.jit(transfer.encode_style)(tiny_params, rng.random((40, 32, 3), np.float32))
  whole = jax.jit(
    lambda p, x, c: transfer.generate(p, transfer.encode_content(p, x), c, strength=1.3)
  )(tiny_params, content, code)
  return content, code, np.asarray(whole)


@pytest.mark.parametrize("pixels, in_files", [(4_000, False), (8_000, True)])
def test_tiles_are_the_whole(pixels, in_files, painted, tiny_params, tmp_path):
  content, code, whole = painted
  found, shares = np.full_like(whole, np.nan), []
  parts = tiles.generate_tiled(
    tiny_params,
    content,
    code,
    strength=1.3,
    tile_pixels=pixels,
    folder=tmp_path if in_files else None,
    on_progress=shares.append,
  )
  rows = []
  for row, part in parts:
    found[row : row + len(part)] = part
    rows.append(row)
  assert len(rows) > 2 and rows == sorted(rows)
  assert_the_whole(found, whole)
  assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
  assert list(tmp_path.iterdir()) == []


def test_a_strength_below_1_fades_in_every_tile(painted, tiny_params):
  content, code, _ = painted
  whole = jax.jit(
    lambda p, x, c: transfer.generate(p, transfer.encode_content(p, x), c, strength=0.5)
  )(tiny_params, content, code)
  parts = tiles.generate_tiled(tiny_params, content, code, strength=0.5, tile_pixels=8_000)
  assert_the_whole(np.concatenate([part for _, part in parts]), whole)


def test_faint_detail_on_a_large_mean_keeps_its_digits(painted, tiny_params):
  """As float16 of a map itself, its grain would be steps; counted from an origin it isn't."""
  content, code, _ = painted
  conv = tiny_params.content_encoder["Conv_1"]
  params = tiny_params.replace(
    content_encoder=tiny_params.content_encoder | {"Conv_1": conv | {"bias": conv["bias"] + 20.0}}
  )
  whole = jax.jit(lambda p, x, c: transfer.generate(p, transfer.encode_content(p, x), c))(
    params, content, code
  )
  parts = tiles.generate_tiled(params, content, code, tile_pixels=8_000)
  assert_the_whole(np.concatenate([part for _, part in parts]), np.asarray(whole))


@pytest.mark.parametrize("strength", [0.5, 1.3])
def test_tiles_of_bytes_are_those_of_floats_rounded(strength, painted, tiny_params):
  content, code, _ = painted
  found = {
    dtype: np.concatenate(
      [
        part
        for _, part in tiles.generate_tiled(
          tiny_params, content, code, strength=strength, tile_pixels=30_000, dtype=dtype
        )
      ]
    )
    for dtype in (np.float32, np.uint8)
  }
  assert {dtype: part.dtype for dtype, part in found.items()} == {d: np.dtype(d) for d in found}
  assert np.abs(found[np.uint8] - 255 * found[np.float32]).max() <= 0.501


def test_a_finest_map_of_several_layers_is_kept(rng):
  """Where it can't be made again by one convolution."""
  config = dataclasses.replace(PRESETS["tiny"], content_blocks=(1, 0))
  params = transfer.init_params(jax.random.key(0), config)
  content, style = (rng.random((*size, 3), np.float32) for size in ((90, 71), (40, 32)))
  code = transfer.encode_style(params, style)
  whole = transfer.generate(params, transfer.encode_content(params, content), code)
  parts = tiles.generate_tiled(params, content, code, tile_pixels=2_000)
  assert_the_whole(np.concatenate([part for _, part in parts]), np.asarray(whole))


@pytest.mark.parametrize("strength", [0.5, 1.3])
def test_the_content_may_be_written_over(strength, painted, tiny_params):
  content, code, _ = painted
  buffer = content.copy()
  parts = list(
    tiles.generate_tiled(tiny_params, content, code, strength=strength, tile_pixels=8_000)
  )
  for row, part in tiles.generate_tiled(
    tiny_params, buffer, code, strength=strength, tile_pixels=8_000
  ):
    buffer[row : row + len(part)] = part
  np.testing.assert_array_equal(buffer, np.concatenate([part for _, part in parts]))


@pytest.mark.parametrize("height, rows, halo", [(40, 9, 2), (41, 5, 1), (7, 9, 2), (16, 6, 2)])
def test_windows_meet_and_are_of_one_size(height, rows, halo):
  found = maps.windows(height, rows, halo)
  assert found[0].first == 0 and found[-1].last == height
  assert [w.last for w in found[:-1]] == [w.first for w in found[1:]]
  (size,) = {w.stop - w.start for w in found}
  assert 3 / 4 * rows - 1 < size <= rows or size == height < rows
  for w in found:
    assert w.start == 0 or w.first - w.start >= halo
    assert w.stop == height or w.stop - w.last >= halo
    assert w.first < w.last


def test_windows_read_few_rows_twice():
  """12,000 pixels in cells of 8: windows of 150 cells would read a tenth of them twice."""
  for length in (1_500, 1_000, 750):
    found = maps.windows(length, 150, 1)
    assert sum(w.stop - w.start for w in found) < 1.05 * length


def test_moments_of_parts_are_those_of_the_whole(rng):
  x = 5 + rng.random((30, 4))
  moments = maps.Moments()
  for part in np.split(x, [3, 17]):
    moments.add(len(part), part.mean(0), np.square(part - part.mean(0)).sum(0))
  mean, std = moments.mean_and_std(eps=0)
  np.testing.assert_allclose(mean[0, 0, 0], x.mean(0), rtol=1e-6)
  np.testing.assert_allclose(std[0, 0, 0], x.std(0), rtol=1e-6)
