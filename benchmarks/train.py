"""How many images a second do the train steps take in, and what does each loss cost?

    python -m benchmarks train --commands transfer --batch 4 --size 128

Random pictures, no input pipeline: the steps alone. `loss: …` is one loss of the transfer step
with its gradient by the stylized picture, or of the penalty, by the discriminator.
"""

import dataclasses
import time
from typing import Literal

import jax
import numpy as np

from benchmarks import timing
from stylejax import transfer
from stylejax.data.perceptual import load_vgg
from stylejax.losses import adversarial, perceptual, reconstruction
from stylejax.models import vgg
from stylejax.models.config import ModelConfig
from stylejax.training import config as configs, parallel, steps
from stylejax.training.state import init_state


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to keep it."""

  commands: tuple[Literal["autoencoder", "gan", "transfer"], ...] = (
    "autoencoder", "gan", "transfer")
  """Whose steps."""
  losses: bool = False
  """Also time the losses of the transfer step one by one."""
  preset: Literal["tiny", "base", "large"] = "base"
  """Sizes of the nets."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Of the activations."""
  batch: int | None = None
  """Pictures of each kind per step, over all local devices. Default: the command's own."""
  size: int = 128
  """Side of the crops in pixels."""
  repeats: int = 10
  """Timed rounds, after two that are not."""
  output: timing.Path | None = None
  """JSON file for the result; it is printed as a table either way."""
  trace: timing.Path | None = None
  """Folder for a jax.profiler trace of each case, for XProf or Perfetto."""


def step_case(command: str, config: configs.TrainConfig, *, name: str | None = None) -> timing.Case:
  """The whole step of a command on all local devices, its state donated from call to call."""
  config.check()
  parallel.check_batch(config.batch, config.group)
  state = jax.jit(lambda: init_state(config, command))()
  if command == "transfer":
    state = state.replace(frozen=load_vgg())
  side = config.model.swatch_size if command == "gan" else config.size
  rng = np.random.default_rng(0)
  host = {key: rng.integers(0, 256, (config.batch, side, side, 3)).astype(np.uint8)
          for key in ("content", "style")}
  host["index"] = np.arange(config.batch, dtype=np.int32)
  step = steps.make_step(config)
  flops = timing.direct_flops(step, (state, host))
  replicas = parallel.make_replicas(config.parallel, step)
  batch, held = replicas.put_batch(host), [replicas.put_state(state)]
  start = time.perf_counter()
  compiled = replicas.step.lower(held[0], batch).compile()
  seconds = time.perf_counter() - start

  def call():
    held[0], metrics = compiled(held[0], batch)
    return held[0], metrics

  about = {"size": side, "batch": config.batch, "dtype": config.model.dtype,
           "devices": len(jax.devices())}
  return timing.Case(name or f"{command} step", call, config.batch, about, compiled, flops, seconds)


def transfer_case(model: ModelConfig, *, batch: int, size: int) -> timing.Case:
  """The transfer step of a preset, for other files of this folder."""
  return step_case("transfer", configs.TransferConfig(
    preset=model.name, dtype=model.dtype, batch=batch, size=size))


def loss_cases(config: configs.TransferConfig) -> list[timing.Case]:
  """Each loss of the transfer step and its gradient by what it moves."""
  params = jax.jit(lambda: init_state(config, "transfer"))().params
  frozen = load_vgg()
  rng = np.random.default_rng(0)
  shape = (config.batch, config.size, config.size, 3)
  picture, other = (rng.random(shape, np.float32) for _ in range(2))
  layers = {"content": tuple(steps.CONTENT_LAYERS), "style": steps.STYLE_LAYERS,
            "gram": steps.STYLE_LAYERS}

  def features(frozen, picture, name):
    return vgg.vgg16_features(frozen, picture, layers[name], dtype=config.model.dtype)

  def content(given, x):
    found, target = features(given, x, "content"), features(given, other, "content")
    return perceptual.content_loss(found, target, steps.CONTENT_LAYERS)

  def style(given, x):
    found, target = features(given, x, "style"), features(given, other, "style")
    return perceptual.moment_style_loss(found, target)

  def gram(given, x):
    return perceptual.gram_style_loss(features(given, x, "gram"), features(given, other, "gram"))

  def judged(given, x):
    return adversarial.wasserstein_generator_loss(transfer.discriminator_scores(given, x))

  def penalty(disc, x):
    judge = params.replace(discriminator=disc)
    return adversarial.r1_penalty(
      lambda p: transfer.mean_score(transfer.discriminator_scores(judge, p)), x)

  def identity(given, x):
    del given
    return reconstruction.l1_loss(x, other)

  def variation(given, x):
    del given
    return reconstruction.total_variation(x)

  about = {"size": config.size, "batch": config.batch, "dtype": config.model.dtype, "devices": 1}
  wanted = {"content": (content, frozen), "style": (style, frozen), "gram": (gram, frozen),
            "adversarial": (judged, params), "identity": (identity, params),
            "tv": (variation, params)}
  cases = [timing.jit_case(f"loss: {name}", jax.grad(loss, argnums=1), (given, picture),
                           config.batch, about) for name, (loss, given) in wanted.items()]
  return [*cases, timing.jit_case("loss: penalty", jax.grad(penalty),
                                  (params.discriminator, picture), config.batch, about)]


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  cases = []
  for command in options.commands:
    kind = configs.COMMANDS[command]
    cases.append(step_case(command, kind(
      preset=options.preset, dtype=options.dtype, size=options.size,
      batch=options.batch or kind.batch)))
  if options.losses:
    cases += loss_cases(configs.TransferConfig(
      preset=options.preset, dtype=options.dtype, size=options.size, batch=options.batch or 4))
  found = timing.measure(cases, options.repeats, trace=options.trace)
  found["peak_resident_mib"] = timing.peak_resident_mib()
  return timing.report("train", options, found)


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
