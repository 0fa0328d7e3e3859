"""What the train steps of all tasks share: random keys, averages over replicas, updates, games.

A step is a pure function `step(state, batch, *, axis_name=None) -> (state, metrics)`. It runs on
one replica's share of the batch and averages over `axis_name` when that is given; it touches no
file, clock or device. Batches are dicts of arrays: content and style uint8 [B, S, S, 3], and index
int32 [B], each example's number in the run, from which every random draw gets its key.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from stylejax import transfer
from stylejax.losses import adversarial
from stylejax.training.config import TrainConfig
from stylejax.training.state import TrainState, select

Metrics = dict[str, jax.Array]
Step = Callable[..., tuple[TrainState, Metrics]]
Axes = str | tuple[str, ...] | None
"""Names of the mesh axes along which the replicas lie; None for a single replica."""


def images(batch: jax.Array) -> jax.Array:
  """Converts uint8 [B, S, S, 3] to float32 in [0, 1]."""
  return batch.astype(jnp.float32) / 255.0


def example_keys(key_data: jax.Array, index: jax.Array) -> jax.Array:
  """A key for each example [B], from the run's key data and the examples' numbers, index [B]."""
  key = jax.random.wrap_key_data(key_data)
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def fold(keys: jax.Array, purpose: int) -> jax.Array:
  """Keys [B] for one of several purposes, from keys [B]."""
  return jax.vmap(lambda key: jax.random.fold_in(key, purpose))(keys)


def average(function: Callable, batch: dict, parts: int, axis_name: Axes):
  """Mean of function(part) over equal parts of the batch, and over the replicas.

  The parts are computed one after another, so that memory holds the activations of only one.

  Args:
    function: part of the batch → tree of arrays.
    batch: arrays whose first axes have the same length, a multiple of parts.
    parts: number of parts.
    axis_name: the axis or axes of the replicas; several are averaged over together.

  Returns:
    A tree like the function's.
  """
  if parts == 1:
    mean = function(batch)
  else:
    split = jax.tree.map(lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch)
    # XLA's CPU backend computes a convolution's gradient in a loop up to eighty times slower
    # (findings/xla_cpu_convolution_gradient_in_a_loop.sh).
    total = jax.lax.platform_dependent(
      split, cpu=partial(_sum_in_a_row, function), default=partial(_sum_in_a_loop, function)
    )
    mean = jax.tree.map(lambda x: x / parts, total)
  return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def _sum_in_a_loop(function: Callable, split: dict):
  """Sum of function(part) over the first axis of split's arrays: one program for all parts."""
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype),
    jax.eval_shape(function, jax.tree.map(lambda x: x[0], split)),
  )
  return jax.lax.scan(
    lambda total, part: (jax.tree.map(jnp.add, total, function(part)), None), zeros, split
  )[0]


def _sum_in_a_row(function: Callable, split: dict):
  """The same sum as an unrolled program."""
  total = function(jax.tree.map(lambda x: x[0], split))
  for number in range(1, len(jax.tree.leaves(split)[0])):
    # XLA would start all parts at once and hold the activations of all. Adding zeros computed from
    # the sum so far makes each part wait; XLA can't drop them, since 0 · NaN is NaN.
    corner = sum(leaf.reshape(-1)[0].astype(jnp.float32) for leaf in jax.tree.leaves(total))
    zero = 0.0 * jnp.clip(corner, -1.0, 1.0)
    part = jax.tree.map(lambda x, at=number, zero=zero: x[at] + zero.astype(x.dtype), split)
    total = jax.tree.map(jnp.add, total, function(part))
  return total


def update(
  state: TrainState,
  config: TrainConfig,
  tx: optax.GradientTransformation,
  grads: dict,
  metrics: Metrics,
) -> tuple[TrainState, Metrics]:
  """Does one optimizer update of the trained parts and of their moving average.

  Returns:
    The state, and the metrics with the norms of gradients, updates and parameters added.
  """
  trained = select(state.params, config.trained)
  updates, opt_state = tx.update(grads, state.opt_state, trained)
  trained = optax.apply_updates(trained, updates)
  # Early in training the average follows closely, so that it forgets the random initialization.
  decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
  ema = optax.incremental_update(trained, select(state.ema_params, config.trained), 1.0 - decay)
  metrics = metrics | {
    "grad_norm": optax.tree.norm(grads),
    "update_norm": optax.tree.norm(updates),
    "param_norm": optax.tree.norm(trained),
  }
  return dataclasses.replace(
    state,
    step=state.step + 1,
    params=dataclasses.replace(state.params, **trained),
    ema_params=dataclasses.replace(state.ema_params, **ema),
    opt_state=opt_state,
  ), metrics


def update_discriminator(
  state: TrainState, tx: optax.GradientTransformation, grads: dict
) -> TrainState:
  """Does one optimizer update of the discriminator, which has no moving average."""
  disc = state.params.discriminator
  updates, disc_opt_state = tx.update(grads, state.disc_opt_state, disc)
  disc = optax.apply_updates(disc, updates)
  return dataclasses.replace(
    state,
    params=dataclasses.replace(state.params, discriminator=disc),
    ema_params=dataclasses.replace(state.ema_params, discriminator=disc),
    disc_opt_state=disc_opt_state,
  )


def game(name: str) -> tuple[Callable, Callable, Callable]:
  """(discriminator loss, generator loss, penalty(params, real, fake, keys)) of a GAN, each [B]."""

  def score(params):
    return lambda x: transfer.mean_score(transfer.discriminator_scores(params, x))

  def gradient_penalty(params, real, fake, keys):
    mix = jax.vmap(jax.random.uniform)(keys)
    return adversarial.gradient_penalty(score(params), real, fake, mix)

  def r1_penalty(params, real, fake, keys):
    del fake, keys
    return adversarial.r1_penalty(score(params), real)

  if name == "wasserstein":
    return (
      adversarial.wasserstein_discriminator_loss,
      adversarial.wasserstein_generator_loss,
      gradient_penalty,
    )
  return (adversarial.hinge_discriminator_loss, adversarial.wasserstein_generator_loss, r1_penalty)
