"""How many images a second do the train steps take in, and what does each loss cost?

    python -m benchmarks train --commands transfer --batch 4 --size 128

Images are random, without an input pipeline: only the steps are timed. `loss: …` is one loss of the
transfer step with its gradient.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from benchmarks.harness import command_line, records, timing
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.losses import adversarial
from stylejax.models import resnet50, vgg16
from stylejax.models.config import ModelConfig, Preset
from stylejax.training import terms
from stylejax.training.config import TrainConfig
from stylejax.training.loop import load_frozen
from stylejax.training.replicas import check_batch, make_replicas
from stylejax.training.state import init_state, select
from stylejax.training.tasks import TASKS, TransferConfig, task_of
from stylejax.training.tasks.transfer import stylize_partially
from stylejax.weights.perceptual import load_resnet, load_vgg


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  commands: tuple[Literal["autoencoder", "gan", "transfer"], ...] = (
    "autoencoder",
    "gan",
    "transfer",
  )
  """The trainings whose steps are timed."""
  losses: bool = False
  """Also time the losses of the transfer step one by one."""
  preset: Preset = "base"
  """Sizes of the nets."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Data type of the activations."""
  batch: int | None = None
  """Images of each kind per step, over all local devices. Default: the command's own."""
  size: int = 128
  """Side of the crops in pixels."""
  repeats: int = 10
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""
  trace: Path | None = None
  """Folder for a jax.profiler trace of each case, for XProf or Perfetto."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    if not self.commands:
      raise InputError("--commands: found none, expected one or more")
    command_line.at_least("--repeats", self.repeats, 1)
    command_line.at_least("--batch", 1 if self.batch is None else self.batch, 1)


def step_case(config: TrainConfig, devices: Sequence[jax.Device] | None = None) -> timing.Case:
  """The whole step of a task, with its state donated to the next; by default on all devices."""
  devices = jax.local_devices() if devices is None else devices
  config.check()
  check_batch(config.batch, group=config.group, devices=devices)
  state = jax.jit(lambda: init_state(config))().replace(frozen=load_frozen(config))
  side = config.crop_size
  rng = np.random.default_rng(0)
  host = {
    key: rng.integers(0, 256, (config.batch, side, side, 3)).astype(np.uint8)
    for key in ("content", "style")
  }
  host["index"] = np.arange(config.batch, dtype=np.int32)
  step = task_of(config).make_train_step(config)
  flops = timing.direct_flops(step, (state, host))
  replicas = make_replicas(config.parallel, step, devices=devices)
  batch, held = replicas.put_batch(host), [replicas.put_state(state)]
  start = time.perf_counter()
  compiled = replicas.step.lower(held[0], batch).compile()
  seconds = time.perf_counter() - start

  def call():
    held[0], metrics = compiled(held[0], batch)
    return held[0], metrics

  about = {
    "preset": config.preset,
    "size": side,
    "batch": config.batch,
    "dtype": config.model.dtype,
    "devices": len(devices),
  }
  return timing.Case(f"{config.task} step", call, config.batch, about, compiled, flops, seconds)


def transfer_case(model: ModelConfig, *, batch: int, size: int) -> timing.Case:
  """The transfer step of a preset, for other files of this folder."""
  return step_case(TransferConfig(preset=model.name, dtype=model.dtype, batch=batch, size=size))


def loss_cases(config: TransferConfig) -> list[timing.Case]:
  """Every term of the loss, with its gradient, on images as large as the step's.

  Each is differentiated with respect to the stylized image and the trained parts. Features of the
  targets are computed beforehand, as in the step; these features and the penalty are two more
  cases.
  """
  state = jax.jit(lambda: init_state(config))()
  params, nets = state.params, {"vgg16": load_vgg(), "resnet50": load_resnet()}
  rng = np.random.default_rng(0)
  images = rng.random((3, config.batch, config.size, config.size, 3), np.float32)
  stylized, content, style = images
  half = config.size // 2
  quarters = style[:: config.style_repeat, :half, :half]
  features = functools.partial(_features, config.model.dtype)
  targets = [jax.jit(features)(nets, image) for image in (content, style)]
  arguments = select(params, config.trained), stylized, nets, targets
  cases = [
    *(
      (term.name, _term_gradient(term, params, (content, style), features), arguments)
      for term in terms.TERMS
    ),
    ("target features", features, (nets, style)),
    ("penalty", functools.partial(_penalty_gradient, params), (params.discriminator, quarters)),
  ]
  about = {
    "preset": config.preset,
    "size": config.size,
    "batch": config.batch,
    "dtype": config.model.dtype,
    "devices": 1,
  }
  return [
    timing.jit_case(f"loss: {name}", function, arguments, config.batch, about)
    for name, function, arguments in cases
  ]


def _features(dtype: str, nets: dict, image: jax.Array) -> dict[str, dict[str, jax.Array]]:
  """{net: {layer: features}} for the layers that the losses read."""
  layers = tuple(sorted({*terms.STYLE_LAYERS, *terms.CONTENT_LAYERS}))
  return {
    "vgg16": vgg16.vgg16_features(nets["vgg16"], image, layers=layers, dtype=dtype),
    "resnet50": resnet50.resnet_features(nets["resnet50"], image, dtype=dtype),
  }


def _term_gradient(
  term: terms.Term,
  params: transfer.Params,
  images: tuple[np.ndarray, np.ndarray],
  features: Callable,
) -> Callable:
  """The gradient of a term by the trained parts and the stylized image; images: content, style."""
  content, style = images
  half = content.shape[1] // 2
  original, amount = content[:, :half, :half], np.full(len(content), 0.5, np.float32)

  def views(trained, stylized, nets, targets):
    new = params.replace(**trained)
    vgg_features, resnet_features = (
      terms.NetFeatures(features(nets, stylized)[name], *(target[name] for target in targets))
      for name in ("vgg16", "resnet50")
    )
    return terms.Views(
      stylized=stylized,
      content=content,
      style=style,
      strength=np.ones_like(amount),
      restyled=stylize_partially(new, original, original, amount),
      original=original,
      taught=style,  # any image costs as much as a teacher's
      vgg=vgg_features,
      resnet=resnet_features,
      scores=lambda: transfer.discriminator_scores(params, stylized),
    )

  def gradient(trained, stylized, nets, targets):
    def loss(trained, stylized):
      return term.loss(
        views(trained, stylized, nets, targets), adversarial.wasserstein_generator_loss
      ).mean()

    return jax.grad(loss, argnums=(0, 1))(trained, stylized)

  return gradient


def _penalty_gradient(params: transfer.Params, disc: dict, real: jax.Array) -> dict:
  """The gradient of R1 with respect to the discriminator."""

  def loss(disc):
    with_disc = params.replace(discriminator=disc)
    return adversarial.r1_penalty(
      lambda x: transfer.mean_score(transfer.discriminator_scores(with_disc, x)), real
    ).mean()

  return jax.grad(loss)(disc)


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  cases = []
  for command in options.commands:
    kind = TASKS[command].config
    cases.append(
      step_case(
        kind(
          preset=options.preset,
          dtype=options.dtype,
          size=options.size,
          batch=kind.batch if options.batch is None else options.batch,
        )
      )
    )
  if options.losses:
    cases += loss_cases(
      TransferConfig(
        preset=options.preset,
        dtype=options.dtype,
        size=options.size,
        batch=TransferConfig.batch if options.batch is None else options.batch,
      )
    )
  results = timing.measure(cases, options.repeats, trace=options.trace)
  results["peak_resident_mib"] = timing.peak_resident_mib()
  return records.report("train", options, results)


if __name__ == "__main__":
  command_line.command(main, Options, __doc__, trains=True)
