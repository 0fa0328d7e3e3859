"""Images larger than memory: painted in tiles, with the moments of the whole image.

The only thing in the nets that looks further than a few pixels are the channel moments by which
`adain.modulate` moves a layer. So the decoder runs stage by stage (`autoencoder.stages`), each
over all tiles of the image, and adds up the moments of what it makes before the next stage
starts. Nothing is computed twice but the pixels where tiles meet and the content's finest map, and
the result is that of the whole image up to rounding. Maps between stages lie in memory or in
files, in float16, counted from the mean of their first tile: so what is nearly constant, and made
much of later, keeps its digits.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import controls, transfer
from stylejax.images.decode import as_float
from stylejax.inference.budget import TILE_PIXELS
from stylejax.inference.maps import Behind, Map, Moments, Window, windows
from stylejax.models import adain, autoencoder
from stylejax.models.config import ModelConfig
from stylejax.models.generator import ContentMoments, Generator
from stylejax.runtime.jit import fast_jit
from stylejax.runtime.memory import available_bytes, scratch_folder

_FLOAT16_MAX = float(np.finfo(np.float16).max)


def _map_bytes(config: ModelConfig, pixels: int) -> float:
  """Bytes of the maps that are kept at once, at most, of an image of so many pixels."""
  levels = [width / 4 ** (i + 1) for i, width in enumerate(config.content_widths)]
  return 2 * pixels * (sum(levels) + config.decoder_blocks * levels[-1])


def generate_tiled(
  params: transfer.Params,
  content: np.ndarray,
  style_code: transfer.StyleCode,
  *,
  strength: float = 1.0,
  tile_pixels: int = TILE_PIXELS,
  folder: Path | None = None,
  dtype: type = np.float32,
  on_progress: Callable[[float], None] = lambda share: None,
) -> Iterator[tuple[int, np.ndarray]]:
  """`generate(params, encode_content(params, content), style_code)` in tiles, from top to bottom.

  Args:
    params: needs content_encoder and generator.
    content: [H, W, 3] float32 in [0, 1] or uint8, on the host.
    style_code: of one image.
    strength: 0 to 2.
    tile_pixels: pixels of the image that are computed at once; it decides on the memory.
    folder: where files of maps go, without names, gone when this ends; None keeps them in memory
      if there is enough, else they go to the system's folder for such files. They take about 30
      bytes a pixel of preset `base`.
    dtype: of what is yielded, float32 in [0, 1] or uint8.
    on_progress: called with the share of the work that is done, 0 to 1.

  Yields:
    (first row, [rows, W, 3] of dtype).

  Raises:
    ValueError: as `encode_content` and `generate`; another dtype.
    OSError: no room in the folder.
  """
  config = params.config
  height, width = content.shape[:2]
  # An eighth: the image is there twice, and is worked on besides.
  if folder is None and _map_bytes(config, height * width) > available_bytes() // 8:
    folder = scratch_folder()
  if min(height, width) < transfer.MIN_SIDE:
    raise ValueError(
      f"content: found {width}×{height} pixels, expected at least {transfer.MIN_SIDE} a side"
    )
  if dtype not in (np.float32, np.uint8):
    raise ValueError(f"dtype: found {dtype}, expected float32 or uint8")
  padded = tuple(-(-side // config.stride) * config.stride for side in (height, width))
  side = max(1, math.isqrt(tile_pixels) // config.stride)
  all_stages = autoencoder.stages(config)
  shown, strength = (None if strength >= 1 else np.float32(strength)), max(strength, 1.0)
  depth = {f"level{i}": i for i in range(len(config.content_widths))}
  for stage in all_stages:
    depth[stage.output] = depth[stage.inputs[0]] if stage.fine is None else depth[stage.fine]
  progress = _Progress(_work(config, all_stages, depth), on_progress)
  # The finest map is as quickly computed again from the pixels as it is written and read.
  again = () if config.content_blocks[0] else ("level0",)
  maps: dict[str, Map] = {}
  moments: dict[str, Moments] = {}
  origins: dict[str, np.ndarray | None] = {}

  def keep(name: str, channels: int) -> None:
    scale = 2 ** (depth[name] + 1)
    moments[name], origins[name] = Moments(), None
    if name not in again:
      maps[name] = Map((padded[0] // scale, padded[1] // scale, channels), folder)
      origins[name] = np.full(channels, np.nan, np.float32)

  def settle(names: Sequence[str], found: Sequence[jax.Array]) -> None:
    """Takes the first tile's origins; waited for once, so that no other tile waits for another."""
    for name, origin in zip(names, found):
      if origins[name] is not None and np.isnan(origins[name]).any():
        origins[name] = np.asarray(origin)

  def pixels(rows: Window, columns: Window, scale: int) -> np.ndarray:
    places = _mirrored(rows.read(scale), height), _mirrored(columns.read(scale), width)
    mirrored = all(isinstance(place, np.ndarray) for place in places)
    return content[np.ix_(*places) if mirrored else places]

  writer = Behind()
  try:
    levels = [f"level{i}" for i in range(len(config.content_widths))]
    for name, channels in zip(levels, config.content_widths):
      keep(name, channels)

    stride = config.stride

    def encode(rows: Window, columns: Window):
      made = _encode(
        params,
        pixels(rows, columns, stride),
        _edges(rows, columns, stride),
        [origins[name] for name in levels],
      )
      settle(levels, [origin for *_, origin in made])
      return made

    cells = tuple(length // stride for length in padded)
    for rows, columns, made in _in_tiles(encode, cells, side, _encoder_halo(config) // stride):
      for name, (features, found, _) in zip(levels, made):
        factor = stride // 2 ** (depth[name] + 1)
        if name in maps:
          writer.do(
            maps[name].__setitem__,
            (rows.right(factor), columns.right(factor)),
            np.asarray(features)[rows.own(factor), columns.own(factor)],
          )
        moments[name].add(*found)
      progress.add(0, rows, columns, cells)
    writer.wait()

    targets = dict(
      zip(
        autoencoder.modulated_maps(config),
        _targets(
          params, jnp.asarray(style_code.vector), [moments[name].mean_and_std() for name in levels]
        ),
        strict=True,
      )
    )
    for number, stage in enumerate(all_stages):
      final = stage.output == "image"
      needed = stage.inputs if stage.fine is None else (*stage.inputs, stage.fine)
      styles = []
      for name in needed:
        gain, bias, noise_gain = targets[name]
        affine = adain.modulation(*moments[name].mean_and_std(), gain, bias, strength)
        styles.append((*affine, None if noise_gain is None else strength * noise_gain))
      if not final:
        keep(stage.output, config.content_widths[depth[stage.output]])
      coarse = maps[stage.inputs[0]].shape[:2]
      # Rows of each map for a row of the coarsest input, and of the output.
      factors = [2 ** (depth[stage.inputs[0]] - depth[name]) for name in needed]
      finer = 1 if stage.fine is None and not final else 2

      def run(
        rows: Window,
        columns: Window,
        number=number,
        stage=stage,
        needed=needed,
        styles=styles,
        factors=factors,
        finer=finer,
      ):
        parts = [
          maps[name][rows.read(factor), columns.read(factor)]
          if name in maps
          else pixels(rows, columns, 2 * factor)
          for name, factor in zip(needed, factors)
        ]
        corners = np.outer(factors, (rows.start, columns.start)).astype(np.int32)
        found = [origins[name] for name in needed]
        if final:
          own = None if shown is None else pixels(rows, columns, finer)
          return _run_last(params, number, parts, found, styles, corners, own, shown, dtype), None
        *made, origin = _run_stage(
          params,
          number,
          parts,
          found,
          styles,
          corners,
          _edges(rows, columns, finer),
          origins[stage.output],
        )
        settle([stage.output], [origin])
        return made

      band = None
      for rows, columns, (made, found) in _in_tiles(
        run, coarse, side * stride // 2 ** (depth[stage.inputs[0]] + 1), 1
      ):
        made = np.asarray(made)[rows.own(finer), columns.own(finer)]
        if final:
          if columns.first == 0:
            band = np.empty((made.shape[0], padded[1], 3), made.dtype)
          band[:, columns.right(finer)] = made
          if columns.last == coarse[1]:
            top, band = finer * rows.first, band[: height - finer * rows.first, :width]
            yield top, band
        else:
          writer.do(maps[stage.output].__setitem__, (rows.right(finer), columns.right(finer)), made)
          moments[stage.output].add(*found)
        progress.add(number + 1, rows, columns, coarse)
      writer.wait()
      for name in needed:
        if name in maps and not any(
          name in (*later.inputs, later.fine) for later in all_stages[number + 1 :]
        ):
          maps.pop(name).close()
  finally:
    writer.close()
    for kept in maps.values():
      kept.close()


def _in_tiles(work: Callable, shape: tuple[int, int], side: int, halo: int) -> Iterator[tuple]:
  """(rows, columns, work(rows, columns)) for tiles of that side; each is started one ahead.

  While one is fetched and written and the next but one is read, the next is computed.
  """
  ahead = None
  for rows in windows(shape[0], side + 2 * halo, halo):
    for columns in windows(shape[1], side + 2 * halo, halo):
      started = rows, columns, work(rows, columns)
      if ahead is not None:
        yield ahead
      ahead = started
  yield ahead


class _Progress:
  """Adds up the shares of the work that tiles are."""

  def __init__(self, shares: list[float], report: Callable[[float], None]):
    self._shares, self._report, self._done = shares, report, 0.0

  def add(self, number: int, rows: Window, columns: Window, shape: tuple[int, int]) -> None:
    """A tile of a map of that shape, of the so many-th part of the work."""
    part = (rows.last - rows.first) * (columns.last - columns.first) / (shape[0] * shape[1])
    self._done += self._shares[number] * part
    self._report(min(self._done, 1.0))


def _edges(rows: Window, columns: Window, scale: int) -> np.ndarray:
  """[[first row, row after the last], the same of columns] that are right, in the tile."""
  return np.array(
    [[cut.start, cut.stop] for cut in (rows.own(scale), columns.own(scale))], np.int32
  )


def _mirrored(cut: slice, size: int) -> slice | np.ndarray:
  """The cut, or its indices with reflect padding at the end: size is size − 2, and so on."""
  if cut.stop <= size:
    return cut
  places = np.arange(cut.start, cut.stop)
  return np.where(places < size, places, 2 * (size - 1) - places)


def _encoder_halo(config: ModelConfig) -> int:
  """Pixels at a cut that the content encoder gets wrong, in whole cells of its coarsest level."""
  reach = sum(
    2 ** max(1, level) + extra * 2 ** (level + 1)
    for level, extra in enumerate(config.content_blocks)
  )
  return -(-reach // config.stride) * config.stride


def _work(config: ModelConfig, all_stages, depth) -> list[float]:
  """Shares of the time, about: of the encoder and of each stage, by their convolutions."""
  widths = config.content_widths
  encoder = sum(
    9 * w * (12 if i == 0 else widths[i - 1] + config.content_blocks[i] * w) / 4 ** (i + 1)
    for i, w in enumerate(widths)
  )
  costs = [encoder]
  for stage in all_stages:
    width = widths[depth[stage.output]]
    costs.append(
      9 * width * (12 if stage.output == "image" else width) / 4 ** (depth[stage.output] + 1)
    )
  return [cost / sum(costs) for cost in costs]


@fast_jit
def _targets(params: transfer.Params, vector: jax.Array, moments: ContentMoments):
  return Generator(params.config).apply(
    {"params": params.generator}, vector[None], moments, method="targets"
  )


@fast_jit
def _encode(params: transfer.Params, pixels: jax.Array, edges: jax.Array, origins):
  """For each level what `_kept` returns."""
  levels = transfer.encode_content(params, as_float(pixels)).levels
  return [
    _kept(level, edges // 2 ** (i + 1), origin)
    for i, (level, origin) in enumerate(zip(levels, origins, strict=True))
  ]


@functools.partial(fast_jit, static_argnums=1)
def _run_stage(
  params: transfer.Params,
  number: int,
  maps,
  origins,
  styles,
  corners,
  edges: jax.Array,
  origin: jax.Array,
):
  """What `_kept` returns of a stage's output; arguments but origin as `_staged` takes them."""
  return _kept(_staged(params, number, maps, origins, styles, corners), edges, origin)


@functools.partial(fast_jit, static_argnums=(1, 8))
def _run_last(
  params: transfer.Params,
  number: int,
  maps,
  origins,
  styles,
  corners,
  own: jax.Array | None,
  strength: jax.Array | None,
  dtype: type,
):
  """The image [h, w, 3], faded to its own pixels if there are any, float32 or uint8."""
  made = _staged(params, number, maps, origins, styles, corners)
  if own is not None:
    made = controls.faded(made, as_float(own), strength)
  return jnp.round(255 * made).astype(dtype) if dtype == np.uint8 else made


def _staged(params: transfer.Params, number: int, maps, origins, styles, corners) -> jax.Array:
  """A stage's output [h, w, C], from maps that are not modulated yet.

  maps: as they are kept, from their origins; where that is None, the pixels of the finest one.
  styles: (scale, shift, noise gain or None) of each map; corners: the whole's cell at its
  first row and column.
  """
  config = params.config
  styled = []
  for x, start, (scale, shift, noise_gain), corner in zip(
    maps, origins, styles, corners, strict=True
  ):
    if start is None:
      x = autoencoder.finest_level(config, params.content_encoder, as_float(x)[None])
    else:
      x = (x.astype(jnp.float32) + start[None, None])[None].astype(config.dtype)
    x = adain.affine(x, scale, shift)
    styled.append(
      x if noise_gain is None else adain.add_noise(x, noise_gain, top=corner[0], left=corner[1])
    )
  if autoencoder.stages(config)[number].fine is not None:
    *styled, fine = styled
  else:
    fine = None
  return autoencoder.Decoder(config).apply(
    {"params": params.generator["decoder"]}, number, styled, fine, method="stage"
  )[0]


def _kept(x: jax.Array, edges: jax.Array, origin: jax.Array | None):
  """(map [h, w, C] from its origin, moments between the edges, origin [C]); None: not to be kept.

  An origin of NaN is set here, to the mean of this tile. Other scales than 1 would change nothing:
  deviations count from √1e-5 on (`adain.channel_moments`), where float16 has all of its digits.
  """
  found = _moments(x, edges)
  if origin is None:
    return None, found, None
  origin = jnp.where(jnp.isnan(origin), found[1], origin)
  apart = jnp.clip(x.astype(jnp.float32) - origin[None, None], -_FLOAT16_MAX, _FLOAT16_MAX)
  return apart.astype(jnp.float16), found, origin


def _moments(x: jax.Array, edges: jax.Array):
  """(count, mean [C], sum of squared deviations [C]) of the pixels between the edges; one pass."""
  inside = [
    (jnp.arange(side) >= first) & (jnp.arange(side) < last)
    for side, (first, last) in zip(x.shape, edges)
  ]
  x = jnp.where((inside[0][:, None] & inside[1][None])[..., None], x.astype(jnp.float32), 0.0)
  count = jnp.prod(edges[:, 1] - edges[:, 0]).astype(jnp.float32)
  mean = x.sum((0, 1)) / count
  return count, mean, jnp.maximum(jnp.square(x).sum((0, 1)) - count * jnp.square(mean), 0.0)
