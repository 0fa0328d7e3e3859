"""What is done to the pixels after any backend: mixing by maps, the blend with the content, colors.

Pixels are taken in chunks of two sizes, whatever the image's shape, so that a few small programs do
for all images and an image larger than memory is never there twice.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.color import color_moments, preserve_color
from stylejax.controls.mixing import uniform_stylizations
from stylejax.controls.ranges import check_range, per_pixel
from stylejax.controls.strength import MAX_STRENGTH, blend_with_content, split
from stylejax.images.decode import as_float
from stylejax.images.encode import as_bytes
from stylejax.inference.backends.base import Backend, ignore_progress
from stylejax.inference.serialization import compiled_step

CHUNKS = (262_144, 16_384)
"""Pixels of a chunk; the second size is for what the first leaves over."""


class Composition(NamedTuple):
  """How the final image is put together from uniform stylizations.

  Attributes:
    vectors: [N, D] float32, a style vector for each stylization.
    noise_gains: [N] float32.
    shares: [N, H, W] float32 that sum to 1 over N, or None where N is 1.
    blend: scalar or [H, W] float32, as `blend_with_content` takes it.
    color: how much of the content's colors is kept, 0 to 1.
    color_mode: "luminance" or "moments".
  """

  vectors: np.ndarray
  noise_gains: np.ndarray
  shares: np.ndarray | None
  blend: np.ndarray
  color: float
  color_mode: str


def compose(
  vectors: np.ndarray,
  weights: np.ndarray | None,
  strength: np.ndarray | float,
  size: tuple[int, int],
  *,
  color: float = 0.0,
  color_mode: str = "luminance",
) -> Composition:
  """Turns a stylization's controls into a `Composition`.

  Stylizations of which nothing would be seen are left out.

  Args:
    vectors: [S, D], or [1, D] without weights.
    weights: [S] or maps [S, H, W], as `mixing_weights` takes them, or None.
    strength: 0 to 2: scalar or a map [H, W].
    size: (H, W) that maps must have.
    color, color_mode: as in `Composition`.

  Raises:
    ValueError: weights or a strength of another shape or range.
  """
  if np.ndim(strength) == 0 and np.ndim(weights) < 2:  # in NumPy: nothing to compile
    check_range(strength, "strength", 0, MAX_STRENGTH)
    blend, gain = split(np.float32(strength), minimum=np.minimum, maximum=np.maximum)
    vector = vectors[0] if weights is None else _mixed(vectors, weights)
    return Composition(vector[None], np.float32([gain]), None, blend, float(color), color_mode)
  if np.shape(strength) not in ((), size):
    raise ValueError(
      f"strength: found shape {np.shape(strength)}, expected a scalar or a map {list(size)}"
    )
  strength = per_pixel(strength, "strength", MAX_STRENGTH, size)
  blend, noise_gain = split(strength)
  vectors, gains, shares = uniform_stylizations(jnp.asarray(vectors), weights, noise_gain, size)
  vectors, gains, blend = np.asarray(vectors)[:, 0], np.float32(gains).ravel(), np.asarray(blend)
  blend = blend[0, ..., 0] if blend.shape[1:3] == size else np.float32(blend.ravel()[0])
  if shares is not None:
    shares = np.asarray(shares)
    visible = ((shares > 0) & (blend > 0)).any((1, 2))
    vectors, gains, shares = vectors[visible], gains[visible], shares[visible]
  return Composition(vectors, gains, shares, blend, float(color), color_mode)


def _mixed(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """The mean of style vectors [S, D] by weights [S], as `mixing_weights` normalizes them."""
  check_range(weights, "weights", 0, np.finfo(np.float32).max)
  weights = np.asarray(weights, np.float32)
  if weights.shape != (len(vectors),):
    raise ValueError(
      f"weights: found shape {weights.shape}, expected [{len(vectors)}], one for each style"
    )
  total = weights.sum()
  weights = weights / total if total > 0 else np.full_like(weights, 1 / len(weights))
  return weights @ vectors


def composite(
  backend: Backend,
  composition: Composition,
  *,
  dtype: type = np.float32,
  on_progress: Callable[[float], None] = ignore_progress,
) -> list[np.ndarray]:
  """Stylizes a backend's contents and puts the final images together.

  Args:
    backend: its contents are all stylized; with shares, or a blend that is a map, it has one.
    composition: what to compute, and how to put it together.
    dtype: of the result, np.float32 in [0, 1] or np.uint8.
    on_progress: called with the fraction of the work that is done, by a backend that works in
      parts.

  Returns:
    [H, W, 3] for each content.

  Raises:
    FloatingPointError: NaN or infinity in a stylized image.
  """
  finishes_rows = composition.shares is None and not _matches_moments(composition)
  outputs = [
    np.zeros(content.shape, dtype if finishes_rows else np.float32) for content in backend.contents
  ]
  count = len(composition.vectors)
  for number, (vector, gain) in enumerate(zip(composition.vectors, composition.noise_gains)):
    bands = backend.stylize(
      vector, gain, on_progress=lambda part, number=number: on_progress((number + part) / count)
    )
    for index, row, pixels in bands:
      if not np.isfinite(pixels).all():
        raise FloatingPointError("found NaN or infinity in the stylized image")
      rows = slice(row, row + len(pixels))
      if finishes_rows:
        pixels = _finish(pixels, backend.contents[index][rows], composition, rows)
        outputs[index][rows] = _cast(pixels, dtype)
      else:
        share = 1 if composition.shares is None else composition.shares[number, rows, :, None]
        outputs[index][rows] += share * pixels
  if finishes_rows:
    return outputs
  return [
    _cast(_finish(output, content, composition, slice(None)), dtype)
    for output, content in zip(outputs, backend.contents, strict=True)
  ]


def _matches_moments(composition: Composition) -> bool:
  return bool(composition.color) and composition.color_mode == "moments"


def _cast(pixels: np.ndarray, dtype: type) -> np.ndarray:
  return as_bytes(pixels) if dtype == np.uint8 else pixels


def _finish(
  stylized: np.ndarray, content: np.ndarray, composition: Composition, rows: slice
) -> np.ndarray:
  """Blend and colors of rows [h, W, 3]; moments of colors are those of what is given."""
  blend = composition.blend
  if (blend < 1).any():
    stylized = (
      map_pixels(blend_pixels, [stylized, content, blend[rows][..., None]])
      if blend.ndim
      else map_pixels(blend_pixels, [stylized, content], blend)
    )
  if not composition.color:
    return stylized
  color = np.float32(composition.color)
  if not _matches_moments(composition):
    return map_pixels(keep_by_luminance, [stylized, content], color)
  moments = pixel_moments(stylized), pixel_moments(content)
  return map_pixels(keep_by_moments, [stylized, content], color, moments)


def blend_pixels(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  """`blend_with_content` of a chunk [1, P, 1, 3]; content may be uint8."""
  return blend_with_content(stylized, as_float(content), blend)


def keep_by_luminance(stylized: jax.Array, content: jax.Array, color: jax.Array) -> jax.Array:
  """`preserve_color` of a chunk [1, P, 1, 3] by luminance; content may be uint8."""
  return preserve_color(stylized, as_float(content), color=color)


def keep_by_moments(
  stylized: jax.Array, content: jax.Array, color: jax.Array, moments: tuple
) -> jax.Array:
  """`preserve_color` of a chunk [1, P, 1, 3] by moments; content may be uint8."""
  return preserve_color(stylized, as_float(content), color=color, mode=1.0, moments=moments)


def chunk_moments(pixels: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
  """`color_moments` of a chunk [1, P, 1, 3], of the pixels where mask [1, P, 1, 1] is 1."""
  return color_moments(as_float(pixels), mask=mask)


def map_pixels(step: Callable, images: Sequence[np.ndarray], *settings) -> np.ndarray:
  """Calls a step on an image's pixels, chunk by chunk.

  Args:
    step: (chunks [1, P, 1, C] of each image, *settings) → [1, P, 1, 3], at the top level of its
      module.
    images: [H, W, C] each.
    settings: the same for all chunks.

  Returns:
    [H, W, 3] float32.
  """
  flat = [image.reshape(-1, image.shape[-1]) for image in images]
  output = np.empty((len(flat[0]), 3), np.float32)
  for place, size in _chunks(len(output)):
    chunks = [_filled(pixels[place], size) for pixels in flat]
    pixels = np.asarray(compiled_step(step)(*chunks, *settings))
    output[place] = pixels[0, : len(output[place]), 0]
  return output.reshape(*images[0].shape[:2], 3)


def pixel_moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """`color_moments` of [H, W, 3], chunk by chunk: [1, 1, 1, 3] and [1, 3, 3] float32."""
  flat, shares, means, covariances = image.reshape(-1, 3), [], [], []
  for place, size in _chunks(len(flat)):
    pixels = flat[place]
    mask = (np.arange(size) < len(pixels)).astype(np.float32)[None, :, None, None]
    mean, covariance = compiled_step(chunk_moments)(_filled(pixels, size), mask)
    shares.append(len(pixels) / len(flat))
    means.append(np.float64(mean)[0, 0, 0])
    covariances.append(np.float64(covariance)[0])
  shares, means = np.array(shares), np.stack(means)
  mean = shares @ means
  deviations = means - mean
  covariance = np.tensordot(shares, np.stack(covariances), 1)
  covariance = covariance + (shares[:, None] * deviations).T @ deviations
  return np.float32(mean)[None, None, None], np.float32(covariance)[None]


def _filled(pixels: np.ndarray, size: int) -> np.ndarray:
  """[P, C] as a chunk [1, size, 1, C], zeros at its end."""
  if len(pixels) < size:
    pixels = np.concatenate([pixels, np.zeros((size - len(pixels), pixels.shape[1]), pixels.dtype)])
  return pixels[None, :, None]


def _chunks(count: int) -> Iterator[tuple[slice, int]]:
  """(place, size of the chunk) that cover so many pixels; the last may be filled in part."""
  large, small = CHUNKS
  first = 0
  while first < count:
    size = large if count - first > large // 2 else small
    yield slice(first, min(first + size, count)), size
    first += size
