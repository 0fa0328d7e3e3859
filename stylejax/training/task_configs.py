"""The settings of each task, as flags and as fields of config.json; the steps are in tasks/.

They are apart from the steps so that --help and a mistyped flag need not wait for JAX.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from stylejax.errors import InputError
from stylejax.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(TrainConfig):
  """Train the content encoder and the decoder to reconstruct images, photos and artworks alike."""

  task: ClassVar[str] = "autoencoder"
  trained: ClassVar[tuple[str, ...]] = ("content_encoder", "generator")
  streams: ClassVar[tuple[str, ...]] = ("content",)

  workdir: str = "runs/autoencoder"
  """Folder of the run."""
  steps: int = 2_000
  """Total number of training steps."""
  learning_rate: float = 2e-3
  """Peak step size of the optimizer."""
  l1_weight: float = 1.0
  """Weight of the mean absolute pixel difference."""
  multiscale_weight: float = 1.0
  """Weight of the same difference at full, half and quarter size."""


@dataclasses.dataclass(frozen=True)
class GanConfig(TrainConfig):
  """Train the noise generator against the discriminator to make texture samples."""

  task: ClassVar[str] = "gan"
  trained: ClassVar[tuple[str, ...]] = ("noise_generator",)
  uses_discriminator: ClassVar[bool] = True
  streams: ClassVar[tuple[str, ...]] = ("style",)

  workdir: str = "runs/gan"
  """Folder of the run."""
  steps: int = 5_000
  """Total number of updates of the noise generator."""
  batch: int = 24
  """Artwork crops per step over all devices, divided among the discriminator's updates; their side
  is that of the noise generator's images, not --size."""
  learning_rate: float = 2e-4
  """Peak step size of the optimizers of the noise generator and of the discriminator."""
  adam_b1: float = 0.0
  """Adam's decay of the mean gradient."""
  decay_fraction: float = 0.5
  """Fraction of the steps, at the end, over which the learning rate falls to --final-rate."""
  game: Literal["wasserstein", "hinge"] = "wasserstein"
  """Wasserstein with gradient penalty, or hinge with R1."""
  critic_steps: int = 3
  """Discriminator updates per step, before the generator's; it must divide each device's batch."""
  penalty_weight: float = 10.0
  """Weight of the gradient penalty (Wasserstein) or of R1 (hinge)."""

  @property
  def group(self) -> int:
    return self.critic_steps

  @property
  def discriminator_updates(self) -> int:
    return self.critic_steps

  @property
  def crop_size(self) -> int:
    return self.model.texture_size


@dataclasses.dataclass(frozen=True)
class TransferConfig(TrainConfig):
  """Train the whole system, which stylizes any photo in any artwork's style."""

  task: ClassVar[str] = "transfer"
  trained: ClassVar[tuple[str, ...]] = ("content_encoder", "style_encoder", "generator")
  uses_discriminator: ClassVar[bool] = True
  streams: ClassVar[tuple[str, ...]] = ("content", "style")

  workdir: str = "runs/transfer"
  """Folder of the run."""
  init_from: str | None = None
  """Weights to start from: the newest checkpoint of an autoencoder or transfer run, given by its
  workdir (also at gs:// or s3://); a file of `stylejax train export`; or base, the shipped
  weights."""
  vgg: Path | None = None
  """A torchvision VGG16 state dict (.safetensors, or .pth) instead of the packaged VGG16."""
  perceptual_size: int | None = None
  """Side in pixels, at most --size, of the images that the perceptual networks get: a square with a
  random position and a random side between this and --size is cut from each crop and resized to
  this. By default they get the whole crop."""
  style_repeat: int = 2
  """Consecutive photos that share one artwork, whose features are then computed only once."""
  backbone_lr_scale: float = 1.0
  """Step size of the content encoder and the decoder, as a multiple of the step size of the style
  layers. Use less than 1 to train good weights further: small batches unsettle those two parts."""
  partial_strength_fraction: float = 0.0
  """Fraction of the images (0 to 1) that training stylizes only partially: their moments are moved
  a random part of the way to the style's, and the losses ask for as much style. `generate` always
  moves them all the way, so this is for other uses of the weights."""
  content_weight: float = 1.0
  """Weight of the content loss: instance-normalized features at relu4_1 and, with half the weight,
  at relu3_1."""
  detail_weight: float = 0.0
  """Weight of the same loss at relu1_1 and relu2_1, which preserves the photo's edges and light."""
  style_weight: float = 25.0
  """Weight of the style loss on channel moments at relu1_1, relu2_1, relu3_1 and relu4_1."""
  gram_weight: float = 0.0
  """Weight of the style loss on Gram matrices at the same layers."""
  patch_weight: float = 0.0
  """Weight of the patch loss at relu3_1 and relu4_1: each position's features should resemble those
  of some position in the artwork, and the reverse. It captures shapes, which moments can't."""
  resnet_patch_weight: float = 0.0
  """Weight of the same loss with a ResNet-50 of half width, at the ends of conv3_x and conv4_x."""
  color_weight: float = 0.0
  """Weight of the style loss on color moments."""
  pyramid_weight: float = 0.0
  """Weight of the pyramid loss, a style loss on oriented band-pass filters: how strong and how
  sparse detail of 1 to 32 pixels is."""
  resnet_weight: float = 0.0
  """Weight of the style loss on channel moments of a second net, a ResNet-50 of half width, at
  conv1 and the ends of conv2_x, conv3_x and conv4_x."""
  resnet_content_weight: float = 0.0
  """Weight of the content loss with that net, at the ends of conv3_x and, with half the weight,
  conv2_x."""
  identity_weight: float = 4.0
  """Weight of the L1 distance between an image and the same image stylized in its own style."""
  spurious_edge_weight: float = 0.0
  """Weight of the spurious-edge loss: broad edges that the photo doesn't have, such as clouds and
  halos on a wall."""
  spurious_color_weight: float = 0.0
  """Weight of the spurious-color loss: broad changes of color where the photo has no edge; they
  count in the spurious-edge loss, too, but little beside those of light."""
  grid_weight: float = 0.0
  """Weight of the grid loss: contrast that depends on where a pixel lies within cells of 4 or 8
  pixels, as in a weave."""
  structure_weight: float = 0.0
  """Weight of the structure loss: light and dark in small windows should follow the photo."""
  tv_weight: float = 0.5
  """Weight of the total variation loss."""
  teacher: str | None = None
  """Trained weights that also stylize each pair, for --teacher-weight: base (the shipped weights),
  a file of `stylejax train export`, or the workdir of a transfer run."""
  teacher_weight: float = 0.0
  """Weight of the L1 distance, at full, half and quarter size, to the --teacher's output for the
  same pair: a smaller net learns from a larger one in a fraction of the time. If no other term with
  a weight needs a perceptual network, none runs."""
  adversarial_weight: float = 0.02
  """Weight of the adversarial loss; 0 trains without a discriminator."""
  game: Literal["hinge", "wasserstein"] = "hinge"
  """Hinge with R1, or Wasserstein with gradient penalty."""
  penalty_weight: float = 10.0
  """Weight of R1 (hinge) or of the gradient penalty (Wasserstein)."""
  disc_learning_rate: float = 2e-4
  """Step size of Adam for the discriminator."""
  remat: bool = False
  """Save memory by recomputing the perceptual nets' intermediate features for the gradient."""

  @property
  def group(self) -> int:
    return self.style_repeat

  @property
  def perceptual_nets(self) -> tuple[str, ...]:
    from stylejax.training import terms  # only here: --help need not wait for JAX

    nets = {term.net for term in terms.active_terms(self)}
    return tuple(name for name in ("vgg16", "resnet50") if name in nets)

  def check(self) -> None:
    super().check()
    if not 0 <= self.partial_strength_fraction <= 1:
      raise InputError(
        f"--partial-strength-fraction: found {self.partial_strength_fraction}, expected 0 to 1"
      )
    if (self.teacher is None) != (self.teacher_weight == 0):
      raise InputError(
        f"--teacher-weight: found {self.teacher_weight} with --teacher {self.teacher or 'unset'}, "
        "expected both or neither"
      )
    side = self.perceptual_size
    if side is not None and (side % 16 or not 32 <= side <= self.size):
      raise InputError(
        f"--perceptual-size: found {side}, expected a multiple of 16 from 32 to --size"
      )


CONFIGS = {config.task: config for config in (AutoencoderConfig, GanConfig, TransferConfig)}
"""The settings of each task, by the task's name."""
