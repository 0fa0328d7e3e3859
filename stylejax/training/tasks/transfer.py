"""The task "transfer": the whole system learns to stylize any photo in the style of any artwork."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from stylejax import transfer
from stylejax.models import resnet50, vgg16
from stylejax.models.generator import Generator
from stylejax.models.noise_map import drawn_corner
from stylejax.models.params import part_of
from stylejax.training import terms
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
from stylejax.training.task_configs import TransferConfig


def make_train_step(config: TransferConfig) -> Step:
  """Makes the train step: all active loss terms, and the discriminator's update if it is used."""
  tx, disc_tx = make_optimizers(config)
  gradients = _make_gradients(config)
  disc_gradients = _make_disc_gradients(config) if config.adversarial_weight > 0 else None

  def grads_of(state: TrainState, batch: dict):
    """(gradients of the trained parts, of the discriminator or None, metrics)."""
    content, style = images(batch["content"]), images(batch["style"])
    style = jnp.repeat(style[:: config.style_repeat], config.style_repeat, 0)
    keys = example_keys(state.key, batch["index"])
    grads, (metrics, stylized) = gradients(state, content, style, batch["index"], keys)
    if disc_gradients is None:
      return grads, None, metrics
    disc_grads, disc_metrics = disc_gradients(state, style, jax.lax.stop_gradient(stylized), keys)
    return grads, disc_grads, metrics | disc_metrics

  def train_step(state: TrainState, batch: dict, *, axis_name: Axes = None):
    grads, disc_grads, metrics = average(
      functools.partial(grads_of, state), batch, config.accumulate, axis_name
    )
    if disc_gradients is not None:
      state = update_discriminator(state, disc_tx, disc_grads)
      metrics = metrics | {"disc_grad_norm": optax.tree.norm(disc_grads)}
    return update(state, config, tx, grads, metrics)

  return train_step


def _make_gradients(config: TransferConfig) -> Callable:
  """Makes `gradients(state, content, style, index, keys)` of the trained parts.

  The identity term asks that an image stylized with its own style stays as it is, however far its
  moments are moved: not at all for two fifths of the examples, all the way for one fifth, and
  uniformly in between for the rest. Its images are the top left quarters of the batch's photos and
  artworks in turn: the crops are random already, and a quarter of the pixels teaches as much at a
  quarter of the cost.
  Images are stylized at strength 1, or for a fraction of them at a lower strength; the style losses
  then compare them with moments just as far between the photo's and the artwork's.
  """
  gen_loss = game(config.game)[1]
  active, repeat = terms.active_terms(config), config.style_repeat
  features, features_of_stylized = _feature_functions(config)

  def gradients(state: TrainState, content, style, index, keys):
    original, identity_strength = _identity_images(content, style, index, keys)
    strength = _strengths(keys, config.partial_strength_fraction)
    window = jax.vmap(_draw_window)(fold(keys, 2))
    # The nets would turn noise that is always the same in the same place into a pattern.
    corner = jax.vmap(drawn_corner)(fold(keys, 4))
    windows = [jnp.concatenate([x, x[::repeat]]) for x in window]
    targets = features(state.frozen, jnp.concatenate([content, style[::repeat]]), windows)
    taught = None
    if config.teacher is not None:
      taught = stylize_partially(
        (state.frozen or {})["teacher"], content, style, strength, noise_corner=corner
      )
    content_features = jax.tree.map(lambda x: x[: len(content)], targets)
    style_features = jax.tree.map(lambda x: jnp.repeat(x[len(content) :], repeat, 0), targets)

    def loss_fn(trained):
      params = state.params.replace(**trained)
      stylized = stylize_partially(params, content, style, strength, noise_corner=corner)
      nets = {
        name: terms.NetFeatures(net_features, content_features[name], style_features[name])
        for name, net_features in features_of_stylized(state.frozen, stylized, window).items()
      }
      views = terms.Views(
        stylized=stylized,
        content=content,
        style=style,
        strength=strength,
        restyled=stylize_partially(params, original, original, identity_strength),
        original=original,
        vgg=nets.get("vgg16"),
        resnet=nets.get("resnet50"),
        scores=lambda: transfer.discriminator_scores(params, stylized),
        taught=taught,
      )
      metrics = {term.name: term.loss(views, gen_loss).mean() for term in active}
      loss = sum(terms.weight(config, term) * metrics[term.name] for term in active)
      return loss, ({"loss": loss, **metrics}, stylized)

    return jax.grad(loss_fn, has_aux=True)(select(state.params, config.trained))

  return gradients


def _make_disc_gradients(config: TransferConfig) -> Callable:
  """Makes `disc_gradients(state, style, stylized, keys)` of the discriminator's terms."""
  disc_loss, _, penalty = game(config.game)
  repeat, half = config.style_repeat, config.size // 2

  def disc_gradients(state: TrainState, style, stylized, keys):
    def disc_loss_fn(disc):
      params = state.params.replace(discriminator=disc)
      scores = [transfer.discriminator_scores(params, x) for x in (style, stylized)]
      loss = disc_loss(*scores).mean()
      # Quarters of the distinct artworks suffice: a penalty is a statistic with a costly gradient.
      quarters = [x[::repeat, :half, :half] for x in (style, stylized)]
      penalty_term = penalty(params, *quarters, fold(keys[::repeat], 1)).mean()
      return loss + config.penalty_weight * penalty_term, {
        "disc": loss,
        "penalty": penalty_term,
        "score_real": transfer.mean_score(scores[0]).mean(),
        "score_fake": transfer.mean_score(scores[1]).mean(),
      }

    return jax.grad(disc_loss_fn, has_aux=True)(state.params.discriminator)

  return disc_gradients


def _feature_functions(config: TransferConfig) -> tuple[Callable, Callable]:
  """Makes `features(frozen, images, window)` → {net: {layer: [B, H, W, C]}} in two variants.

  The second one is for the gradient: if the config sets `remat`, it keeps only the layers that the
  losses use anyway and computes the others again in the backward pass.
  """
  layers = tuple(sorted({*terms.STYLE_LAYERS, *terms.CONTENT_LAYERS}))
  dtype, size, nets = config.model.dtype, config.perceptual_size, config.perceptual_nets

  def features(frozen, image, window):
    if size is not None:
      image = jax.vmap(functools.partial(_resized_window, side=size))(image, *window)
    outputs = {}
    if "vgg16" in nets:
      outputs["vgg16"] = vgg16.vgg16_features(frozen["vgg16"], image, layers=layers, dtype=dtype)
    if "resnet50" in nets:
      outputs["resnet50"] = resnet50.resnet_features(frozen["resnet50"], image, dtype=dtype)
    return outputs

  policy = jax.checkpoint_policies.save_only_these_names(*layers, *resnet50.RESNET_LAYERS)
  return features, jax.checkpoint(features, policy=policy) if config.remat else features


def _identity_images(
  content: jax.Array, style: jax.Array, index: jax.Array, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """(quarters of photos and artworks in turn [B, S/2, S/2, 3], how far moments are moved [B])."""
  drawn = jax.vmap(lambda k: jax.random.uniform(k, minval=-1.0, maxval=1.5))(fold(keys, 0))
  image = jnp.where((index % 2 == 0)[:, None, None, None], content, style)
  half = image.shape[1] // 2
  return image[:, :half, :half], jnp.clip(drawn, 0.0, 1.0)


def _strengths(keys: jax.Array, partial_fraction: float) -> jax.Array:
  """Strengths [B]: uniform between 0 and 1 for a fraction of the examples, 1 for the others."""
  drawn = jax.vmap(jax.random.uniform)(fold(keys, 3))
  return jnp.where(drawn < partial_fraction, drawn / max(partial_fraction, 1e-9), 1.0)


def _draw_window(key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Draws (zoom, position [2]) of a window of a crop, all in [0, 1]."""
  zoom, position = jax.random.split(key)
  return jax.random.uniform(zoom), jax.random.uniform(position, (2,))


def _resized_window(
  image: jax.Array, zoom: jax.Array, position: jax.Array, *, side: int
) -> jax.Array:
  """Cuts a window from an image [S, S, 3] and resizes it to [side, side, 3].

  The window is the whole image at zoom 0 and side × side pixels at zoom 1. Its size varies because
  textures that are compared at one scale come out right only at that scale.
  """
  whole = image.shape[0]
  window = whole + zoom * (side - whole)
  scale = side / window
  return jax.image.scale_and_translate(
    image,
    (side, side, 3),
    (0, 1),
    jnp.stack([scale, scale]),
    -position * (whole - window) * scale,
    "linear",
  )  # antialiased


def stylize_partially(
  params: transfer.Params,
  content: jax.Array,
  style: jax.Array,
  amount: jax.Array,
  *,
  noise_corner: jax.Array | None = None,
) -> jax.Array:
  """Stylizes images [B, H, W, 3] with moments moved by amount [B]; `generate` moves them by 1.

  noise_corner is [B, 2]: the cell of the noise map at which each image's noise starts.
  """
  stylized: jax.Array = Generator(params.config).apply(  # type: ignore[assignment]
    {"params": part_of(params, "generator")},
    transfer.encode_content(params, content),
    transfer.encode_style(params, style).vector,
    noise_gain=amount[:, None, None, None],
    moment_shift=amount[:, None, None, None],
    noise_corner=noise_corner,
  )
  return stylized


def preview(params: transfer.Params, content: jax.Array, style: jax.Array) -> jax.Array:
  """Rows of (content, style, stylized, reconstruction): uint8 [R, S, S, 3] → [R, 4, S, S, 3]."""
  content, style = images(content), images(style)
  return jnp.stack(
    [
      content,
      style,
      transfer.stylize(params, content, style),
      transfer.reconstruct(params, content),
    ],
    1,
  )
