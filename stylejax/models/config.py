"""Sizes of the nets, as one frozen dataclass, and the presets tiny, base, base-1 and large.

No training settings: a ModelConfig is all that is needed to build and run the nets.
"""

import dataclasses
import itertools
from typing import Any, Literal

Preset = Literal["tiny", "base", "base-1", "large"]
"""Names of the presets, for options; their sizes are in PRESETS."""

DTYPES = ("float32", "bfloat16")
FOLDS = (2, 4)

# Limits for a config that comes with a file, a few times the sizes of `large`: it is built,
# compiled and run before anybody sees that it is absurd.
_LARGEST = 2**20  # any one number
_MOST_STRIDE = 128  # pixels; images are padded to a multiple of it
_MOST_SIDE = 1024  # pixels on a side of a texture sample
_MOST_LAYERS = 100  # compiling takes about as long for each, whatever its width
_MOST_WORK = 10_000_000  # multiply-adds per pixel


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """All sizes of the nets; hashable, so it can be static data of a pytree.

  Attributes:
    name: preset that this config started from.
    fold: side in pixels of the squares that the finest content level folds into channels, 2 or 4.
    content_widths: channels of the content encoder at H/fold, H/(2·fold), H/(4·fold), ... (at least
      two levels).
    content_blocks: number of 3×3 convolutions after the downsampling one, at each level.
    decoder_blocks: number of modulated residual blocks at the coarsest level.
    noisy_levels: number of content levels, from the finest on, that get noise from the noise map; 0
      stands for all of them.
    style_widths: channels of the style encoder at H/2, H/4, ...
    style_dim: length D of the style vector.
    disc_widths: channels of the discriminator at H/2, H/4, ...
    disc_scales: number of scales of the discriminator, each of half the size.
    noise_dim: length Z of the noise vector z.
    noise_base: channels of the 8×8 map that the first dense layer makes.
    noise_width: channels of every later layer of the noise generator.
    noise_stages: number of doublings in the noise generator; a texture sample has 8·2^noise_stages
      pixels on a side.
    dtype: dtype of activations; parameters, moments and losses stay float32.
  """

  name: str = "base"
  fold: int = 2
  content_widths: tuple[int, ...] = (32, 64, 128)
  content_blocks: tuple[int, ...] = (0, 1, 0)
  decoder_blocks: int = 2
  noisy_levels: int = 0
  style_widths: tuple[int, ...] = (32, 64, 128, 128)
  style_dim: int = 256
  disc_widths: tuple[int, ...] = (32, 64, 128)
  disc_scales: int = 2
  noise_dim: int = 100
  noise_base: int = 32
  noise_width: int = 64
  noise_stages: int = 3
  dtype: str = "float32"

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if isinstance(value, list):
        object.__setattr__(self, field.name, tuple(value))
    if self.fold not in FOLDS:
      raise ValueError(f"fold: found {self.fold}, expected one of {', '.join(map(str, FOLDS))}")
    if len(self.content_widths) < 2:
      raise ValueError(f"content_widths: found {self.content_widths}, expected two levels or more")
    if len(self.content_blocks) != len(self.content_widths):
      raise ValueError(
        f"content_blocks: found {len(self.content_blocks)} entries, expected one for each of the "
        f"{len(self.content_widths)} content_widths"
      )
    if self.noisy_levels > len(self.content_widths):
      raise ValueError(
        f"noisy_levels: found {self.noisy_levels}, expected at most the "
        f"{len(self.content_widths)} levels of content_widths"
      )
    if self.dtype not in DTYPES:
      raise ValueError(f"dtype: found {self.dtype!r}, expected one of {', '.join(DTYPES)}")

  @property
  def stride(self) -> int:
    """Pixels of the image per cell of the coarsest content level, on a side."""
    return self.cell(len(self.content_widths) - 1)

  def cell(self, level: int) -> int:
    """Pixels of the image per cell of a content level, on a side."""
    return self.fold * 2**level

  @property
  def smallest_exported_side(self) -> int:
    """The shortest side, in pixels, of photos that exported files take.

    Their runtimes mirror maps, which takes two cells of the coarsest level; the nets themselves
    take every image from 16 pixels on.
    """
    return max(16, self.stride + 1)

  @property
  def style_stride(self) -> int:
    """Pixels of the image per cell of the style encoder's coarsest level."""
    return 2 ** len(self.style_widths)

  @property
  def texture_size(self) -> int:
    """Side in pixels of a texture sample of the noise generator."""
    return 8 * 2**self.noise_stages

  @property
  def layers(self) -> int:
    """The approximate number of convolutions in the nets."""
    return (
      len(self.content_widths)
      + sum(self.content_blocks)
      + 2 * self.decoder_blocks
      + 2 * len(self.content_widths)
      + len(self.style_widths)
      + len(self.disc_widths) * self.disc_scales
      + 2 * self.noise_stages
    )

  @property
  def work(self) -> int:
    """The approximate number of multiply-adds per pixel of stylizing and scoring an image."""

    def descent(widths, blocks, fold=2):
      before, total = 3 * fold**2, 0
      for level, (width, extra) in enumerate(zip(widths, blocks)):
        total += 9 * width * (before + extra * width) / (fold * 2**level) ** 2
        before = width
      return total

    content, coarsest = self.content_widths, self.content_widths[-1]
    rising = sum(
      9 * (width + deeper) * width / self.cell(level) ** 2
      for level, (width, deeper) in enumerate(itertools.pairwise(content))
    )
    blocks = 2 * self.decoder_blocks * 9 * coarsest**2 / self.stride**2
    return round(
      descent(content, self.content_blocks, self.fold)
      + blocks
      + rising
      + descent(self.style_widths, (0,) * len(self.style_widths))
      + 2 * descent(self.disc_widths, (0,) * len(self.disc_widths))
    )

  def _check_size(self) -> None:
    """Raises ValueError for nets that take absurdly long to compile or to run."""
    # Before any of these are multiplied: a file may hold numbers of a thousand digits.
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      numbers = value if isinstance(value, tuple) else (value,)
      if any(type(number) is int and number > _LARGEST for number in numbers):
        raise ValueError(
          f"{field.name}: found a number above {_LARGEST}, expected the size of a net"
        )
    for name, levels in (
      ("content_widths", len(self.content_widths) + self.fold // 4),
      ("style_widths", len(self.style_widths)),
      ("disc_widths and disc_scales", len(self.disc_widths) + max(0, self.disc_scales - 1)),
    ):
      if levels > 64 or 2**levels > _MOST_STRIDE:
        raise ValueError(
          f"{name}: found {levels} halvings, expected at most {_MOST_STRIDE.bit_length() - 1}"
        )
    if self.noise_stages > 64 or self.texture_size > _MOST_SIDE:
      raise ValueError(
        f"noise_stages: found {self.noise_stages}, expected texture samples of at "
        f"most {_MOST_SIDE} pixels"
      )
    if self.layers > _MOST_LAYERS:
      raise ValueError(
        f"sizes: found a model config of {self.layers} layers, expected at most {_MOST_LAYERS}"
      )
    if self.work > _MOST_WORK:
      raise ValueError(
        f"sizes: found {self.work:.3g} multiply-adds per pixel, expected at most {_MOST_WORK:.3g}"
      )

  def to_dict(self) -> dict[str, Any]:
    """The fields as JSON-able values."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

  @classmethod
  def from_dict(cls, fields: dict[str, Any]) -> "ModelConfig":
    """The config that `to_dict` wrote.

    Raises:
      ValueError: an unknown or ill-typed field, or nets that take absurdly long to run.
    """
    types = {field.name: type(field.default) for field in dataclasses.fields(cls)}
    for name, value in fields.items():
      if name not in types:
        raise ValueError(f"model config: found unknown field {name!r}, expected {sorted(types)}")
      if types[name] is tuple:
        ok = isinstance(value, list | tuple) and all(type(v) is int and v >= 0 for v in value)
      elif types[name] is int:
        ok = type(value) is int and value >= 0
      else:
        ok = isinstance(value, str)
      if not ok:
        raise ValueError(f"model config: found {name}={value!r}, expected {types[name].__name__}")
    config = cls(**fields)
    config._check_size()
    return config


PRESETS: dict[Preset, ModelConfig] = {
  "tiny": ModelConfig(
    name="tiny",
    content_widths=(8, 16),
    content_blocks=(0, 0),
    decoder_blocks=1,
    style_widths=(8, 16),
    style_dim=16,
    disc_widths=(8, 16),
    disc_scales=2,
    noise_dim=16,
    noise_base=8,
    noise_width=8,
    noise_stages=2,
  ),
  "base": ModelConfig(
    fold=4,
    content_widths=(64, 96, 128, 128),
    content_blocks=(0, 0, 0, 0),
    noisy_levels=1,
    style_widths=(16, 48, 96, 128),
    style_dim=192,
    disc_widths=(24, 48, 96),
  ),
  "base-1": ModelConfig(),  # its weights call it base, as it was named when they were trained
  "large": ModelConfig(
    name="large",
    content_widths=(128, 256, 512),
    content_blocks=(0, 1, 1),
    decoder_blocks=6,
    style_widths=(128, 256, 512, 512),
    style_dim=512,
    disc_widths=(128, 256, 512, 512),
    disc_scales=3,
    noise_base=128,
    noise_width=256,
    noise_stages=3,
    dtype="bfloat16",
  ),
}
