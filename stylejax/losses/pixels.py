"""Distances between images pixel by pixel or cell by cell, and total variation.

Each returns one number per image, [B]. No net runs here.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import layers


def l1_loss(image: jax.Array, target: jax.Array) -> jax.Array:
  """Mean absolute difference of two [B, H, W, C], in their unit: [B] float32."""
  return jnp.abs(image.astype(jnp.float32) - target.astype(jnp.float32)).mean((1, 2, 3))


def multiscale_l1_loss(image: jax.Array, target: jax.Array, *, scales: int = 3) -> jax.Array:
  """Mean L1 loss of images halved 0, 1, ..., scales − 1 times by averaging.

  The coarse scales give color and tone more weight than plain L1 does.

  Args:
    image, target: [B, H, W, 3]; H and W multiples of 2^(scales − 1).
    scales: number of scales.

  Returns:
    [B] float32, in the unit of the images.
  """
  losses = []
  for scale in range(scales):
    if scale:
      image, target = layers.downsample2(image), layers.downsample2(target)
    losses.append(l1_loss(image, target))
  return jnp.stack(losses).mean(0)


def total_variation(image: jax.Array) -> jax.Array:
  """Mean squared difference of neighboring pixels, down plus across.

  Args:
    image: [B, H, W, C], any range.

  Returns:
    [B] float32, in squared units of the image.

  Departs from Mahendran & Vedaldi 2015, arXiv:1412.0035, equation 3, in taking means, so that it
  does not grow with the image, and β = 2 for each axis separately.
  """
  image = image.astype(jnp.float32)
  down = jnp.square(image[:, 1:] - image[:, :-1]).mean((1, 2, 3))
  right = jnp.square(image[:, :, 1:] - image[:, :, :-1]).mean((1, 2, 3))
  return down + right


def spurious_edge_loss(image: jax.Array, content: jax.Array) -> jax.Array:
  """Share of an image's broad edges that lie where the content has none.

  Both images are averaged over cells of 8 and of 16 pixels, so that strokes vanish, and of 32 if
  their sides are multiples of 32 and at least 128. Then, with ∇ the differences of neighboring
  cells and r the root mean square of the content's:

  Σ exp(−|∇c|²/r²) |∇p|² / Σ |∇p|², averaged over scales and directions

  Clouds and halos on plain skies and walls make it large; contrast by itself doesn't.

  Args:
    image: [B, H, W, 3] in [0, 1], H and W multiples of 16, at least 32.
    content: likewise.

  Returns:
    [B] float32 in [0, 1].
  """
  return _spurious_share(image, content, lambda edges: edges)


def spurious_color_loss(image: jax.Array, content: jax.Array) -> jax.Array:
  """The part of `spurious_edge_loss` that is a change of color rather than of light.

  In its numerator ∇p is without its component along gray, (1, 1, 1)/√3; flatness and the
  denominator are the same. Bars and clouds of a strong color make it large.

  Args:
    image: [B, H, W, 3] in [0, 1], H and W multiples of 16, at least 32.
    content: likewise.

  Returns:
    [B] float32 in [0, 1], at most that loss.
  """
  return _spurious_share(image, content, lambda edges: edges - edges.mean(-1, keepdims=True))


def _spurious_share(
  image: jax.Array, content: jax.Array, counted: Callable[[jax.Array], jax.Array]
) -> jax.Array:
  """`spurious_edge_loss` of what counts of the image's differences: [..., 3] → [..., 3]."""
  losses, cells = [], [image.astype(jnp.float32), content.astype(jnp.float32)]
  large = all(side >= 128 and side % 32 == 0 for side in image.shape[1:3])
  for halvings in (3, 1, 1) if large else (3, 1):  # to cells of 8 pixels, 16 and 32
    for _ in range(halvings):
      cells = [layers.downsample2(x) for x in cells]
    for axis in (1, 2):
      edges, content_edges = (jnp.diff(x, axis=axis) for x in cells)
      share, all_edges, content_edges = (
        jnp.square(x).sum(-1) for x in (counted(edges), edges, content_edges)
      )
      flatness = jnp.exp(-content_edges / (content_edges.mean((1, 2), keepdims=True) + 1e-6))
      losses.append((flatness * share).sum((1, 2)) / (all_edges.sum((1, 2)) + 1e-6))
  return jnp.stack(losses).mean(0)


def grid_loss(image: jax.Array, *, period: int = 4) -> jax.Array:
  """How unevenly an image's gradients are spread over the positions within a grid.

  A net that works on cells of several pixels and turns each into pixels at its end can leave a
  weave: some columns of each cell get more contrast than others. In a photo or a painting no
  column is special. With ∇ the differences of neighboring pixels, down or across:

  variance, over the period² positions modulo the period, of the mean of log(|∇|² + (4/255)²)

  averaged over directions, at full and at half size. The logarithm gives plain areas, where a weave
  shows most, as much weight as textured ones.

  Args:
    image: [B, H, W, 3] in [0, 1], H and W at least 4 · period and even.
    period: of the grid, in pixels.

  Returns:
    [B] float32: about 0.002 for photos of 256 pixels, more for smaller ones, 0.03 for a weave.
  """
  image, losses = image.astype(jnp.float32), []
  for x in (image, layers.downsample2(image)):
    for axis in (1, 2):
      squares = jnp.square(jnp.diff(x, axis=axis)).sum(-1)
      logs = jnp.log(squares + (4 / 255) ** 2)
      rows, columns = (side // period for side in logs.shape[1:])
      logs = logs[:, : rows * period, : columns * period]
      means = logs.reshape(-1, rows, period, columns, period).mean((1, 3))
      losses.append(means.var((1, 2)))
  return jnp.stack(losses).mean(0)


def structure_loss(image: jax.Array, content: jax.Array, *, scales: int = 3) -> jax.Array:
  """How much the local structure of an image's luminance differs from its content's.

  1 − (σ_pc + C)/(σ_p σ_c + C) of luminance in windows of 8×8 pixels, every 4 pixels, at full, half
  and quarter size, averaged over windows and scales. Contrast costs nothing, nor does anything
  where either image is plain; what costs is strokes across the content's own, blur, and light
  turned to dark.

  Args:
    image: [B, H, W, 3] in [0, 1], H and W multiples of 2^(scales − 1), at least 8 · 2^(scales − 1).
    content: likewise.
    scales: number of scales, each of half the size.

  Returns:
    [B] float32 in [0, 2].

  Source: the structure term of Wang et al. 2004, "Image Quality Assessment: From Error Visibility
  to Structural Similarity", equation 10, with its C = (0.03)²/2.
  """
  light, content_light = (x.astype(jnp.float32).mean(-1, keepdims=True) for x in (image, content))
  losses = []
  for scale in range(scales):
    if scale:
      light, content_light = layers.downsample2(light), layers.downsample2(content_light)
    terms = jnp.concatenate(
      [light, content_light, light * light, content_light * content_light, light * content_light],
      -1,
    )
    mean, content_mean, square, content_square, product = jnp.split(
      nn.avg_pool(terms, (8, 8), strides=(4, 4)), 5, -1
    )
    variance, content_variance = (
      jnp.maximum(s - m * m, 0.0) for s, m in ((square, mean), (content_square, content_mean))
    )
    spread = jnp.sqrt(variance * content_variance + 1e-10)
    covariance = product - mean * content_mean
    losses.append(1.0 - ((covariance + 4.5e-4) / (spread + 4.5e-4)).mean((1, 2, 3)))
  return jnp.stack(losses).mean(0)
