"""What a training run can be told: one frozen dataclass per command, each field a flag.

The docstring under a field is its help text. Units and ranges are in it.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal, get_args

from stylejax import distributed
from stylejax.errors import InputError
from stylejax.models.config import PRESETS, ModelConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Settings that every training shares."""

  preset: Literal["tiny", "base", "large"] = "base"
  """Sizes of the nets: tiny (tests, seconds), base (the shipped weights), large (accelerators)."""
  model_sizes: tuple[str, ...] = ()
  """Sizes to change from the preset's, as NAME=VALUE: style_dim=128 content_widths=32,64,96."""
  workdir: Path = Path("runs/stylejax")
  """Folder of the run: config.json, metrics.jsonl, checkpoints, grids, TensorBoard files."""
  content_dir: str | None = None
  """Photos: a folder (JPEG, PNG, WebP; nested), or shards: a folder of them or a pattern, also at
  gs:// or s3://; see `train.py shards`. Default: the two sample photos of the package."""
  style_dir: str | None = None
  """Artworks, likewise. Default: the three sample artworks of the package."""
  steps: int = 20_000
  """Steps to train in all, counted from 0 also when resuming."""
  batch: int = 8
  """Pictures of each kind per step, over all devices."""
  size: int = 128
  """Side of the square crops, in pixels; a multiple of 16, 32 or more."""
  seed: int = 0
  """Seed of every random draw: weights, order, crops, noise."""
  learning_rate: float = 1e-3
  """Peak step size of Adam."""
  resume: bool = False
  """Go on from the newest checkpoint in workdir (start afresh if there is none)."""
  dry_run: bool = False
  """Compile the step, print its parameters, FLOPs and memory, and stop."""

  warmup_steps: int = 100
  """Steps over which the learning rate rises from 0."""
  decay_fraction: float = 0.3
  """Last share of the steps, 0 to 1, over which the learning rate falls to final_rate."""
  final_rate: float = 0.02
  """Learning rate at the end, as a share of the peak."""
  adam_b1: float = 0.9
  """Adam's decay of the mean gradient."""
  adam_b2: float = 0.99
  """Adam's decay of the mean squared gradient."""
  clip_norm: float = 1.0
  """Gradients with a larger global norm are scaled down to it."""
  ema_decay: float = 0.998
  """Decay per step of the moving average of the weights; the average is what is exported."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Dtype of activations; "preset" takes the preset's own. Parameters and losses stay float32."""

  content_scale: tuple[float, float] = (1.0, 1.75)
  """Side of the square cut from a photo, as multiples of size, before it is resized to size."""
  style_scale: tuple[float, float] = (1.0, 2.5)
  """The same for artworks."""
  tar_images: Literal["first", "all"] = "first"
  """Which images of a tar file train: the first of each sample, as WebDataset groups files by their
  names up to the first dot, so that a.seg.png is a mask beside a.jpg; or all of them."""
  workers: int = 0
  """Processes that decode pictures; 0 decodes in threads of this process."""
  parallel: Literal["shard_map", "pmap"] = "shard_map"
  """How the step is mapped over the devices; both give the same numbers."""
  accumulate: int = 1
  """Parts that a device takes its share of the batch in, one after another, to save memory."""
  deterministic: bool = False
  """Equal bit for bit from run to run on GPUs too, where that costs speed; CPUs and TPUs are."""

  distributed: bool = False
  """Train with the other processes of a TPU pod, Slurm, Open MPI or Kubernetes; where jax detects
  more than one, that needs no flag."""
  coordinator: str | None = None
  """HOST:PORT of process 0, where jax detects no cluster; with --processes and --process."""
  processes: int | None = None
  """How many processes train together."""
  process: int | None = None
  """Number of this process, from 0."""

  log_every: int = 10
  """Steps between lines of metrics.jsonl."""
  grid_every: int = 500
  """Steps between picture grids (0: none)."""
  save_every: int = 500
  """Steps between checkpoints; one is also saved at the end and on SIGINT or SIGTERM."""
  keep: int = 3
  """Newest checkpoints to keep."""

  def check(self) -> None:
    """Raises InputError for the first setting that is out of range."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if type(value) is float and not (math.isfinite(value) and value >= 0):
        flag = "--" + field.name.replace("_", "-")
        raise InputError(f"{flag}: found {value}, expected a finite number, 0 or more")
    checks = {
      "--steps": (self.steps, 1, None), "--batch": (self.batch, 1, None),
      "--style-repeat or --critic-steps": (self.group, 1, None), "--size": (self.size, 32, None),
      "--log-every": (self.log_every, 1, None), "--accumulate": (self.accumulate, 1, None),
      "--save-every": (self.save_every, 1, None), "--keep": (self.keep, 1, None),
      "--grid-every": (self.grid_every, 0, None), "--workers": (self.workers, 0, None),
      "--warmup-steps": (self.warmup_steps, 0, None), "--seed": (self.seed, 0, 2**31 - 1),
      "--decay-fraction": (self.decay_fraction, 0, 1), "--ema-decay": (self.ema_decay, 0, 1),
      "--final-rate": (self.final_rate, 0, 1), "--clip-norm": (self.clip_norm, 1e-9, None),
      "--between-share": (getattr(self, "between_share", 0), 0, 1),
      "--adam-b1": (self.adam_b1, 0, 0.9999), "--adam-b2": (self.adam_b2, 0, 0.999999),
    }
    for flag, (value, low, high) in checks.items():
      if not value >= low or (high is not None and not value <= high):
        span = f"{low} to {high}" if high is not None else f"{low} or more"
        raise InputError(f"{flag}: found {value}, expected {span}")
    self._check_processes()
    scales = {"--content-scale": self.content_scale, "--style-scale": self.style_scale}
    for flag, (low, high) in scales.items():
      if not 1 <= low <= high:
        raise InputError(f"{flag}: found {low} {high}, expected 1 ≤ low ≤ high")
    self.model  # raises what is wrong with the sizes
    if self.size % 16:
      raise InputError(f"--size: found {self.size}, expected a multiple of 16")
    seen = getattr(self, "seen_size", None)
    if seen is not None and (seen % 16 or not 32 <= seen <= self.size):
      raise InputError(f"--seen-size: found {seen}, expected a multiple of 16 from 32 to --size")

  def _check_processes(self) -> None:
    distributed.check(self.coordinator, self.processes, self.process)

  @property
  def group(self) -> int:
    """Examples that must be on one device: the batch of each is a multiple of this."""
    return getattr(self, "style_repeat", getattr(self, "critic_steps", 1))

  @property
  def model(self) -> ModelConfig:
    """The nets' config: the preset's, with the run's sizes and dtype."""
    fields = PRESETS[self.preset].to_dict()
    for setting in self.model_sizes:
      name, _, text = setting.partition("=")
      try:
        if not isinstance(fields[name], int | list):
          raise KeyError(name)
        numbers = [int(number) for number in text.split(",")]
      except (KeyError, ValueError):
        sizes = [k for k, v in fields.items() if isinstance(v, int | list)]
        raise InputError(f"--model-sizes: found {setting!r}, expected NAME=NUMBER[,NUMBER ...] "
                         f"with a name among {', '.join(sizes)}") from None
      fields[name] = numbers if isinstance(fields[name], list) else numbers[0]
    if self.dtype != "preset":
      fields["dtype"] = self.dtype
    try:
      return ModelConfig.from_dict(fields)
    except ValueError as error:
      raise InputError(f"--model-sizes: {error}") from None

  def to_json(self) -> str:
    """All fields and the nets' sizes, for config.json."""
    fields = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}
    return json.dumps({"command": COMMANDS_BY_CONFIG[type(self)], **fields,
                       "model": self.model.to_dict()}, indent=2)


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(TrainConfig):
  """Train the content encoder and the decoder to give pictures back, photos and artworks alike."""

  workdir: Path = Path("runs/autoencoder")
  """Folder of the run."""
  steps: int = 2_000
  """Steps to train in all."""
  learning_rate: float = 2e-3
  """Peak step size of Adam."""
  l1_weight: float = 1.0
  """Weight of the mean absolute difference of pixels."""
  multiscale_weight: float = 1.0
  """Weight of the same at full, half and quarter size."""


@dataclasses.dataclass(frozen=True)
class GanConfig(TrainConfig):
  """Train the noise generator against the discriminator to invent swatches of paint."""

  workdir: Path = Path("runs/gan")
  """Folder of the run."""
  steps: int = 5_000
  """Updates of the noise generator in all."""
  batch: int = 24
  """Artwork crops per step, over all devices, shared out among the discriminator's updates; their
  side is the noise generator's, not --size."""
  learning_rate: float = 2e-4
  """Step size of Adam for both players."""
  adam_b1: float = 0.0
  """Adam's decay of the mean gradient."""
  decay_fraction: float = 0.5
  """Last share of the steps over which the learning rate falls to final_rate."""
  game: Literal["wasserstein", "hinge"] = "wasserstein"
  """Wasserstein with gradient penalty, or hinge with R1."""
  critic_steps: int = 3
  """Discriminator updates in a step, before the generator's; divides the batch of each device."""
  penalty_weight: float = 10.0
  """Weight of the gradient penalty (Wasserstein) or R1 (hinge)."""


@dataclasses.dataclass(frozen=True)
class TransferConfig(TrainConfig):
  """Train the whole system: any photo in any artwork's style."""

  workdir: Path = Path("runs/transfer")
  """Folder of the run."""
  init_from: Path | None = None
  """Weights to start from: the workdir of an autoencoder or transfer run (its newest), a file of
  `train.py export`, or base, the shipped ones."""
  vgg: Path | None = None
  """A torchvision VGG16 state dict (.safetensors, or .pth) instead of the packaged VGG16."""
  seen_size: int | None = None
  """Side of what the perceptual net sees of the crops, in pixels, at most size: for each example a
  window of a random side between the two, anywhere, resized to this. None: all of the crop."""
  style_repeat: int = 2
  """Photos in a row that share one artwork, so that its features are computed once for them."""
  body_rate: float = 1.0
  """Step size of the content encoder and the decoder, as a share of that of the style's layers:
  below 1 where good weights are trained on, since those two are what small batches unsettle."""
  between_share: float = 0.0
  """Share of the pictures that are stylized with moments moved less far than at strength 1, evenly
  from not at all on: for nets that are used so, which `generate` doesn't."""
  content_weight: float = 1.0
  """Weight of the content loss: instance-normalised features at relu4_1, half of it at relu3_1."""
  detail_weight: float = 0.0
  """Weight of the same loss at relu1_1 and relu2_1: edges and light stay the photo's."""
  style_weight: float = 25.0
  """Weight of the style loss by channel moments at relu1_1, relu2_1, relu3_1 and relu4_1."""
  gram_weight: float = 0.0
  """Weight of the style loss by Gram matrices at the same layers."""
  colour_weight: float = 0.0
  """Weight of the style loss by moments of colours."""
  band_weight: float = 0.0
  """Weight of the style loss by oriented band-pass filters: how strong and how sparse detail of 1
  to 32 pixels is."""
  resnet_weight: float = 0.0
  """Weight of the style loss by channel moments of a second net, a ResNet-50 of half width, at
  conv1 and the ends of conv2_x, conv3_x and conv4_x."""
  resnet_content_weight: float = 0.0
  """Weight of the content loss by that net, at the end of conv3_x, half of it at conv2_x."""
  identity_weight: float = 4.0
  """Weight of the L1 to a picture painted in its own style, moments moved 0 to 1 of the way."""
  calm_weight: float = 0.0
  """Weight of the share of broad edges that the photo doesn't have: clouds and halos on walls."""
  structure_weight: float = 0.0
  """Weight of how little the light goes up and down where the photo's does, in small windows."""
  tv_weight: float = 0.5
  """Weight of the total variation."""
  adversarial_weight: float = 0.02
  """Weight of the discriminator's judgement; 0 trains without a discriminator."""
  game: Literal["hinge", "wasserstein"] = "hinge"
  """Hinge with R1, or Wasserstein with gradient penalty."""
  penalty_weight: float = 10.0
  """Weight of R1 (hinge) or of the gradient penalty (Wasserstein)."""
  disc_learning_rate: float = 2e-4
  """Step size of Adam for the discriminator."""
  remat: bool = False
  """Compute the perceptual nets' features between their losses twice instead of keeping them."""

  @property
  def uses_resnet(self) -> bool:
    """Whether a loss looks through the second net."""
    return self.resnet_weight > 0 or self.resnet_content_weight > 0


COMMANDS: dict[str, type[TrainConfig]] = {
  "autoencoder": AutoencoderConfig, "gan": GanConfig, "transfer": TransferConfig}
COMMANDS_BY_CONFIG: dict[type, str] = {config: name for name, config in COMMANDS.items()}


def saved_config(workdir: Path) -> dict[str, Any]:
  """The config.json of a run; InputError if there is none."""
  path = workdir / "config.json"
  try:
    found = json.loads(path.read_text())
    ModelConfig.from_dict(found["model"])
    if found["command"] not in COMMANDS:
      raise ValueError(f"command {found['command']!r}")
    return found
  except FileNotFoundError:
    raise InputError(f"workdir: found no config.json in {workdir}, expected a run's folder"
                     ) from None
  except (ValueError, KeyError, TypeError) as e:
    raise InputError(f"{path}: found {e}, expected a run's config") from None


def from_saved(found: dict[str, Any]) -> TrainConfig:
  """The config that `saved_config` read; fields that this version lacks are left out."""
  kind = COMMANDS[found["command"]]
  fields = {}
  for field in dataclasses.fields(kind):
    if field.name in found:
      value = found[field.name]
      if isinstance(value, list):
        value = tuple(value)
      elif value is not None and Path in (field.type, *get_args(field.type)):
        value = Path(value)
      fields[field.name] = value
  config = kind(**fields)
  if config.model.to_dict() != found["model"]:
    raise InputError(f"{found['command']} run: found sizes that preset {config.preset} no longer "
                     "has, expected those of this version")
  return config
