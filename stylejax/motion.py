"""Where the pixels of a frame were in the frame before: dense optical flow, and warping along it.

Pure functions of two frames; no network and nothing to train. The motion is used in temporal.py.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from stylejax.models.replaceable import Replaceable
from stylejax.reductions import box_mean

FINEST = 288
"""Largest shorter side at which motion is estimated; for larger frames it is interpolated."""

LEVELS = 3  # each half as large as the one before
REACH = 6  # cells of the coarsest level over which a match is searched, in every direction
STEPS = 4  # Gauss-Newton steps at each level
WINDOW = 7  # cells on a side of the narrow window
WIDE, WIDE_SHARE = 7.0, 0.1  # Standard deviation in cells of the wider window, and its weight
OUTLIER = 0.015  # Differences of gray beyond this count less and less.
INERTIA = 3e-5  # Weight of the neighborhood's mean motion, in squared gradients.
MOST_STEP = 2.0  # Largest change of the motion in a Gauss-Newton step, in cells.
# A motion less than SNAP pixels from a whole one is rounded where that makes the difference of the
# frames grow by at most this factor and this much: some growth is expected, as interpolation
# averages noise away, but not more, as slow motion isn't noise.
SNAP, AS_WELL = 0.25, (1.15, 0.0004)
# A pixel stands still if the difference without motion is below STANDING times that along the
# motion, and below STILL; they are means over FEW × FEW of every other pixel.
STANDING, STILL, FEW = 0.8, 0.03, 3
GRAY = (0.299, 0.587, 0.114)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow(Replaceable):
  """The motion between two frames.

  Attributes:
    vectors: [H, W, 2], (x, y) in pixels: what is at p in the frame was at p + vectors[p] before.
    visible: [H, W, 1], from 1, where the motions there and back agree, to 0, where they don't: the
      pixel was hidden or outside in the frame before.
  """

  vectors: jax.Array
  visible: jax.Array


def optical_flow(frame: jax.Array, before: jax.Array) -> Flow:
  """Estimates where each pixel of a frame was in the frame before.

  At the coarsest of three levels, a search finds the shift under which the neighborhood of a pixel
  differs least; at the two finer ones, Gauss-Newton steps refine the motion,

      u_p = argmin_u Σ_q w_pq ρ_q (g_q · (u − u_q) + r_q)² + λ |u − ū_p|²

  with the residuals r and the mean gradients g of the frame and the warped frame before,
  ρ = 1/(1 + (r/σ)²), a narrow window plus a tenth of a wide Gaussian one as w, and the mean motion
  ū nearby. Motions that are whole pixels up to the error of the estimate are rounded where the
  frames then agree as well: such pixels are copied, not interpolated. Where a motion reaches into
  what stands still beside it, it becomes 0 if that fits better. A pixel is visible if the motions
  there and back lead to where it started.

  Args:
    frame: [H, W, 3] in [0, 1].
    before: the frame before, of the same shape.

  Returns:
    The Flow from the frame to the one before.

  Raises:
    ValueError: shapes that aren't [H, W, 3] or differ.

  Sources: the search and the inverse steps after Kroeger et al. 2016, arXiv:1603.03590, with
  windows around every pixel instead of a grid of patches; windows of two widths after Bruhn et al.
  2005, "Lucas/Kanade meets Horn/Schunck", which joins a local and a global term; the check there
  and back after Sundaram et al. 2010, "Dense point trajectories by GPU-accelerated large
  displacement optical flow".
  """
  if frame.ndim != 3 or frame.shape[-1] != 3 or frame.shape != before.shape:
    raise ValueError(
      f"frame, before: found shapes {frame.shape} and {before.shape}, expected the same [H, W, 3]"
    )
  pair = jnp.stack([_gray(frame), _gray(before)])
  with jax.named_scope("optical_flow"):
    return _flow(pair)


def warp(image: jax.Array, vectors: jax.Array, *, sharp: bool = False, every: int = 1) -> jax.Array:
  """Warps an image: takes each pixel from where the motion says that it was.

  Args:
    image: [H, W, C].
    vectors: [H, W, 2], as `Flow.vectors`; beyond its edges the image repeats its edge pixels.
    sharp: cubic instead of linear interpolation (Catmull-Rom), which blurs less and may overshoot.
    every: stride; only pixels in every `every`-th row and column are taken.

  Returns:
    [⌈H / every⌉, ⌈W / every⌉, C]; whole vectors copy pixels unchanged.

  Source of the cubic: Keys 1981, "Cubic convolution interpolation for digital image processing".
  """
  height, width = vectors.shape[:2]
  vectors = vectors[::every, ::every]
  x, y = (jnp.arange(0, side, every, dtype=jnp.float32) for side in (width, height))
  x = jnp.clip(x[None] + vectors[..., 0], 0, width - 1)
  y = jnp.clip(y[:, None] + vectors[..., 1], 0, height - 1)
  left, top = jnp.floor(x), jnp.floor(y)
  taps = _cubic if sharp else _linear
  columns, rows = taps(x - left), taps(y - top)
  left, top = left.astype(jnp.int32), top.astype(jnp.int32)
  pixels = image.reshape(height * width, -1)
  result = jnp.zeros((*x.shape, pixels.shape[-1]), image.dtype)
  for dy, row in rows.items():
    start = jnp.clip(top + dy, 0, height - 1) * width
    line = jnp.zeros_like(result)
    for dx, column in columns.items():
      places = start + jnp.clip(left + dx, 0, width - 1)
      line += column[..., None] * jnp.take(pixels, places, axis=0, mode="clip")
    result += row[..., None] * line
  return result


def _linear(t: jax.Array) -> dict[int, jax.Array]:
  """Weight of each neighbor for a position t in [0, 1) after pixel 0."""
  return {0: 1 - t, 1: t}


def _cubic(t: jax.Array) -> dict[int, jax.Array]:
  """As `_linear`, for the cubic whose slope at a pixel is that between the pixel's neighbors."""
  return {
    -1: ((2 - t) * t - 1) * t / 2,
    0: ((3 * t - 5) * t * t + 2) / 2,
    1: ((4 - 3 * t) * t + 1) * t / 2,
    2: (t - 1) * t * t / 2,
  }


def _gray(image: jax.Array) -> jax.Array:
  image = image.astype(jnp.float32)  # half precision loses motions below a pixel
  return image[..., 0] * GRAY[0] + image[..., 1] * GRAY[1] + image[..., 2] * GRAY[2]


def _flow(pair: jax.Array) -> Flow:
  """`optical_flow` of [2, H, W], gray."""
  shape = pair.shape[1:]
  levels, finest = [pair], 0
  while min(shape) >> finest > FINEST:
    finest += 1
  for _ in range(finest + LEVELS - 1):
    levels.append(_halve(levels[-1]))
  # There and back at once: each pair [2, h, w] in both orders.
  ways = [(level, level[::-1]) for level in levels]
  both = jax.vmap(_search)(*ways[-1])
  both = jax.vmap(_refine)(*ways[finest + 1], _resample_to(both, levels[finest + 1].shape[1:]))
  flow = _resample_to(both[0], levels[finest].shape[1:])
  flow = _refine(levels[finest][0], levels[finest][1], flow)
  visible = _resize(_agreement(*both)[None], *shape)[0]
  for level in reversed(range(finest)):
    flow = _resample_to(flow, levels[level].shape[1:])
  vectors, stands = _settled(pair[0], pair[1], jnp.moveaxis(flow, 0, -1))
  visible = jnp.clip(jnp.maximum(visible, stands), 0, 1) * _inside(vectors)
  return Flow(vectors, visible[..., None])


def _search(first: jax.Array, second: jax.Array) -> jax.Array:
  """The best shift of every cell by whole cells, [2, h, w], between two images [h, w]."""
  height, width = first.shape
  padded = jnp.pad(second, REACH, mode="edge")
  shifts = jnp.arange(2 * REACH + 1)

  def row(best, dy):
    lines = jax.lax.dynamic_slice(padded, (dy, 0), (height, padded.shape[1]))
    moved = jax.vmap(lambda dx: jax.lax.dynamic_slice(lines, (0, dx), (height, width)))(shifts)
    x, y = (shifts - REACH).astype(jnp.float32), (dy - REACH).astype(jnp.float32)
    cost = _near(jnp.abs(moved - first[None])) + 2e-4 * jnp.hypot(x, y)[:, None, None]
    choice = cost.argmin(0)
    shift = jnp.stack([x[choice], jnp.full((height, width), y)])
    least, chosen = best
    cost = cost.min(0)
    return (jnp.minimum(cost, least), jnp.where((cost < least)[None], shift, chosen)), None

  start = (
    jnp.full((height, width), jnp.inf, jnp.float32),
    jnp.zeros((2, height, width), jnp.float32),
  )
  return jax.lax.scan(row, start, shifts)[0][1]


def _refine(first: jax.Array, second: jax.Array, flow: jax.Array) -> jax.Array:
  """STEPS Gauss-Newton steps on a flow [2, h, w] between images [h, w]."""
  slopes = _gradient(first)

  def step(flow, _):
    moved = warp(second[..., None], jnp.moveaxis(flow, 0, -1))[..., 0]
    residual = moved - first
    x, y = ((a + b) / 2 for a, b in zip(slopes, _gradient(moved)))
    along = x * flow[0] + y * flow[1] - residual
    terms = jnp.stack([x * x, x * y, y * y, x * along, y * along])
    terms = terms / (1 + jnp.square(residual[None] / OUTLIER))
    xx, xy, yy, xr, yr = _near(terms) + WIDE_SHARE * _wide(terms)
    near = _near(flow)
    xx, yy, xr, yr = xx + INERTIA, yy + INERTIA, xr + INERTIA * near[0], yr + INERTIA * near[1]
    solved = jnp.stack([yy * xr - xy * yr, xx * yr - xy * xr]) / (xx * yy - xy * xy)[None]
    return flow + jnp.clip(solved - flow, -MOST_STEP, MOST_STEP), None

  return jax.lax.scan(step, flow, None, length=STEPS)[0]


def _agreement(there: jax.Array, back: jax.Array) -> jax.Array:
  """[h, w], from 1, where flows there and back [2, h, w] lead to where they start, to 0."""
  vectors = jnp.moveaxis(there, 0, -1)
  returned = jnp.moveaxis(warp(jnp.moveaxis(back, 0, -1), vectors), -1, 0)
  gap = jnp.square(there + returned).sum(0)
  bound = 0.01 * (jnp.square(there).sum(0) + jnp.square(returned).sum(0)) + 0.25
  return jnp.clip(2 - gap / bound, 0, 1)


def _settled(
  frame: jax.Array, before: jax.Array, vectors: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Makes motions whole where that fits as well, and 0 where that fits better.

  Args:
    frame, before: [H, W], gray.
    vectors: [H, W, 2].

  Returns:
    (the vectors [H, W, 2]; 1 where a pixel is found to stand still, else 0, [H, W]).
  """
  whole = jnp.round(vectors)
  # Every other pixel of every other row is enough to tell.
  differences = [
    jnp.abs(warp(before[..., None], v, every=2)[..., 0] - frame[::2, ::2]) for v in (vectors, whole)
  ]
  moved, copied = map(_near, differences)
  factor, more = AS_WELL
  fits = _doubled(copied <= factor * moved + more, frame.shape)
  fits &= jnp.abs(vectors - whole).max(-1) < SNAP
  vectors = jnp.where(fits[..., None], whole, vectors)
  # Large windows let a motion reach into what stands still beside it; small ones tell them apart.
  unmoved = jnp.abs(before - frame)[::2, ::2]
  unmoved, moved = (
    box_mean(box_mean(x, 0, FEW), 1, FEW) for x in (unmoved, jnp.minimum(*differences))
  )
  stands = _doubled((unmoved < STANDING * moved) & (unmoved < STILL), frame.shape)
  return jnp.where(stands[..., None], 0.0, vectors), stands.astype(jnp.float32)


def _doubled(cells: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Repeats each cell of [h, w] as 2 × 2 pixels, cut to [H, W]."""
  return jnp.repeat(jnp.repeat(cells, 2, 0), 2, 1)[: shape[0], : shape[1]]


def _inside(vectors: jax.Array) -> jax.Array:
  """1 where the motion comes from within the frame, else 0: [H, W]."""
  height, width = vectors.shape[:2]
  x = jnp.arange(width, dtype=jnp.float32)[None] + vectors[..., 0]
  y = jnp.arange(height, dtype=jnp.float32)[:, None] + vectors[..., 1]
  return ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).astype(jnp.float32)


def _gradient(image: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Central differences along x and y of [h, w]."""
  padded = jnp.pad(image, 1, mode="edge")
  return ((padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2)


def _near(images: jax.Array) -> jax.Array:
  """Means over WINDOW × WINDOW cells of [..., h, w]; images repeat their edge pixels."""
  for axis in (images.ndim - 2, images.ndim - 1):
    images = box_mean(images, axis, WINDOW)
  return images


def _wide(images: jax.Array) -> jax.Array:
  """Gaussian means of [..., h, w], of deviation WIDE, at every fourth cell; linear in between."""

  # A window this wide is quickest as two matrix products.
  def weights(side):
    centers, places = (jnp.arange(0, side, n, dtype=jnp.float32) for n in (4, 1))
    means = jnp.exp(-jnp.square((centers[:, None] - places[None]) / WIDE) / 2)
    return means / means.sum(1, keepdims=True)

  height, width = images.shape[-2:]
  product = partial(jnp.matmul, precision="highest")
  means = product(product(weights(height), images), weights(width).T)
  return _between(_between(means, -2, height, 4, 0.0), -1, width, 4, 0.0)


def _halve(images: jax.Array) -> jax.Array:
  """Halves the sides of [..., h, w], rounded up, by means of 4×4 pixels weighted 1 3 3 1."""
  for axis in (images.ndim - 2, images.ndim - 1):
    line = [1] * images.ndim
    line[axis] = images.shape[axis]
    # At the edges the weights are less than 8: beyond them there is nothing.
    images = _tent_sums(images, axis) / _tent_sums(jnp.ones(line, images.dtype), axis)
  return images


def _tent_sums(x: jax.Array, axis: int) -> jax.Array:
  """Sums of x[2i − 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2] along an axis, 0 beyond its edges."""
  side = x.shape[axis]
  half, edges = -(-side // 2), [(0, 0)] * x.ndim
  edges[axis] = (1, 2 * half + 1 - side)
  x = jnp.pad(x, edges)
  first, *middle, last = (jax.lax.slice_in_dim(x, k, k + 2 * half - 1, 2, axis) for k in range(4))
  return first + 3.0 * (middle[0] + middle[1]) + last


def _resample_to(flow: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Resamples a flow [..., h, w] to the shape of the next finer level, unless it has it already."""
  return flow if flow.shape[-2:] == shape else 2 * _resize(flow, *shape)


def _resize(images: jax.Array, height: int, width: int) -> jax.Array:
  """Enlarges [..., h, w] to [..., height, width] by a power of 2 (rounded up), linearly."""
  for axis, fine in ((-2, height), (-1, width)):
    scale = 1
    while images.shape[axis] * scale < fine:
      scale *= 2
    images = _between(images, axis, fine, scale, 0.5 / scale - 0.5)
  return images


def _between(images: jax.Array, axis: int, fine: int, scale: int, first: float) -> jax.Array:
  """Linear interpolation along an axis, at `fine` places 1/scale apart, the first at `first`.

  Places are counted in cells; beyond its edges the image repeats its edge cells.
  """
  axis %= images.ndim
  side, edges = images.shape[axis], [(0, 0)] * images.ndim
  edges[axis] = (1, 1)
  padded = jnp.pad(images, edges, mode="edge")
  phases = []
  for place in (first + phase / scale for phase in range(scale)):
    start = 0 if place < 0 else 2
    beside = jax.lax.slice_in_dim(padded, start, start + side, axis=axis)
    phases.append((1 - abs(place)) * images + abs(place) * beside)
  shape = (*images.shape[:axis], side * scale, *images.shape[axis + 1 :])
  return jax.lax.slice_in_dim(jnp.stack(phases, axis + 1).reshape(shape), 0, fine, axis=axis)
