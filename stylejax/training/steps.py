"""The train steps: pure functions `step(state, batch, *, axis_name=None) -> (state, metrics)`.

A step runs on one replica's share of the batch and averages over `axis_name` when it is given. It
touches no file, clock or device. Batches are dicts of arrays: content and style uint8 [B, S, S, 3],
and index int32 [B], the place of each example in the run's order, which keys every random draw.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from stylejax import transfer
from stylejax.losses import adversarial, bands, perceptual, reconstruction
from stylejax.models import gan, resnet, vgg
from stylejax.training.config import (
  AutoencoderConfig,
  GanConfig,
  TrainConfig,
  TransferConfig,
)
from stylejax.training.state import TRAINED, TrainState, make_optimizers, select

Metrics = dict[str, jax.Array]
Step = Callable[..., tuple[TrainState, Metrics]]

CONTENT_LAYERS = {"relu4_1": 1.0, "relu3_1": 0.5}
DETAIL_LAYERS = {"relu2_1": 1.0, "relu1_1": 1.0}
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
RESNET_CONTENT_LAYERS = {"conv2_x": 0.5, "conv3_x": 1.0}
RESNET_EPS = 1e-3  # its features have a variance of about 0.1


def make_step(config: TrainConfig) -> Step:
  """The train step of a config's command; closes over what is static and nothing else."""
  makers = {AutoencoderConfig: make_autoencoder_step, GanConfig: make_gan_step,
            TransferConfig: make_transfer_step}
  return makers[type(config)](config)


def make_autoencoder_step(config: AutoencoderConfig) -> Step:
  """Content encoder and decoder learn to give pictures back."""
  names = TRAINED["autoencoder"]
  tx, _ = make_optimizers(config)

  def step(state: TrainState, batch: dict, *, axis_name: str | None = None):
    def loss_fn(trained, part):
      picture = _pictures(part["content"])
      output = transfer.reconstruct(state.params.replace(**trained), picture)
      terms = {
        "l1": reconstruction.l1_loss(output, picture),
        "multiscale": reconstruction.multiscale_l1_loss(output, picture),
      }
      loss = config.l1_weight * terms["l1"] + config.multiscale_weight * terms["multiscale"]
      return loss, {"loss": loss, **terms}

    def grads_of(part):
      return jax.grad(loss_fn, has_aux=True)(select(state.params, names), part)

    grads, metrics = _average(grads_of, batch, config.accumulate, axis_name)
    return _update(state, config, tx, names, grads, metrics)

  return step


def make_gan_step(config: GanConfig) -> Step:
  """critic_steps updates of the discriminator, then one of the noise generator.

  Each discriminator update takes every critic_steps-th example, and the generator's update the
  first of these shares; so a step is the same whichever way its examples lie on devices. Unrolled,
  because XLA's CPU backend runs the weight gradients inside a branch or a loop on one thread.
  """
  names = TRAINED["gan"]
  tx, disc_tx = make_optimizers(config)
  disc_loss, gen_loss, penalty = _game(config.game)

  def step(state: TrainState, batch: dict, *, axis_name: str | None = None):
    def noise(keys):
      return jax.vmap(lambda k: jax.random.normal(k, (config.model.noise_dim,)))(_folded(keys, 0))

    shares = [jax.tree.map(lambda x, i=i: x[i::config.critic_steps], batch)
              for i in range(config.critic_steps)]
    for share in shares:
      def disc_loss_fn(disc, part, params=state.params):
        real, keys = _pictures(part["style"]), _example_keys(state.key, part["index"])
        fake = jax.lax.stop_gradient(transfer.swatches(params, noise(keys)))
        params = params.replace(discriminator=disc)
        real_scores = transfer.discriminator_scores(params, real)
        fake_scores = transfer.discriminator_scores(params, fake)
        judged = disc_loss(real_scores, fake_scores)
        steep = penalty(params, real, fake, _folded(keys, 1))
        return judged + config.penalty_weight * steep, {
          "disc": judged, "penalty": steep,
          "score_real": transfer.mean_score(real_scores).mean(),
          "score_fake": transfer.mean_score(fake_scores).mean()}

      grads, metrics = _average(
        functools.partial(jax.grad(disc_loss_fn, has_aux=True), state.params.discriminator),
        share, config.accumulate, axis_name)
      state = _update_discriminator(state, disc_tx, grads)
      metrics = metrics | {"disc_grad_norm": optax.tree.norm(grads)}

    def loss_fn(trained, part):
      params = state.params.replace(**trained)
      z = noise(_example_keys(state.key, part["index"]))
      return gen_loss(transfer.discriminator_scores(params, transfer.swatches(params, z)))

    loss, grads = _average(
      functools.partial(jax.value_and_grad(loss_fn), select(state.params, names)),
      shares[0], config.accumulate, axis_name)
    return _update(state, config, tx, names, grads, {"loss": loss, **metrics})

  return step


def make_transfer_step(config: TransferConfig) -> Step:
  """The whole system: identity, content, style, total variation and the discriminator's judgement.

  The identity term asks that a picture painted in its own style stays as it is, however far moments
  are moved: not at all for two fifths of the examples, all the way for a fifth, uniformly between
  for the rest. Pictures are stylized at strength 1, or for a share of them with moments moved less
  far, and then held to moments as far between the photo's and the artwork's.
  Pictures are the top left quarters of the batch's photos and artworks in turn: the crops are
  random already, and a quarter of the pixels teaches as much at a quarter of the cost.
  """
  names = TRAINED["transfer"]
  tx, disc_tx = make_optimizers(config)
  disc_loss, gen_loss, penalty = _game(config.game)
  layers = tuple(sorted(set(STYLE_LAYERS) | set(CONTENT_LAYERS)))
  judged, repeat = config.adversarial_weight > 0, config.style_repeat

  def features(frozen, picture, look):
    """Of VGG16 and, if it is asked for, of ResNet-50, from one look at the pictures."""
    if config.seen_size is not None:
      picture = jax.vmap(functools.partial(_seen, side=config.seen_size))(picture, *look)
    dtype = config.model.dtype
    return (vgg.vgg16_features(frozen["vgg16"], picture, layers, dtype=dtype),
            resnet.resnet_features(frozen["resnet50"], picture, dtype=dtype)
            if config.uses_resnet else {})

  # Kept are the layers that the losses hold anyway; from each, the next ones are computed again.
  kept = jax.checkpoint_policies.save_only_these_names(*layers, *resnet.RESNET_LAYERS)
  features_to_descend = jax.checkpoint(features, policy=kept) if config.remat else features

  def grads_of(state: TrainState, batch: dict):
    """(gradients of the trained parts, those of the discriminator or None, metrics)."""
    content, style = _pictures(batch["content"]), _pictures(batch["style"])
    style = jnp.repeat(style[::repeat], repeat, 0)
    keys = _example_keys(state.key, batch["index"])
    own_amount = jax.vmap(
      lambda k: jax.random.uniform(k, minval=-1.0, maxval=1.5))(_folded(keys, 0))
    own_amount = jnp.clip(own_amount, 0.0, 1.0)
    drawn = jax.vmap(jax.random.uniform)(_folded(keys, 3))
    amount = jnp.where(drawn < config.between_share, drawn / max(config.between_share, 1e-9), 1.0)
    own = jnp.where((batch["index"] % 2 == 0)[:, None, None, None], content, style)
    own = own[:, :config.size // 2, :config.size // 2]
    look = jax.vmap(_look)(_folded(keys, 2))
    looks = [jnp.concatenate([x, x[::repeat]]) for x in look]
    seen = features(state.frozen, jnp.concatenate([content, style[::repeat]]), looks)
    content_features, content_resnet = jax.tree.map(lambda x: x[:len(content)], seen)
    style_features, style_resnet = jax.tree.map(
      lambda x: jnp.repeat(x[len(content):], repeat, 0), seen)

    def loss_fn(trained):
      params = state.params.replace(**trained)
      stylized = painted(params, content, style, amount)
      again = painted(params, own, own, own_amount)
      found, found_resnet = features_to_descend(state.frozen, stylized, look)
      found_style = {layer: found[layer] for layer in STYLE_LAYERS}
      terms = {
        "content": perceptual.content_loss(found, content_features, CONTENT_LAYERS),
        "style": perceptual.moment_style_loss(
          found_style, style_features, content_features, amount),
        "identity": reconstruction.l1_loss(again, own),
        "tv": reconstruction.total_variation(stylized),
      }
      if config.detail_weight:
        terms["detail"] = perceptual.content_loss(found, content_features, DETAIL_LAYERS)
      if config.structure_weight:
        terms["structure"] = reconstruction.structure_loss(stylized, content)
      if config.calm_weight:
        terms["calm"] = reconstruction.calm_loss(stylized, content)
      if config.colour_weight:
        terms["colour"] = perceptual.colour_loss(stylized, style, content, amount)
      if config.band_weight:
        terms["band"] = bands.band_loss(stylized, style, content, amount)
      if config.resnet_weight:
        terms["resnet"] = perceptual.moment_style_loss(
          found_resnet, style_resnet, content_resnet, amount, eps=RESNET_EPS)
      if config.resnet_content_weight:
        terms["resnet_content"] = perceptual.content_loss(
          found_resnet, content_resnet, RESNET_CONTENT_LAYERS, eps=RESNET_EPS)
      if config.gram_weight:
        terms["gram"] = perceptual.gram_style_loss(
          found_style, style_features, content_features, amount)
      if judged:
        terms["adversarial"] = gen_loss(transfer.discriminator_scores(params, stylized))
      loss = sum(getattr(config, f"{name}_weight") * term for name, term in terms.items())
      return loss, ({"loss": loss, **terms}, stylized)

    grads, (metrics, stylized) = jax.grad(loss_fn, has_aux=True)(select(state.params, names))
    if not judged:
      return grads, None, metrics
    fake = jax.lax.stop_gradient(stylized)

    def disc_loss_fn(disc):
      params = state.params.replace(discriminator=disc)
      scores = [transfer.discriminator_scores(params, x) for x in (style, fake)]
      judgement = disc_loss(*scores)
      # Quarters of the distinct artworks: a penalty is a statistic, and its gradient is dear.
      quarters = [x[::repeat, :config.size // 2, :config.size // 2] for x in (style, fake)]
      steep = penalty(params, *quarters, _folded(keys[::repeat], 1))
      return judgement + config.penalty_weight * steep, {
        "disc": judgement, "penalty": steep,
        "score_real": transfer.mean_score(scores[0]).mean(),
        "score_fake": transfer.mean_score(scores[1]).mean()}

    disc_grads, disc_metrics = jax.grad(disc_loss_fn, has_aux=True)(state.params.discriminator)
    return grads, disc_grads, metrics | disc_metrics

  def step(state: TrainState, batch: dict, *, axis_name: str | None = None):
    grads, disc_grads, metrics = _average(
      functools.partial(grads_of, state), batch, config.accumulate, axis_name)
    if judged:
      state = _update_discriminator(state, disc_tx, disc_grads)
      metrics = metrics | {"disc_grad_norm": optax.tree.norm(disc_grads)}
    return _update(state, config, tx, names, grads, metrics)

  return step


def _look(key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """(nearness, place [2]) of a window on a crop, all in [0, 1]."""
  near, place = jax.random.split(key)
  return jax.random.uniform(near), jax.random.uniform(place, (2,))


def _seen(picture: jax.Array, near: jax.Array, place: jax.Array, *, side: int) -> jax.Array:
  """A window of a picture [S, S, 3] at [side, side, 3]: from all of it (0) to as many pixels (1).

  Seen at one scale only, textures come out right at that scale only.
  """
  whole = picture.shape[0]
  window = whole + near * (side - whole)
  scale = side / window
  return jax.image.scale_and_translate(
    picture, (side, side, 3), (0, 1), jnp.stack([scale, scale]),
    -place * (whole - window) * scale, "linear")  # antialiased


def painted(params: transfer.Params, content: jax.Array, style: jax.Array,
            amount: jax.Array) -> jax.Array:
  """What the nets make of [B, H, W, 3] with moments moved by amount [B], 1 as `generate` does."""
  return gan.Generator(params.config).apply(
    {"params": params.generator}, transfer.encode_content(params, content),
    transfer.encode_style(params, style).vector, amount[:, None, None, None])


def _pictures(batch: jax.Array) -> jax.Array:
  return batch.astype(jnp.float32) / 255.0


def _example_keys(key_data: jax.Array, index: jax.Array) -> jax.Array:
  key = jax.random.wrap_key_data(key_data)
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def _folded(keys: jax.Array, salt: int) -> jax.Array:
  return jax.vmap(lambda k: jax.random.fold_in(k, salt))(keys)


def _average(function: Callable, batch: dict, parts: int, axis_name: str | None):
  """Mean of function(part) over equal parts of the batch, and over the replicas.

  The parts come one after another in a loop, so that memory holds the activations of one of them.
  """
  if parts == 1:
    mean = function(batch)
  else:
    cut = jax.tree.map(lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch)
    zeros = jax.tree.map(
      lambda x: jnp.zeros(x.shape, x.dtype),
      jax.eval_shape(function, jax.tree.map(lambda x: x[0], cut)))
    add = lambda total, part: (jax.tree.map(jnp.add, total, function(part)), None)  # noqa: E731
    total, _ = jax.lax.scan(add, zeros, cut)
    mean = jax.tree.map(lambda x: x / parts, total)
  return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def _game(name: str):
  """(discriminator loss, generator loss, penalty(params, real, fake, keys)) of a game."""
  def score(params):
    return lambda x: transfer.mean_score(transfer.discriminator_scores(params, x))

  def gradient_penalty(params, real, fake, keys):
    mix = jax.vmap(jax.random.uniform)(keys)
    return adversarial.gradient_penalty(score(params), real, fake, mix)

  def r1_penalty(params, real, fake, keys):
    del fake, keys
    return adversarial.r1_penalty(score(params), real)

  if name == "wasserstein":
    return (adversarial.wasserstein_discriminator_loss, adversarial.wasserstein_generator_loss,
            gradient_penalty)
  return (adversarial.hinge_discriminator_loss, adversarial.wasserstein_generator_loss, r1_penalty)


def _update(state: TrainState, config: TrainConfig, tx: optax.GradientTransformation,
            names: tuple[str, ...], grads: dict, metrics: Metrics):
  """One optimizer update of the named parts and of their moving average."""
  trained = select(state.params, names)
  updates, opt_state = tx.update(grads, state.opt_state, trained)
  trained = optax.apply_updates(trained, updates)
  # Early on the average follows closely, so that it holds nothing of the random start.
  decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
  average = optax.incremental_update(trained, select(state.ema_params, names), 1.0 - decay)
  metrics = metrics | {"grad_norm": optax.tree.norm(grads)}
  return state.replace(
    step=state.step + 1, params=state.params.replace(**trained),
    ema_params=state.ema_params.replace(**average), opt_state=opt_state), metrics


def _update_discriminator(state: TrainState, tx: optax.GradientTransformation, grads: dict):
  disc = state.params.discriminator
  updates, disc_opt_state = tx.update(grads, state.disc_opt_state, disc)
  disc = optax.apply_updates(disc, updates)
  return state.replace(
    params=state.params.replace(discriminator=disc),
    ema_params=state.ema_params.replace(discriminator=disc), disc_opt_state=disc_opt_state)
