"""The game between generator and discriminator: Wasserstein with gradient penalty, hinge with R1.

Scores are what the discriminator module returns: for each scale a map [B, h, w, 1]. Every loss
averages over the patches of a scale, then over scales and pictures.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Scores = Sequence[jax.Array]


def _mean(maps: Sequence[jax.Array]) -> jax.Array:
  return jnp.stack([m.mean() for m in maps]).mean()


def wasserstein_discriminator_loss(real: Scores, fake: Scores) -> jax.Array:
  """E[D(fake)] − E[D(real)], to be minimised: the negative of the game's value.

  Source: Arjovsky et al. 2017, arXiv:1701.07875, section 3.
  """
  return _mean(fake) - _mean(real)


def wasserstein_generator_loss(fake: Scores) -> jax.Array:
  """−E[D(fake)]; also the generator's side of the hinge game."""
  return -_mean(fake)


def hinge_discriminator_loss(real: Scores, fake: Scores) -> jax.Array:
  """E[max(0, 1 − D(real))] + E[max(0, 1 + D(fake))].

  Source: Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equation 16.
  """
  return (_mean([jnp.maximum(0.0, 1.0 - s) for s in real])
          + _mean([jnp.maximum(0.0, 1.0 + s) for s in fake]))


def gradient_penalty(score: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array,
                     mix: jax.Array) -> jax.Array:
  """E[(‖∇D(x̂)‖₂ − 1)²] with x̂ = mix·real + (1 − mix)·fake: keeps D near 1-Lipschitz.

  Args:
    score: pictures [B, H, W, 3] → [B], each depending on its own picture only.
    real, fake: [B, H, W, 3].
    mix: [B], uniform in [0, 1].

  Returns:
    Scalar.

  Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
  """
  mix = mix[:, None, None, None]
  slopes = _slopes(score, mix * real + (1.0 - mix) * fake)
  return jnp.square(jnp.sqrt(slopes + 1e-12) - 1.0).mean()


def r1_penalty(score: Callable[[jax.Array], jax.Array], real: jax.Array) -> jax.Array:
  """½ E[‖∇D(real)‖₂²]: flattens D around real pictures.

  Args:
    score: pictures [B, H, W, 3] → [B], each depending on its own picture only.
    real: [B, H, W, 3].

  Returns:
    Scalar.

  Source: Mescheder et al. 2018, arXiv:1801.04406, equation 9.
  """
  return 0.5 * _slopes(score, real).mean()


def _slopes(score, pictures):
  gradient = jax.grad(lambda x: score(x).sum())(pictures)
  return jnp.square(gradient.astype(jnp.float32)).sum((1, 2, 3))
