"""Artifacts that a net can add and that neither of its images has: border, grid and blotch.

NumPy on the host: images come in many sizes, and no measure here is worth a compilation. Each score
is relative to its limit: above 1, the artifact is there. The limits were set so that recolored
photographs never exceed them beside their originals, and artworks hardly ever do beside a
photograph.
"""

import numpy as np
from scipy import ndimage

from stylejax.errors import InputError

MIN_SIDE = 64
STRIPS = (2, 4, 8, 16)  # widths in pixels: a padded layer's artifact is as wide as its window
PERIODS = (2, 4, 8)
TILE = 64
# The raw measures of ordinary images stay below these.
BORDER_LIMIT, GRID_LIMIT, WEAVE_LIMIT, SPIKE_LIMIT, DEAD_LIMIT = 5.0, 0.4, 0.15, 2.4, 0.02
CELL = 4  # pixels to which a net that works on folded pixels may give unequal contrast
LEVEL = 1 / 255
# RGB to luma and two opponent colors, of about equal scale; grays have only the first.
OPPONENT = np.array([[1 / 3, 1, 1 / 2], [1 / 3, -1, 1 / 2], [1 / 3, 0, -1]])


def find_artifacts(image: np.ndarray, content: np.ndarray) -> dict[str, float]:
  """All scores of one image: {"border", "grid", "blotch"}; above 1 the artifact is there.

  Args:
    image: [H, W, 3] in [0, 1], H and W ≥ 64: the stylized image.
    content: [H, W, 3] in [0, 1]: its content; what this shows itself is no artifact.

  Raises:
    InputError: shapes that differ, aren't [H, W, 3], or have a side below 64.
  """
  return {
    "border": border(image, content),
    "grid": grid(image, content),
    "blotch": blotch(image, content),
  }


def border(image: np.ndarray, content: np.ndarray) -> float:
  """Scores how much more the outermost strip along a side differs from the next than others do.

  For strips of 2, 4, 8 and 16 pixels: the step from the first strip to the second, in mean color
  and in contrast along the side, relative to the 90 % quantile of such steps inside; divided by the
  content's, where that is above 1. The result is the largest over sides, widths and measures.

  Arguments and errors as in `find_artifacts`.
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
  """Scores checkerboards, grids and weaves: the larger of two measures by their limits.

  Grids stand out from the spectrum: the mean over tiles of the log ratio of power at periods of 2,
  4 and 8 pixels, along rows, columns or both, to power at neighboring frequencies, less 1.2 times
  the content's where that is positive (JPEG's blocks). It is a mean of logarithms, not the
  logarithm of a mean, because a pattern is faint where it shows most, in flat areas.

  A weave need not: its threads are irregular, but some columns or rows of each cell of four pixels
  have more contrast than others. The measure is the standard deviation over the 16 positions in a
  cell of the mean log contrast, beyond what chance gives, less 1.2 times the content's.

  Arguments and errors as in `find_artifacts`.
  """
  _check(image, content)
  excess = _peaks(image) - 1.2 * np.maximum(_peaks(content).max(0), 0)
  weave = _unevenness(image) - 1.2 * _unevenness(content).max()
  return float(max(excess.max() / GRID_LIMIT, weave.max() / WEAVE_LIMIT, 0))


def blotch(image: np.ndarray, content: np.ndarray) -> float:
  """Scores single spots of color, and dead areas where the content has detail.

  Spots are the droplets that normalized nets are known to make: the largest response of a
  center-surround filter relative to its own 95 % quantile, divided by one plus the content's at
  that place. Dead areas: the share of the image in its largest connected area without any detail
  where the content has some. The score is the larger of the two, each divided by its limit.

  Arguments and errors as in `find_artifacts`.
  """
  _check(image, content)
  spike, dead = _spike(image, content), _dead(image, content)
  return float(max(spike / SPIKE_LIMIT, dead / DEAD_LIMIT))


def _edge_step(image: np.ndarray, width: int) -> float:
  """The step from the first strip at the top to the second, relative to the steps inside."""
  count = image.shape[0] // width
  strips = image[: count * width].reshape(count, width, -1, 3).astype(np.float64)
  steps = np.diff(strips.mean(1), axis=0)
  # A mean step counts by how much it has one sign all along the side, as an artifact's has.
  color = np.square(steps.mean(1)) / (np.abs(steps).mean(1) + 2 * LEVEL)
  contrast = np.abs(np.diff(np.abs(np.diff(strips, axis=2)).mean((1, 2, 3))))[:, None]
  return max(
    float((changes[0] / (np.quantile(changes[1:], 0.9, axis=0) + 2 * LEVEL)).max())
    for changes in (color, contrast)
  )


def _peaks(image: np.ndarray) -> np.ndarray:
  """[channels, periods × 3] mean log ratio of power at grid frequencies to power around them."""
  power = _tile_power(image @ OPPONENT)  # [tiles, 3, TILE, TILE]
  floor = (LEVEL / 4) ** 2
  ratios = []
  for period in PERIODS:
    at = TILE // period
    near = [f for f in (at - 4, at - 3, at - 2, at + 2, at + 3, at + 4) if 0 < f <= TILE // 2]
    zero = [0, 1]  # the window's main lobe, for patterns that are constant in the other direction
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


def _unevenness(image: np.ndarray) -> np.ndarray:
  """[2] how much contrast down and across depends on the position in a cell, 0 if it doesn't."""
  deviations = []
  for axis in (0, 1):
    logs = np.log(np.square(np.diff(image, axis=axis)).sum(-1) + np.square(4 * LEVEL))
    rows, columns = (side // CELL for side in logs.shape)
    cells = logs[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    by_chance = 4 * cells.var((0, 2)).mean() / (rows * columns)  # neighbors are alike
    deviations.append(np.sqrt(max(cells.mean((0, 2)).var() - by_chance, 0.0)))
  return np.array(deviations)


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
  """|Center − surround| in three color channels, each relative to its 95 % quantile."""
  planes = image @ OPPONENT
  center, surround = (
    ndimage.gaussian_filter(planes, (s, s, 0), mode="nearest", truncate=3)
    for s in (sigma, 2 * sigma)
  )
  response = np.abs(center - surround)
  return response / (np.quantile(response, 0.95, axis=(0, 1)) + 4 * LEVEL)


def _dead(image: np.ndarray, content: np.ndarray) -> float:
  """Share of the image in the largest connected area that is flat though the content isn't."""
  image, content = (_shrink(x, 256) for x in (image, content))
  flat = (_local_deviation(image) < LEVEL) & (_local_deviation(content) > 6 * LEVEL)
  labels, count = ndimage.label(flat)
  return float(np.bincount(labels.ravel())[1:].max() / flat.size) if count else 0.0


def _local_deviation(image: np.ndarray) -> np.ndarray:
  """The largest channel's standard deviation in 9×9 windows, [H, W]."""
  x = image.astype(np.float64) - 0.5
  mean = ndimage.uniform_filter(x, (9, 9, 1), mode="reflect")
  square = ndimage.uniform_filter(np.square(x), (9, 9, 1), mode="reflect")
  return np.sqrt(np.maximum(square - np.square(mean), 0)).max(-1)


def _shrink(image: np.ndarray, shorter: int) -> np.ndarray:
  """Means of square blocks, as large as leave the shorter side at least `shorter` long."""
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
