"""One palette of at most 256 colors for all frames of an animation.

A palette per frame would make still areas flicker, and so would dithering by error diffusion. Here
a pixel's index depends on its color, its position and its index in the frame before.
"""

import numpy as np
from PIL import Image

_BITS = 5  # bits a channel in the histogram
_SAMPLE_PIXELS = 1 << 16
_TABLE_BITS = 6  # bits a channel in the table from colors to the palette
# In levels of 255: the range of the ordered dither, which turns smooth gradients into patterns
# instead of bands; and by how much a pixel's last color may be worse than the best one.
_DITHER = 8
_STEADY = 2.0


class ColorCounts:
  """Counts an animation's colors in bounded memory: up to 256 exactly, beyond that in 32³ bins."""

  def __init__(self):
    self._few: np.ndarray | None = np.zeros(0, np.int32)
    self._counts = np.zeros(1 << 3 * _BITS)
    self._sums = np.zeros((1 << 3 * _BITS, 3))

  def add(self, pixels: np.ndarray) -> None:
    """Counts pixels, [N, 3] uint8."""
    if self._few is not None:
      few = np.union1d(self._few, _boxes(pixels, 8))
      self._few = few if len(few) <= 256 else None
    boxes, size = _boxes(pixels, _BITS), len(self._counts)
    self._counts += np.bincount(boxes, minlength=size)
    for channel in range(3):
      self._sums[:, channel] += np.bincount(boxes, pixels[:, channel], minlength=size)

  @property
  def distinct(self) -> int | None:
    """The number of distinct colors up to 256; None for more."""
    return None if self._few is None else len(self._few)

  def palette(self, size: int) -> "Palette":
    """Returns at most `size` colors: all that were counted, or those that represent them best."""
    if self._few is not None and len(self._few) <= size:
      few = self._few
      return Palette(
        np.stack([few >> 16, few >> 8 & 255, few & 255], -1).astype(np.uint8), exact=True
      )
    full = self._counts > 0
    means = np.rint(self._sums[full] / self._counts[full, None]).astype(np.uint8)
    # Weighted by the square root of the pixel count, so that small objects keep their color.
    weights = np.sqrt(self._counts[full])
    repeats = np.ceil(weights * (_SAMPLE_PIXELS / weights.sum())).astype(int)
    sample = Image.fromarray(np.repeat(means, repeats, 0)[None])
    chosen = sample.quantize(size, Image.Quantize.MEDIANCUT, kmeans=1)
    colors = np.array(chosen.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return Palette(np.unique(colors[:size], axis=0))


class Palette:
  """Maps frames to the indices of a palette's colors.

  Attributes:
    colors: [K, 3] uint8.
  """

  def __init__(self, colors: np.ndarray, *, exact: bool = False):
    """`exact` promises that the palette contains every color of the animation."""
    self.colors, self._exact = colors, exact
    if exact:
      self._packed = _boxes(colors, 8)
    else:
      # Imported only here: it takes longer to import than all other code for reading and writing.
      from scipy.spatial import cKDTree

      levels = (np.arange(1 << _TABLE_BITS) + 0.5) * (256 >> _TABLE_BITS)
      centers = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
      self._table = cKDTree(colors).query(centers)[1].astype(np.uint8)

  def numbers(self, rgb: np.ndarray, *, before: np.ndarray | None = None) -> np.ndarray:
    """Chooses a color of the palette for each pixel.

    Args:
      rgb: [H, W, 3] uint8.
      before: the result for the frame before, [H, W]. A pixel keeps its color until another is
        better by more than two levels, so that noise doesn't make it flicker.

    Returns:
      [H, W] uint8.
    """
    if self._exact:  # stays in range even for a color that breaks the promise
      return np.searchsorted(self._packed[:-1], _boxes(rgb, 8)).astype(np.uint8)
    height, width = rgb.shape[:2]
    pattern = np.tile(_PATTERN, (-(-height // 8), -(-width // 8)))[:height, :width, None]
    wanted = np.clip(rgb + pattern, 0, 255)
    numbers = self._table[_boxes(wanted.astype(np.uint8), _TABLE_BITS)]
    if before is None:
      return numbers
    worse = self._distance(wanted, before) - self._distance(wanted, numbers)
    return np.where(worse <= _STEADY, before, numbers)

  def _distance(self, rgb: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    difference = rgb - self.colors[numbers]
    return np.sqrt(np.einsum("hwc,hwc->hw", difference, difference))


def _boxes(rgb: np.ndarray, bits: int) -> np.ndarray:
  """The bin [...] of each color [..., 3], when each channel is reduced to `bits` bits."""
  r, g, b = (np.moveaxis(rgb, -1, 0) >> (8 - bits)).astype(np.int32)
  return (r << 2 * bits) | (g << bits) | b


def _bayer(size: int) -> np.ndarray:
  """The Bayer matrix: the numbers 0 to size² − 1, any run of them spread evenly over it."""
  if size == 1:
    return np.zeros((1, 1))
  quarter = 4 * _bayer(size // 2)
  return np.block([[quarter, quarter + 2], [quarter + 3, quarter + 1]])


_PATTERN = (((_bayer(8) + 0.5) / 64 - 0.5) * _DITHER).astype(np.float32)
