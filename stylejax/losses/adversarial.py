"""Adversarial losses: Wasserstein with gradient penalty, and hinge with R1.

Scores are what the discriminator module returns: one map [B, h, w, 1] for each scale. Every loss
averages over the patches of a scale, then over scales, and returns one number per image, [B].
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Scores = Sequence[jax.Array]


def _mean_score(maps: Sequence[jax.Array]) -> jax.Array:
  return jnp.stack([m.mean((1, 2, 3)) for m in maps]).mean(0)


def wasserstein_discriminator_loss(real: Scores, fake: Scores) -> jax.Array:
  """D(fake) − D(real) of each pair, [B]; minimizing its mean maximizes the value of the game.

  Source: Arjovsky et al. 2017, arXiv:1701.07875, section 3.
  """
  return _mean_score(fake) - _mean_score(real)


def wasserstein_generator_loss(fake: Scores) -> jax.Array:
  """−D(fake) of each image, [B]; also the generator's loss in the hinge game."""
  return -_mean_score(fake)


def hinge_discriminator_loss(real: Scores, fake: Scores) -> jax.Array:
  """max(0, 1 − D(real)) + max(0, 1 + D(fake)) of each pair, averaged over patches and scales, [B].

  Source: Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equation 16.
  """
  return _mean_score([jnp.maximum(0.0, 1.0 - s) for s in real]) + _mean_score(
    [jnp.maximum(0.0, 1.0 + s) for s in fake]
  )


def gradient_penalty(
  score: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, mix: jax.Array
) -> jax.Array:
  """(‖∇D(x̂)‖₂ − 1)² with x̂ = mix·real + (1 − mix)·fake; keeps D nearly 1-Lipschitz.

  Args:
    score: images [B, H, W, 3] → [B], each score depending on its own image only.
    real, fake: [B, H, W, 3].
    mix: [B], uniform in [0, 1].

  Returns:
    [B] float32.

  Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
  """
  mix = mix[:, None, None, None]
  squared_norm = _squared_gradient_norm(score, mix * real + (1.0 - mix) * fake)
  return jnp.square(jnp.sqrt(squared_norm + 1e-12) - 1.0)


def r1_penalty(score: Callable[[jax.Array], jax.Array], real: jax.Array) -> jax.Array:
  """½ ‖∇D(real)‖₂²; flattens D around real images.

  Args:
    score: images [B, H, W, 3] → [B], each score depending on its own image only.
    real: [B, H, W, 3].

  Returns:
    [B] float32.

  Source: Mescheder et al. 2018, arXiv:1801.04406, equation 9.
  """
  return 0.5 * _squared_gradient_norm(score, real)


def _squared_gradient_norm(score, images):
  gradient = jax.grad(lambda x: score(x).sum())(images)
  return jnp.square(gradient.astype(jnp.float32)).sum((1, 2, 3))
