"""Artifacts that a net can make and that are in neither of its images: border, grid and blotch.

NumPy on the host: images come in many sizes, and no measure here is worth a compilation. Each
score is in units of its alarm: above 1 the artifact is there. The limits were set so that recolored
photographs never alarm beside their originals, and artworks hardly ever beside a photograph.
"""

import numpy as np
from scipy import ndimage

from stylejax.errors import InputError

MIN_SIDE = 64
STRIPS = (2, 4, 8, 16)  # widths in pixels: a padded layer's artifact is as wide as what it reads
PERIODS = (2, 4, 8)
TILE = 64
# What the raw measures of ordinary images stay below.
BORDER_LIMIT, GRID_LIMIT, SPIKE_LIMIT, DEAD_LIMIT = 5.0, 0.4, 2.4, 0.02
LEVEL = 1 / 255
# To luma and two opponent colors, about of equal scale; grays have only the first.
OPPONENT = np.array([[1 / 3, 1, 1 / 2], [1 / 3, -1, 1 / 2], [1 / 3, 0, -1]])


def find_artifacts(image: np.ndarray, content: np.ndarray) -> dict[str, float]:
  """All scores of one image: {"border", "grid", "blotch"}, an alarm above 1.

  Args:
    image: [H, W, 3] in [0, 1], H and W ≥ 64: what was stylized.
    content: [H, W, 3] in [0, 1]: what it was stylized from; what it shows itself is no artifact.

  Raises:
    InputError: other shapes.
  """
  return {
    "border": border(image, content),
    "grid": grid(image, content),
    "blotch": blotch(image, content),
  }


def border(image: np.ndarray, content: np.ndarray) -> float:
  """Is the outermost strip along a side unlike the next one, more than strips inside are?

  For strips of 2, 4, 8 and 16 pixels: the step from the first strip to the second in mean color
  and in contrast along the side, over the 90 % quantile of such steps inside; over the content's
  own, where that is above 1. Largest of sides, widths and measures.

  Arguments and errors as of `find_artifacts`.
  """
  _check(image, content)
  scores = []
  for turns in range(4):
    turned = [np.rot90(x, turns) for x in (image, content)]
    for width in STRIPS:
      step, expected = (_edge_step(x, width) for x in turned)
      scores.append(step / max(1.0, expected))
  return float(max(scores) / BORDER_LIMIT)


def grid(image: np.ndarray, content: np.ndarray) -> float:
  """Do the frequencies of a checkerboard or grid stand out of the spectrum?

  Mean over tiles of the logarithm of power at periods of 2, 4 and 8 pixels, along rows, columns
  or both, over the power at neighboring frequencies; less 1.2 times the content's own where that
  is positive (JPEG's blocks). The mean of logarithms, not the logarithm of the mean: a pattern is
  faint where it shows most, in flat places.

  Arguments and errors as of `find_artifacts`.
  """
  _check(image, content)
  excess = _peaks(image) - 1.2 * np.maximum(_peaks(content).max(0), 0)
  return float(max(excess.max(), 0) / GRID_LIMIT)


def blotch(image: np.ndarray, content: np.ndarray) -> float:
  """Is there a spot of color that stands alone, or a dead area where the content has detail?

  A spot: largest response of a center-surround filter over its own 95 % quantile, divided by one
  plus the content's at that place: the droplets that normalized nets are known to make. A dead
  area: share of the image in the largest connected part without any detail though the content
  has some there. The larger of the two, each over its limit.

  Arguments and errors as of `find_artifacts`.
  """
  _check(image, content)
  spike, dead = _spike(image, content), _dead(image, content)
  return float(max(spike / SPIKE_LIMIT, dead / DEAD_LIMIT))


def _edge_step(image: np.ndarray, width: int) -> float:
  """The first step from the top, over what is usual inside the image."""
  count = image.shape[0] // width
  strips = image[: count * width].reshape(count, width, -1, 3).astype(np.float64)
  steps = np.diff(strips.mean(1), axis=0)
  # A mean step counts by how much it goes one way all along the side, as an artifact's does.
  color = np.square(steps.mean(1)) / (np.abs(steps).mean(1) + 2 * LEVEL)
  contrast = np.abs(np.diff(np.abs(np.diff(strips, axis=2)).mean((1, 2, 3))))[:, None]
  return max(
    float((changes[0] / (np.quantile(changes[1:], 0.9, axis=0) + 2 * LEVEL)).max())
    for changes in (color, contrast)
  )


def _peaks(image: np.ndarray) -> np.ndarray:
  """[channels, periods × 3] mean log ratio of power at the grids' frequencies to around them."""
  power = _tile_power(image @ OPPONENT)  # [tiles, 3, TILE, TILE]
  floor = (LEVEL / 4) ** 2
  ratios = []
  for period in PERIODS:
    at = TILE // period
    near = [f for f in (at - 4, at - 3, at - 2, at + 2, at + 3, at + 4) if 0 < f <= TILE // 2]
    zero = [0, 1]  # a window's main lobe around what has no change in the other direction
    for rows, columns, rows_near, columns_near in (
      ([at], zero, near, zero),
      (zero, [at], zero, near),
      ([at], [at], near, near),
    ):
      peak = power[:, :, rows][..., columns].mean((2, 3))
      around = power[:, :, rows_near][..., columns_near].mean((2, 3))
      ratios.append(np.log((peak + floor) / (around + floor)).mean(0))
  return np.stack(ratios, axis=1)


def _tile_power(planes: np.ndarray) -> np.ndarray:
  """Squared amplitude of each frequency in overlapping tiles: [H, W, C] → [T, C, TILE, TILE]."""
  half = TILE // 2
  tiles = np.lib.stride_tricks.sliding_window_view(planes, (TILE, TILE), (0, 1))[::half, ::half]
  tiles = tiles.reshape(-1, *tiles.shape[2:]).astype(np.float64)
  window = np.hanning(TILE + 1)[:-1]
  window = window[:, None] * window
  tiles = (tiles - tiles.mean((2, 3), keepdims=True)) * (window / window.sum())
  return np.abs(np.fft.fft2(tiles)) ** 2


def _spike(image: np.ndarray, content: np.ndarray) -> float:
  image, content = (_shrink(x, 128) for x in (image, content))
  side = min(image.shape[:2])
  largest = 0.0
  for sigma in (side / 64, side / 32, side / 16):
    response, expected = (_responses(x, sigma) for x in (image, content))
    size = 2 * round(2 * sigma) + 1
    expected = ndimage.maximum_filter(expected.max(-1), size)[..., None]
    largest = max(largest, float((response / (1 + expected)).max()))
  return largest


def _responses(image: np.ndarray, sigma: float) -> np.ndarray:
  """Center minus surround in three color channels, each over its 95 % quantile."""
  planes = image @ OPPONENT
  center, surround = (
    ndimage.gaussian_filter(planes, (s, s, 0), mode="nearest", truncate=3)
    for s in (sigma, 2 * sigma)
  )
  response = np.abs(center - surround)
  return response / (np.quantile(response, 0.95, axis=(0, 1)) + 4 * LEVEL)


def _dead(image: np.ndarray, content: np.ndarray) -> float:
  """Share of the largest connected area that is flat here and isn't in the content."""
  image, content = (_shrink(x, 256) for x in (image, content))
  flat = (_local_deviation(image) < LEVEL) & (_local_deviation(content) > 6 * LEVEL)
  labels, count = ndimage.label(flat)
  return float(np.bincount(labels.ravel())[1:].max() / flat.size) if count else 0.0


def _local_deviation(image: np.ndarray) -> np.ndarray:
  """Largest channel's standard deviation in 9×9 windows, [H, W]."""
  x = image.astype(np.float64) - 0.5
  mean = ndimage.uniform_filter(x, (9, 9, 1), mode="reflect")
  square = ndimage.uniform_filter(np.square(x), (9, 9, 1), mode="reflect")
  return np.sqrt(np.maximum(square - np.square(mean), 0)).max(-1)


def _shrink(image: np.ndarray, shorter: int) -> np.ndarray:
  """Means of blocks, as large as leaves the shorter side at least that long."""
  factor = max(1, min(image.shape[:2]) // shorter)
  height, width = (side // factor * factor for side in image.shape[:2])
  blocks = image[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
  return blocks.mean((1, 3), dtype=np.float64)


def _check(image: np.ndarray, content: np.ndarray) -> None:
  shape = image.shape
  if len(shape) != 3 or shape[-1] != 3 or shape != content.shape or min(shape[:2]) < MIN_SIDE:
    raise InputError(
      f"image to look for artifacts in: found shapes {shape} and {content.shape},"
      f" expected the same [H, W, 3], at least {MIN_SIDE}×{MIN_SIDE}"
    )
