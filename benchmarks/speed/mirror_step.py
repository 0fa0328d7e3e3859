"""A transfer step of training in PyTorch, on the nets of mirror.py; needs the extra `bench`.

Tensors are [B, C, H, W].
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.speed.mirror import (
  channel_moments,
  discriminate,
  read_params,
  read_part,
  stylize_partially,
  vgg_features,
)
from stylejax.transfer import Params


class TransferStep:
  """One step of `train.py transfer` with its default losses and optimizers."""

  def __init__(self, params: Params, vgg: Mapping[str, Any], config: Any):
    self._config, self._vgg = config, read_part(vgg)
    self._parts = read_params(params)
    for part in self._parts.values():
      for weight in part.values():
        weight.requires_grad_(True)
    self._average = {
      name: {k: w.detach().clone() for k, w in part.items()} for name, part in self._parts.items()
    }
    self._disc = list(self._parts["discriminator"].values())
    self._gen = [
      w for name, part in self._parts.items() if name != "discriminator" for w in part.values()
    ]
    betas = (config.adam_b1, config.adam_b2)
    self._gen_adam = torch.optim.Adam(self._gen, config.learning_rate, betas)
    self._disc_adam = torch.optim.Adam(self._disc, config.disc_learning_rate, (0.0, betas[1]))

  def __call__(self, content: torch.Tensor, style: torch.Tensor) -> float:
    """Updates both players on [B, 3, S, S] images; returns the generator's loss."""
    config, parts = self._config, self._parts
    repeat = config.style_repeat
    distinct = style[::repeat]
    style = distinct.repeat_interleave(repeat, 0)
    half = config.size // 2
    identity_target = content.clone()
    identity_target[1::2] = style[1::2]
    identity_target = identity_target[:, :, :half, :half]
    identity_strength = torch.empty(len(content), 1, 1, 1).uniform_(-1.0, 1.5).clamp(0, 1)
    with torch.no_grad():
      target_features = vgg_features(self._vgg, torch.cat([content, distinct]))
    drawn = torch.rand(len(content), 1, 1, 1)
    amount = torch.where(
      drawn < config.partial_strength_fraction,
      drawn / max(config.partial_strength_fraction, 1e-9),
      1.0,
    )
    stylized = stylize_partially(parts, content, style, amount)
    restyled = stylize_partially(parts, identity_target, identity_target, identity_strength)
    stylized_features = vgg_features(self._vgg, stylized)
    content_features = {name: f[: len(content)] for name, f in target_features.items()}
    style_features = {
      name: f[len(content) :].repeat_interleave(repeat, 0) for name, f in target_features.items()
    }
    content_loss = sum(
      weight
      * (_normalized(stylized_features[name]) - _normalized(content_features[name])).square().mean()
      for name, weight in (("relu4_1", 1.0), ("relu3_1", 0.5))
    )
    style_loss = torch.stack(
      [
        _moment_distance(
          stylized_features[name], style_features[name], content_features[name], amount
        )
        for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
      ]
    ).mean()
    variation = (stylized[:, :, 1:] - stylized[:, :, :-1]).square().mean() + (
      stylized[..., 1:] - stylized[..., :-1]
    ).square().mean()
    adversarial = -torch.stack(
      [s.mean() for s in discriminate(parts["discriminator"], stylized)]
    ).mean()
    loss = (
      config.content_weight * content_loss
      + config.style_weight * style_loss
      + config.identity_weight * (restyled - identity_target).abs().mean()
      + config.tv_weight * variation
      + config.adversarial_weight * adversarial
    )
    grads = torch.autograd.grad(loss, self._gen)
    self._update(grads, self._disc_gradients(style, stylized.detach(), half))
    return loss.item()

  def _update(self, grads, disc_grads) -> None:
    """Updates both players and the moving average."""
    config = self._config
    _update(self._gen_adam, self._gen, grads, config.clip_norm)
    _update(self._disc_adam, self._disc, disc_grads, config.clip_norm)
    with torch.no_grad():
      for name, part in self._parts.items():
        torch._foreach_lerp_(
          list(self._average[name].values()), list(part.values()), 1.0 - config.ema_decay
        )

  def _disc_gradients(self, style, fake, half):
    weights, config = self._parts["discriminator"], self._config
    real, made = discriminate(weights, style), discriminate(weights, fake)
    game = (
      torch.stack([F.relu(1 - s).mean() for s in real]).mean()
      + torch.stack([F.relu(1 + s).mean() for s in made]).mean()
    )
    quarter = style[:: config.style_repeat, :, :half, :half].clone().requires_grad_(True)
    score = torch.stack([s.mean((1, 2, 3)) for s in discriminate(weights, quarter)]).mean(0)
    (slope,) = torch.autograd.grad(score.sum(), quarter, create_graph=True)
    penalty = 0.5 * slope.square().sum((1, 2, 3)).mean()
    return torch.autograd.grad(game + config.penalty_weight * penalty, self._disc)


def _normalized(x):
  mean, std = channel_moments(x, 1e-2)
  return (x - mean) / std


def _moment_distance(features, target, content, amount):
  mean, std = channel_moments(features, 1e-2)
  mean_t, std_t = (
    start + amount * (end - start)
    for start, end in zip(
      channel_moments(content, 1e-2), channel_moments(target, 1e-2), strict=True
    )
  )
  moved = ((mean - mean_t).square() + (std - std_t).square()).mean((1, 2, 3))
  return (moved / (mean_t.square() + std_t.square()).mean((1, 2, 3))).mean()


def _update(adam, weights, grads, clip_norm):
  for weight, grad in zip(weights, grads, strict=True):
    weight.grad = grad
  torch.nn.utils.clip_grad_norm_(weights, clip_norm)
  adam.step()
  adam.zero_grad(set_to_none=True)
