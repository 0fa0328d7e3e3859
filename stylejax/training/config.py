"""The settings that all training commands share; each field of a command's dataclass is a flag.

The docstring under a field is its help text. Units and ranges are in it.
"""

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import ClassVar, Literal

from stylejax.errors import InputError
from stylejax.models.config import PRESETS, ModelConfig, Preset


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Settings that every task shares.

  Attributes:
    task: the task's name, which is the subcommand of `stylejax train` and config.json's "command".
    trained: the parts of `transfer.Params` that the task trains.
    uses_discriminator: whether it also trains the discriminator, with an optimizer of its own.
    streams: the image streams that its batches hold.
  """

  task: ClassVar[str]
  trained: ClassVar[tuple[str, ...]]
  uses_discriminator: ClassVar[bool] = False
  streams: ClassVar[tuple[str, ...]]

  preset: Preset = "base"
  """Sizes of the networks: tiny (for tests), base (as shipped), large (for accelerators)."""
  model_sizes: tuple[str, ...] = ()
  """Sizes that differ from the preset, as NAME=VALUE: style_dim=128 content_widths=32,64,96."""
  workdir: str = "runs/stylejax"
  """Folder of the run: config.json, metrics.jsonl, checkpoints, grids, TensorBoard files. It may be
  at gs:// or s3://, or at file:// for a mount of such storage."""
  content_dir: str | None = None
  """Photos: a folder (JPEG, PNG, WebP; nested), or a folder or pattern of shards, which may be at
  gs:// or s3://; see `stylejax train shards`. Default: the two sample photos of the package."""
  style_dir: str | None = None
  """Artworks, given like --content-dir. Default: the three sample artworks of the package."""
  steps: int = 20_000
  """Total number of training steps, counted from 0 also when resuming."""
  batch: int = 8
  """Photos per step over all devices together, and as many artworks."""
  size: int = 128
  """Side of the square crops, in pixels; a multiple of 16, at least 32."""
  seed: int = 0
  """Seed of every random draw: weights, order, crops, noise."""
  learning_rate: float = 1e-3
  """Peak step size of the optimizer."""
  resume: bool = False
  """Continue from the newest checkpoint in workdir (start afresh if there is none). Settings that
  are not given come from its config.json; changes are noted in changes.jsonl."""
  dry_run: bool = False
  """Compile the step, print its parameters, FLOPs and memory, and stop."""

  warmup_steps: int = 100
  """Steps over which the learning rate rises from 0."""
  decay_fraction: float = 0.3
  """Fraction of the steps, at the end, over which the learning rate falls to --final-rate."""
  final_rate: float = 0.02
  """Learning rate at the end, as a fraction of the peak."""
  optimizer: Literal["adam", "muon"] = "adam"
  """Adam, or Muon, which makes each kernel's update orthogonal, with Adam for the biases. In small
  batches, Muon needs fewer steps for the same loss. The discriminator always uses Adam."""
  adam_b1: float = 0.9
  """Adam's decay of the mean gradient."""
  adam_b2: float = 0.99
  """Adam's decay of the mean squared gradient."""
  clip_norm: float = 1.0
  """Gradients with a larger global norm are scaled down to it."""
  ema_decay: float = 0.998
  """Decay per step of the moving average of the weights; the average is what is exported."""
  dtype: Literal["preset", "float32", "bfloat16"] = "preset"
  """Dtype of activations; "preset" uses the preset's. Parameters and losses stay float32."""

  content_scale: tuple[float, float] = (1.0, 1.75)
  """Smallest and largest side of the square cut from a photo, as multiples of --size; it is then
  resized to --size."""
  style_scale: tuple[float, float] = (1.0, 2.5)
  """The same for artworks."""
  tar_images: Literal["first", "all"] = "first"
  """Which images of a tar file to train on: all, or the first of each sample. WebDataset groups
  files into samples by their names up to the first dot, so a.seg.png can be a mask of a.jpg."""
  workers: int = 0
  """Processes that decode images; 0 decodes in threads of this process."""
  parallel: Literal["shard_map", "pmap"] = "shard_map"
  """How the step is mapped over the devices; both give the same numbers."""
  slices: int | None = None
  """Number of equal groups of devices with fast links within each; the outer axis of the mesh.
  Default: the slices of a TPU job or the hosts of a GPU cluster, else 1."""
  accumulate: int = 1
  """Number of parts into which each device divides its share of a step; it computes one part after
  another, to save memory."""
  deterministic: bool = False
  """Make runs on GPUs reproducible bit by bit, which is slower; runs on CPUs and TPUs always
  are."""

  distributed: bool = False
  """Train with the other processes of a TPU pod, Slurm, Open MPI or Kubernetes. The flag is not
  needed where JAX detects more than one process."""
  coordinator: str | None = None
  """HOST:PORT of process 0, for use with --processes and --process where JAX detects no cluster."""
  processes: int | None = None
  """How many processes train together."""
  process: int | None = None
  """Number of this process, from 0."""
  deadline: float = 600.0
  """Seconds without progress after which the processes name the one that is missing and end (0:
  never). Steps up to the next log count as one; compiling and saving may take longer."""

  log_every: int = 10
  """Steps between lines of metrics.jsonl."""
  grid_every: int = 500
  """Steps between image grids (0: none)."""
  save_every: int = 500
  """Steps between checkpoints; one is also saved at the end and on SIGINT or SIGTERM."""
  keep: int = 3
  """How many of the newest checkpoints to keep."""

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type in (str, str | None) and isinstance(value, os.PathLike):
        object.__setattr__(self, field.name, os.fspath(value))

  def check(self) -> None:
    """Raises InputError for the first setting that is out of range."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if type(value) is float and not (math.isfinite(value) and value >= 0):
        flag = "--" + field.name.replace("_", "-")
        raise InputError(f"{flag}: found {value}, expected a finite number, 0 or more")
    checks = {
      "--steps": (self.steps, 1, None),
      "--batch": (self.batch, 1, None),
      "--style-repeat or --critic-steps": (self.group, 1, None),
      "--size": (self.size, 32, None),
      "--log-every": (self.log_every, 1, None),
      "--accumulate": (self.accumulate, 1, None),
      "--save-every": (self.save_every, 1, None),
      "--keep": (self.keep, 1, None),
      "--grid-every": (self.grid_every, 0, None),
      "--workers": (self.workers, 0, None),
      "--warmup-steps": (self.warmup_steps, 0, None),
      "--seed": (self.seed, 0, 2**31 - 1),
      "--decay-fraction": (self.decay_fraction, 0, 1),
      "--ema-decay": (self.ema_decay, 0, 1),
      "--final-rate": (self.final_rate, 0, 1),
      "--clip-norm": (self.clip_norm, 1e-9, None),
      "--adam-b1": (self.adam_b1, 0, 0.9999),
      "--adam-b2": (self.adam_b2, 0, 0.999999),
    }
    for flag, (value, low, high) in checks.items():
      if not value >= low or (high is not None and not value <= high):
        span = f"{low} to {high}" if high is not None else f"{low} or more"
        raise InputError(f"{flag}: found {value}, expected {span}")
    if self.slices is not None and self.slices < 1:
      raise InputError(f"--slices: found {self.slices}, expected 1 or more")
    if self.slices is not None and self.parallel == "pmap":
      raise InputError("--slices: found it with --parallel pmap, expected shard_map")
    self._check_processes()
    scales = {"--content-scale": self.content_scale, "--style-scale": self.style_scale}
    for flag, (low, high) in scales.items():
      if not 1 <= low <= high:
        raise InputError(f"{flag}: found {low} {high}, expected 1 ≤ low ≤ high")
    _ = self.model  # raises what is wrong with the sizes
    if self.size % 16:
      raise InputError(f"--size: found {self.size}, expected a multiple of 16")

  def _check_processes(self) -> None:
    from stylejax.runtime import distributed  # only here: --help need not wait for JAX

    distributed.check(self.coordinator, self.processes, self.process)

  @property
  def group(self) -> int:
    """Examples that must be on the same device; each device's batch is a multiple of this."""
    return 1

  @property
  def discriminator_updates(self) -> int:
    """Updates of the discriminator per step."""
    return 1

  @property
  def crop_size(self) -> int:
    """Side of the crops that batches hold, in pixels."""
    return self.size

  @property
  def perceptual_nets(self) -> tuple[str, ...]:
    """Names of the frozen nets whose features the losses use."""
    return ()

  # Settings of some tasks only, with values that change nothing for the others.
  init_from: ClassVar[str | None] = None
  teacher: ClassVar[str | None] = None
  backbone_lr_scale: ClassVar[float] = 1.0

  @property
  def disc_learning_rate(self) -> float:
    """Peak step size of Adam for the discriminator."""
    return self.learning_rate

  @property
  def model(self) -> ModelConfig:
    """The config of the nets: the preset with the run's sizes and dtype."""
    fields = PRESETS[self.preset].to_dict()
    for setting in self.model_sizes:
      name, _, text = setting.partition("=")
      try:
        if not isinstance(fields[name], int | list):
          raise KeyError(name)
        numbers = [int(number) for number in text.split(",")]
      except (KeyError, ValueError):
        sizes = [k for k, v in fields.items() if isinstance(v, int | list)]
        raise InputError(
          f"--model-sizes: found {setting!r}, expected NAME=NUMBER[,NUMBER ...] "
          f"with a name among {', '.join(sizes)}"
        ) from None
      fields[name] = numbers if isinstance(fields[name], list) else numbers[0]
    if self.dtype != "preset":
      fields["dtype"] = self.dtype
    try:
      return ModelConfig.from_dict(fields)
    except ValueError as error:
      raise InputError(f"--model-sizes: {error}") from None

  def to_json(self) -> str:
    """All fields and the sizes of the nets as JSON, for config.json."""
    fields = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}
    return json.dumps({"command": self.task, **fields, "model": self.model.to_dict()}, indent=2)


RENAMED = {
  "band_weight": "pyramid_weight",
  "between_share": "partial_strength_fraction",
  "body_rate": "backbone_lr_scale",
  "calm_weight": "spurious_edge_weight",
  "colour_weight": "color_weight",
  "seen_size": "perceptual_size",
}
"""Current names of fields by those that version 0.1 used in config.json and for flags."""
