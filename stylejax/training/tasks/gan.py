"""The task "gan": the noise generator learns to make texture samples that pass for artworks."""

import functools

import jax
import optax

from stylejax import transfer
from stylejax.training.state import TrainState, make_optimizers, select
from stylejax.training.step_utils import (
  Axes,
  Step,
  average,
  example_keys,
  fold,
  game,
  images,
  update,
  update_discriminator,
)
from stylejax.training.task_configs import GanConfig

PREVIEW_SIDE = 4


def make_train_step(config: GanConfig) -> Step:
  """Makes a train step: critic_steps discriminator updates, then one noise generator update.

  Each discriminator update takes every critic_steps-th example, starting one later each time, and
  the generator's update takes the same examples as the first of them. So a step is the same however
  its examples are spread over devices. The updates are unrolled, because XLA's CPU backend runs the
  weight gradients inside a branch or a loop on one thread.
  """
  tx, disc_tx = make_optimizers(config)
  disc_loss, gen_loss, penalty = game(config.game)

  def noise(keys):
    return jax.vmap(lambda k: jax.random.normal(k, (config.model.noise_dim,)))(fold(keys, 0))

  def train_step(state: TrainState, batch: dict, *, axis_name: Axes = None):
    update_batches = [
      jax.tree.map(lambda x, i=i: x[i :: config.critic_steps], batch)
      for i in range(config.critic_steps)
    ]
    for update_batch in update_batches:

      def disc_loss_fn(disc, part, params=state.params, key=state.key):
        real, keys = images(part["style"]), example_keys(key, part["index"])
        fake = jax.lax.stop_gradient(transfer.textures(params, noise(keys)))
        params = params.replace(discriminator=disc)
        real_scores = transfer.discriminator_scores(params, real)
        fake_scores = transfer.discriminator_scores(params, fake)
        loss = disc_loss(real_scores, fake_scores).mean()
        penalty_term = penalty(params, real, fake, fold(keys, 1)).mean()
        return loss + config.penalty_weight * penalty_term, {
          "disc": loss,
          "penalty": penalty_term,
          "score_real": transfer.mean_score(real_scores).mean(),
          "score_fake": transfer.mean_score(fake_scores).mean(),
        }

      grads, metrics = average(
        functools.partial(jax.grad(disc_loss_fn, has_aux=True), state.params.discriminator),
        update_batch,
        config.accumulate,
        axis_name,
      )
      state = update_discriminator(state, disc_tx, grads)
      metrics = metrics | {"disc_grad_norm": optax.tree.norm(grads)}

    def loss_fn(trained, part):
      params = state.params.replace(**trained)
      z = noise(example_keys(state.key, part["index"]))
      return gen_loss(transfer.discriminator_scores(params, transfer.textures(params, z))).mean()

    loss, grads = average(
      functools.partial(jax.value_and_grad(loss_fn), select(state.params, config.trained)),
      update_batches[0],
      config.accumulate,
      axis_name,
    )
    return update(state, config, tx, grads, {"loss": loss, **metrics})

  return train_step


def preview(params: transfer.Params, content: jax.Array | None, style: jax.Array) -> jax.Array:
  """Texture samples of the same noise each time, float32 [4, 4, S, S, 3]."""
  del content, style
  z = jax.random.normal(jax.random.key(0), (PREVIEW_SIDE**2, params.config.noise_dim))
  samples = transfer.textures(params, z)
  return samples.reshape(PREVIEW_SIDE, PREVIEW_SIDE, *samples.shape[1:])
