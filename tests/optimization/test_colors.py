"""Colors: Oklab's published values, moments by NumPy and SciPy, the filter by a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from stylejax.errors import InputError
from stylejax.optimization.colors import (
  into_gamut,
  match_chroma,
  match_palette,
  oklab_to_srgb,
  smooth_chroma,
  srgb_to_oklab,
  transfer_colors,
)


def test_oklab_has_the_published_values():
  """For sRGB's primaries, white, gray and black, from CSS Color 4 and the package culori."""
  rgb = jnp.asarray(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0]], jnp.float32
  )
  expected = [
    [0.62796, 0.22486, 0.12585],
    [0.86644, -0.23389, 0.17950],
    [0.45201, -0.03246, -0.31153],
    [1, 0, 0],
    [0.59818, 0, 0],
    [0, 0, 0],
  ]
  np.testing.assert_allclose(srgb_to_oklab(rgb), expected, atol=1.1e-3)
  np.testing.assert_allclose(srgb_to_oklab(rgb[:5]), expected[:5], atol=2e-5)


def test_oklab_comes_back_and_has_slopes(rng):
  image = jnp.asarray(rng.uniform(size=(5, 7, 3)), jnp.float32)
  np.testing.assert_allclose(oklab_to_srgb(srgb_to_oklab(image)), image, atol=1e-4)
  gradient = jax.grad(lambda x: srgb_to_oklab(x).sum())(jnp.zeros((2, 3)).at[1].set(1.0))
  assert np.isfinite(gradient).all()


def test_chroma_gets_the_moments_of_the_style(rng):
  """Mean and covariance by NumPy; the map by SciPy's square roots of matrices."""
  a = rng.normal(size=(1, 20, 30, 2)) @ [[0.10, 0.02], [0.0, 0.05]] + [0.05, -0.02]
  b = rng.normal(size=(1, 25, 15, 2)) @ [[0.03, -0.04], [0.01, 0.12]] + [-0.1, 0.08]
  actual = np.asarray(match_chroma(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)))
  flat = [x.reshape(-1, 2) for x in (a, b, actual)]
  np.testing.assert_allclose(flat[2].mean(0), flat[1].mean(0), atol=1e-4)
  np.testing.assert_allclose(np.cov(flat[2].T), np.cov(flat[1].T), atol=1e-4)
  source, target = (np.cov(x.T, bias=True) + 1e-5 * np.eye(2) for x in flat[:2])
  root = scipy.linalg.sqrtm(source)
  inverse = np.linalg.inv(root)
  matrix = inverse @ scipy.linalg.sqrtm(root @ target @ root) @ inverse
  expected = (flat[0] - flat[0].mean(0)) @ matrix.T + flat[1].mean(0)
  np.testing.assert_allclose(flat[2], expected, atol=1e-4)


def test_moments_of_a_region_are_its_own(rng):
  a = jnp.asarray(rng.normal(size=(1, 8, 10, 2)), jnp.float32)
  style = jnp.asarray(rng.normal(size=(1, 9, 9, 2)), jnp.float32)
  left = jnp.zeros((1, 8, 10, 1)).at[:, :, :5].set(1.0)
  actual = match_chroma(a, style, weights=left)
  np.testing.assert_allclose(actual[:, :, :5], match_chroma(a[:, :, :5], style), atol=1e-4)


def test_a_palette_without_colors_is_gray_and_finite(rng):
  """A gray style makes the image gray; results for gray content and gradients are finite."""
  gray = jnp.full((1, 8, 9, 2), 0.0)
  colorful = jnp.asarray(rng.normal(size=(1, 8, 9, 2)) * 0.1, jnp.float32)
  assert float(jnp.abs(match_chroma(colorful, gray)).max()) < 0.02
  assert np.isfinite(match_chroma(gray, colorful)).all()
  for pair in ((colorful, gray), (gray, colorful), (gray, gray)):
    assert np.isfinite(jax.grad(lambda x, y: jnp.square(match_chroma(x, y)).sum())(*pair)).all()


def test_the_filter_is_a_loop_over_neighbors(rng):
  light = rng.uniform(size=(9, 11))
  chroma = rng.normal(size=(9, 11, 2))
  radius, space, range_ = 2, 1.3, 0.2
  expected = np.zeros_like(chroma)

  def mirrored(i, size):
    return -i if i < 0 else 2 * (size - 1) - i if i >= size else i

  for y in range(9):
    for x in range(11):
      total = 0.0
      for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
          there = mirrored(y + dy, 9), mirrored(x + dx, 11)
          weight = np.exp(
            -(dy * dy + dx * dx) / (2 * space**2)
            - (light[there] - light[y, x]) ** 2 / (2 * range_**2)
          )
          expected[y, x] += weight * chroma[there]
          total += weight
      expected[y, x] /= total
  arguments = (
    jnp.asarray(chroma[None], jnp.float32),
    jnp.asarray(light[None, :, :, None], jnp.float32),
  )
  settings = {"sigma_space": space, "sigma_light": range_}
  actual = smooth_chroma(*arguments, radius=radius, **settings)
  np.testing.assert_allclose(actual[0], expected, atol=1e-5)


def test_out_of_range_loses_chroma_alone():
  """A saturated color outside sRGB keeps its luminance and hue."""
  lab = jnp.asarray([[0.6, 0.3, 0.2], [0.9, 0.2, 0.0], [0.5, 0.05, 0.02], [0.0, 0.2, 0.1]])
  actual = srgb_to_oklab(into_gamut(lab))
  np.testing.assert_allclose(actual[:3, 0], lab[:3, 0], atol=5e-3)
  np.testing.assert_allclose(
    jnp.arctan2(actual[:3, 2], actual[:3, 1]), jnp.arctan2(lab[:3, 2], lab[:3, 1]), atol=0.03
  )
  np.testing.assert_allclose(actual[2], lab[2], atol=1e-4)
  assert jnp.linalg.norm(actual[0, 1:]) > 0.15


@pytest.fixture
def images(rng):
  """Stylized and content [2, 24, 32, 3], two styles of other sizes."""
  draw = [
    jnp.asarray(rng.uniform(size=size), jnp.float32)
    for size in ((2, 24, 32, 3), (2, 24, 32, 3), (1, 20, 18, 3), (1, 16, 40, 3))
  ]
  return draw[0], draw[1], draw[2:]


def test_luminance_is_the_images_own(images):
  stylized, content, styles = images
  run = jax.jit(transfer_colors)
  actual = run(stylized, content, styles)
  assert actual.min() >= 0 and actual.max() <= 1
  light = srgb_to_oklab(stylized)[..., 0]
  np.testing.assert_allclose(srgb_to_oklab(actual)[..., 0], light, atol=0.01)
  np.testing.assert_allclose(transfer_colors(stylized, content, styles), actual, atol=1e-4)
  alone = run(stylized[1:], content[1:], styles)
  np.testing.assert_allclose(actual[1:], alone, atol=1e-4)
  several = jax.vmap(lambda x, y: transfer_colors(x[None], y[None], styles)[0])(stylized, content)
  np.testing.assert_allclose(actual, several, atol=1e-4)


def test_amounts_choose_whose_chroma(images):
  """A flat image takes the chroma of the content or of the palette, or keeps its own."""
  _, content, styles = images
  flat = jnp.full_like(content, 0.5) * jnp.asarray([1.1, 0.9, 0.8]).reshape(1, 1, 1, 3)
  settings = {"sigma_light": 0.05}
  flat_chroma = transfer_colors(flat, content, styles, own_color=1.0, **settings)
  np.testing.assert_allclose(flat_chroma, flat, atol=2e-3)
  calm = jnp.broadcast_to(jnp.asarray([0.5, 0.45, 0.55]), content.shape)
  content_chroma = transfer_colors(flat, calm, styles, keep_color=1.0, **settings)
  np.testing.assert_allclose(
    srgb_to_oklab(content_chroma)[..., 1:], srgb_to_oklab(calm)[..., 1:], atol=2e-3
  )
  first = transfer_colors(flat, content, styles, weights=jnp.asarray([1.0, 0.0]))
  np.testing.assert_allclose(first, transfer_colors(flat, content, styles[:1]), atol=1e-4)
  gradient = jax.grad(lambda k: transfer_colors(flat, content, styles, keep_color=k).sum())(0.5)
  assert np.isfinite(gradient) and gradient != 0


def test_an_image_in_a_palette_has_its_light_and_colors(rng):
  """Means and covariances are the style's, if nothing leaves sRGB and colors vary enough."""
  image, style = (
    jnp.asarray(0.5 + amount * rng.normal(size=(1, 40, 30, 3)), jnp.float32)
    for amount in (0.03, 0.06)
  )
  style = style + jnp.asarray([0.1, 0.0, -0.1]).reshape(1, 1, 1, 3)
  lab = [
    np.asarray(srgb_to_oklab(x)).reshape(-1, 3) for x in (match_palette(image, [style]), style)
  ]
  np.testing.assert_allclose(*(x.mean(0) for x in lab), atol=2e-3)
  np.testing.assert_allclose(*(x[:, 0].std() for x in lab), rtol=0.03)
  before = np.asarray(srgb_to_oklab(image)).reshape(-1, 3)
  for channel in (1, 2):
    own, actual, wanted = (x[:, channel].std() for x in (before, *lab))
    assert own < actual < wanted
  np.testing.assert_allclose(match_palette(image, [style], amount=0.0), image, atol=1e-4)


def test_what_is_plain_or_gray_stays_so(rng):
  """The noise of a file must not become the contrast or the colors of a style."""
  noise = jnp.asarray(0.5 + 0.003 * rng.normal(size=(1, 32, 32, 3)), jnp.float32)
  style = jnp.asarray(rng.uniform(size=(1, 32, 32, 3)), jnp.float32)
  own, actual, wanted = (
    np.asarray(srgb_to_oklab(x)) for x in (noise, match_palette(noise, [style]), style)
  )
  assert (actual.std((0, 1, 2)) < 5 * own.std((0, 1, 2))).all()
  assert (actual.std((0, 1, 2)) < 0.2 * wanted.std((0, 1, 2))).all()


def test_regions_take_their_own_styles_light(rng):
  image = jnp.asarray(rng.uniform(0.3, 0.7, size=(1, 24, 32, 3)), jnp.float32)
  styles = [
    jnp.asarray(rng.uniform(*ends, size=(1, 20, 20, 3)), jnp.float32)
    for ends in ((0.0, 0.3), (0.7, 1.0))
  ]
  masks = jnp.zeros((2, 24, 32)).at[0, :, :16].set(1).at[1, :, 16:].set(1)
  settings = {"weights": masks, "own_color": 1.0}
  for actual in (
    match_palette(image, styles, weights=masks),
    transfer_colors(image, image, styles, style_light=1.0, **settings),
  ):
    light = srgb_to_oklab(actual)[..., 0]
    for half, style in zip((light[..., :16], light[..., 16:]), styles, strict=True):
      wanted = srgb_to_oklab(style)[..., 0]
      np.testing.assert_allclose(half.mean(), wanted.mean(), atol=0.02)
      np.testing.assert_allclose(half.std(), wanted.std(), rtol=0.1)


def test_wrong_settings_are_one_line(images):
  stylized, content, styles = images
  with pytest.raises(InputError, match="stylized: found shape"):
    transfer_colors(stylized[:, :8], content, styles)
  with pytest.raises(ValueError, match="keep_color: found 2"):
    transfer_colors(stylized, content, styles, keep_color=2.0)
  with pytest.raises(ValueError, match="amount: found 2"):
    match_palette(content, styles, amount=2.0)
