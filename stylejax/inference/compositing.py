"""What is done to a backend's pixels: mixing by maps, blending with the content, pixel controls.

Pixels are processed in chunks of two sizes, whatever the image's shape, so that a few small
programs serve all images and an image larger than memory is never there twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stylejax.controls.apply import Setting, apply_setting, settings
from stylejax.controls.color import color_moments
from stylejax.controls.mixing import mixing_weights, uniform_stylizations
from stylejax.controls.ranges import check_range, per_pixel
from stylejax.controls.strength import MAX_STRENGTH, blend_with_content, split
from stylejax.controls.table import PIXEL_CONTROLS
from stylejax.images.decode import as_float
from stylejax.images.encode import as_bytes
from stylejax.inference.backends.base import Backend, ignore_progress
from stylejax.runtime.program_cache import compiled_step

CHUNKS = (262_144, 16_384)
"""Pixels of a chunk; the second size is for the remainder."""


class Composition(NamedTuple):
  """How the final image is composed of uniform stylizations.

  Attributes:
    vectors: [N, D] float32, a style vector for each stylization.
    noise_gains: [N] float32.
    shares: [N, H, W] float32 that sum to 1 over N, or None if N is 1.
    blend: scalar or [H, W] float32, as in `blend_with_content`.
    controls: the pixel controls that change anything, in their order.
  """

  vectors: np.ndarray
  noise_gains: np.ndarray
  shares: np.ndarray | None
  blend: np.ndarray
  controls: tuple[Setting, ...]


def compose(
  vectors: np.ndarray,
  weights: Sequence[float] | np.ndarray | None,
  strength: np.ndarray | float,
  size: tuple[int, int],
  *,
  controls: Mapping[str, Any] | None = None,
) -> Composition:
  """Turns a stylization's controls into a `Composition`.

  Stylizations that would be invisible are left out.

  Args:
    vectors: [S, D], or [1, D] without weights.
    weights: [S] or maps [S, H, W], at least 0 and with any sum, or None.
    strength: 0 to 2: scalar or a map [H, W].
    size: (H, W) that maps must have.
    controls: pixel controls by name, as in `PixelControls`; numbers or maps.

  Raises:
    ValueError: the shape or range of the weights, the strength or a pixel control is wrong.
  """
  chosen = _effective(controls or {}, size)
  weights = None if weights is None else scale_weights(weights)
  if np.ndim(strength) == 0 and np.ndim(weights) < 2:  # in NumPy: nothing to compile
    check_range(strength, "strength", 0, MAX_STRENGTH)
    blend, gain = split(np.float32(strength), minimum=np.minimum, maximum=np.maximum)
    vector = vectors[0]
    if weights is not None:
      vector = mixing_weights(weights, len(vectors), size, xp=np).astype(np.float32) @ vectors
    return Composition(vector[None], np.float32([gain]), None, blend, chosen)
  _check_shape(strength, "strength", size)
  strength = per_pixel(strength, "strength", MAX_STRENGTH, size)
  blend, noise_gain = split(strength)
  vectors, gains, shares = uniform_stylizations(jnp.asarray(vectors), weights, noise_gain, size)
  vectors, gains, blend = np.asarray(vectors)[:, 0], np.float32(gains).ravel(), np.asarray(blend)
  blend = blend[0, ..., 0] if blend.shape[1:3] == size else np.float32(blend.ravel()[0])
  if shares is not None:
    shares = np.asarray(shares)
    visible = ((shares > 0) & (blend > 0)).any((1, 2))
    vectors, gains, shares = vectors[visible], gains[visible], shares[visible]
  return Composition(vectors, gains, shares, blend, chosen)


def _effective(controls: Mapping[str, Any], size: tuple[int, int]) -> tuple[Setting, ...]:
  """The pixel controls that change anything."""
  for name in PIXEL_CONTROLS:
    _check_shape(controls.get(name), name, size)
  return tuple(
    setting
    for setting in settings(controls, size, xp=np)
    if (setting.amount != PIXEL_CONTROLS[setting.name].neutral).any()
  )


def _check_shape(value: Any, name: str, size: tuple[int, int]) -> None:
  """Raises ValueError unless the value is a number, None, or a map of the size."""
  if np.shape(value) not in ((), size):
    raise ValueError(
      f"{name}: found shape {np.shape(value)}, expected a scalar or a map {list(size)}"
    )


def scale_weights(weights: Sequence[float] | np.ndarray) -> np.ndarray:
  """The weights of styles as float32, in the same proportions.

  Args:
    weights: [S] or maps [S, H, W], at least 0, however large or small.

  Returns:
    float32 of the same shape. Where the largest weight is too large or small for float32, weights
    are multiplied by a power of two, so that it is 1/2 to 1; others keep every bit.

  Raises:
    ValueError: a value is negative, NaN, infinite or not a number.
  """
  try:
    values = np.asarray(weights, getattr(weights, "dtype", np.float64))
    values = values if values.dtype == np.float32 else values.astype(np.float64)
  except (TypeError, ValueError):
    raise ValueError(f"weights: found {weights!r}, expected numbers from 0") from None
  check_range(values, "weights", 0, np.finfo(values.dtype).max)
  largest = values.max(0, initial=0)
  exponents = np.where(
    (largest == 0) | ((largest > 1e-30) & (largest < 1e30)), 0, np.frexp(largest)[1]
  )
  return np.ldexp(values, -exponents).astype(np.float32) if exponents.any() else np.float32(values)


def composite(
  backend: Backend,
  composition: Composition,
  *,
  dtype: type = np.float32,
  on_progress: Callable[[float], None] = ignore_progress,
) -> list[np.ndarray]:
  """Stylizes a backend's contents and composes the final images.

  Args:
    backend: all of its contents are stylized; it must have only one if there are shares or if the
      blend is a map.
    composition: what to compute, and how to compose it.
    dtype: the dtype of the result: np.float32 in [0, 1] or np.uint8.
    on_progress: called with the fraction of the work that is done, by a backend that works in
      parts.

  Returns:
    [H, W, 3] for each content.

  Raises:
    FloatingPointError: a stylized image contains NaN or infinity.
  """
  finishes_rows = composition.shares is None and not any(
    setting.needs_moments for setting in composition.controls
  )
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


def _cast(pixels: np.ndarray, dtype: type) -> np.ndarray:
  return as_bytes(pixels) if dtype == np.uint8 else pixels


def _finish(
  stylized: np.ndarray, content: np.ndarray, composition: Composition, rows: slice
) -> np.ndarray:
  """Applies blend and pixel controls to rows [h, W, 3], with moments computed from these rows."""
  blend = composition.blend
  if (blend < 1).any():
    stylized = (
      map_pixels(blend_pixels, [stylized, content, blend[rows][..., None]])
      if blend.ndim
      else map_pixels(blend_pixels, [stylized, content], blend)
    )
  for name, amount, mode in composition.controls:
    moments = None
    if Setting(name, amount, mode).needs_moments:
      moments = pixel_moments(stylized), pixel_moments(content)
    values = {name: (mode, moments)}
    stylized = (
      map_pixels(control_pixels, [stylized, content, amount[0, rows]], values)
      if amount.size > 1
      else map_pixels(control_pixels, [stylized, content], amount, values)
    )
  return stylized


def blend_pixels(stylized: jax.Array, content: jax.Array, blend: jax.Array) -> jax.Array:
  """`blend_with_content` for a chunk [1, P, 1, 3]; content may be uint8."""
  return blend_with_content(stylized, as_float(content), blend)


def control_pixels(
  stylized: jax.Array, content: jax.Array, amount: jax.Array, values: dict[str, tuple]
) -> jax.Array:
  """A pixel control for a chunk [1, P, 1, 3]; content may be uint8.

  values is {name: (mode, moments)}: the name is a key because keys are static, so that it selects
  the program.
  """
  ((name, (mode, moments)),) = values.items()
  return apply_setting(stylized, as_float(content), Setting(name, amount, mode), moments=moments)


def chunk_moments(pixels: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
  """`color_moments` of those pixels of a chunk [1, P, 1, 3] where mask [1, P, 1, 1] is 1."""
  return color_moments(as_float(pixels), mask=mask)


def map_pixels(step: Callable, images: Sequence[np.ndarray], *settings) -> np.ndarray:
  """Calls a step on an image's pixels, chunk by chunk.

  Args:
    step: (chunks [1, P, 1, C] of each image, *settings) → [1, P, 1, 3]; a module-level function.
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
  """[P, C] as a chunk [1, size, 1, C], padded with zeros at the end."""
  if len(pixels) < size:
    pixels = np.concatenate([pixels, np.zeros((size - len(pixels), pixels.shape[1]), pixels.dtype)])
  return pixels[None, :, None]


def _chunks(count: int) -> Iterator[tuple[slice, int]]:
  """(slice, size) of the chunks that cover `count` pixels; the last may be only partly filled."""
  large, small = CHUNKS
  first = 0
  while first < count:
    size = large if count - first > large // 2 else small
    yield slice(first, min(first + size, count)), size
    first += size
