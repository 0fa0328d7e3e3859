"""Edges against whole images: padding has no effect, no seam, one device's numbers on many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from stylejax import transfer
from stylejax.models import conv_cpu, decoder_stages, layers
from stylejax.models.padding import Edges

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def code(tiny_params):
  style = np.random.default_rng(1).random((32, 40, 3), np.float32)
  return jax.jit(transfer.encode_style)(tiny_params, style)


@pytest.fixture(scope="module")
def stylize():
  @jax.jit
  def stylize(params, content, code, edges):
    return transfer.generate(params, transfer.encode_content(params, content, edges=edges), code)

  return stylize


def image(height, width):
  return np.random.default_rng(2).random((height, width, 3), np.float32)


def without_noise(params):
  """The same without noise, which stays in place when an image moves."""
  generator = dict(params.generator)
  for number, name in enumerate(decoder_stages.modulated_maps(params.config)):
    if decoder_stages.has_noise(params.config, name):
      layer = generator[f"modulation_{number}"]
      generator[f"modulation_{number}"] = {
        key: values.at[..., 2 * (values.shape[-1] // 3) :].set(0) for key, values in layer.items()
      }
  return params.replace(generator=generator)


@pytest.mark.parametrize("filling", [0.0, 0.7])
def test_what_lies_beyond_a_image_is_never_seen(tiny_params, code, stylize, filling):
  content = image(44, 60)
  whole = stylize(tiny_params, content, code, None)
  for height, width in ((48, 60), (64, 80)):
    around = np.pad(content, ((0, height - 44), (0, width - 60), (0, 0)), constant_values=filling)
    edges = Edges((height, width), inside=(np.int32(44), np.int32(60)))
    np.testing.assert_allclose(
      stylize(tiny_params, around, code, edges)[:44, :60], whole, atol=TOLERANCE
    )


def test_larger_cells_end_where_the_image_does(folded_params, code, stylize):
  """`code` is from other weights with the same sizes."""
  content = image(40, 56)
  whole = stylize(folded_params, content, code, None)
  edges = Edges((48, 80), inside=(np.int32(40), np.int32(56)))
  around = np.pad(content, ((0, 8), (0, 24), (0, 0)))
  np.testing.assert_allclose(
    stylize(folded_params, around, code, edges)[:40, :56], whole, atol=TOLERANCE
  )


EDGES = {
  "whole": Edges((64, 80)),
  "inside": Edges((64, 80), inside=(np.int32(44), np.int32(60))),
  "one line is filling": Edges((64, 80), inside=(np.int32(60), np.int32(76))),
  "full": Edges((64, 80), inside=(np.int32(64), np.int32(80))),
  "wraps": Edges((64, 80), wrap=(True, True)),
  "wraps one way": Edges((64, 80), wrap=(False, True)),
}


@pytest.mark.parametrize("edges", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("scale", [1, 4])
def test_lines_by_number_are_the_joined_lines(edges, scale):
  """Accelerators join lines, CPUs read them by number; tests run on CPUs only."""
  x = jnp.asarray(np.random.default_rng(3).random((2, 64 // scale, 80 // scale, 3), np.float32))
  height, width = 64 // scale, 80 // scale
  if edges.inside is not None:
    height, width = (int(side) // scale for side in edges.inside)
  actual, expected = edges.ring_by_number(x), edges.ring_by_lines(x)
  assert actual.shape == expected.shape == (2, 64 // scale + 2, 80 // scale + 2, 3)
  inside = np.s_[:, : height + 2, : width + 2]
  np.testing.assert_array_equal(actual[inside], expected[inside])
  if edges.wrap == (False, False):  # as NumPy mirrors the image alone
    mirrored = np.pad(x[:, :height, :width], ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(actual[inside], mirrored)
  actual, expected = (
    form(x, edges)[:, : 2 * height, : 2 * width]
    for form in (layers.upsample2_by_number, layers.upsample2_by_lines)
  )
  np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_ring_is_convolved_alike_with_and_without_zeros_around_it(stride):
  rng = np.random.default_rng(4)
  x, kernel = rng.random((2, 18, 14, 5), np.float32), rng.random((3, 3, 5, 7), np.float32)
  actual = conv_cpu.ringed_conv3x3(x, kernel, stride=stride)
  expected = conv_cpu.ringed_direct_conv3x3(x, kernel, stride=stride)
  assert actual.shape == (2, 16 // stride, 12 // stride, 7)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_one_program_for_all_sizes_inside(tiny_params, code, stylize):
  before = None
  for size in ((44, 60), (16, 16), (64, 32)):
    edges = Edges((64, 80), inside=tuple(map(np.int32, size)))
    stylize(tiny_params, image(64, 80), code, edges)
    before = before or stylize._cache_size()
  assert stylize._cache_size() == before


@pytest.mark.parametrize("axes", ["x", "y", "xy"])
def test_a_seamless_image_has_no_first_line_but_the_noise(tiny_params, axes):
  tiny_params = without_noise(tiny_params)
  content, style = image(44, 60), image(32, 32)
  rows, columns = (20 if "y" in axes else 0), (28 if "x" in axes else 0)
  stylize = jax.jit(transfer.stylize, static_argnames="seamless")
  once = stylize(tiny_params, content, style, seamless=axes)
  moved = stylize(tiny_params, np.roll(content, (rows, columns), (0, 1)), style, seamless=axes)
  np.testing.assert_allclose(moved, np.roll(once, (rows, columns), (0, 1)), atol=TOLERANCE)
  assert np.abs(once - stylize(tiny_params, content, style)).max() > 1e-2


def test_a_seamless_image_tiles_without_an_edge(tiny_params):
  smooth = np.sin(np.linspace(0, 2 * np.pi, 64, endpoint=False))
  content = np.stack([0.5 + 0.2 * (smooth[:, None] + smooth)] * 3, -1).astype(np.float32)
  stylize = jax.jit(transfer.stylize, static_argnames="seamless")
  for seamless in ("xy", None):
    stylized = stylize(tiny_params, content, image(32, 32), seamless=seamless)
    tiled = np.tile(stylized, (2, 2, 1))
    for axis in (0, 1):
      steps = np.abs(np.diff(tiled, axis=axis)).mean((1 - axis, 2))
      inside = np.delete(steps, 63)
      assert (steps[63] <= inside.max()) == (seamless == "xy")


@pytest.mark.parametrize("devices, height", [(8, 128), (8, 100), (3, 44)])
def test_rows_on_several_devices_give_the_image_of_one(tiny_params, code, stylize, devices, height):
  content = image(height, 60)
  stride = tiny_params.config.stride
  part = max(transfer.MIN_SIDE, -(-height // (stride * devices)) * stride)
  padded = part * devices
  mesh = jax.sharding.Mesh(jax.devices()[:devices], ("rows",))

  @jax.jit
  @jax.shard_map(mesh=mesh, in_specs=(P(), P("rows"), P(), P()), out_specs=P("rows"))
  def shared(params, content, code, inside):
    edges = Edges(content.shape[:2], inside=inside, axis_name="rows")
    return stylize(params, content, code, edges)

  around = np.pad(content, ((0, padded - height), (0, 0), (0, 0)))
  actual = shared(tiny_params, around, code, (jnp.int32(height), jnp.int32(60)))
  np.testing.assert_allclose(
    actual[:height], stylize(tiny_params, content, code, None), atol=TOLERANCE
  )


def test_rows_on_several_devices_may_wrap(tiny_params, code, stylize):
  content = image(64, 60)
  mesh = jax.sharding.Mesh(jax.devices()[:4], ("rows",))

  @jax.jit
  @jax.shard_map(mesh=mesh, in_specs=(P(), P("rows"), P()), out_specs=P("rows"))
  def shared(params, content, code):
    return stylize(params, content, code, Edges(content.shape[:2], (True, True), axis_name="rows"))

  whole = stylize(tiny_params, content, code, Edges((64, 60), (True, True)))
  np.testing.assert_allclose(shared(tiny_params, content, code), whole, atol=TOLERANCE)


def test_edges_of_another_size_are_refused(tiny_params):
  for shape in ((44, 64), (42, 60)):
    with pytest.raises(ValueError, match="content: found 60×"):
      transfer.encode_content(tiny_params, image(shape[0], 60), edges=Edges((shape[0], shape[1])))
  with pytest.raises(ValueError, match="seamless: found 'z'"):
    transfer.stylize(tiny_params, image(44, 60), image(32, 32), seamless="z")
