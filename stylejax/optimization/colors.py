"""Gives an optimized image, and the content that it starts from, the colors of the style.

Pure functions: Oklab, affine maps of lightness and chroma, and a bilateral filter guided by
lightness. How `stylize` keeps colors is in `stylejax.controls`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.ranges import check_range, per_pixel
from stylejax.controls.strength import linear_to_srgb, srgb_to_linear
from stylejax.errors import InputError
from stylejax.models.padding import image_size
from stylejax.optimization.matching import on_grid

# By every measure of ours, the optimized chroma, once smoothed, is nearer to the style than the
# mapped chroma of the content, and it is less noisy than the style's own.
OWN_COLOR = 1.0

PALETTE = 0.5
"""Chosen by eye: at 0, photos match places of another lightness and hue, and results are glaring or
dull; at 1, the lightness of a dark style leaves nothing of the photo's."""

# Linear sRGB → cone responses; the cube roots of these → L, a, b.
_RGB_TO_LMS = (
  (0.4122214708, 0.5363325363, 0.0514459929),
  (0.2119034982, 0.6806995451, 0.1073969566),
  (0.0883024619, 0.2817188376, 0.6299787005),
)
_LMS_TO_LAB = (
  (0.2104542553, 0.7936177850, -0.0040720468),
  (1.9779984951, -2.4285922050, 0.4505937099),
  (0.0259040371, 0.7827717662, -0.8086757660),
)

# Variance of a or b below which a palette has no colors to speak of.
_EPS = 1e-5
# The same for the content: the colors of a gray photo are noise of its file, which must not be
# amplified to the style's.
_PALETTE_EPS = 1e-3
# The largest factor by which contrast is raised: what is nearly plain stays so.
_MOST_CONTRAST = 3.0
RADIUS = 4
SIGMA_SPACE, SIGMA_LIGHT = 2.0, 0.08


def srgb_to_oklab(image: jax.Array) -> jax.Array:
  """Converts sRGB [..., 3] in [0, 1] to Oklab: L in [0, 1], a and b in about [−0.4, 0.4].

  Source: Ottosson 2020, "A perceptual color space for image processing".
  """
  lms = _product(srgb_to_linear(image), _RGB_TO_LMS)
  # The cube root's slope at 0 is infinite.
  return _product(jnp.cbrt(jnp.maximum(lms, 1e-9)), _LMS_TO_LAB)


def oklab_to_srgb(lab: jax.Array) -> jax.Array:
  """The inverse of `srgb_to_oklab`; not clipped to [0, 1]."""
  lms = _product(lab, np.linalg.inv(_LMS_TO_LAB))
  return linear_to_srgb(_product(lms**3, np.linalg.inv(_RGB_TO_LMS)))


def transfer_colors(
  stylized: jax.Array,
  content: jax.Array,
  styles: Sequence[jax.Array],
  *,
  weights: jax.Array | None = None,
  keep_color: jax.Array | float = 0.0,
  own_color: jax.Array | float = 0.0,
  style_light: jax.Array | float = 0.0,
  sigma_light: jax.Array | float = SIGMA_LIGHT,
) -> jax.Array:
  """Gives an image its content's chroma, mapped to the palette of the styles.

  Args:
    stylized: [B, H, W, 3], any range; clipped to [0, 1] first.
    content: of the same shape, in [0, 1].
    styles: images [1, h, w, 3] in [0, 1].
    weights: [S], or maps [S, H, W]: each style's share of the palette, as
      `controls.mixing.mixing_weights` returns them; None: equal shares.
    keep_color: 0 for the content's chroma mapped to the style's mean and covariance, 1 for the
      content's chroma as it is. Scalar, [B] or a map [H, W]; traced.
    own_color: share of the chroma that is taken from `stylized` instead, 0 to 1; likewise.
    style_light: how far the mean and standard deviation of L move to the styles', 0 to 1; 0 leaves
      L as it is. Likewise.
    sigma_light: standard deviation of the bilateral filter in L, in units of L.

  Returns:
    [B, H, W, 3] float32 in [0, 1].

  Raises:
    InputError: stylized and content differ in shape.
    ValueError: an amount out of range.

  Source: Kolkin et al. 2022, arXiv:2203.13215, section 3.5.
  """
  if jnp.shape(stylized) != jnp.shape(content):
    raise InputError(
      f"stylized: found shape {jnp.shape(stylized)}, expected that of the content, "
      f"{jnp.shape(content)}"
    )
  size = image_size(content)
  keep_color = per_pixel(keep_color, "keep_color", 1, size)
  own_color = per_pixel(own_color, "own_color", 1, size)
  style_light = per_pixel(style_light, "style_light", 1, size)
  lab, source = (srgb_to_oklab(jnp.clip(x, 0.0, 1.0)) for x in (stylized, content))
  light, chroma = lab[..., :1], lab[..., 1:]
  parts = _parts(styles, weights, size)
  light = light + style_light * (
    sum(part * match_light(light, style[..., :1], weights=part) for part, style in parts) - light
  )
  mapped = sum(
    part * match_chroma(source[..., 1:], style[..., 1:], weights=part) for part, style in parts
  )
  shown = mapped + keep_color * (source[..., 1:] - mapped)
  shown = shown + own_color * (chroma - shown)
  return into_gamut(
    jnp.concatenate([light, smooth_chroma(shown, light, sigma_light=sigma_light)], -1)
  )


def match_palette(
  image: jax.Array,
  styles: Sequence[jax.Array],
  *,
  weights: jax.Array | None = None,
  amount: jax.Array | float = 1.0,
) -> jax.Array:
  """Moves an image's lightness and colors to the styles', by `match_light` and `match_chroma`.

  Args:
    image: [B, H, W, 3] in [0, 1].
    styles, weights: as `transfer_colors` takes them.
    amount: how far to move in Oklab, 0 to 1. Scalar, [B] or a map [H, W]; traced.

  Returns:
    [B, H, W, 3] float32 in [0, 1].

  Raises:
    ValueError: amount out of range.
  """
  size = image_size(image)
  amount = per_pixel(amount, "amount", 1, size)
  lab = srgb_to_oklab(image)
  matched = sum(
    part
    * jnp.concatenate(
      [
        match_light(lab[..., :1], style[..., :1], weights=part),
        match_chroma(lab[..., 1:], style[..., 1:], weights=part, eps=_PALETTE_EPS),
      ],
      -1,
    )
    for part, style in _parts(styles, weights, size)
  )
  return into_gamut(lab + amount * (matched - lab))


def palette_amount(palette: jax.Array | float, keep_color: jax.Array | float) -> jax.Array:
  """How far to move to the styles' palette where some of the content's color is kept.

  palette · (1 − keep_color)

  Raises:
    ValueError: palette or keep_color is outside 0 to 1 (when not traced).
  """
  check_range(palette, "palette", 0, 1)
  check_range(keep_color, "keep_color", 0, 1)
  return jnp.asarray(palette, jnp.float32) * (1.0 - jnp.asarray(keep_color, jnp.float32))


def match_light(
  light: jax.Array, style: jax.Array, *, weights: jax.Array | None = None
) -> jax.Array:
  """Moves the mean and standard deviation of L to the style's by an affine map.

  y = (x − μ) · min(σ* / σ, 3) + μ*

  Args:
    light: [B, H, W, 1].
    style: [1, h, w, 1].
    weights: [1 or B, H, W, 1], how much each pixel counts in μ and σ; None: all equally.

  Returns:
    [B, H, W, 1], not clipped.
  """
  mean, variance = _moments(light, weights)
  style_mean, style_variance = _moments(style, None)
  scale = jnp.minimum(jnp.sqrt(style_variance / variance), _MOST_CONTRAST)
  return (light - mean) * scale[:, None] + style_mean


def match_chroma(
  chroma: jax.Array, style: jax.Array, *, weights: jax.Array | None = None, eps: float = _EPS
) -> jax.Array:
  """Moves the mean and covariance of a and b to the style's by the affine map that moves least.

  y = T (x − μ) + μ*,   T = Σ^(−1/2) (Σ^(1/2) Σ* Σ^(1/2))^(1/2) Σ^(−1/2)

  Args:
    chroma: [B, H, W, 2].
    style: [1, h, w, 2].
    weights: [1 or B, H, W, 1], how much each pixel counts in μ and Σ; None: all equally.
    eps: added to the variances in Σ and Σ*; a palette with less has no colors to speak of.

  Returns:
    [B, H, W, 2].

  Source: the optimal map between Gaussians, Olkin & Pukelsheim 1982; for colors Pitié & Kokaram
  2007, "The linear Monge-Kantorovitch linear color mapping".
  """
  mean, covariance = _moments(chroma, weights, eps)
  style_mean, style_covariance = _moments(style, None, eps)
  root = _root(covariance)
  inverse = jnp.linalg.inv(root)
  middle = _root(_sandwich(root, style_covariance))
  return (
    jnp.einsum("bhwi,bji->bhwj", chroma - mean, _sandwich(inverse, middle), precision="highest")
    + style_mean
  )


def smooth_chroma(
  chroma: jax.Array,
  light: jax.Array,
  *,
  radius: int = RADIUS,
  sigma_space: jax.Array | float = SIGMA_SPACE,
  sigma_light: jax.Array | float = SIGMA_LIGHT,
) -> jax.Array:
  """Smooths a and b by a joint bilateral filter, which keeps the edges of L.

  y_p = Σ_q g(p − q) h(L_p − L_q) x_q / Σ_q g(p − q) h(L_p − L_q), with Gaussians g and h, and q at
  most `radius` rows and columns from p; the image is mirrored at its borders.

  Args:
    chroma: [B, H, W, 2].
    light: [B, H, W, 1], the guide.
    radius: pixels, static; less than H and W.
    sigma_space: standard deviation of g, in pixels.
    sigma_light: standard deviation of h, in units of L.

  Returns:
    [B, H, W, 2].

  Source: Tomasi & Manduchi 1998, "Bilateral filtering for gray and color images"; with another
  image as guide, Petschnigg et al. 2004.
  """
  padded = jnp.pad(
    jnp.concatenate([light, chroma], -1),
    ((0, 0), (radius, radius), (radius, radius), (0, 0)),
    mode="reflect",
  )
  reach = 2 * radius + 1
  space, range_ = (
    1.0 / (2.0 * jnp.square(jnp.asarray(sigma, light.dtype)))
    for sigma in (sigma_space, sigma_light)
  )

  def add(number, sums):
    row, column = number // reach, number % reach
    there = jax.lax.dynamic_slice(padded, (0, row, column, 0), (*light.shape[:3], 3))
    away = jnp.square(row - radius) + jnp.square(column - radius)
    weight = jnp.exp(
      -space * away.astype(light.dtype) - range_ * jnp.square(there[..., :1] - light)
    )
    return sums[0] + weight * there[..., 1:], sums[1] + weight

  total, weight = jax.lax.fori_loop(
    0, reach * reach, add, (jnp.zeros_like(chroma), jnp.zeros_like(light))
  )
  return total / weight


def into_gamut(lab: jax.Array, *, halvings: int = 10) -> jax.Array:
  """Converts Oklab to sRGB in [0, 1]; colors out of range lose chroma, not lightness or hue.

  Args:
    lab: [..., 3], L in [0, 1].
    halvings: bisection steps in the search for the largest chroma that fits, static.

  Returns:
    [..., 3] in [0, 1].
  """

  def rgb(chroma_scale):
    return oklab_to_srgb(
      lab * jnp.concatenate([jnp.ones_like(chroma_scale), chroma_scale, chroma_scale], -1)
    )

  def halve(_, bounds):
    low, high = bounds
    middle = 0.5 * (low + high)
    color = jax.lax.stop_gradient(rgb(middle))
    fits = ((color >= -1e-4) & (color <= 1.0 + 1e-4)).all(-1, keepdims=True)
    return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

  one = jnp.ones_like(lab[..., :1])
  low, _ = jax.lax.fori_loop(0, halvings, halve, (0.0 * one, one))
  whole = rgb(one)
  fits = ((whole >= 0.0) & (whole <= 1.0)).all(-1, keepdims=True)
  return jnp.clip(rgb(jnp.where(fits, one, low)), 0.0, 1.0)


def _parts(
  styles: Sequence[jax.Array], weights: jax.Array | None, size: tuple[int, int]
) -> list[tuple[jax.Array, jax.Array]]:
  """For each style, its share of each pixel [1, H, W, 1] and its image in Oklab."""
  if weights is None:
    weights = jnp.full(len(styles), 1.0 / len(styles))
  shares = on_grid(jnp.asarray(weights, jnp.float32), size)[:, None, :, :, None]
  return [(share, srgb_to_oklab(style)) for share, style in zip(shares, styles, strict=True)]


def _moments(x, weights, eps=_EPS):
  """Mean [B, 1, 1, C] and covariance [B, C, C] over the pixels, eps added to the variances."""
  if weights is None:
    weights = jnp.ones((1, 1, 1, 1), x.dtype)
  weights = jnp.broadcast_to(weights, (*weights.shape[:1], *x.shape[1:3], 1))
  weights = weights / jnp.maximum(weights.sum((1, 2), keepdims=True), 1e-6)
  mean = (weights * x).sum((1, 2), keepdims=True)
  covariance = jnp.einsum("bhwi,bhwj->bij", weights * (x - mean), x - mean, precision="highest")
  return mean, covariance + eps * jnp.eye(x.shape[-1], dtype=x.dtype)[None]


def _root(matrix: jax.Array) -> jax.Array:
  """Square root of positive definite matrices [B, 2, 2]: (M + √det M · 1) / √(tr M + 2 √det M)."""
  det = matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]
  root = jnp.sqrt(jnp.maximum(det, 1e-20))[..., None, None]
  trace = jnp.trace(matrix, axis1=-2, axis2=-1)[..., None, None]
  return (matrix + root * jnp.eye(2, dtype=matrix.dtype)[None]) / jnp.sqrt(trace + 2 * root)


def _sandwich(outer: jax.Array, inner: jax.Array) -> jax.Array:
  return jnp.einsum(
    "bij,bjk,bkl->bil", outer, jnp.broadcast_to(inner, outer.shape), outer, precision="highest"
  )


def _product(x: jax.Array, matrix) -> jax.Array:
  """Each vector of [..., 3] times a 3×3 matrix."""
  return jnp.einsum("...i,ji->...j", x, jnp.asarray(matrix, x.dtype), precision="highest")
