"""The state that a training run carries from step to step, and how it is initialized."""

import dataclasses
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
import optax.contrib

from stylejax import transfer
from stylejax.models import nets
from stylejax.training.config import TrainConfig

# Muon's updates are scaled to this root mean square at a step size of 1, as large as Adam's usually
# are, so that one step size serves both (Liu et al. 2025, arXiv:2502.16982).
_ADAMS_RMS = 0.2


@flax.struct.dataclass
class TrainState:
  """State of a run; every leaf is an array, so it can be donated, mapped and saved as it is.

  Attributes:
    step: scalar int32, number of updates done.
    params: the parts that the task trains; the others are None.
    ema_params: moving average of the trained parts; the discriminator is the same as in params.
    opt_state: optimizer state of the trained parts.
    disc_opt_state: optimizer state of the discriminator, or None.
    key: uint32 key data of the run's PRNG key; never changes.
    frozen: parameters, by name, of those perceptual nets that a loss uses ("vgg16", "resnet50") and
      of the "teacher" if there is one, or None; not saved in checkpoints.
  """

  step: jax.Array
  params: transfer.Params
  ema_params: transfer.Params
  opt_state: optax.OptState
  disc_opt_state: optax.OptState | None
  key: jax.Array
  frozen: dict | None = None


def select(params: transfer.Params, names: tuple[str, ...]) -> dict:
  """The named parts as a dict, to differentiate or optimize."""
  return {name: getattr(params, name) for name in names}


def learning_rate_schedule(config: TrainConfig, peak: float) -> optax.Schedule:
  """Rises linearly over warmup_steps, stays at peak, and falls by cosine over decay_fraction."""
  decay = round(config.decay_fraction * config.steps)
  warmup = min(config.warmup_steps, config.steps - decay)
  return optax.join_schedules(
    [
      optax.linear_schedule(0.0 if warmup else peak, peak, max(warmup, 1)),
      optax.constant_schedule(peak),
      optax.cosine_decay_schedule(peak, max(decay, 1), config.final_rate),
    ],
    [warmup, config.steps - decay],
  )


def make_optimizers(config: TrainConfig) -> tuple[optax.GradientTransformation, ...]:
  """(optimizer of the trained parts, optimizer of the discriminator)."""

  def clipped(optimizer):
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)

  def adam(peak, b1, updates=1):
    schedule = learning_rate_schedule(config, peak)
    return clipped(optax.adam(lambda count: schedule(count // updates), b1, config.adam_b2))

  if config.optimizer == "muon":
    tx = clipped(
      optax.contrib.muon(
        learning_rate_schedule(config, config.learning_rate),
        adam_b1=config.adam_b1,
        adam_b2=config.adam_b2,
        muon_weight_dimension_numbers=_kernels,
        consistent_rms=_ADAMS_RMS,
      )
    )
  else:
    tx = adam(config.learning_rate, config.adam_b1)
  if config.backbone_lr_scale != 1:
    tx = optax.chain(tx, optax.masked(optax.scale(config.backbone_lr_scale), _backbone))
  # The schedule counts train steps, and some tasks update the discriminator several times in each.
  return tx, adam(config.disc_learning_rate, 0.0, config.discriminator_updates)


def _kernels(trained: dict) -> dict:
  """For Muon: each kernel as a matrix, inputs (all axes but the last) by outputs; None for biases.

  A convolution's kernel [3, 3, I, O] counts as one matrix [9 · I, O].
  """

  def matrix(leaf):
    axes = tuple(range(leaf.ndim))
    return optax.contrib.MuonDimensionNumbers(axes[:-1], axes[-1]) if leaf.ndim > 1 else None

  return jax.tree.map(matrix, trained)


def _backbone(trained: dict) -> dict:
  """True for the trained parts that don't depend on style: the content encoder and the decoder."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[0].key == "content_encoder" or path[1].key == "decoder", trained
  )


def init_state(config: TrainConfig) -> TrainState:
  """The state at step 0; a pure function of the config, so `jax.eval_shape` gives its shapes."""
  key = jax.random.key(config.seed)
  init_key, run_key = jax.random.split(key)
  params = nets.init_params(init_key, config.model)
  parts = config.trained + (("discriminator",) if config.uses_discriminator else ())
  untrained: dict[str, Any] = {name: None for name in transfer.PARTS if name not in parts}
  params = dataclasses.replace(params, **untrained)
  return with_optimizers(config, params, jax.random.key_data(run_key))


def with_optimizers(
  config: TrainConfig, params: transfer.Params, key_data: jax.Array
) -> TrainState:
  """A state at step 0 with the given parameters; key_data is that of the run's PRNG key."""
  tx, disc_tx = make_optimizers(config)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema_params=jax.tree.map(jnp.copy, params),
    opt_state=tx.init(select(params, config.trained)),
    disc_opt_state=disc_tx.init(params.discriminator) if config.uses_discriminator else None,
    key=key_data,
  )
