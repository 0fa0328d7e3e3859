"""Ways to paint contents: whole, several of one shape, in tiles, or on several devices.

Each has `paint(codes, weights, strength)`, gives what `stylejax.stylize` gives, a list with a
image for each content, and applies the colors. Which one a run takes is decided in batch.py.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from stylejax import controls, transfer
from stylejax.images import encode
from stylejax.images.decode import as_float
from stylejax.inference import tiles
from stylejax.inference.parts import fade, keep_colors
from stylejax.inference.trace_cache import compiled_step
from stylejax.models.padding import Edges
from stylejax.runtime.jit import fast_jit
from stylejax.weights.style_library import stack


@dataclasses.dataclass(frozen=True)
class Colors:
  """How much of the content's colors is kept, and how: as `stylejax.preserve_color` takes it."""

  color: float = 0.0
  moments: bool = False

  def settings(self) -> dict:
    """Arguments of `preserve_color` but the images."""
    return {"color": np.float32(self.color), "mode": np.float32(1) if self.moments else None}


class Whole:
  """One image of its own size, encoded once."""

  def __init__(
    self, params: transfer.Params, content: np.ndarray, colors: Colors, seamless: str = ""
  ):
    self._params, self._colors, self._seamless = params, colors, seamless
    self._size = content.shape[:2]
    self._content, edges = as_float(content), None
    if seamless:
      stride = params.config.stride
      sides = [max(transfer.MIN_SIDE, round(side / stride) * stride) for side in self._size]
      if self._size != tuple(sides):
        self._content = encode.resize_around(self._content, *sides, seamless)
      edges = transfer.seamless_edges(seamless, self._content.shape)
    self._code = compiled_step(transfer.encode_content)(params, self._content, edges=edges)

  def paint(
    self, codes: Sequence[transfer.StyleCode], weights: np.ndarray | None, strength: np.ndarray
  ) -> list[np.ndarray]:
    """[[H, W, 3]] float32 in [0, 1]; weights and strength as `stylejax.generate` takes them."""
    weights, strength = (self._fitted(control) for control in (weights, strength))
    code = codes[0] if weights is None else stack(codes)
    painted = compiled_step(transfer.generate)(
      self._params, self._code, code, strength=strength, weights=weights
    )
    if self._colors.color:
      painted = compiled_step(controls.preserve_color)(
        painted, self._content, **self._colors.settings()
      )
    painted = np.asarray(painted)
    if painted.shape[:2] != self._size:
      painted = encode.resize_around(painted, *self._size, self._seamless)
    return [painted]

  def _fitted(self, control: np.ndarray | None) -> np.ndarray | None:
    """Maps at the size of what is painted."""
    size = self._content.shape[:2]
    if control is None or control.ndim < 2 or control.shape[-2:] == size:
      return control
    planes = [encode.resize_plane(plane, *size) for plane in control.reshape(-1, *self._size)]
    return np.stack(planes).reshape(*control.shape[:-2], *size)


class Framed:
  """Images of any sizes in arrays of one size, a device for each; one program for all of them.

  Takes no maps. With fewer images than devices the last is painted several times, since another
  number would be another program.
  """

  def __init__(
    self,
    params: transfer.Params,
    contents: Sequence[np.ndarray],
    frame: tuple[int, int],
    colors: Colors,
    devices: int = 1,
  ):
    self._colors = colors
    self._sizes = [content.shape[:2] for content in contents]
    self._frame = frame
    stride = params.config.stride
    places = np.minimum(np.arange(devices), len(contents) - 1)
    framed = np.stack([_framed(content, frame, stride) for content in contents])[places]
    ends = np.array(self._sizes, np.int32)[places]
    self._mesh = None
    if devices > 1:
      self._mesh = jax.sharding.Mesh(jax.local_devices()[:devices], ("images",))
      framed, ends = jax.device_put((framed, ends), NamedSharding(self._mesh, P("images")))
      params = jax.device_put(params, NamedSharding(self._mesh, P()))
    self._params, self._framed, self._ends = params, framed, ends

  def paint(
    self, codes: Sequence[transfer.StyleCode], weights: np.ndarray | None, strength: np.ndarray
  ) -> list[np.ndarray]:
    """For each content [H, W, 3] uint8."""
    code = jax.tree.map(np.asarray, codes[0] if weights is None else stack(codes))
    step = _paint_framed if self._mesh is None else _framed_on(self._mesh)
    settings = self._colors.settings() if self._colors.color else None
    painted = np.asarray(
      step(self._params, self._framed, self._ends, code, weights, np.float32(strength), settings)
    )
    return [image[:height, :width] for image, (height, width) in zip(painted, self._sizes)]


def _framed(content: np.ndarray, frame: tuple[int, int], stride: int) -> np.ndarray:
  """[H, W, 3] uint8 or float mirrored to whole cells, as the nets do it, and filled up."""
  beyond = [(0, -side % stride) for side in content.shape[:2]]
  content = np.pad(content, (*beyond, (0, 0)), mode="reflect")
  rest = [(0, whole - side) for whole, side in zip(frame, content.shape)]
  return np.pad(content, (*rest, (0, 0)))


def paint_framed(
  params: transfer.Params,
  contents: jax.Array,
  ends: jax.Array,
  code: transfer.StyleCode,
  weights: jax.Array | None,
  strength: jax.Array,
  colors: dict | None,
) -> jax.Array:
  """Contents [B, H, W, 3] that end at ends [B, 2], as uint8 → painted likewise."""
  stride = params.config.stride

  def paint(content, end):
    content = as_float(content)
    # The nets see the image up to whole cells, colors are the image's own.
    cells, own = (
      Edges(content.shape[:2], inside=(end[0], end[1]))
      for end in ((end + stride - 1) // stride * stride, end)
    )
    content_code = transfer.encode_content(params, content, edges=cells)
    painted = transfer.generate(params, content_code, code, strength=strength, weights=weights)
    if colors is not None:
      painted = controls.preserve_color(painted, content, edges=own, **colors)
    return jnp.round(255 * painted).astype(jnp.uint8)

  # No vmap: with a place of its own for each image's end it would scatter.
  return jnp.stack([paint(contents[i], ends[i]) for i in range(len(contents))])


_paint_framed = fast_jit(paint_framed)


@functools.cache
def _framed_on(mesh: jax.sharding.Mesh):
  specs = (P(), P("images"), P("images"), P(), P(), P(), P())
  return fast_jit(jax.shard_map(paint_framed, mesh=mesh, in_specs=specs, out_specs=P("images")))


class Tiled:
  """One image in tiles: `stylejax.inference.tiles`."""

  def __init__(
    self,
    params: transfer.Params,
    content: np.ndarray,
    colors: Colors,
    tile_pixels: int,
    on_part: Callable[[float], None] = lambda share: None,
  ):
    self._params, self._content, self._colors = params, content, colors
    self._tile_pixels, self._on_part = tile_pixels, on_part

  def paint(
    self, codes: Sequence[transfer.StyleCode], weights: np.ndarray | None, strength: np.ndarray
  ) -> list[np.ndarray]:
    """[[H, W, 3]], uint8 if the content is."""
    content, colors = self._content, self._colors
    vectors, strengths, shares = _paintings(codes, weights, strength, content.shape[:2])
    # What is worked on further is rounded at the end only.
    several = shares is not None or colors.color
    output = np.zeros(content.shape, np.float32 if several else content.dtype)
    for number, (vector, amount) in enumerate(zip(vectors, strengths)):
      for row, rows in tiles.generate_tiled(
        self._params,
        content,
        transfer.StyleCode((), vector),
        strength=amount,
        tile_pixels=self._tile_pixels,
        dtype=output.dtype.type,
        on_progress=lambda part, number=number: self._on_part((number + part) / len(vectors)),
      ):
        place = slice(row, row + len(rows))
        if shares is not None:
          rows = output[place] + shares[number, place, :, None] * rows
        output[place] = rows
    if shares is not None:
      fade(output, content, strength)
    if colors.color:
      keep_colors(output, content, **colors.settings())
    return [_like(output, content)]


class Shared:
  """One image whose rows lie in equal parts on all devices."""

  def __init__(self, params: transfer.Params, content: np.ndarray, colors: Colors):
    self._content, self._colors = content, colors
    stride, devices = params.config.stride, jax.local_devices()
    part = max(transfer.MIN_SIDE, -(-content.shape[0] // (stride * len(devices))) * stride)
    inside = [-(-side // stride) * stride for side in content.shape[:2]]
    self._mesh = jax.sharding.Mesh(devices, ("rows",))
    self._params = jax.device_put(params, NamedSharding(self._mesh, P()))
    self._framed = jax.device_put(
      _framed(content, (part * len(devices), inside[1]), stride),
      NamedSharding(self._mesh, P("rows")),
    )
    self._inside = np.int32(inside)

  def paint(
    self, codes: Sequence[transfer.StyleCode], weights: np.ndarray | None, strength: np.ndarray
  ) -> list[np.ndarray]:
    """[[H, W, 3]] float32; weights and strength as `stylejax.generate` takes them."""
    height, width = self._content.shape[:2]
    vectors, strengths, shares = _paintings(codes, weights, strength, (height, width))
    output = np.zeros(self._content.shape, np.float32)
    for number, (vector, amount) in enumerate(zip(vectors, strengths)):
      painted = np.asarray(
        _shared_on(self._mesh)(self._params, self._framed, self._inside, vector, amount)
      )[:height, :width]
      output += painted if shares is None else shares[number, ..., None] * painted
    if shares is not None:
      fade(output, self._content, strength)
    if self._colors.color:
      keep_colors(output, self._content, **self._colors.settings())
    return [output]


@functools.cache
def _shared_on(mesh: jax.sharding.Mesh):
  def paint(params, content, inside, vector, strength):
    edges = Edges(content.shape[:2], inside=(inside[0], inside[1]), axis_name="rows")
    code = transfer.encode_content(params, as_float(content), edges=edges)
    return transfer.generate(params, code, transfer.StyleCode((), vector), strength=strength)

  specs = (P(), P("rows"), P(), P(), P())
  return fast_jit(jax.shard_map(paint, mesh=mesh, in_specs=specs, out_specs=P("rows")))


def _paintings(
  codes: Sequence[transfer.StyleCode],
  weights: np.ndarray | None,
  strength: np.ndarray,
  size: tuple[int, int],
) -> tuple[list[np.ndarray], list[np.float32], np.ndarray | None]:
  """What to paint one after the other: vectors, strengths, and how much of them a pixel shows.

  As of `controls.paintings`, but without maps (shares None) with the strength itself, and with maps
  paintings of which nothing is seen are left out; what is missing below strength 1 is for `fade`.
  """
  vectors = np.stack(
    [np.asarray(code.vector) for code in (codes if weights is not None else codes[:1])]
  )
  strength = controls.amount(strength, "strength", transfer.MAX_STRENGTH, size)
  vectors, strengths, shares = controls.paintings(jnp.asarray(vectors), weights, strength, size)
  vectors = np.asarray(vectors)[:, 0]
  if shares is None:
    return list(vectors), list(np.float32(strength).ravel()), None
  shares = np.asarray(shares)
  seen = ((shares > 0) & np.asarray(strength[..., 0] > 0)).any((1, 2))
  return list(vectors[seen]), list(np.float32(strengths).ravel()[seen]), shares[seen]


def _like(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Pixels in the numbers of another array: uint8 or float32."""
  return encode.as_bytes(rows) if other.dtype == np.uint8 else rows
