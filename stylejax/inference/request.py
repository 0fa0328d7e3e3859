"""What --style, --mask, --strength-map and --interpolate ask for: how much of which style, where.

Style codes are read in `styles`; no networks run here.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylejax.controls.strength import MAX_STRENGTH
from stylejax.controls.table import PIXEL_CONTROLS, PixelControls
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.images.find import find_images
from stylejax.inference.outputs import check_number


@dataclasses.dataclass(frozen=True)
class Source:
  """Where a style comes from: an image, a number, or else the library.

  Attributes:
    name: the name used in output names, or the style's name in the library.
    path: the image, if there is one.
    seed: the noise generator's seed, if it invents the style.
  """

  name: str
  path: Path | None = None
  seed: int | None = None


@dataclasses.dataclass(frozen=True)
class StyleMix:
  """Styles in which every content is stylized, once or several times.

  Attributes:
    name: the name used in output names.
    sources: S styles.
    mixtures: [N, S] float32, the weights of the styles in each of N images, with sum 1. N is more
      than 1 when interpolating between styles; S is 0 if only regions are stylized.
  """

  name: str
  sources: tuple[Source, ...]
  mixtures: np.ndarray


@dataclasses.dataclass(frozen=True)
class Region:
  """A mask file and the style of the region that it marks."""

  mask: Path
  source: Source


def plan_mixes(
  styles: Sequence[str | os.PathLike],
  *,
  seed: int | None = None,
  regions: Sequence[Region] = (),
  steps: int | None = None,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[StyleMix]:
  """The mixes that the options ask for.

  Args:
    styles: files, folders or "@name"; each is a mix of its own, or, if each has a weight
      ("a.jpg:0.7"), all form one mixture.
    seed: adds a mix of an invented style.
    regions: masks and their styles; without any other style, the only mix is of these.
    steps: if given, the only mix has this many images, from the first style to the last.
    on_note: called with one line about what a folder contains besides images.

  Returns:
    At least one StyleMix.

  Raises:
    InputError: a file is missing, a weight is not a number of at least 0, only some styles have
      one, or there is no style.
  """
  weighted = [_split_weight(os.fspath(style)) for style in styles]
  weights = [weight for _, weight in weighted if weight is not None]
  if weights and len(weights) < len(weighted):
    bare = next(text for text, weight in weighted if weight is None)
    raise InputError(f"--style: found no weight after {bare}, expected one after each or none")
  sources = [
    source
    for text, weight in weighted
    for source in _sources(text, weight is not None, on_note=on_note)
  ]
  if weights:
    if seed is not None:
      raise InputError(
        "--seed: found it with styles that have weights, expected no weights; `stylejax "
        "styles add --seed` gives an invented style a name by which to mix it"
      )
    if not any(weights):
      raise InputError("--style: found weights that are all 0, expected one above 0")
  else:  # in a mixture a style may come twice
    sources = list({_identity(source): source for source in reversed(sources)}.values())[::-1]
  if seed is not None:
    sources.append(Source(f"seed{seed}", seed=int(seed)))
  name = "+".join(source.name for source in sources)
  if steps is not None:
    if weights or len(sources) < 2:
      given = "weights" if weights else f"{len(sources)}"
      raise InputError(
        f"--interpolate: found {given} in --style, expected two styles or more without weights"
      )
    return [
      StyleMix(name.replace("+", "-"), tuple(sources), _interpolation(int(steps), len(sources)))
    ]
  if weights:
    # Divided by the largest weight first, since their sum could overflow.
    parts = np.array([weights]) / max(weights)
    return [StyleMix(name, tuple(sources), np.asarray(parts / parts.sum(), np.float32))]
  if not sources and regions:
    name = "+".join(region.source.name for region in regions)
    return [StyleMix(name, (), np.zeros((1, 0), np.float32))]
  if not sources:
    raise InputError(
      "--style: found nothing, expected an image, a folder of images, @NAME, --mask or --seed"
    )
  return [StyleMix(source.name, (source,), np.ones((1, 1), np.float32)) for source in sources]


def plan_regions(masks: Sequence[str]) -> list[Region]:
  """The regions of "MASK=STYLE" arguments.

  Raises:
    InputError: an argument has another form, or a file is missing.
  """
  regions = []
  for text in masks:
    # A file's name may contain "=", so the text is split at the first one that a file ends at.
    cuts = [i for i, letter in enumerate(text) if letter == "="]
    cut = next((i for i in cuts if os.path.lexists(text[:i])), cuts[0] if cuts else None)
    if cut is None or not text[:cut] or not text[cut + 1 :]:
      raise InputError(f"--mask: found {text}, expected MASK=STYLE, for example sky.png=irises.jpg")
    if os.path.isdir(text[:cut]):
      raise InputError(f"--mask: found the folder {text[:cut]}, expected an image")
    (mask,) = find_images([text[:cut]], "--mask")
    regions.append(Region(mask, *_sources(text[cut + 1 :], True, "--mask")))
  return regions


MAX_SIZE = 16_384
"""The largest --size, in pixels: the shorter side of an output."""


def check_common(
  *, strength: float, controls: PixelControls, size: int | None, seed: int | None
) -> None:
  """Raises InputError if a setting that images and sequences share is out of range."""
  check_number("--strength", strength, 0, MAX_STRENGTH, whole=False)
  check_controls(controls)
  check_number("--size", size, encode.MIN_SIDE, MAX_SIZE)
  check_number("--seed", seed, 0, 2**32 - 1)


def check_controls(controls: PixelControls) -> None:
  """Raises InputError, naming the flag, for an unknown or out-of-range pixel control."""
  values: dict[str, Any] = {**controls}
  for name, control in PIXEL_CONTROLS.items():
    amount, mode = values.pop(name, None), values.pop(f"{name}_mode", None)
    flag = f"--{control.flag or name}".replace("_", "-")
    check_number(flag, amount, control.low, control.high, whole=False)
    if mode is not None and mode not in (control.modes or ()):
      expected = " or ".join(control.modes or ["none"])
      raise InputError(f"--{name}-mode: found {mode}, expected {expected}")
  if values:
    raise InputError(
      f"controls: found {', '.join(values)}, expected names among {', '.join(PIXEL_CONTROLS)}"
    )


@dataclasses.dataclass(frozen=True)
class ControlMaps:
  """Maps read from files, as `stylejax.generate` takes them.

  Attributes:
    masks: [H, W] float32 each, 1 where a region's style is applied.
    strength: 0 to 2, the strength where the strength map is white.
    strength_map: [H, W] float32 or None.
    files: the paths of the files, masks first, for messages.
  """

  masks: tuple[np.ndarray, ...]
  strength: float
  strength_map: np.ndarray | None
  files: tuple[Path, ...]

  @classmethod
  def read(
    cls,
    regions: Sequence[Region],
    strength: float,
    strength_map: Path | None,
    *,
    on_note: Callable[[str], None] = lambda note: None,
  ) -> "ControlMaps":
    """Reads the maps; raises InputError for one that can't be read."""
    files = [region.mask for region in regions] + ([] if strength_map is None else [strength_map])
    maps = [_lightness(encode.read(path, on_note=on_note)) for path in files]
    count = len(regions)
    return cls(tuple(maps[:count]), strength, maps[count] if maps[count:] else None, tuple(files))

  def check_size(self, content: Path, height: int, width: int) -> None:
    """Raises InputError unless every map has the content's size."""
    for path, plane in zip(self.files, self._maps(), strict=True):
      if plane.shape != (height, width):
        raise InputError(
          f"{path}: found {plane.shape[1]}×{plane.shape[0]} pixels, expected "
          f"{width}×{height} as in {content}"
        )

  def at(self, mix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray | None, np.ndarray]:
    """(weights, strength) for `generate`, at the size of an image.

    Args:
      mix: [S], the weights of the styles outside of the masks; their sum is 1, or S is 0.
      size: (H, W).

    Returns:
      weights: for the S styles and those of the masks; maps if there are masks, None for a single
        style without masks.
      strength: a scalar or a map.
    """
    planes = [encode.resize_plane(plane, *size) for plane in self._maps()]
    masks, rest = planes[: len(self.masks)], planes[len(self.masks) :]
    strength: Any = np.float32(self.strength)
    if rest:
      strength = strength * rest[0]
    if not masks:
      return (mix if len(mix) > 1 else None), strength
    covered = np.minimum(sum(masks), 1)
    if not len(mix):
      return np.stack(masks), strength * covered
    return np.concatenate([mix[:, None, None] * (1 - covered), np.stack(masks)]), strength

  def _maps(self) -> list[np.ndarray]:
    return [*self.masks, *([] if self.strength_map is None else [self.strength_map])]


def _lightness(image: DecodedImage) -> np.ndarray:
  """[H, W]: the mean of R, G and B, times alpha: transparent pixels count as black."""
  gray = image.rgb.mean(-1)
  return gray if image.alpha is None else gray * image.alpha


def _interpolation(steps: int, count: int) -> np.ndarray:
  """[N, S]: weights from the first style through each next one to the last, in equal steps."""
  at = np.linspace(0, count - 1, steps)[:, None]
  return np.maximum(0, 1 - np.abs(at - np.arange(count))).astype(np.float32)


def _split_weight(text: str) -> tuple[str, float | None]:
  """The path and the weight in "a.jpg:0.7"; the weight is None if there is none."""
  path, colon, number = text.rpartition(":")
  if not colon or os.path.lexists(text):
    return text, None
  try:
    weight = float(number)
  except ValueError:
    return text, None
  if not (math.isfinite(weight) and weight >= 0):
    raise InputError(f"--style: found the weight {number} of {path}, expected a number from 0")
  return path, weight


def _sources(
  text: str,
  single: bool,
  flag: str = "--style",
  *,
  on_note: Callable[[str], None] = lambda note: None,
) -> list[Source]:
  """The styles of one argument, which may be a folder of several unless `single`."""
  if text.startswith("@"):
    return [Source(text[1:])]
  if single and os.path.isdir(text):
    raise InputError(f"{flag}: found the folder {text}, expected an image or @NAME")
  return [Source(path.stem, path) for path in find_images([text], flag, on_note=on_note)]


def _identity(source: Source) -> tuple:
  return (source.name,) if source.path is None else ("", os.path.realpath(source.path))
