"""Stylizes one content at its own size, encoded once."""

from collections.abc import Iterator

import numpy as np

from stylejax import transfer
from stylejax.images import encode
from stylejax.images.decode import as_float
from stylejax.inference.backends.base import Band, ignore_progress
from stylejax.models import padding
from stylejax.runtime.program_cache import compiled_step


class Whole:
  """One content, with a separate program for each size.

  Args:
    params: needs content_encoder and generator.
    content: [H, W, 3] float32 in [0, 1] or uint8.
    seamless: "x", "y" or "xy": directions in which the content is periodic, or "". If it is given,
      a content whose sides aren't multiples of the stride is resized to such sides and back.
  """

  def __init__(self, params: transfer.Params, content: np.ndarray, *, seamless: str = ""):
    self.contents = [content]
    self._params, self._seamless = params, seamless
    pixels, edges = as_float(content), None
    if seamless:
      stride = params.config.stride
      least = -(-transfer.MIN_SIDE // stride)
      sides = [max(least, round(side / stride)) * stride for side in pixels.shape[:2]]
      if pixels.shape[:2] != tuple(sides):
        pixels = encode.resize_around(pixels, sides[0], sides[1], seamless)
      edges = padding.seamless_edges(seamless, pixels.shape)
    self._code = compiled_step(transfer.encode_content)(params, pixels[None], edges=edges)

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress=ignore_progress
  ) -> Iterator[Band]:
    """As in `Backend.stylize`, in one band."""
    stylized = compiled_step(transfer.generate_unblended)(
      self._params, self._code, vector[None], np.float32(noise_gain)
    )
    pixels, size = np.asarray(stylized)[0], self.contents[0].shape[:2]
    if pixels.shape[:2] != size:
      pixels = encode.resize_around(pixels, size[0], size[1], self._seamless)
    yield Band(0, 0, pixels)
