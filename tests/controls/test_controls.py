"""The controls of stylize: one program for all values, gradients to all, and what each means."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax import transfer
from stylejax.controls import color as color_controls
from stylejax.controls import mixing
from stylejax.controls import zoom as zoom_controls

HEIGHT, WIDTH, STYLES = 24, 20, 3
SIZE = HEIGHT, WIDTH


def settings(rng):
  """Random values of every control, as maps where they may be maps."""
  return {
    "weights": rng.random((STYLES, *SIZE), np.float32),
    "strength": 2 * rng.random(SIZE, np.float32),
    "color": rng.random(SIZE, np.float32),
    "color_mode": np.float32(rng.random()),
    "stroke": np.float32(2 ** rng.uniform(-2, 2, STYLES)),
  }


# Compiled, since each operation of an eager call would be a program of its own.
encode_style = jax.jit(transfer.encode_style)
generate = jax.jit(transfer.generate)
preserve_color = jax.jit(color_controls.preserve_color)
zoom = jax.jit(zoom_controls.zoom)


@pytest.fixture(scope="module")
def stylized(tiny_params):
  """stylize, compiled once for this module; as a separate function it has its own cache."""
  return jax.jit(
    lambda content, styles, **values: transfer.stylize(tiny_params, content, styles, **values)
  )


@pytest.fixture
def content(rng):
  return rng.random((*SIZE, 3), np.float32)


@pytest.fixture
def styles(rng):
  ramp = np.linspace(0, 1, STYLES * 3, dtype=np.float32).reshape(STYLES, 1, 1, 3)
  return 0.5 * ramp + 0.5 * rng.random((STYLES, 18, 22, 3), np.float32)


@pytest.fixture
def codes(tiny_params, content, styles):
  return jax.jit(transfer.encode_content)(tiny_params, content), encode_style(tiny_params, styles)


def test_100_settings_are_one_program(stylized, content, styles, rng):
  before = stylized._cache_size()
  images = [np.asarray(stylized(content, styles, **settings(rng))) for _ in range(100)]
  assert stylized._cache_size() == before + 1
  assert all(np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1 for x in images)
  assert min(np.abs(a - b).max() for a, b in itertools.pairwise(images)) > 1e-3


def test_vmap_is_a_loop(stylized, content, styles, rng):
  values = [settings(rng) for _ in range(2)]
  loop = [stylized(content, styles, **v) for v in values]
  stacked = jax.tree.map(lambda *x: np.stack(x), *values)
  mapped = jax.jit(jax.vmap(lambda v: stylized(content, styles, **v)))(stacked)
  np.testing.assert_allclose(mapped, np.stack(loop), atol=2e-5)


def test_every_control_has_a_gradient(stylized, content, styles, rng):
  values = settings(rng)
  gradients = jax.jit(jax.grad(lambda v: jnp.square(stylized(content, styles, **v)).sum()))(values)
  for name, gradient in gradients.items():
    assert np.isfinite(gradient).all(), name
    assert (np.abs(gradient) > 1e-6).mean() > 0.5, name


class TestMixing:
  def test_all_of_one_style_is_that_style(self, tiny_params, codes):
    content, style = codes
    for one in range(STYLES):
      alone = generate(tiny_params, content, jax.tree.map(lambda x, one=one: x[one], style))
      actual = generate(tiny_params, content, style, weights=3.0 * np.eye(STYLES)[one])
      np.testing.assert_allclose(actual, alone, atol=1e-5)

  def test_maps_of_one_value_are_scalars(self, tiny_params, codes):
    weights = np.float32([0.2, 1.0, 0.0])
    maps = np.broadcast_to(weights[:, None, None], (STYLES, *SIZE))
    scalar, mapped = (
      generate(tiny_params, *codes, strength=1.6, weights=w) for w in (weights, maps)
    )
    np.testing.assert_allclose(mapped, scalar, atol=2e-5)

  def test_nothing_anywhere_is_equal_parts(self, tiny_params, codes):
    actual, even = (
      generate(tiny_params, *codes, weights=w)
      for w in (np.zeros((STYLES, *SIZE)), np.ones((STYLES, *SIZE)))
    )
    np.testing.assert_allclose(actual, even, atol=2e-5)

  def test_each_pixel_is_stylized_by_its_own_values(self, tiny_params, codes):
    zones = np.s_[:, :5], np.s_[:, 5:15], np.s_[:, 15:]
    mixtures = np.float32([[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]])
    strengths = 0.0, 0.8, 1.6
    weights, strength = np.zeros((STYLES, *SIZE), np.float32), np.zeros(SIZE, np.float32)
    for zone, mixture, value in zip(zones, mixtures, strengths):
      weights[:, *zone], strength[zone] = mixture[:, None, None], value
    assert np.allclose(weights.mean((1, 2)), mixtures[1])
    constant = np.full(SIZE, 1.3)
    each = {
      True: generate(tiny_params, *codes, weights=weights, strength=strength),
      False: generate(tiny_params, *codes, weights=weights, strength=constant),
    }
    for zone, mixture, value in zip(zones, mixtures, strengths):
      for varied, strong in ((True, value), (False, 1.3)):
        alone = generate(tiny_params, *codes, weights=mixture, strength=strong)
        np.testing.assert_allclose(each[varied][zone], alone[zone], atol=2e-5)
    assert np.abs(each[True] - each[False]).max() > 0.01

  def test_shares_are_of_one_whole_and_meet_the_maps(self, rng):
    vector = rng.normal(size=(STYLES, 5)).astype(np.float32)
    weights = rng.random((STYLES, 9, 7)).astype(np.float32)
    weights /= weights.sum(0)
    strength = 1 + rng.random((1, 9, 7, 1)).astype(np.float32)
    vectors, strengths, shares = jax.jit(mixing.split_maps)(vector, weights, strength)
    assert shares.min() > -1e-6
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    strengths = np.asarray(strengths)[:, 0, 0, 0, 0]
    np.testing.assert_allclose(
      np.einsum("n,nhw->hw", strengths, shares), strength[0, ..., 0], atol=1e-5
    )
    parts = np.einsum("nd,nhw->hwd", vectors[:, 0], shares)
    np.testing.assert_allclose(parts, np.einsum("sd,shw->hwd", vector, weights), atol=1e-5)

  def test_a_sequence_of_styles_of_any_sizes(self, tiny_params, content, styles):
    images = [styles[0], styles[1, :17]]

    def both():  # in one program, which encodes each style once
      each = [transfer.encode_style(tiny_params, p, stroke=0.5) for p in images]
      codes = jax.tree.map(lambda *x: jnp.stack(x), *each)
      content_code = transfer.encode_content(tiny_params, content)
      return (
        transfer.generate(tiny_params, content_code, codes, weights=np.ones(2)),
        transfer.stylize(tiny_params, content, images, weights=np.ones(2), stroke=0.5),
      )

    expected, actual = jax.jit(both)()
    np.testing.assert_allclose(actual, expected, atol=1e-5)


class TestColor:
  @pytest.fixture
  def pair(self, rng):
    """Two images far enough from black and white that no color is cut off."""
    mixing = np.float32([[0.9, 0.1, 0.0], [0.2, 0.5, 0.1], [0.3, 0.0, 0.4]])
    stylized, content = 0.4 + 0.2 * rng.random((2, 2, 30, 20, 3), np.float32)
    return stylized, 0.2 + 0.5 * content @ mixing

  def test_none_of_it_and_all_of_it(self, pair):
    stylized, content = pair
    np.testing.assert_allclose(preserve_color(stylized, content, color=0.0), stylized)
    actual = np.asarray(preserve_color(stylized, content))
    luma = np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(actual @ luma, stylized @ luma, atol=1e-5)
    np.testing.assert_allclose(
      actual - (actual @ luma)[..., None], content - (content @ luma)[..., None], atol=1e-5
    )

  def test_luminance_and_hue_stay_where_rgb_ends(self, rng):
    stylized, content = rng.random((2, 16, 16, 3), np.float32)
    stylized[0, 0], stylized[0, 1] = 0, 1
    actual = np.asarray(preserve_color(stylized, content))
    assert actual.min() >= -1e-6 and actual.max() <= 1 + 1e-6
    luma = np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(actual @ luma, stylized @ luma, atol=1e-5)
    hue, wanted = actual - (actual @ luma)[..., None], content - (content @ luma)[..., None]
    np.testing.assert_allclose(np.cross(hue, wanted), 0, atol=1e-5)

  def test_moments_are_those_of_the_content(self, pair, monkeypatch):
    monkeypatch.setattr(color_controls, "_MATCH_EPS", 0.0)
    stylized, content = pair
    actual = np.asarray(
      jax.jit(lambda *x: color_controls.preserve_color(*x, mode=1.0))(stylized, content)
    )
    for a, b in zip(actual.reshape(2, -1, 3), content.reshape(2, -1, 3)):
      np.testing.assert_allclose(a.mean(0), b.mean(0), atol=1e-4)
      np.testing.assert_allclose(np.cov(a.T), np.cov(b.T), atol=1e-5)

  @pytest.mark.parametrize("mode", [None, 0.0, 0.4, 1.0])
  def test_an_image_keeps_its_own_colors(self, pair, mode):
    actual = preserve_color(pair[0], pair[0], color=0.8, mode=mode)
    np.testing.assert_allclose(actual, pair[0], atol=1e-4)

  @pytest.mark.parametrize("mode", [0.5, 1.0])
  def test_gray_has_a_gradient(self, mode):
    gray = jnp.full((16, 16, 3), 0.5)
    gradient = jax.jit(jax.grad(lambda x: color_controls.preserve_color(x, gray, mode=mode).sum()))(
      gray
    )
    assert np.isfinite(gradient).all()

  def test_stylize_preserves_color(self, tiny_params, content, styles):
    plain, actual = jax.jit(
      lambda: [
        transfer.stylize(tiny_params, content, styles[0], **values)
        for values in ({}, {"color": 0.6, "color_mode": 0.5})
      ]
    )()
    expected = preserve_color(plain, content, color=0.6, mode=0.5)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


class TestStroke:
  @pytest.mark.parametrize("scale", [0.25, 0.4, 1.0, 1.7, 4.0])
  def test_zoom_is_a_resampling_among_mirror_images(self, rng, scale):
    image = rng.random((1, 18, 23, 3), np.float32)
    margins = [(0, 0), (2 * 18, 2 * 18), (2 * 23, 2 * 23), (0, 0)]
    tiled = np.pad(image, margins, mode="symmetric")
    # In pixels of the tiled image; maps its center to the center of the window.
    shift = np.float32([9 - 45 * scale, 11.5 - 57.5 * scale])
    expected = jax.jit(
      lambda x: jax.image.scale_and_translate(
        x, image.shape, (1, 2), np.float32([scale, scale]), shift, method="linear"
      )
    )(tiled)
    np.testing.assert_allclose(zoom(image, scale), expected, atol=2e-5)

  def test_1_is_the_image_and_each_may_have_its_own(self, rng):
    images = rng.random((3, 17, 20, 3), np.float32)
    np.testing.assert_allclose(zoom(images, 1.0), images, atol=1e-6)
    each = zoom(images, np.float32([0.5, 1, 2]))
    for actual, image, scale in zip(each, images, (0.5, 1.0, 2.0)):
      np.testing.assert_allclose(actual, zoom(image[None], scale)[0], atol=1e-6)

  def test_encode_style_reads_the_zoomed_image(self, tiny_params, styles):
    actual = encode_style(tiny_params, styles, stroke=2.0)
    expected = encode_style(tiny_params, zoom(styles, 2.0))
    np.testing.assert_allclose(actual.vector, expected.vector, atol=1e-5)
    plain = encode_style(tiny_params, styles)
    assert np.abs(actual.vector - plain.vector).max() > 1e-3


@pytest.mark.parametrize(
  "values, message",
  [
    ({"weights": [1, 2]}, r"weights: found shape \(2,\), expected \[3\] or \[3, 24, 20\]"),
    ({"weights": np.ones((3, 20, 24))}, r"weights: found shape \(3, 20, 24\)"),
    ({"weights": [1, -1, 1]}, "weights: found -1 to 1, expected 0 to"),
    ({"weights": [1, np.nan, 1]}, "weights: found nan"),
    ({"weights": np.ones(3), "strength": np.ones((20, 24))}, r"strength: found shape \(20, 24\)"),
    ({"strength": np.full(SIZE, -0.5)}, "strength: found -0.5 to -0.5, expected 0 to 2"),
    ({"strength": np.ones(2)}, "strength: found a batch of 2, expected 1 or 3"),
    ({"color": 1.5}, "color: found 1.5, expected 0 to 1"),
    ({"color": 1.0, "color_mode": -1}, "color_mode: found -1, expected 0 to 1"),
    ({"stroke": 5.0}, "stroke: found 5.0, expected 0.25 to 4"),
    ({"stroke": np.ones(2)}, r"stroke: found shape \(2,\), expected a scalar or \[3\]"),
  ],
)
def test_mistakes_are_named(tiny_params, content, styles, values, message):
  with pytest.raises(ValueError, match=message):
    # Only the images are traced, not the values: nothing is compiled.
    jax.eval_shape(lambda *x: transfer.stylize(tiny_params, *x, **values), content, styles)


@pytest.mark.parametrize(
  "styles, stroke, message",
  [
    ([], None, "styles: found 0 images"),
    ([np.ones((2, 20, 20, 3), np.float32)], None, "in a sequence"),
    ([np.ones((20, 20, 3), np.float32)], np.ones(2), "found 1 images and 2 strokes"),
  ],
)
def test_mistakes_in_a_sequence_are_named(tiny_params, content, styles, stroke, message):
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(
      lambda *x: transfer.stylize(tiny_params, *x, weights=np.ones(len(styles)), stroke=stroke),
      content,
      styles,
    )
