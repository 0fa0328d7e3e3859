"""Arrays in, array out: every control in memory, and mistakes that name the argument."""

import jax
import numpy as np
import pytest

import stylejax
from stylejax import transfer
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.inference import budget
from stylejax.inference.backends import padded
from stylejax.inference.backends.tiled import Tiled
from stylejax.inference.backends.whole import Whole
from stylejax.inference.stylizer import Stylizer
from stylejax.runtime import program_cache


@pytest.fixture(scope="module")
def stylizer(tiny_params):
  return Stylizer(tiny_params)


@pytest.fixture(scope="module")
def images():
  rng = np.random.default_rng(0)
  return [rng.random((*size, 3), np.float32) for size in ((40, 52), (33, 64), (320, 352))]


def test_it_is_public_and_documented():
  assert stylejax.Stylizer is Stylizer and "stylizer(photo, painting)" in Stylizer.__doc__


def test_one_style_at_its_trained_scale_is_the_pure_function(stylizer, tiny_params, images):
  content, _, style = images
  expected = jax.jit(transfer.stylize)(tiny_params, content, style)
  np.testing.assert_allclose(stylizer(content, style), expected, atol=1e-5)


def test_images_codes_and_mixtures(stylizer, images):
  content, wave, irises = images
  codes = stylizer.encode_styles([wave, irises])
  mixed = stylizer(content, [wave, irises], weights=[3, 1])
  np.testing.assert_allclose(mixed, stylizer(content, codes, weights=[0.75, 0.25]), atol=1e-6)
  equal = stylizer(content, codes)
  np.testing.assert_allclose(equal, stylizer(content, codes, weights=[1, 1]), atol=1e-6)
  assert np.abs(mixed - equal).max() > 1e-3
  np.testing.assert_array_equal(stylizer(content, codes[0]), stylizer(content, codes[:1]))


def test_a_larger_stroke_reads_a_larger_style(stylizer, images):
  content, _, style = images
  larger = stylizer(content, stylizer.encode_style(style, size=640))
  np.testing.assert_array_equal(stylizer(content, style, stroke=2.0), larger)


def test_an_invented_style_depends_on_its_seed_alone(stylizer, images):
  first, repeated, other = (stylizer(images[0], stylizer.invent_style(seed)) for seed in (3, 3, 4))
  np.testing.assert_array_equal(first, repeated)
  assert np.abs(first - other).max() > 1e-3


def test_bytes_are_floats_divided_by_255(stylizer, images):
  content = np.rint(255 * images[0]).astype(np.uint8)
  same = np.float32(content) / 255
  np.testing.assert_allclose(stylizer(content, images[1]), stylizer(same, images[1]), atol=1e-6)


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"strength": 2.1}, "strength: found 2.1, expected 0 to 2"),
    ({"strength": np.ones((3, 4))}, r"strength: found shape \(3, 4\)"),
    (
      {"strength": [0.2, 0.9]},
      r"strength: found shape \(2,\), expected a scalar or a map \[40, 52",
    ),
    ({"color": [0.1, 0.2]}, "color: found"),
    ({"color": -1}, "color: found -1, expected 0 to 1"),
    ({"color_mode": "hue"}, "color_mode: found 'hue', expected luminance or moments"),
    ({"stroke": 9}, "stroke: found 9, expected 0.25 to 4"),
    ({"weights": [1, 2]}, r"weights: found shape \(2,\), expected \[1\]"),
    ({"weights": [-1]}, "weights: found"),
    ({"weights": ["a"]}, r"weights: found \['a'\], expected numbers from 0"),
    ({"color": "1"}, "color: found '1', expected 0 to 1"),
    ({"stroke": "2"}, "stroke: found '2', expected 0.25 to 4"),
    ({"stroke": [1, 2]}, r"stroke: found shape \(2,\), expected a scalar"),
    ({"tile_pixels": 0}, "tile_pixels: found 0, expected an integer from 1"),
    ({"tile_pixels": -1}, "tile_pixels: found -1, expected an integer from 1"),
    ({"tile_pixels": 1e6}, "tile_pixels: found 1000000.0, expected an integer from 1"),
    ({"seamless": "z"}, "seamless: found 'z'"),
    ({"seamless": "x", "shard": True}, "found more than one"),
  ],
)
def test_mistakes_name_the_argument(stylizer, images, settings, message):
  with pytest.raises(ValueError, match=message):
    stylizer(images[0], images[1], **settings)


@pytest.mark.parametrize(
  "content, message",
  [
    (np.zeros((32, 32), np.float32), r"content: found shape \(32, 32\), expected \[H, W, 3\]"),
    (np.zeros((32, 15, 3), np.float32), "content: found 15×32 pixels"),
    (np.zeros((32, 32, 3), np.float64), "content: found dtype float64"),
    (np.full((32, 32, 3), np.nan, np.float32), "content: found values from nan to nan"),
    (np.full((32, 32, 3), 255, np.float32), "content: found values from 255 to 255"),
  ],
)
def test_contents_that_are_refused(stylizer, images, content, message):
  with pytest.raises(ValueError, match=message):
    stylizer(content, images[1])


@pytest.mark.parametrize("size", [0, -1, 15, 4_097, 10**6, 320.0, None])
def test_style_sizes_that_are_refused(stylizer, images, size):
  with pytest.raises(ValueError, match=f"size: found {size}, expected an integer from 16 to 4096"):
    stylizer.encode_style(images[1], size=size)


@pytest.mark.parametrize("seed", [2**70, 2**32, -1, 1.5, True, None])
def test_seeds_that_are_refused(stylizer, seed):
  with pytest.raises(ValueError, match=f"seed: found {seed}, expected an integer from 0 to 429496"):
    stylizer.invent_style(seed)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batched_style_code_is_refused(stylizer, images, batch):
  code = stylizer.encode_style(images[1])
  batched = jax.tree.map(lambda leaf: np.stack([leaf] * batch), code)
  for styles in (batched, [code, batched]):
    with pytest.raises(ValueError, match=rf"styles: found .* shape \[{batch}, \d+\], expected \["):
      stylizer(images[0], styles)


@pytest.mark.parametrize("settings", [{}, {"tile_pixels": 1000}, {"seamless": "xy"}])
@pytest.mark.parametrize("part", ["generator", "content_encoder"])
def test_a_part_that_is_missing_is_named(tiny_params, images, part, settings):
  stylizer = Stylizer(tiny_params.replace(**{part: None}))
  with pytest.raises(ValueError, match=f"params: found .*, expected also {part}"):
    stylizer(images[0], images[1], **settings)


@pytest.mark.parametrize("scale", [1e-300, 1e-44, 1e-38, 1e38, 1e300])
def test_weights_keep_their_proportions_however_large_or_small(stylizer, images, scale):
  content, wave, irises = images
  codes = stylizer.encode_styles([wave, irises])
  expected = stylizer(content, codes, weights=[3, 1])
  # 1e-44 is rounded to seven times the smallest number of float32.
  dtype = np.float32 if 1e-40 < scale < 1e39 else np.float64
  weights = np.asarray([3 * scale, scale], dtype)
  np.testing.assert_allclose(stylizer(content, codes, weights=weights), expected, atol=1e-6)
  maps = weights[:, None, None] * np.ones((1, *content.shape[:2]), dtype)
  np.testing.assert_allclose(stylizer(content, codes, weights=maps), expected, atol=1e-5)


def test_no_style_is_refused(stylizer, images):
  with pytest.raises(ValueError, match="styles: found none"):
    stylizer(images[0], [])


def test_a_size_never_seen_compiles_nothing(tiny_params, tmp_path, monkeypatch):
  """Contents and styles of other sizes run in arrays of the first's size, with equal results."""
  monkeypatch.setattr(program_cache, "_folder", lambda: tmp_path)
  program_cache.compiled_step.cache_clear()  # as in another process
  rng = np.random.default_rng(5)
  stylizer = Stylizer(tiny_params)
  sizes = [((61, 47), (50, 70)), ((59, 50), (55, 69)), ((33, 64), (64, 83))]
  outputs = []
  for content, style in sizes:
    content, style = (rng.random((*size, 3), np.float32) for size in (content, style))
    before = len(program_cache.known_shapes(padded.encode_padded))
    code = stylizer.encode_style(style, size=64)
    output = stylizer(content, code)
    outputs.append((content, style, output, before))
  counts = [before for *_, before in outputs]
  assert counts[0] == 0 and counts[1:] == [1, 1]
  assert len(program_cache.known_shapes(padded.encode_styles_padded)) == 1
  content, style, output, _ = outputs[-1]
  pixels = encode.style_pixels(DecodedImage(style, None, "RGB"), 64)
  expected = jax.jit(transfer.stylize)(tiny_params, content, pixels)
  np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
  "contents, bucket, message",
  [
    ([(48, 48)], (58, 58), "bucket: found .58, 58., expected multiples of"),
    ([(48, 48)], (32, 64), "bucket: found .32, 64. for a content of .48, 48."),
    ([(48, 48), (32, 32)], (64, 64), "contents: found 2, expected 1 to 1"),
    ([], (64, 64), "contents: found 0, expected 1 to 1"),
  ],
)
def test_frames_that_are_refused_are_not_known_afterwards(
  stylizer, images, contents, bucket, message
):
  contents = [np.zeros((*size, 3), np.uint8) for size in contents]
  with pytest.raises(ValueError, match=message):
    stylizer.prepare_padded(contents, bucket)
  assert (58, 58) not in stylizer.known_buckets()


def test_programs_of_other_counts_and_other_weights_are_not_taken(tiny_params, monkeypatch):
  sizes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(tiny_params))
  shapes = {
    (*sizes, (1, 64, 64, 3), (1, 2)),
    (*sizes, (2, 72, 72, 3), (2, 2)),
    ((1,), *sizes[1:], (1, 80, 80, 3), (1, 2)),
    sizes,
    (*sizes, (1, 50, 50, 3), (1, 2)),
  }
  monkeypatch.setattr(padded, "known_shapes", lambda step: shapes)
  assert Stylizer(tiny_params).known_buckets() == {(64, 64)}


def test_the_backend_is_what_fits_into_memory(tiny_params, monkeypatch):
  stylizer, content = Stylizer(tiny_params), np.zeros((72, 100, 3), np.uint8)
  for most, backend in ((1e9, padded.Padded), (72 * 100, Whole), (10, Tiled)):
    monkeypatch.setattr(
      budget, "fits", lambda shape, config, most=most: shape[0] * shape[1] <= most
    )
    assert type(stylizer.prepare(content)._backend) is backend
