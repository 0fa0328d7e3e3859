"""Two files of `stylejax export` in an app that has neither stylejax nor JAX.

    stylejax export style.onnx --function encode_style
    stylejax export paint.onnx --function paint
    pip install numpy onnxruntime pillow
    python onnx_app.py photo.jpg painting.jpg stylized.png

With a second painting their styles are mixed:

    python onnx_app.py photo.jpg painting.jpg stylized.png --other wave.jpg --mix 0.4

A style is encoded once, at a shorter side of about 320 pixels; its code is 256 numbers that can be
stored. Everything else that `stylejax.stylize` does with weights and strength is arithmetic, below.
"""

import argparse

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

STYLE_SIDE = 320
"""Pixels of a style's shorter side; the larger, the larger the strokes."""


class Painter:
  """The two models, loaded once.

  Args:
    style, paint: files that `stylejax export` wrote.
  """

  def __init__(self, style="style.onnx", paint="paint.onnx"):
    self._style, self._paint = (onnxruntime.InferenceSession(file) for file in (style, paint))

  def encode_style(self, style):
    """The code [256] of an image [H, W, 3] in [0, 1], H and W ≥ 16."""
    return self._style.run(None, {"style": style.astype(np.float32)})[0]

  def stylize(self, content, code, strength=1.0):
    """Images [B, H, W, 3] or [H, W, 3] in [0, 1] in the style of a code, of the same shape."""
    batch = np.asarray(content, np.float32)
    single = batch.ndim == 3
    batch = batch[None] if single else batch
    # Beyond 1 the noise grows, below 1 the content shows through.
    noise_gain = np.array(max(strength, 1.0), np.float32)
    inputs = {"content": batch, "code": code.astype(np.float32), "noise_gain": noise_gain}
    (stylized,) = self._paint.run(None, inputs)
    visible = min(strength, 1.0)
    stylized = blend(stylized, batch, visible * (3.0 - visible) / 2.0)
    return stylized[0] if single else stylized


def mix(codes, weights):
  """The code of a mixture of styles: codes [S, 256] and weights [S], at least 0, with any sum."""
  weights = np.asarray(weights, np.float32)
  return (weights / weights.sum()) @ np.stack(codes)


def blend(stylized, content, share):
  """`share` of the stylized image over its content, blended in linear light like thin paint."""
  light = share * srgb_to_linear(stylized) + (1.0 - share) * srgb_to_linear(content)
  return np.minimum(linear_to_srgb(light), 1.0)


def srgb_to_linear(x):
  return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(y):
  return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


def read(path, shorter=None):
  """The pixels of a file, upright, [H, W, 3] float32 in [0, 1]."""
  image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
  if shorter is not None:
    scale = shorter / min(image.size)
    size = [max(16, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
  return np.asarray(image, np.float32) / 255


def write(path, image):
  Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(path)


def main(argv=None):
  parser = argparse.ArgumentParser(description="Stylize a photo with onnxruntime alone.")
  parser.add_argument("photo")
  parser.add_argument("painting")
  parser.add_argument("output")
  parser.add_argument("--other", help="a second painting")
  parser.add_argument("--mix", type=float, default=0.5, help="share of the second one's style")
  parser.add_argument("--strength", type=float, default=1.0, help="0 to 2")
  parser.add_argument("--models", nargs=2, default=["style.onnx", "paint.onnx"])
  options = parser.parse_args(argv)
  painter = Painter(*options.models)
  code = painter.encode_style(read(options.painting, STYLE_SIDE))
  if options.other:
    other = painter.encode_style(read(options.other, STYLE_SIDE))
    code = mix([code, other], [1 - options.mix, options.mix])
  write(options.output, painter.stylize(read(options.photo), code, options.strength))


if __name__ == "__main__":
  main()
