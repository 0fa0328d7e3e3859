"""Images that the tests of infer.py write and expect."""

import jax
import numpy as np
from PIL import Image

import stylejax

WIDTH, HEIGHT = 37, 29
_stylize = jax.jit(stylejax.stylize)


def pixels(mode, size=(WIDTH, HEIGHT), seed=0):
  """A smooth image with some noise in the given Pillow mode."""
  width, height = size
  generator = np.random.default_rng(seed)
  y, x = np.mgrid[:height, :width]
  ramp = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
  rgb = np.uint8(np.clip(ramp * 200 + generator.integers(0, 50, ramp.shape), 0, 255))
  image = Image.fromarray(rgb)
  alpha = Image.fromarray(np.uint8(generator.integers(0, 256, (height, width))))
  if mode in ("RGBA", "LA"):
    image = image.convert(mode[:-1])
    image.putalpha(alpha)
    return image
  if mode == "I;16":
    return Image.fromarray(np.uint16(rgb[..., 0]) * 257)
  if mode == "P":
    return image.quantize(32)
  return image.convert(mode)


def save(path, mode="RGB", size=(WIDTH, HEIGHT), seed=0, **settings):
  pixels(mode, size, seed).save(path, **settings)
  return path


def stylized(params, rgb, style, strength=1.0):
  """What the file must contain, by the library's own function, from 0 to 255."""
  style = np.float32(Image.open(style).convert("RGB")) / 255
  return 255 * np.asarray(
    _stylize(params, np.float32(rgb) / 255, style, strength=np.float32(strength))
  )


# Mode, extension of the file, what to pass to Pillow, and the mode of the output.
