"""What is done after any backend: all give one image, equal to the pure function's."""

import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.controls import color as color_controls
from stylejax.images import encode
from stylejax.inference import compositing
from stylejax.inference.stylizer import Stylizer
from stylejax.models import padding

KINDS = ("one", "none", "mixture", "regions", "faint regions", "strengths", "light",
         "regions and strengths", "nothing")  # fmt: skip
COLORS = [{}, {"color": 0.7, "color_mode": "moments"}, {"color": 0.7}]


@pytest.fixture(scope="module")
def stylizer(tiny_params):
  return Stylizer(tiny_params)


@pytest.fixture(scope="module")
def codes(tiny_params):
  styles = np.random.default_rng(1).random((2, 32, 40, 3), np.float32)
  return [jax.jit(transfer.encode_style)(tiny_params, style) for style in styles]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  """Several chunks, of which the last is partly filled."""
  monkeypatch.setattr(compositing, "CHUNKS", (1_500, 400))


def content(height, width, seed=2):
  coarse = np.random.default_rng(seed).random((height // 4 + 2, width // 4 + 2, 3))
  return encode.as_bytes(np.kron(coarse, np.ones((4, 4, 1)))[:height, :width])


def controls_of(kind, height, width):
  """(weights, strength)."""
  rng = np.random.default_rng(3)
  regions = rng.random((2, height, width), np.float32)
  strengths = 1.5 * rng.random((height, width), np.float32)
  strengths[: height // 4] = 0
  return {
    "one": (None, np.float32(0.8)),
    "none": (None, np.float32(0)),
    "mixture": (np.float32([0.3, 0.7]), np.float32(1)),
    "regions": (regions, np.float32(1)),
    "faint regions": (regions, np.float32(0.4)),
    "strengths": (None, strengths),
    "light": (None, strengths / 1.5),
    "regions and strengths": (regions, strengths),
    "nothing": (regions, 0 * strengths),
  }[kind]


def stylize(prepared, codes, kind, height, width, **settings):
  weights, strength = controls_of(kind, height, width)
  codes = codes[:1] if weights is None else codes
  return prepared.stylize(codes, weights=weights, strength=strength, **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colors", COLORS)
def test_every_backend_gives_what_the_pure_function_gives(
  stylizer, tiny_params, codes, kind, colors
):
  image = content(135, 53)
  whole, tiled, sharded = (
    stylize(stylizer.prepare(image, **how), codes, kind, 135, 53, **colors)[0]
    for how in ({}, {"tile_pixels": 1_500}, {"shard": True})
  )
  weights, strength = controls_of(kind, 135, 53)
  style = codes[0] if weights is None else jax.tree.map(lambda *x: np.stack(x), *codes)
  pixels = np.float32(image) / 255
  expected = jax.jit(
    lambda p, x, c: transfer.generate(
      p, transfer.encode_content(p, x), c, weights=weights, strength=strength
    )
  )(tiny_params, pixels, style)
  if colors:
    mode = np.float32(1) if "color_mode" in colors else None
    expected = jax.jit(color_controls.preserve_color)(expected, pixels, color=0.7, mode=mode)
  # Color deviations are matched through sums over 7,155 pixels.
  np.testing.assert_allclose(whole, expected, atol=1e-4)
  np.testing.assert_allclose(sharded, whole, atol=1e-4)
  np.testing.assert_allclose(tiled, whole, atol=5e-4)  # its maps are float16 (test_tiled.py)
  if not colors:  # Where nothing is stylized, bytes are the image's own.
    bare = np.broadcast_to(strength == 0, (135, 53))
    for output in (whole, tiled, sharded):
      np.testing.assert_array_equal(encode.as_bytes(output)[bare], image[bare])


def test_bytes_are_the_floats_rounded(stylizer, codes):
  prepared = stylizer.prepare(content(61, 47), tile_pixels=1_500)
  floats, rounded = (
    stylize(prepared, codes, "one", 61, 47, dtype=dtype)[0] for dtype in (np.float32, np.uint8)
  )
  assert rounded.dtype == np.uint8
  np.testing.assert_array_equal(rounded, encode.as_bytes(floats))


@pytest.mark.parametrize("count, devices", [(1, 1), (3, 4)])
@pytest.mark.parametrize("colors", COLORS[:2])
def test_the_frame_around_a_content_is_never_seen(stylizer, codes, colors, count, devices):
  contents = [
    content(height, width, seed)
    for seed, (height, width) in enumerate(((44, 60), (61, 33), (64, 64)))
  ][:count]
  padded = stylizer.prepare_padded(contents, (64, 64), devices=devices)
  for kind in ("one", "none", "mixture"):
    outputs = stylize(padded, codes, kind, 0, 0, **colors)
    assert len(outputs) == count
    for image, output in zip(contents, outputs, strict=True):
      (whole,) = stylize(stylizer.prepare(image), codes, kind, 0, 0, **colors)
      np.testing.assert_allclose(output, whole, atol=1e-4)


def test_a_seamless_image_of_any_size_keeps_it(stylizer, codes):
  prepared = stylizer.prepare(content(45, 61), seamless="xy")
  (output,) = stylize(prepared, codes, "regions", 45, 61)
  assert output.shape == (45, 61, 3)
  (output,) = stylize(prepared, codes, "none", 45, 61)
  np.testing.assert_array_equal(encode.as_bytes(output), content(45, 61))


@pytest.mark.parametrize("axes", ["x", "y", "xy"])
def test_a_seamless_image_is_resized_around_its_edges(stylizer, codes, axes):
  """45×61 is no multiple of the stride: resizing there and back, edges see the other side."""
  image = content(45, 61)
  (output,) = stylizer.prepare(image, seamless=axes).stylize(codes[:1])
  stride = stylizer.params.config.stride
  height, width = (round(side / stride) * stride for side in image.shape[:2])
  assert (height, width) != image.shape[:2]
  whole = encode.resize_around(image, height, width, axes)
  expected = np.asarray(
    jax.jit(transfer.generate)(
      stylizer.params,
      transfer.encode_content(
        stylizer.params, whole, edges=padding.seamless_edges(axes, whole.shape)
      ),
      codes[0],
    )
  )
  back = encode.resize_around(expected, 45, 61, axes)
  np.testing.assert_allclose(output, back, atol=1e-4)
  assert np.abs(back - encode.resize_around(expected, 45, 61, "")).max() > 1e-3


def test_damaged_weights_are_told(tiny_params, codes):
  """NaN converted to uint8 would look like any other number."""
  broken = jax.tree.map(lambda x: x * np.float32(np.nan), tiny_params.generator)
  prepared = Stylizer(tiny_params.replace(generator=broken)).prepare(content(32, 32))
  with pytest.raises(FloatingPointError, match="NaN or infinity"):
    prepared.stylize(codes[:1], dtype=np.uint8)


def test_moments_by_chunks_are_those_of_the_whole(rng):
  image = rng.random((60, 41, 3), np.float32) * np.linspace(0, 1, 60)[:, None, None]
  image = np.float32(image)
  expected = jax.jit(color_controls.color_moments)(image[None])
  for part, whole in zip(compositing.pixel_moments(image), expected, strict=True):
    np.testing.assert_allclose(part, whole, atol=1e-5)


@pytest.mark.parametrize("count", [1, 399, 400, 401, 760, 1_500, 4_321])
def test_chunks_cover_every_pixel_once(count):
  places = list(compositing._chunks(count))
  pixels = [pixel for place, size in places for pixel in range(place.start, place.stop)]
  assert pixels == list(range(count))
  assert all(place.stop - place.start <= size for place, size in places)
