"""The size of strokes: a style image seen from nearer or farther away."""

import jax
import jax.numpy as jnp

from stylejax.controls.ranges import check_range

MIN_STROKE, MAX_STROKE = 0.25, 4.0


def zoom(image: jax.Array, scale: jax.Array | float) -> jax.Array:
  """Magnifies or shrinks an image about its center, in an array of the same size.

  A scale above 1 shows only the middle of the image, a scale below 1 all of it with mirror images
  around. A triangle filter reads the pixels, widened where the image shrinks; scale 1 changes
  nothing.

  Args:
    image: [B, H, W, C].
    scale: scalar or [B], 1/4 to 4, traced.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: a scale outside 1/4 to 4 (when it is not traced), or of another shape.
  """
  check_range(scale, "stroke", MIN_STROKE, MAX_STROKE)
  scale = jnp.asarray(scale, jnp.float32)
  batch, height, width, _ = image.shape
  if scale.shape not in ((), (1,), (batch,)):
    raise ValueError(f"stroke: found shape {scale.shape}, expected a scalar or [{batch}]")
  scale = jnp.broadcast_to(scale, (batch,))
  rows, columns = (jax.vmap(lambda s, n=n: _zoom_matrix(n, s))(scale) for n in (height, width))
  image = jnp.einsum("bij,bjwc->biwc", rows, image, precision="highest")
  return jnp.einsum("bij,bhjc->bhic", columns, image, precision="highest")


def _zoom_matrix(size: int, scale: jax.Array) -> jax.Array:
  """[size, size]: the weights with which a zoomed line reads the line and its mirror images."""
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
