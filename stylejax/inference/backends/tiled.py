"""Stylizes images larger than memory in tiles, with the moments of the whole image.

The only thing in the networks that reaches further than a few pixels is the channel moments by
which layers are modulated. So the decoder runs stage by stage (`decoder_stages.stages`), each over
all tiles of the image, and adds up the moments of its output before the next stage starts. Only the
pixels where tiles overlap and the content's finest map are computed twice, and the result equals
that of the whole image up to rounding.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from stylejax import transfer
from stylejax.inference.backends import tile_steps
from stylejax.inference.backends.base import Band, ignore_progress
from stylejax.inference.backends.feature_store import BackgroundQueue, FeatureStore, RunningMoments
from stylejax.inference.backends.windows import Window, windows
from stylejax.inference.budget import TILE_PIXELS
from stylejax.models import adain, decoder_stages
from stylejax.models.config import ModelConfig
from stylejax.runtime.memory import available_bytes, scratch_folder


class Tiled:
  """One content in tiles.

  Args:
    params: needs content_encoder and generator.
    content: [H, W, 3] float32 in [0, 1] or uint8, on the host.
    tile_pixels: pixels of the image that are computed at once, which determines the memory needed.
    folder: folder for unnamed files of feature maps, which are gone when a stylization ends. With
      None they are kept in memory if there is enough, else in the system's folder for temporary
      files. They take about 30 bytes per pixel with the preset `base`.

  Raises:
    ValueError: the content is too small.
  """

  def __init__(
    self,
    params: transfer.Params,
    content: np.ndarray,
    *,
    tile_pixels: int = TILE_PIXELS,
    folder: Path | None = None,
  ):
    height, width = content.shape[:2]
    if min(height, width) < transfer.MIN_SIDE:
      raise ValueError(
        f"content: found {width}×{height} pixels, expected at least {transfer.MIN_SIDE} a side"
      )
    self.contents = [content]
    self._params, self._tile_pixels, self._folder = params, tile_pixels, folder

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress=ignore_progress
  ) -> Iterator[Band]:
    """As in `Backend.stylize`.

    Raises:
      OSError: the folder has no room.
    """
    folder, content = self._folder, self.contents[0]
    needed = _stored_bytes(self._params.config, content.shape[0] * content.shape[1])
    # Only an eighth, since the image is there twice, and computing takes memory too.
    if folder is None and needed > available_bytes() // 8:
      folder = scratch_folder()
    run = _Run(self._params, content, self._tile_pixels, folder, on_progress)
    try:
      for row, pixels in run.bands(vector, noise_gain):
        yield Band(0, row, pixels)
    finally:
      run.close()


class _Run:
  """One stylization: the maps, moments and channel offsets of every level and stage so far."""

  def __init__(self, params, content, tile_pixels, folder, on_progress):
    self._params, self._content, self._folder = params, content, folder
    self._config = config = params.config
    stride = config.stride
    self._side = max(1, math.isqrt(tile_pixels) // stride)
    self._padded = tuple(-(-side // stride) * stride for side in content.shape[:2])
    self._levels = [f"level{i}" for i in range(len(config.content_widths))]
    self._stages = decoder_stages.stages(config)
    self._depth = {name: i for i, name in enumerate(self._levels)}
    for stage in self._stages:
      self._depth[stage.output] = self._depth[stage.inputs[0] if stage.fine is None else stage.fine]
    self._progress = _Progress(_work_shares(config, self._stages, self._depth), on_progress)
    # Computing the finest map again from the pixels is as fast as writing and reading it.
    self._recomputed = () if config.content_blocks[0] else ("level0",)
    self._stores: dict[str, FeatureStore] = {}
    self._moments: dict[str, RunningMoments] = {}
    self._offsets: dict[str, np.ndarray | None] = {}
    self._queue = BackgroundQueue()

  def bands(self, vector: np.ndarray, noise_gain: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first row, [rows, W, 3] float32) from top to bottom."""
    self._encode()
    targets = tile_steps.modulation_targets(
      self._params,
      jnp.asarray(vector),
      [self._moments[name].mean_and_std() for name in self._levels],
    )
    targets = dict(zip(decoder_stages.modulated_maps(self._config), targets, strict=True))
    for number, stage in enumerate(self._stages):
      names = stage.inputs if stage.fine is None else (*stage.inputs, stage.fine)
      modulations = [self._modulation(name, targets[name], noise_gain) for name in names]
      if stage.output == "image":
        yield from self._last_stage(number, names, modulations)
      else:
        self._run_stage(number, names, modulations)
      later = [name for other in self._stages[number + 1 :] for name in (*other.inputs, other.fine)]
      for name in names:
        if name in self._stores and name not in later:
          self._stores.pop(name).close()

  def close(self) -> None:
    """Ends the thread and frees memory and files."""
    self._queue.close()
    for store in self._stores.values():
      store.close()

  def _encode(self) -> None:
    """Computes the content's levels over all tiles."""
    stride = self._config.stride
    for name, channels in zip(self._levels, self._config.content_widths):
      self._open(name, channels)

    def encode(rows: Window, columns: Window):
      results = tile_steps.encode(
        self._params,
        self._pixels(rows, columns, stride),
        _edges(rows, columns, stride),
        [self._offsets[name] for name in self._levels],
      )
      self._take_offsets(self._levels, [offset for *_, offset in results])
      return results

    cells = tuple(length // stride for length in self._padded)
    halo = _encoder_halo(self._config) // stride
    for rows, columns, results in _in_tiles(encode, cells, self._side, halo):
      for name, (features, sums, _) in zip(self._levels, results):
        self._keep(name, rows, columns, stride // self._cell(name), features, sums)
      self._progress.add(0, rows, columns, cells)
    self._queue.wait()

  def _run_stage(self, number: int, names, modulations) -> None:
    """Runs a stage whose output is a feature map, over all tiles."""
    stage = self._stages[number]
    name, finer = stage.output, 1 if stage.fine is None else 2
    self._open(name, self._config.content_widths[self._depth[name]])

    def run(rows: Window, columns: Window):
      *results, offset = tile_steps.run_stage(
        self._params,
        number,
        *self._inputs(names, modulations, rows, columns),
        _edges(rows, columns, finer),
        self._offsets[name],
      )
      self._take_offsets([name], [offset])
      return results

    for rows, columns, (features, sums) in self._stage_tiles(run, names):
      self._keep(name, rows, columns, finer, features, sums)
      self._progress.add(number + 1, rows, columns, self._stores[names[0]].shape)
    self._queue.wait()

  def _last_stage(self, number: int, names, modulations) -> Iterator[tuple[int, np.ndarray]]:
    """Runs the stage whose output is the image, and yields it in bands of whole rows."""
    height, width = self._content.shape[:2]
    coarse, finer = self._stores[names[0]].shape, self._cell(names[0])

    def run(rows: Window, columns: Window):
      inputs = self._inputs(names, modulations, rows, columns)
      return tile_steps.run_last_stage(self._params, number, *inputs)

    band = None
    for rows, columns, tile in self._stage_tiles(run, names):
      tile = np.asarray(tile)[rows.exact_in_tile(finer), columns.exact_in_tile(finer)]
      if columns.first == 0:
        band = np.empty((tile.shape[0], self._padded[1], 3), np.float32)
      band[:, columns.exact(finer)] = tile
      if columns.last == coarse[1]:
        top, band = finer * rows.first, band[: height - finer * rows.first, :width]
        yield top, band
      self._progress.add(number + 1, rows, columns, coarse)

  def _stage_tiles(self, run: Callable, names) -> Iterator[tuple]:
    coarse = self._stores[names[0]].shape[:2]
    side = self._side * self._config.stride // self._cell(names[0])
    return _in_tiles(run, coarse, side, 1)

  def _inputs(self, names, modulations, rows: Window, columns: Window) -> tuple:
    """A stage's inputs for `tile_steps`: features, offsets, modulations, corners."""
    # Rows of each map per row of the coarsest input.
    factors = [2 ** (self._depth[names[0]] - self._depth[name]) for name in names]
    features = [
      self._stores[name][rows.read(factor), columns.read(factor)]
      if name in self._stores
      else self._pixels(rows, columns, self._config.fold * factor)
      for name, factor in zip(names, factors)
    ]
    corners = np.outer(factors, (rows.start, columns.start)).astype(np.int32)
    return features, [self._offsets[name] for name in names], modulations, corners

  def _modulation(self, name: str, target, noise_gain: float) -> tuple:
    """(scale, shift, noise_std or None) of a map whose moments are known."""
    gain, bias, noise_std = target
    affine = adain.modulation(*self._moments[name].mean_and_std(), gain, bias)
    return (*affine, None if noise_std is None else np.float32(noise_gain) * noise_std)

  def _cell(self, name: str) -> int:
    """Pixels of the image per cell of a map."""
    return self._config.cell(self._depth[name])

  def _open(self, name: str, channels: int) -> None:
    scale = self._cell(name)
    self._moments[name], self._offsets[name] = RunningMoments(), None
    if name not in self._recomputed:
      shape = (self._padded[0] // scale, self._padded[1] // scale, channels)
      self._stores[name] = FeatureStore(shape, self._folder)
      self._offsets[name] = np.full(channels, np.nan, np.float32)

  def _take_offsets(self, names, offsets) -> None:
    """Takes the first tile's channel offsets; only that tile is waited for."""
    for name, offset in zip(names, offsets):
      if self._offsets[name] is not None and np.isnan(self._offsets[name]).any():
        self._offsets[name] = np.asarray(offset)

  def _keep(self, name: str, rows: Window, columns: Window, factor: int, features, sums) -> None:
    """Stores the exact part of a tile's map, and adds its moments."""
    if name in self._stores:
      exact = np.asarray(features)[rows.exact_in_tile(factor), columns.exact_in_tile(factor)]
      place = rows.exact(factor), columns.exact(factor)
      self._queue.do(self._stores[name].__setitem__, place, exact)
    self._moments[name].add(*sums)

  def _pixels(self, rows: Window, columns: Window, scale: int) -> np.ndarray:
    """The content under a tile, mirrored at the image's lower and right edges."""
    height, width = self._content.shape[:2]
    places = _mirrored(rows.read(scale), height), _mirrored(columns.read(scale), width)
    mirrored = all(isinstance(place, np.ndarray) for place in places)
    return self._content[np.ix_(*places) if mirrored else places]


class _Progress:
  """Adds up each tile's share of the work."""

  def __init__(self, shares: list[float], report: Callable[[float], None]):
    self._shares, self._report, self._done = shares, report, 0.0

  def add(self, number: int, rows: Window, columns: Window, shape: tuple[int, ...]) -> None:
    """Adds a tile of a map with this shape, in part `number` of the work."""
    part = (rows.last - rows.first) * (columns.last - columns.first) / (shape[0] * shape[1])
    self._done += self._shares[number] * part
    self._report(min(self._done, 1.0))


def _in_tiles(work: Callable, shape: tuple[int, int], side: int, halo: int) -> Iterator[tuple]:
  """Yields (rows, columns, work(rows, columns)) for tiles of this side, each started one ahead.

  While one tile is fetched and written and the one after next is read, the next is computed.
  """
  ahead = None
  for rows in windows(shape[0], side + 2 * halo, halo):
    for columns in windows(shape[1], side + 2 * halo, halo):
      started = rows, columns, work(rows, columns)
      if ahead is not None:
        yield ahead
      ahead = started
  yield ahead


def _edges(rows: Window, columns: Window, scale: int) -> np.ndarray:
  """[[first row, row after the last], the same for columns] that are exact in the tile."""
  cuts = rows.exact_in_tile(scale), columns.exact_in_tile(scale)
  return np.array([[cut.start, cut.stop] for cut in cuts], np.int32)


def _mirrored(cut: slice, size: int) -> slice | np.ndarray:
  """The cut, or its indices with reflect padding at the end: index size becomes size − 2, etc."""
  if cut.stop <= size:
    return cut
  places = np.arange(cut.start, cut.stop) % (2 * (size - 1))
  return np.minimum(places, 2 * (size - 1) - places)


def _encoder_halo(config: ModelConfig) -> int:
  """Pixels at a cut that the content encoder gets wrong, rounded up to cells of its last level."""
  reach = sum(
    config.cell(max(0, level - 1)) + extra * config.cell(level)
    for level, extra in enumerate(config.content_blocks)
  )
  return -(-reach // config.stride) * config.stride


def _stored_bytes(config: ModelConfig, pixels: int) -> float:
  """The largest number of bytes of maps stored at once, for an image with this many pixels."""
  levels = [width / config.cell(i) ** 2 for i, width in enumerate(config.content_widths)]
  return 2 * pixels * (sum(levels) + config.decoder_blocks * levels[-1])


def _work_shares(config: ModelConfig, stages, depth) -> list[float]:
  """Approximate shares of the time of the encoder and each stage, from their convolutions."""
  widths, folded = config.content_widths, 3 * config.fold**2
  encoder = sum(
    9 * w * ((widths[i - 1] if i else folded) + config.content_blocks[i] * w) / config.cell(i) ** 2
    for i, w in enumerate(widths)
  )
  costs = [encoder]
  for stage in stages:
    width = widths[depth[stage.output]]
    channels = folded if stage.output == "image" else width
    costs.append(9 * width * channels / config.cell(depth[stage.output]) ** 2)
  return [cost / sum(costs) for cost in costs]
