"""The arithmetic of the controls: amounts, mixing weights, color, stroke size.

Pure functions on arrays, all traced, so that changing a value never recompiles. How a layer's
moments are moved is `stylejax.models.adain.modulate`; what a user calls is `stylejax.transfer`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.models.meshes import on_any_mesh
from stylejax.models.padding import Edges

MIN_STROKE, MAX_STROKE = 0.25, 4.0

# Rows Y, I and Q of NTSC, the space in which Gatys et al. take luminance apart.
_LUMA = (0.299, 0.587, 0.114)
_OPPONENT = (_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
# Below this variance, (8/255)², a channel has no color whose spread could be matched.
_MATCH_EPS = 1e-3


def amount(value: jax.Array | float, name: str, high: float, size: tuple[int, int]) -> jax.Array:
  """An amount that may differ between images or between pixels, ready to broadcast.

  Args:
    value: scalar, [B], or a map [H, W]; 0 to `high`.
    name: of the control, for messages.
    high: the largest value.
    size: (H, W) that a map must have.

  Returns:
    [1, 1, 1, 1], [B, 1, 1, 1] or [1, H, W, 1], float32.

  Raises:
    ValueError: another shape, or a value outside 0 to `high` (when it is not traced).
  """
  _check_range(value, name, 0, high)
  value = jnp.asarray(value, jnp.float32)
  if value.ndim > 2 or (value.ndim == 2 and value.shape != size):
    raise ValueError(
      f"{name}: found shape {value.shape}, expected a scalar, [B] or a map [{size[0]}, {size[1]}]"
    )
  return value[None, ..., None] if value.ndim == 2 else value.reshape(-1, 1, 1, 1)


def mixing_weights(weights: jax.Array, count: int, size: tuple[int, int]) -> jax.Array:
  """Weights of S styles that sum to 1, for the whole image or in every pixel.

  Args:
    weights: [S], or maps [S, H, W] (regions); at least 0, any sum. Where all are 0, the styles
      have equal parts.
    count: S.
    size: (H, W) that maps must have.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: another shape, or a value that is negative, NaN or infinite (when not traced).
  """
  _check_range(weights, "weights", 0, np.finfo(np.float32).max)
  weights = jnp.asarray(weights, jnp.float32)
  if weights.shape not in ((count,), (count, *size)):
    raise ValueError(
      f"weights: found shape {weights.shape}, expected [{count}] or "
      f"[{count}, {size[0]}, {size[1]}], one for each style"
    )
  total = weights.sum(0, keepdims=True)
  return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), 1.0 / count)


def paintings(
  vector: jax.Array, weights: jax.Array | None, strength: jax.Array, size: tuple[int, int]
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
  """What has to be painted uniformly, and how much of it there is in each pixel.

  Args:
    vector: [S, D] with weights, else [B or 1, D].
    weights: [S] or maps [S, H, W], as `mixing_weights` takes them, or None.
    strength: from `amount`. Below 1 it is painted as at 1: what is missing is for `faded`.
    size: (H, W) that maps must have.

  Returns:
    (vectors, strengths, shares) as of `uniform_paintings`; without maps N is 1 and shares None.

  Raises:
    ValueError: as `mixing_weights`.
  """
  if weights is not None:
    weights = mixing_weights(weights, vector.shape[0], size)
    if weights.ndim == 1 or len(weights) == 1:
      # One mixed vector stands for a style between them.
      weights = weights if weights.ndim == 1 else jnp.ones(1, jnp.float32)
      vector, weights = (weights[:, None] * vector).sum(0, keepdims=True), None
  strength = jnp.maximum(strength, 1.0)
  if weights is None and strength.shape[1:3] == (1, 1):
    return vector[None], strength[None], None
  return uniform_paintings(vector, weights, strength)


def uniform_paintings(
  vector: jax.Array, weights: jax.Array | None, strength: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Splits maps into N paintings that are uniform, and each pixel's share of them.

  The styles alone and their mean mixture, w̄ = mean_p w(p): a pixel has min_s w_s(p)/w̄_s of the
  mixture, and of each style what is left. Likewise strength 1 and the largest. So whatever of a map
  is one of those is exact, a map of one value is that value, and what lies between is a blend of
  paintings that differ little.

  Args:
    vector: [S, D] with weights, else [B or 1, D].
    weights: maps [S, H, W] that sum to 1 over S, or None.
    strength: from `amount`, at least 1; a map unless there are weights.

  Returns:
    (vectors, strengths, shares): [N, B or 1, D], [N, B or 1, 1, 1, 1] and [N, H, W] that sum to 1
    over N.
  """
  if weights is None:
    vectors, parts = vector[None], jnp.ones((1, 1, 1), jnp.float32)
  else:
    mean = weights.mean((1, 2))
    ratio = weights / jnp.where(mean > 0, mean, 1.0)[:, None, None]
    mixed = jnp.where(mean[:, None, None] > 0, ratio, jnp.inf).min(0, keepdims=True)
    parts = jnp.concatenate([weights - mixed * mean[:, None, None], mixed])
    vectors = jnp.concatenate([vector, (mean[:, None] * vector).sum(0, keepdims=True)])[:, None]
  if strength.shape[1:3] == (1, 1):
    return vectors, jnp.broadcast_to(strength, (len(vectors), *strength.shape)), parts
  most = strength.max(keepdims=True)
  above = ((strength - 1.0) / jnp.maximum(most - 1.0, 1e-6))[..., 0]
  strengths = [
    jnp.broadcast_to(value, (len(vectors), *most.shape)) for value in (jnp.ones_like(most), most)
  ]
  return (
    jnp.concatenate([vectors, vectors]),
    jnp.concatenate(strengths),
    jnp.concatenate([parts * (1.0 - above), parts * above]),
  )


def faded(painted: jax.Array, content: jax.Array, strength: jax.Array) -> jax.Array:
  """At strengths below 1 a blend of a painting and its content; at 0 the content, but for rounding.

  A strength s up to 1 shows s(3 − s)/2 of the painting: the content distance then grows nearly as s
  does. Mixed as light, as thin paint would be seen; by a blend of the numbers, dark paint covers
  bright things so early that nets find less of a difference later (docs/quality.md).

  Args:
    painted: [B, H, W, 3] in [0, 1], at strength 1.
    content: [B or 1, H, W, 3] in [0, 1].
    strength: from `amount`, or a scalar.

  Returns:
    [B, H, W, 3] in [0, 1].

  Source: the transfer function of sRGB, IEC 61966-2-1.
  """
  strength = jnp.minimum(strength, 1.0)
  share = 0.5 * strength * (3.0 - strength)
  mixed = _from_light(share * _to_light(painted) + (1.0 - share) * _to_light(content))
  return jnp.minimum(mixed, 1.0)  # White may come back a rounding above; black doesn't, below.


def _to_light(x: jax.Array) -> jax.Array:
  """Numbers of sRGB → linear light."""
  return jnp.where(x <= 0.04045, x / 12.92, _power((jnp.maximum(x, 0.04045) + 0.055) / 1.055, 2.4))


def _from_light(y: jax.Array) -> jax.Array:
  """The inverse of `_to_light`."""
  # The root's slope at 0 is infinite, and where it isn't taken it would be NaN times 0.
  curve = 1.055 * _power(jnp.maximum(y, 0.0031308), 1 / 2.4) - 0.055
  return jnp.where(y <= 0.0031308, 12.92 * y, curve)


def _power(x: jax.Array, exponent: float) -> jax.Array:
  """x ** exponent of x > 0, in operations that XLA has as vectors on CPUs."""
  return jnp.exp(exponent * jnp.log(x))


@on_any_mesh
def preserve_color(
  stylized: jax.Array,
  content: jax.Array,
  color: jax.Array | float = 1.0,
  *,
  mode: jax.Array | float | None = None,
  edges: Edges | None = None,
  moments: tuple | None = None,
) -> jax.Array:
  """Gives a stylized image the colors of its content back.

  Two ways, and any blend of them. Luminance only: Y of the stylized image with I and Q of the
  content, these moved towards gray where RGB would leave [0, 1]. Moments: one affine map of all
  colors, after which their mean and covariance are the content's; in YIQ by Cholesky factors, so
  that luminance stays a function of luminance.

  Args:
    stylized: [B, H, W, 3] or [H, W, 3] in [0, 1].
    content: of the same shape.
    color: from 0 (the colors of `stylized`) to 1 (those of `content`): scalar, [B] or [H, W].
    mode: None or 0 for luminance only, 1 for moments, or between: scalar, [B] or [H, W]. With None
      moments are not computed at all.
    edges: which pixels are the images'; None: all.
    moments: `color_moments` of the whole images (of stylized, of content), where these are only
      parts of them.

  Returns:
    As `stylized`, in [0, 1].

  Raises:
    ValueError: two shapes, or a color or mode outside 0 to 1 (when it is not traced).

  Departs from the paper in bringing colors back into RGB's range along their hue, and in matching
  after painting instead of before.
  Source: Gatys et al. 2017, arXiv:1611.07865, section 5.
  """
  if jnp.shape(stylized) != jnp.shape(content):
    raise ValueError(
      f"content: found shape {jnp.shape(content)}, expected that of the stylized "
      f"image, {jnp.shape(stylized)}"
    )
  if 0 in jnp.shape(stylized):
    raise ValueError(f"stylized: found shape {jnp.shape(stylized)}, expected at least one pixel")
  single = jnp.ndim(stylized) == 3
  stylized, content = (
    jnp.asarray(x)[None] if single else jnp.asarray(x) for x in (stylized, content)
  )
  size = stylized.shape[1:3]
  kept = _with_luminance(stylized, content)
  if mode is not None:
    moments = moments or tuple(color_moments(x, edges) for x in (stylized, content))
    matched = with_moments(stylized, *moments)
    kept = kept + amount(mode, "color mode", 1, size) * (matched - kept)
  output = stylized + amount(color, "color", 1, size) * (kept - stylized)
  return output[0] if single else output


def zoom(image: jax.Array, scale: jax.Array | float) -> jax.Array:
  """Looks at an image from nearer or farther through a window of its own size.

  Nearer (scale > 1) shows the middle; farther (scale < 1) shows all of it, with mirror images
  around. A triangle filter, widened where the image shrinks; scale 1 gives the image back.

  Args:
    image: [B, H, W, C].
    scale: scalar or [B], 1/4 to 4, traced.

  Returns:
    As `image`.

  Raises:
    ValueError: a scale outside 1/4 to 4 (when it is not traced), or of another shape.
  """
  _check_range(scale, "stroke", MIN_STROKE, MAX_STROKE)
  scale = jnp.asarray(scale, jnp.float32)
  batch, height, width, _ = image.shape
  if scale.shape not in ((), (1,), (batch,)):
    raise ValueError(f"stroke: found shape {scale.shape}, expected a scalar or [{batch}]")
  scale = jnp.broadcast_to(scale, (batch,))
  rows, columns = (jax.vmap(lambda s, n=n: _zoom_matrix(n, s))(scale) for n in (height, width))
  image = jnp.einsum("bij,bjwc->biwc", rows, image, precision="highest")
  return jnp.einsum("bij,bhjc->bhic", columns, image, precision="highest")


def _zoom_matrix(size: int, scale: jax.Array) -> jax.Array:
  """[size, size]: how each pixel of a zoomed line reads the line, its mirror images included."""
  pixel = jnp.arange(size, dtype=jnp.float32)
  at = (pixel + 0.5 - size / 2) / scale + size / 2 - 0.5
  reach = jnp.maximum(1.0, 1.0 / scale)

  def read(image):
    return jnp.maximum(0.0, 1.0 - jnp.abs(at[:, None] - image[None]) / reach)

  # At scale 1/4 the line reaches 1.5 lengths beyond either end, the filter a little further.
  weights = sum(
    read(2 * size * turn + pixel) + read(2 * size * turn - 1 - pixel) for turn in (-1, 0, 1, 2)
  )
  return weights / weights.sum(1, keepdims=True)


def _with_luminance(stylized: jax.Array, content: jax.Array) -> jax.Array:
  """The luminance of `stylized` with the hues of `content`, inside [0, 1]."""

  def luma(x):
    return (x * jnp.array(_LUMA, x.dtype)[None, None, None]).sum(-1, keepdims=True)

  hue, light = content - luma(content), luma(stylized)
  room = jnp.where(hue > 0, 1.0 - light, light) / jnp.maximum(jnp.abs(hue), 1e-6)
  return light + hue * jnp.minimum(room.min(-1, keepdims=True), 1.0)


def color_moments(image: jax.Array, edges: Edges | None = None) -> tuple[jax.Array, jax.Array]:
  """Mean [B, 1, 1, 3] and covariance [B, 3, 3] of the colors of [B, H, W, 3], in YIQ."""
  x = _turned(image, _OPPONENT)
  own = jnp.ones((1, 1, 1, 1), x.dtype) if edges is None else edges.mask(x)
  own = own / jnp.broadcast_to(own, (1, *x.shape[1:3], 1)).sum()
  mean = (own * x).sum((1, 2), keepdims=True)
  return mean, jnp.einsum("bhwi,bhwj->bij", own * (x - mean), x - mean, precision="highest")


def with_moments(
  image: jax.Array, own: tuple[jax.Array, jax.Array], target: tuple[jax.Array, jax.Array]
) -> jax.Array:
  """[B, H, W, 3] after the map of colors that takes moments `own` to `target`, in [0, 1]."""
  spread, target_spread = (
    jnp.linalg.cholesky(covariance + _MATCH_EPS * jnp.eye(3, dtype=covariance.dtype)[None])
    for _, covariance in (own, target)
  )
  turn = target_spread @ jax.scipy.linalg.solve_triangular(
    spread, jnp.broadcast_to(jnp.eye(3, dtype=spread.dtype), spread.shape), lower=True
  )
  x = _turned(image, _OPPONENT)
  x = jnp.einsum("bhwi,bji->bhwj", x - own[0], turn, precision="highest") + target[0]
  return jnp.clip(_turned(x, np.linalg.inv(_OPPONENT)), 0.0, 1.0)


def _turned(x: jax.Array, matrix) -> jax.Array:
  """Each pixel of [B, H, W, 3] times a 3×3 matrix."""
  return jnp.einsum("bhwi,ji->bhwj", x, jnp.asarray(matrix, x.dtype), precision="highest")


def _check_range(value: jax.Array | float, name: str, low: float, high: float) -> None:
  if isinstance(value, jax.core.Tracer):
    return
  # NumPy, since under an outer jit a jnp comparison of constants would be traced.
  found = np.asarray(value)
  if not ((found >= low) & (found <= high)).all():
    found = found if found.ndim < 1 else f"{found.min():g} to {found.max():g}"
    raise ValueError(f"{name}: found {found}, expected {low:g} to {high:g}")
