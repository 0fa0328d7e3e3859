"""How many images a second do the train steps take in, and what does each loss cost?

    python -m benchmarks train --commands transfer --batch 4 --size 128

Random pictures, no input pipeline: the steps alone. `loss: …` is one loss of the transfer step
with its gradient.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from benchmarks import timing
from stylejax import transfer
from stylejax.data.perceptual import load_vgg
from stylejax.errors import InputError
from stylejax.losses import adversarial, perceptual, reconstruction
from stylejax.models import vgg
from stylejax.models.config import ModelConfig
from stylejax.training import config as configs
from stylejax.training import parallel, steps
from stylejax.training.state import TRAINED, init_state, select


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
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""
  trace: Path | None = None
  """Folder for a jax.profiler trace of each case, for XProf or Perfetto."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    if not self.commands:
      raise InputError("--commands: found none, expected one or more")
    timing.at_least("--repeats", self.repeats, 1)
    timing.at_least("--batch", 1 if self.batch is None else self.batch, 1)


def step_case(command: str, config: configs.TrainConfig,
              devices: Sequence[jax.Device] | None = None) -> timing.Case:
  """The whole step of a command, its state donated from call to call; on all devices by default."""
  devices = jax.local_devices() if devices is None else devices
  config.check()
  parallel.check_batch(config.batch, config.group, devices)
  state = jax.jit(lambda: init_state(config, command))()
  if command == "transfer":
    state = state.replace(frozen={"vgg16": load_vgg()})
  side = config.model.swatch_size if command == "gan" else config.size
  rng = np.random.default_rng(0)
  host = {key: rng.integers(0, 256, (config.batch, side, side, 3)).astype(np.uint8)
          for key in ("content", "style")}
  host["index"] = np.arange(config.batch, dtype=np.int32)
  step = steps.make_step(config)
  flops = timing.direct_flops(step, (state, host))
  replicas = parallel.make_replicas(config.parallel, step, devices)
  batch, held = replicas.put_batch(host), [replicas.put_state(state)]
  start = time.perf_counter()
  compiled = replicas.step.lower(held[0], batch).compile()
  seconds = time.perf_counter() - start

  def call():
    held[0], metrics = compiled(held[0], batch)
    return held[0], metrics

  about = {"preset": config.preset, "size": side, "batch": config.batch,
           "dtype": config.model.dtype, "devices": len(devices)}
  return timing.Case(f"{command} step", call, config.batch, about, compiled, flops, seconds)


def transfer_case(model: ModelConfig, *, batch: int, size: int) -> timing.Case:
  """The transfer step of a preset, for other files of this folder."""
  return step_case("transfer", configs.TransferConfig(
    preset=model.name, dtype=model.dtype, batch=batch, size=size))


def loss_cases(config: configs.TransferConfig) -> list[timing.Case]:
  """Each loss of the transfer step on the pictures that the step gives it, with its gradient.

  By the stylized picture; the identity by the trained parts, through its own stylization; the
  penalty by the discriminator. Features of the targets are computed before, as in the step.
  """
  state = jax.jit(lambda: init_state(config, "transfer"))()
  params, frozen = state.params, load_vgg()
  rng = np.random.default_rng(0)
  shape = (config.batch, config.size, config.size, 3)
  picture, other = (rng.random(shape, np.float32) for _ in range(2))
  half = config.size // 2
  own, quarters = picture[:, :half, :half], other[::config.style_repeat, :half, :half]
  layers = tuple(sorted({*steps.CONTENT_LAYERS, *steps.STYLE_LAYERS}))

  def features(frozen, picture, layers):
    return vgg.vgg16_features(frozen, picture, layers, dtype=config.model.dtype)

  target = jax.jit(lambda: features(frozen, other, layers))()

  def perceptual_case(name, loss, layers):
    def gradient(frozen, target, picture):
      wanted = {layer: target[layer] for layer in layers}
      return jax.grad(lambda x: loss(features(frozen, x, layers), wanted))(picture)
    return name, gradient, (frozen, target, picture)

  def content(found, wanted):
    return perceptual.content_loss(found, wanted, steps.CONTENT_LAYERS)

  def judged(params, x):
    return jax.grad(lambda x: adversarial.wasserstein_generator_loss(
      transfer.discriminator_scores(params, x)))(x)

  def identity(params, own):
    def loss(trained):
      again = steps.painted(params.replace(**trained), own, own, np.full(len(own), 0.5, np.float32))
      return reconstruction.l1_loss(again, own)
    return jax.grad(loss)(select(params, TRAINED["transfer"]))

  def penalty(disc, x):
    def loss(disc):
      judge = params.replace(discriminator=disc)
      return adversarial.r1_penalty(
        lambda p: transfer.mean_score(transfer.discriminator_scores(judge, p)), x)
    return jax.grad(loss)(disc)

  about = {"preset": config.preset, "size": config.size, "batch": config.batch,
           "dtype": config.model.dtype, "devices": 1}
  wanted = [
    perceptual_case("content", content, tuple(steps.CONTENT_LAYERS)),
    perceptual_case("style", perceptual.moment_style_loss, steps.STYLE_LAYERS),
    perceptual_case("gram", perceptual.gram_style_loss, steps.STYLE_LAYERS),
    ("target features", lambda frozen, x: features(frozen, x, layers), (frozen, other)),
    ("adversarial", judged, (params, picture)), ("identity", identity, (params, own)),
    ("tv", jax.grad(reconstruction.total_variation), (picture,)),
    ("penalty", penalty, (params.discriminator, quarters))]
  return [timing.jit_case(f"loss: {name}", function, arguments, config.batch, about)
          for name, function, arguments in wanted]


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  cases = []
  for command in options.commands:
    kind = configs.COMMANDS[command]
    cases.append(step_case(command, kind(
      preset=options.preset, dtype=options.dtype, size=options.size,
      batch=kind.batch if options.batch is None else options.batch)))
  if options.losses:
    cases += loss_cases(configs.TransferConfig(
      preset=options.preset, dtype=options.dtype, size=options.size,
      batch=configs.TransferConfig.batch if options.batch is None else options.batch))
  found = timing.measure(cases, options.repeats, trace=options.trace)
  found["peak_resident_mib"] = timing.peak_resident_mib()
  return timing.report("train", options, found)


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
