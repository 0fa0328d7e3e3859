"""Pictures larger than memory: painted in strips of rows, with the moments of the whole picture.

The only thing in the nets that looks further than a few pixels are the channel moments by which
`blocks.modulate` moves a layer. So the decoder runs stage by stage (`autoencoder.stages`), each
over all strips of the picture, and adds up the moments of what it makes before the next stage
starts. Nothing is computed twice but the rows where strips meet, and the result is that of the
whole picture up to rounding. Maps between stages lie in memory or in files.
"""

import dataclasses
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import controls, transfer
from stylejax.compiler import fast_jit
from stylejax.data.pictures import as_float
from stylejax.inference.pictures import as_bytes
from stylejax.models import autoencoder, blocks, gan
from stylejax.models.config import ModelConfig

STRIP_PIXELS = 2_000_000
"""Pixels of the picture in a strip, about: what is computed at once."""


class Rows:
  """A float32 map [H, W, C], written and read by rows, in memory or in a file without a name."""

  def __init__(self, shape: tuple[int, int, int], folder: Path | None):
    self.shape = shape
    self._row_bytes = shape[1] * shape[2] * 4
    self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)
    self._array = np.empty(shape, np.float32) if folder is None else None

  def __setitem__(self, rows: slice, values: np.ndarray) -> None:
    if self._array is not None:
      self._array[rows] = values
      return
    data = memoryview(np.ascontiguousarray(values, np.float32)).cast("B")
    start = rows.start * self._row_bytes
    while data:
      written = os.pwrite(self._file.fileno(), data, start)
      data, start = data[written:], start + written

  def __getitem__(self, rows: slice) -> np.ndarray:
    if self._array is not None:
      return self._array[rows]
    out = np.empty((rows.stop - rows.start, *self.shape[1:]), np.float32)
    # Not mapped into memory: pages of a mapping would count as this process's.
    data, start = memoryview(out).cast("B"), rows.start * self._row_bytes
    while data:
      read = os.preadv(self._file.fileno(), [data], start)
      data, start = data[read:], start + read
    return out

  def close(self) -> None:
    """Gives the memory or the file back."""
    self._array = None
    if self._file is not None:
      self._file.close()


@dataclasses.dataclass
class Moments:
  """Count, mean and sum of squared deviations of each channel, float64; grows strip by strip."""

  count: float = 0.0
  mean: np.ndarray | float = 0.0
  deviation: np.ndarray | float = 0.0

  def add(self, count: float, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Takes in another part (Chan et al. 1983, "Algorithms for Computing the Sample Variance")."""
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    both, step = self.count + count, mean - self.mean
    self.mean = self.mean + step * (count / both)
    self.deviation = self.deviation + deviation + step**2 * (self.count * count / both)
    self.count = both

  def mean_and_std(self, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """As `blocks.channel_moments` of the whole map: both [1, 1, 1, C] float32."""
    std = np.sqrt(self.deviation / self.count + eps)
    return tuple(np.asarray(x, np.float32)[None, None, None] for x in (self.mean, std))


@dataclasses.dataclass(frozen=True)
class Window:
  """Rows that a strip reads, and those of its own that are right: all but what lies at a cut."""

  start: int
  stop: int
  first: int
  last: int


def windows(height: int, rows: int, halo: int) -> list[Window]:
  """Cuts so many rows into strips of at most `rows`, all of one size so that one program does.

  Args:
    height: rows in all.
    rows: rows that a strip reads, more than twice the halo.
    halo: rows at a cut that come out wrong.

  Returns:
    Strips in order, whose right rows make up the whole.
  """
  if height <= rows:
    return [Window(0, height, 0, height)]
  found, done = [], 0
  while done < height:
    start = min(max(0, done - halo), height - rows)
    last = height if start + rows == height else start + rows - halo
    found.append(Window(start, start + rows, done, last))
    done = last
  return found


def memory_available() -> int:
  """Bytes of memory that are free for this process, about; half of all where nobody says."""
  try:
    for line in Path("/proc/meminfo").read_text().splitlines():
      if line.startswith("MemAvailable:"):
        return int(line.split()[1]) * 1024
  except OSError:
    pass
  try:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
  except (AttributeError, ValueError, OSError):
    return 4 * 2**30


def fits(shape: tuple[int, ...], config: ModelConfig) -> bool:
  """Whether a picture [H, W, 3] may be painted whole: on an accelerator, the device will say.

  A whole picture takes about 10 maps of the finest level and 12 of its own at once
  (`python -m benchmarks memory`).
  """
  if jax.default_backend() != "cpu":
    return True
  pixels = shape[0] * shape[1]
  return pixels * 4 * (10 * config.content_widths[0] // 4 + 12 * 3) < memory_available() // 2


def _map_bytes(config: ModelConfig, pixels: int) -> float:
  """Bytes of the maps that are kept at once, about, of a picture of so many pixels."""
  return 8 * pixels * sum(w / 4 ** (i + 1) for i, w in enumerate(config.content_widths))


def generate_strips(
    params: transfer.Params,
    content: np.ndarray,
    style_code: transfer.StyleCode,
    *,
    strength: float = 1.0,
    strip_pixels: int = STRIP_PIXELS,
    folder: Path | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Iterator[tuple[int, np.ndarray]]:
  """`generate(params, encode_content(params, content), style_code)` in strips, from top to bottom.

  Args:
    params: needs content_encoder and generator.
    content: [H, W, 3] float32 in [0, 1] or uint8, on the host.
    style_code: of one picture.
    strength: 0 to 2.
    strip_pixels: pixels of the picture that are computed at once; it decides on the memory.
    folder: where files of maps go, without names, gone when this ends; None keeps them in memory
      if there is enough, else they go to the system's folder for such files. They take about 80
      bytes a pixel of preset `base`; in float16 the result would be off by up to 1.4e-3.
    on_progress: called with the share of the work that is done, 0 to 1.

  Yields:
    (first row, [rows, W, 3] float32 in [0, 1]).

  Raises:
    ValueError: as `encode_content` and `generate`.
    OSError: no room in the folder.
  """
  config = params.config
  height, width = content.shape[:2]
  if folder is None and _map_bytes(config, height * width) > memory_available() // 4:
    folder = Path(tempfile.gettempdir())
  if min(height, width) < transfer.MIN_SIDE:
    raise ValueError(f"content: found {width}×{height} pixels, expected at least "
                     f"{transfer.MIN_SIDE} a side")
  padded = tuple(-(-side // config.stride) * config.stride for side in (height, width))
  all_stages = autoencoder.stages(config)
  targets = dict(zip(autoencoder.modulated_maps(config), _targets(
    params, jnp.asarray(style_code.vector)), strict=True))
  depth = {f"level{i}": i for i in range(len(config.content_widths))}
  for stage in all_stages:
    depth[stage.output] = depth[stage.inputs[0]] if stage.fine is None else depth[stage.fine]
  cells = max(config.stride, strip_pixels // padded[1] // config.stride * config.stride)
  work = _work(config, all_stages, depth)
  done = 0.0
  maps: dict[str, Rows] = {}
  moments: dict[str, Moments] = {}

  def keep(name: str, channels: int) -> None:
    scale = 2 ** (depth[name] + 1)
    maps[name] = Rows((padded[0] // scale, padded[1] // scale, channels), folder)
    moments[name] = Moments()

  try:
    for level, channels in enumerate(config.content_widths):
      keep(f"level{level}", channels)
    halo = _encoder_halo(config)
    for window in windows(padded[0], cells + 2 * halo, halo):
      rows = np.arange(window.start, window.stop)
      columns = np.arange(padded[1])
      part = as_float(content[_mirrored(rows, height)][:, _mirrored(columns, width)])
      edges = np.array([window.first - window.start, window.last - window.start], np.int32)
      for level, (made, found) in enumerate(_encode(params, part, edges)):
        name, scale = f"level{level}", 2 ** (level + 1)
        first, last = edges // scale
        maps[name][window.first // scale:window.last // scale] = np.asarray(made[first:last])
        moments[name].add(*found)
      done += work[0] * (window.last - window.first) / padded[0]
      on_progress(done)

    for number, stage in enumerate(all_stages):
      final = stage.output == "picture"
      needed = stage.inputs if stage.fine is None else (*stage.inputs, stage.fine)
      affine = [blocks.modulation(*moments[name].mean_and_std(), *targets[name], strength)
                for name in needed]
      if not final:
        keep(stage.output, config.content_widths[depth[stage.output]])
      coarse = maps[stage.inputs[0]]
      scale = 2 ** (depth[stage.inputs[0]] + 1)
      # Rows of the output for a row of the coarsest input.
      finer = 1 if stage.fine is None and not final else 2
      for window in windows(coarse.shape[0], max(1, cells // scale) + 2, 1):
        parts = [maps[name][window.start * factor:window.stop * factor]
                 for name in needed
                 for factor in [maps[name].shape[0] // coarse.shape[0]]]
        first, last = (finer * (row - window.start) for row in (window.first, window.last))
        made, found = _run_stage(params, number, parts, affine, np.array([first, last], np.int32))
        made = np.asarray(made[first:last])
        start = finer * window.first
        if final:
          yield start, made[:height - start, :width]
        else:
          maps[stage.output][start:start + len(made)] = made
          moments[stage.output].add(*found)
        done += work[number + 1] * (window.last - window.first) / coarse.shape[0]
        on_progress(min(done, 1.0))
      for name in needed:
        if not any(name in (*later.inputs, later.fine) for later in all_stages[number + 1:]):
          maps.pop(name).close()
  finally:
    for kept in maps.values():
      kept.close()


def keep_colours(painted: np.ndarray, content: np.ndarray, *, colour: float,
                 mode: float | None) -> None:
  """`stylejax.preserve_colour` in place, on so many rows at a time as STRIP_PIXELS allow.

  Args:
    painted, content: [H, W, 3], float32 in [0, 1] or uint8.
    colour, mode: as `preserve_colour` takes them.
  """
  height, width = content.shape[:2]
  step = max(1, STRIP_PIXELS // width)
  places = [slice(row, min(row + step, height)) for row in range(0, height, step)]
  moments = None
  if mode is not None:
    moments = tuple(_colour_moments(picture, places) for picture in (painted, content))
  for place in places:
    rows = _preserve_colour(*(as_float(picture[place]) for picture in (painted, content)),
                            colour, mode=mode, moments=moments)
    rows = np.asarray(rows)
    painted[place] = as_bytes(rows) if painted.dtype == np.uint8 else rows


def _colour_moments(picture: np.ndarray, places: list[slice]) -> tuple[np.ndarray, np.ndarray]:
  """`controls.colour_moments` of [H, W, 3], part by part."""
  parts = [jax.tree.map(np.float64, _part_moments(as_float(picture[place])[None]))
           for place in places]
  share = np.array([place.stop - place.start for place in places]) / picture.shape[0]
  means = np.stack([mean[0, 0, 0] for mean, _ in parts])
  mean = share @ means
  apart = means - mean
  covariance = np.tensordot(share, np.stack([found[0] for _, found in parts]), 1)
  covariance = covariance + (share[:, None] * apart).T @ apart
  return np.float32(mean)[None, None, None], np.float32(covariance)[None]


_part_moments = fast_jit(controls.colour_moments)
_preserve_colour = fast_jit(controls.preserve_colour)


def _mirrored(places: np.ndarray, size: int) -> np.ndarray:
  """Indices of reflect padding at the end: size, size + 1, ... are size − 2, size − 3, ..."""
  return np.where(places < size, places, 2 * (size - 1) - places)


def _encoder_halo(config: ModelConfig) -> int:
  """Pixels at a cut that the content encoder gets wrong, in whole cells of its coarsest level."""
  reach = sum(2 ** max(1, level) + extra * 2 ** (level + 1)
              for level, extra in enumerate(config.content_blocks))
  return -(-reach // config.stride) * config.stride


def _work(config: ModelConfig, all_stages, depth) -> list[float]:
  """Shares of the time, about: of the encoder and of each stage, by their convolutions."""
  widths = config.content_widths
  encoder = sum(9 * w * (12 if i == 0 else widths[i - 1] + config.content_blocks[i] * w)
                / 4 ** (i + 1) for i, w in enumerate(widths))
  costs = [encoder]
  for stage in all_stages:
    width = widths[depth[stage.output]]
    costs.append(9 * width * (12 if stage.output == "picture" else width)
                 / 4 ** (depth[stage.output] + 1))
  return [cost / sum(costs) for cost in costs]


@fast_jit
def _targets(params: transfer.Params, vector: jax.Array):
  return gan.Generator(params.config).apply(
    {"params": params.generator}, vector[None], method="targets")


@fast_jit
def _encode(params: transfer.Params, rows: jax.Array, edges: jax.Array):
  """For each level (map [h, w, C], moments between the edges)."""
  levels = transfer.encode_content(params, rows).levels
  return [(level, _moments(level, edges // 2 ** (i + 1))) for i, level in enumerate(levels)]


@functools.partial(fast_jit, static_argnums=1)
def _run_stage(params: transfer.Params, number: int, maps, affine, edges: jax.Array):
  """A stage's output [h, w, C] from maps that are not modulated yet, and its moments."""
  config = params.config
  styled = [blocks.affine(x[None].astype(config.dtype), *by)
            for x, by in zip(maps, affine, strict=True)]
  if autoencoder.stages(config)[number].fine is not None:
    *styled, fine = styled
  else:
    fine = None
  made = autoencoder.Decoder(config).apply(
    {"params": params.generator["decoder"]}, number, styled, fine, method="stage")[0]
  return made.astype(jnp.float32), _moments(made, edges)


def _moments(x: jax.Array, edges: jax.Array):
  """(count, mean [C], sum of squared deviations [C]) of the rows from edges[0] to edges[1]."""
  rows = jnp.arange(x.shape[0])
  mask = ((rows >= edges[0]) & (rows < edges[1])).astype(jnp.float32)[:, None, None]
  count = (edges[1] - edges[0]).astype(jnp.float32) * x.shape[1]
  x = x.astype(jnp.float32)
  mean = (mask * x).sum((0, 1), keepdims=True) / count
  return count, mean[0, 0], (mask * jnp.square(x - mean)).sum((0, 1))
