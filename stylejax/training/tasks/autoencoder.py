"""The task "autoencoder": the content encoder and the decoder learn to reconstruct images."""

import jax
import jax.numpy as jnp

from stylejax import transfer
from stylejax.losses import pixels
from stylejax.training.state import TrainState, make_optimizers, select
from stylejax.training.step_utils import Axes, Step, average, images, update
from stylejax.training.task_configs import AutoencoderConfig


def make_train_step(config: AutoencoderConfig) -> Step:
  """Makes the train step, which closes over the config and the optimizer."""
  tx, _ = make_optimizers(config)

  def train_step(state: TrainState, batch: dict, *, axis_name: Axes = None):
    def loss_fn(trained, part):
      image = images(part["content"])
      reconstruction = transfer.reconstruct(state.params.replace(**trained), image)
      terms = {
        "l1": pixels.l1_loss(reconstruction, image).mean(),
        "multiscale": pixels.multiscale_l1_loss(reconstruction, image).mean(),
      }
      loss = config.l1_weight * terms["l1"] + config.multiscale_weight * terms["multiscale"]
      return loss, {"loss": loss, **terms}

    def grads_of(part):
      return jax.grad(loss_fn, has_aux=True)(select(state.params, config.trained), part)

    grads, metrics = average(grads_of, batch, config.accumulate, axis_name)
    return update(state, config, tx, grads, metrics)

  return train_step


def preview(params: transfer.Params, content: jax.Array, style: jax.Array | None) -> jax.Array:
  """Rows of (image, reconstruction): content uint8 [R, S, S, 3] → float32 [R, 2, S, S, 3]."""
  del style
  content = images(content)
  return jnp.stack([content, transfer.reconstruct(params, content)], 1)
