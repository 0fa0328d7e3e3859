"""Stylizes images in memory with every control: arrays in, arrays out, no paths or flags.

The commands, the contact sheets and any server call this; `batch` reads the files.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Unpack, cast

import jax
import numpy as np

from stylejax import transfer
from stylejax.controls.ranges import check_range, check_whole_number
from stylejax.controls.table import PixelControls, takes_pixel_controls
from stylejax.controls.zoom import MAX_STROKE, MIN_STROKE
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.inference import buckets, budget
from stylejax.inference.backends.base import Backend, ignore_progress, place_in_bucket
from stylejax.inference.backends.padded import (
  Padded,
  encode_padded,
  encode_styles_padded,
  known_buckets,
)
from stylejax.inference.backends.sharded import Sharded
from stylejax.inference.backends.tiled import Tiled
from stylejax.inference.backends.whole import Whole
from stylejax.inference.compositing import compose, composite
from stylejax.models.params import check_parts
from stylejax.runtime.program_cache import compiled_step
from stylejax.transfer import Params, StyleCode
from stylejax.weights.model_file import load_pretrained

MAX_STYLE_SIZE = 4_096
"""Largest size at which a style may be read: its shorter side in pixels."""

MAX_SEED = 2**32 - 1

# Sides of the arrays in which images are computed: few, so that there is a program for an image of
# a new size, and so close that padding costs less than compiling.
_CONTENT_STEPS = (64, 128, 256, 384, 512, 640, 768, 896, 1024, 1152, 1280, 1536, 1792, 2048,
                  *range(2176, 16_385, 128))  # fmt: skip
_STYLE_STEPS = (64, 160, 320, 480, 640, 960, 1280)


class Stylizer:
  """Stylizes arrays with weights that are loaded once.

      stylizer = stylejax.Stylizer()
      image = stylizer(photo, painting)
      image = stylizer(photo, [wave, irises], weights=[0.7, 0.3], strength=0.8, color=0.5)

  Unlike `stylejax.stylize`, which is one pure function, it reads styles at the size that the
  weights were trained for, stylizes images larger than memory in tiles, accepts uint8, divides the
  rows of an image among devices on request, and keeps compiled programs: for this process, or on
  disk after `stylejax.enable_cache()`. It isn't meant to be traced.

  Args:
    weights: a packaged name, a .safetensors file, or Params.

  Attributes:
    params: the weights.

  Raises:
    InputError: the weights can't be read.
  """

  def __init__(self, weights: Params | str | os.PathLike = "base"):
    self.params = weights if isinstance(weights, Params) else load_pretrained(weights)

  @takes_pixel_controls
  def __call__(
    self,
    content: np.ndarray,
    styles: np.ndarray | StyleCode | Sequence[np.ndarray | StyleCode],
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    strength: float | np.ndarray = 1.0,
    stroke: float = 1.0,
    seamless: str = "",
    tile_pixels: int | None = None,
    shard: bool = False,
    on_progress: Callable[[float], None] | None = None,
    **controls: Unpack[PixelControls],
  ) -> np.ndarray:
    """Stylizes one image.

    Args:
      content: [H, W, 3], float32 in [0, 1] or uint8; H and W ≥ 16.
      styles: an image like content, of any size; a style code from `encode_style`, `invent_style`
        or a library; or a sequence of S of these.
      weights: how much of each style: [S], or maps [S, H, W] (regions), at least 0, divided by
        their sum. With None all styles have equal weights.
      strength: 0 (the content) to 2, 1 is as trained: a number or a map [H, W].
      stroke: size of the strokes, 1/4 to 4, for styles that are images.
      seamless: "x", "y" or "xy": directions in which the content is periodic.
      tile_pixels: computes about this many pixels at once: the same image in less memory. With None
        that is done only if the whole image would not fit.
      shard: whether to divide the rows of the image among this machine's devices.
      on_progress: called with the fraction of the work that is done, if it is done in tiles.
      controls: pixel controls, as in `PixelControls`.

    Returns:
      [H, W, 3] float32 in [0, 1].

    Raises:
      ValueError: a shape, dtype or range is wrong, or a part of the networks is missing.
      TypeError: a keyword is neither an argument nor a pixel control.
      InputError: an image that must be computed whole doesn't fit into memory.
    """
    prepared = self.prepare(content, seamless=seamless, tile_pixels=tile_pixels, shard=shard)
    codes = self.encode_styles(styles, stroke=stroke)
    if len(codes) > 1 and weights is None:
      weights = np.ones(len(codes), np.float32)
    return prepared.stylize(
      codes, weights=weights, strength=strength, on_progress=on_progress, **controls
    )[0]

  def encode_style(self, image: np.ndarray, *, size: int = encode.STYLE_SIZE) -> StyleCode:
    """Reads the style of an image.

    Args:
      image: [H, W, 3], float32 in [0, 1] or uint8.
      size: shorter side in pixels at which it is read, 16 to 4,096; larger means larger strokes.

    Returns:
      The StyleCode, unbatched.

    Raises:
      ValueError: the shape, dtype or size is wrong, or params have no style encoder.
    """
    image = _checked(image, "style")
    size = check_whole_number(size, "size", encode.MIN_SIDE, high=MAX_STYLE_SIZE)
    pixels = encode.style_pixels(DecodedImage(image, None, "RGB"), size)
    stride = self.params.config.style_stride
    known = known_buckets(encode_styles_padded, self.params, count=1, stride=stride)
    bucket = buckets.choose(_whole_cells(pixels, stride), known, steps=_STYLE_STEPS)
    placed, ends = place_in_bucket(pixels, bucket, stride), np.asarray(pixels.shape[:2], np.int32)
    code = compiled_step(encode_styles_padded)(self.params, placed[None], ends)
    # Uses NumPy, since indexing an array on a device compiles a program for each shape.
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], code)

  def invent_style(self, seed: int) -> StyleCode:
    """Invents a style with the noise generator.

    Args:
      seed: 0 to 2³² − 1; the same number gives the same style.

    Returns:
      The StyleCode, unbatched.

    Raises:
      ValueError: the seed is out of range, or params have no noise generator or style encoder.
    """
    seed = check_whole_number(seed, "seed", 0, high=MAX_SEED)
    return compiled_step(transfer.sample_style)(self.params, jax.random.key(seed))

  def encode_styles(
    self, styles: np.ndarray | StyleCode | Sequence[np.ndarray | StyleCode], *, stroke: float = 1.0
  ) -> list[StyleCode]:
    """The codes of one or more styles, given as images or codes; `stroke` is as in a call.

    Raises:
      ValueError: there is no style, a shape or dtype is wrong, or the stroke is out of range.
    """
    if np.ndim(stroke):
      raise ValueError(f"stroke: found shape {np.shape(stroke)}, expected a scalar")
    check_range(stroke, "stroke", MIN_STROKE, MAX_STROKE)
    size = round(encode.STYLE_SIZE * stroke)
    single = isinstance(styles, StyleCode) or getattr(styles, "ndim", None) == 3
    every: list[Any] = [styles] if single else list(cast(Sequence, styles))
    if not every:
      raise ValueError("styles: found none, expected one or more")
    return [
      self._checked_code(style)
      if isinstance(style, StyleCode)
      else self.encode_style(style, size=size)
      for style in every
    ]

  def _checked_code(self, code: StyleCode) -> StyleCode:
    """The code, if it is that of a single style and fits the weights; else raises ValueError."""
    shape, expected = np.shape(code.vector), (self.params.config.style_dim,)
    if shape != expected:
      raise ValueError(
        f"styles: found a style code with a vector of shape {list(shape)}, expected "
        f"{list(expected)}, one style; several go into a list"
      )
    return code

  def prepare(
    self,
    content: np.ndarray,
    *,
    seamless: str = "",
    tile_pixels: int | None = None,
    shard: bool = False,
  ) -> "Prepared":
    """Encodes a content once, for several stylizations; arguments and errors are as in a call."""
    check_parts(self.params, "content_encoder", "generator")
    content = _checked(content, "content")
    if tile_pixels is not None:
      tile_pixels = check_whole_number(tile_pixels, "tile_pixels", 1)
    if (tile_pixels is not None) + bool(seamless) + shard > 1:
      raise ValueError("tile_pixels, seamless, shard: found more than one, expected one of them")
    if seamless not in ("", "x", "y", "xy"):
      raise ValueError(f"seamless: found {seamless!r}, expected x, y or xy")
    config = self.params.config
    if seamless or shard:
      budget.check_fits(
        "seamless" if seamless else "shard",
        content.shape,
        budget.whole_bytes(config),
        "a smaller size takes less",
      )
    if shard:
      return Prepared(Sharded(self.params, content))
    if seamless:
      return Prepared(Whole(self.params, content, seamless=seamless))
    bucket = buckets.choose(
      _whole_cells(content, config.stride), self.known_buckets(), steps=_CONTENT_STEPS
    )
    if tile_pixels is None and budget.fits(bucket, config):
      return Prepared(Padded(self.params, [content], bucket))
    if tile_pixels is None and budget.fits(content.shape, config):
      return Prepared(Whole(self.params, content))
    if tile_pixels is None:
      tile_pixels = budget.tile_pixels(content.shape, config)
    return Prepared(Tiled(self.params, content, tile_pixels=tile_pixels))

  def known_buckets(self) -> set[tuple[int, int]]:
    """(H, W) of arrays for one content whose programs an earlier call or process has kept."""
    return known_buckets(encode_padded, self.params, count=1, stride=self.params.config.stride)

  def prepare_padded(
    self, contents: Sequence[np.ndarray], bucket: tuple[int, int], *, devices: int = 1
  ) -> "Prepared":
    """Encodes contents padded to arrays of one size, so that one program works for all sizes.

    Args:
      contents: [H, W, 3] each, float32 in [0, 1] or uint8, no larger than the bucket.
      bucket: (H, W) of the arrays, multiples of the config's stride.
      devices: number of devices to use.
    """
    contents = [_checked(content, "content") for content in contents]
    return Prepared(Padded(self.params, contents, bucket, devices=devices))


class Prepared:
  """Contents that a backend has encoded, ready to be stylized."""

  def __init__(self, backend: Backend):
    self._backend = backend

  @takes_pixel_controls
  def stylize(
    self,
    styles: Sequence[StyleCode],
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    strength: float | np.ndarray = 1.0,
    dtype: type = np.float32,
    on_progress: Callable[[float], None] | None = None,
    **controls: Unpack[PixelControls],
  ) -> list[np.ndarray]:
    """Stylizes every content, as a call of `Stylizer` does.

    Args:
      styles: one code, or S of them with weights.
      weights, strength, on_progress: as in a call of `Stylizer`; maps only if there is a single
        content.
      dtype: the dtype of the result: np.float32 in [0, 1] or np.uint8.
      controls: pixel controls, as in `PixelControls`.

    Returns:
      [H, W, 3] for each content.

    Raises:
      ValueError: a control has a wrong shape or range.
      FloatingPointError: a stylized image contains NaN or infinity.
    """
    if weights is None and len(styles) != 1:
      raise ValueError(f"weights: found none for {len(styles)} styles, expected one for each")
    composition = compose(
      np.stack([np.asarray(code.vector, np.float32) for code in styles]),
      weights,
      strength,
      self._backend.contents[0].shape[:2],
      controls=controls,
    )
    return composite(
      self._backend, composition, dtype=dtype, on_progress=on_progress or ignore_progress
    )


def _whole_cells(image: np.ndarray, stride: int) -> tuple[int, int]:
  """(H, W) of an image rounded up to multiples of the stride."""
  height, width = (-(-side // stride) * stride for side in image.shape[:2])
  return height, width


def _checked(image: np.ndarray, name: str) -> np.ndarray:
  """The image as an array on the host; raises ValueError for a wrong shape, dtype or range."""
  image = np.asarray(image)
  if image.ndim != 3 or image.shape[-1] != 3:
    raise ValueError(f"{name}: found shape {image.shape}, expected [H, W, 3]")
  if min(image.shape[:2]) < transfer.MIN_SIDE:
    raise ValueError(
      f"{name}: found {image.shape[1]}×{image.shape[0]} pixels, expected at least "
      f"{transfer.MIN_SIDE}×{transfer.MIN_SIDE}"
    )
  if image.dtype not in (np.float32, np.uint8):
    raise ValueError(f"{name}: found dtype {image.dtype}, expected float32 in [0, 1] or uint8")
  if image.dtype == np.float32 and not (image.min() >= -1e-3 and image.max() <= 1.001):
    raise ValueError(
      f"{name}: found values from {image.min():g} to {image.max():g}, expected 0 to 1"
    )
  return image
