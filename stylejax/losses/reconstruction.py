"""How far a picture is from the one that it should be, pixel by pixel; and total variation."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylejax.models import blocks


def l1_loss(picture: jax.Array, target: jax.Array) -> jax.Array:
  """Mean absolute difference, in the unit of the pictures; any equal shapes → scalar."""
  return jnp.abs(picture.astype(jnp.float32) - target.astype(jnp.float32)).mean()


def multiscale_l1_loss(picture: jax.Array, target: jax.Array, *, scales: int = 3) -> jax.Array:
  """Mean over scales of the L1 loss of pictures halved 0, 1, ... scales − 1 times by averaging.

  The coarse scales weigh colour and tone more than plain L1 does.

  Args:
    picture, target: [B, H, W, 3]; H and W multiples of 2^(scales − 1).
    scales: number of scales.

  Returns:
    Scalar, in the unit of the pictures.
  """
  losses = []
  for scale in range(scales):
    if scale:
      picture, target = blocks.downsample2(picture), blocks.downsample2(target)
    losses.append(l1_loss(picture, target))
  return jnp.stack(losses).mean()


def total_variation(picture: jax.Array) -> jax.Array:
  """Mean squared difference of neighbours: (mean over rows) + (mean over columns).

  Args:
    picture: [B, H, W, C], any range.

  Returns:
    Scalar, in squared units of the picture.

  Departs from Mahendran & Vedaldi 2015, arXiv:1412.0035, equation 3, in taking means (so that it
  does not grow with the picture) and β = 2 along each axis apart.
  """
  picture = picture.astype(jnp.float32)
  down = jnp.square(picture[:, 1:] - picture[:, :-1]).mean()
  right = jnp.square(picture[:, :, 1:] - picture[:, :, :-1]).mean()
  return down + right


def calm_loss(picture: jax.Array, content: jax.Array) -> jax.Array:
  """Share of a picture's broad edges that are where the content has none.

  Both are averaged over cells of 8 and of 16 pixels, so that strokes vanish. Then, with ∇ the
  differences of neighbouring cells and r the root mean square of the content's:
  Σ exp(−|∇c|²/r²) |∇p|² / Σ |∇p|², averaged over scales, directions and batch. Clouds and halos on
  plain skies and walls make it large, contrast by itself doesn't.

  Args:
    picture: [B, H, W, 3] in [0, 1], H and W multiples of 16, at least 32.
    content: likewise.

  Returns:
    Scalar in [0, 1].
  """
  losses, broad = [], [picture.astype(jnp.float32), content.astype(jnp.float32)]
  for halvings in (3, 1):  # to cells of 8 pixels, then of 16
    for _ in range(halvings):
      broad = [blocks.downsample2(x) for x in broad]
    for axis in (1, 2):
      made, there = (jnp.square(jnp.diff(x, axis=axis)).sum(-1) for x in broad)
      plain = jnp.exp(-there / (there.mean((1, 2), keepdims=True) + 1e-6))
      losses.append(((plain * made).sum((1, 2)) / (made.sum((1, 2)) + 1e-6)).mean())
  return jnp.stack(losses).mean()


def structure_loss(picture: jax.Array, content: jax.Array, *, scales: int = 3) -> jax.Array:
  """How little the light of a picture goes up and down where its content's does.

  1 − (σ_pc + C)/(σ_p σ_c + C) of luminance in windows of 8×8 pixels, every 4 pixels, at full, half
  and quarter size; means over windows and scales. Contrast is free, and so is everything where
  either is plain; strokes across the content's own, blur, and light turned to dark cost.

  Args:
    picture: [B, H, W, 3] in [0, 1], H and W multiples of 2^(scales − 1), at least 8 · that.
    content: likewise.
    scales: number of sizes.

  Returns:
    Scalar in [0, 2].

  Source: the structure term of Wang et al. 2004, "Image Quality Assessment: From Error Visibility
  to Structural Similarity", equation 10, with its C = (0.03)²/2.
  """
  pair = [x.astype(jnp.float32).mean(-1, keepdims=True) for x in (picture, content)]
  losses = []
  for scale in range(scales):
    if scale:
      pair = [blocks.downsample2(x) for x in pair]
    made, there = pair
    terms = jnp.concatenate([made, there, made * made, there * there, made * there], -1)
    mean, mean_c, square, square_c, product = jnp.split(
      nn.avg_pool(terms, (8, 8), strides=(4, 4)), 5, -1)
    variance, variance_c = (jnp.maximum(s - m * m, 0.0) for s, m in (
      (square, mean), (square_c, mean_c)))
    spread = jnp.sqrt(variance * variance_c + 1e-10)
    losses.append(1.0 - ((product - mean * mean_c + 4.5e-4) / (spread + 4.5e-4)).mean())
  return jnp.stack(losses).mean()
