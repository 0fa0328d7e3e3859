"""How an image continues beyond its edges: mirrored, from the other side, or on another device.

Everything in the nets that reads more than one pixel goes through here: the neighbors of a
convolution and the moments of a whole map. Without `Edges`, images are mirrored at the edges of
their array, as they are in training; no net or size of a net is defined here.
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylejax.models.replaceable import Replaceable

MARGIN = 2
"""Lines by which a map is extended; even, so that layers of stride 2 keep their phase."""


def image_size(image: jax.Array) -> tuple[int, int]:
  """(H, W) of an image or of maps [..., H, W, C]."""
  height, width = image.shape[-3:-1]
  return height, width


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Edges(Replaceable):
  """What lies beyond the edges of a map's array, and which of its pixels count.

  Attributes:
    shape: (H, W) of the array that holds the image (or one device's part of it), static; multiples
      of the config's stride.
    wrap: for rows and for columns, whether the last is followed by the first, so that the image
      tiles the plane, static. Otherwise it is mirrored.
    inside: (h, w), traced integers, for the nets multiples of the stride: the image itself ends
      there, and what the array holds beyond never affects it. None: it fills the array, as it
      always does along an axis that wraps.
    axis_name: name of the mesh axis over whose devices the rows are divided in equal parts
      (`jax.shard_map`), static; `inside` counts the rows on all devices. None: they are on one.
  """

  shape: tuple[int, int] = dataclasses.field(metadata={"static": True})
  wrap: tuple[bool, bool] = dataclasses.field(metadata={"static": True}, default=(False, False))
  inside: tuple[jax.Array, jax.Array] | None = None
  axis_name: str | None = dataclasses.field(metadata={"static": True}, default=None)

  def extend(self, x: jax.Array, *, repeat: bool = False) -> jax.Array:
    """Adds the lines that lie beyond the edges of a map [B, h, w, C].

    Where the image simply ends with the array, nothing is added: layers mirror their input there.

    Args:
      x: a map of the image at any of its levels.
      repeat: whether the edge line is repeated where the image ends, instead of mirroring.

    Returns:
      The map, MARGIN lines longer at both ends of each axis for which `margins` says so. Only the
      added lines next to the map are right; where the image ends inside the array, the line after
      its last is right, too.
    """
    limits = self._limits(x)
    for axis, margin in zip((1, 2), self.margins):
      if margin:
        lines = self._beyond(x, axis, 0 if repeat else 1)
        before, after = (jnp.concatenate([line] * margin, axis) for line in lines)
        x = jnp.concatenate([before, x, after], axis)
      if limits[axis - 1] is not None and not self.wrap[axis - 1]:
        x = _continued(x, axis, limits[axis - 1] + margin, 1 if repeat else 2)
    return x

  def ring(self, x: jax.Array) -> jax.Array:
    """Adds the line around a map: [B, h, w, C] → [B, h + 2, w + 2, C].

    A CPU gathers lines by number, which compiles into one loop; other devices join lines.
    """
    if self.axis_name is not None:
      return self.ring_by_lines(x)
    return jax.lax.platform_dependent(x, cpu=self.ring_by_number, default=self.ring_by_lines)

  def ring_by_number(self, x: jax.Array) -> jax.Array:
    """`ring` as one loop, for a map that lies on one device."""
    rows, columns = (self.lines(x, axis, jnp.arange(-1, x.shape[axis] + 1)) for axis in (1, 2))
    return take_lines(x, rows, columns)

  def ring_by_lines(self, x: jax.Array) -> jax.Array:
    """`ring` by joining lines, including those of other devices."""
    around = [(0, 0), *((0, 0) if margin else (1, 1) for margin in self.margins), (0, 0)]
    x = jnp.pad(self.extend(x), around, mode="reflect")
    rows, columns = (max(0, margin - 1) for margin in self.margins)
    return x[:, rows : x.shape[1] - rows, columns : x.shape[2] - columns]

  def lines(self, x: jax.Array, axis: int, at: jax.Array, *, repeat: bool = False) -> jax.Array:
    """The numbers of the lines to read at given places, which may lie beyond the edges.

    Args:
      x: a map of the image at any of its levels, all of it on this device.
      axis: 1 for rows, 2 for columns.
      at: places, counted from the first line, no further out than the map is wide.
      repeat: whether the edge line is repeated where the image ends, instead of mirroring.

    Returns:
      As many line numbers, which are right up to one place beyond the end of the image.
    """
    size, end = x.shape[axis], self._limits(x)[axis - 1]
    if self.wrap[axis - 1]:
      return at % size
    end = size if end is None else end
    if repeat:
      at = jnp.minimum(at, end - 1)
    else:
      at = jnp.abs(at)
      at = jnp.where(at < end, at, 2 * (end - 1) - at)
    return jnp.clip(at, 0, size - 1)

  @property
  def margins(self) -> tuple[int, int]:
    """Number of (rows, columns) that `extend` adds at either end."""
    return (MARGIN if self.wrap[0] or self.axis_name else 0, MARGIN if self.wrap[1] else 0)

  def crop(self, x: jax.Array, *, scale: float = 1) -> jax.Array:
    """Removes the margins from a map, which may have been enlarged by `scale` since."""
    rows, columns = (round(margin * scale) for margin in self.margins)
    return x[:, rows : x.shape[1] - rows, columns : x.shape[2] - columns]

  def first_row(self, height: int) -> jax.Array | int:
    """The row of the whole map at which this device's part begins, which has `height` rows."""
    return 0 if self.axis_name is None else height * jax.lax.axis_index(self.axis_name)

  def mask(self, x: jax.Array) -> jax.Array:
    """[1, h, w, 1] float32: 1 where a pixel of the map [B, h, w, C] is in the image, else 0."""
    height, width = x.shape[1:3]
    rows, columns = self._limits(x)
    if rows is None:
      return jnp.ones((1, height, width, 1), jnp.float32)
    inside = (jnp.arange(height) < rows)[:, None] & (jnp.arange(width) < columns)[None]
    return inside[None, :, :, None].astype(jnp.float32)

  def moments(self, x: jax.Array, *, eps: float) -> tuple[jax.Array, jax.Array]:
    """`adain.channel_moments` of the image's own pixels on all devices."""
    x, count = x.astype(jnp.float32), jnp.float32(x.shape[1] * x.shape[2])
    if self.inside is not None:
      limits = zip(self._limits(x), x.shape[1:3], strict=True)
      rows, columns = (jnp.clip(limit, 0, side) for limit, side in limits)
      x, count = jnp.where(self.mask(x) > 0, x, 0.0), (rows * columns).astype(jnp.float32)
    sums = x.sum((1, 2), keepdims=True), jnp.square(x).sum((1, 2), keepdims=True), count
    if self.axis_name is not None:
      sums = jax.lax.psum(sums, self.axis_name)
    mean, square = (total / sums[2] for total in sums[:2])
    return mean, jnp.sqrt(jnp.maximum(square - jnp.square(mean), 0.0) + eps)

  def _limits(self, x: jax.Array) -> tuple:
    """How many (rows, columns) of this device's part of a map count; None for all of them.

    The number of rows is below 0 or above the map's if the image ends on another device.
    """
    height, width = x.shape[1:3]
    if self.inside is None:
      return None, None
    # Truncating division, since sizes aren't negative and floor division takes ten operations.
    rows, columns = (
      jax.lax.div(side, jnp.asarray(whole // size, side.dtype))
      for side, whole, size in zip(self.inside, self.shape, (height, width), strict=True)
    )
    if self.axis_name is not None:
      rows = rows - self.first_row(height)
    return rows, columns

  def _beyond(self, x: jax.Array, axis: int, mirror: int) -> tuple[jax.Array, jax.Array]:
    """The lines before the first and after the last; at an end, those `mirror` lines inside."""
    size, limit = x.shape[axis], self._limits(x)[axis - 1]
    first, last = _line(x, axis, 0), _line(x, axis, size - 1)
    inwards = min(mirror, size - 1)  # a single line is its own neighbor
    ends = _line(x, axis, inwards), _line(x, axis, size - 1 - inwards)
    if limit is not None:
      ends = jnp.where(limit > inwards, ends[0], first), ends[1]
    if axis == 2 or self.axis_name is None:
      return (last, first) if self.wrap[axis - 1] else ends
    count, here = jax.lax.axis_size(self.axis_name), jax.lax.axis_index(self.axis_name)
    down = [(i, (i + 1) % count) for i in range(count)]
    above = jax.lax.ppermute(last, self.axis_name, down)
    below = jax.lax.ppermute(first, self.axis_name, [(j, i) for i, j in down])
    if self.wrap[0]:
      return above, below
    return jnp.where(here == 0, ends[0], above), jnp.where(here == count - 1, ends[1], below)


def seamless_edges(axes: str, shape: tuple[int, ...]) -> Edges:
  """Edges of contents [..., H, W, 3] that continue at the other side along "x", "y" or "xy".

  Raises:
    ValueError: other axes.
  """
  if axes not in ("x", "y", "xy"):
    raise ValueError(f"seamless: found {axes!r}, expected x, y or xy")
  return Edges((shape[-3], shape[-2]), wrap=("y" in axes, "x" in axes))


def check_edges(edges: Edges, image: jax.Array, name: str, stride: int) -> None:
  """Raises ValueError unless edges fit an image [B, H, W, 3], in multiples of the stride."""
  if edges.shape != image.shape[1:3] or any(side % stride for side in edges.shape):
    raise ValueError(
      f"{name}: found {image.shape[2]}×{image.shape[1]} pixels and edges of "
      f"{edges.shape[1]}×{edges.shape[0]}, expected the same, multiples of {stride}"
    )


def take_lines(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """x[:, rows][:, :, columns] of [B, H, W, C] in one loop; line numbers must be in bounds."""
  return x.at[:, rows[:, None], columns].get(mode="promise_in_bounds")


def _line(x: jax.Array, axis: int, at: int) -> jax.Array:
  return jax.lax.slice_in_dim(x, at, at + 1, axis=axis)


def _continued(x: jax.Array, axis: int, at: jax.Array, back: int) -> jax.Array:
  """Copies line `at` − `back` to line `at`, if x has both."""
  size = x.shape[axis]
  place = jnp.clip(at, 0, size - 1)
  source = jnp.where((at >= back) & (at < size), at - back, place)
  line = jax.lax.dynamic_slice_in_dim(x, source, 1, axis)
  return jax.lax.dynamic_update_slice_in_dim(x, line, place, axis)
