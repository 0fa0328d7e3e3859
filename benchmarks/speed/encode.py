"""How fast are style, content and perceptual features of an image computed?

python -m benchmarks encode --sizes 256 512 --batch 4
"""

import jax
import jax.numpy as jnp

from benchmarks.harness import command_line, nets, timing
from stylejax import transfer
from stylejax.models import vgg16
from stylejax.weights.perceptual import load_vgg

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def cases(options: command_line.Options) -> list[timing.Case]:
  """Steps 1 and 2, and VGG16 up to conv4_1: features, and the gradient of a loss on them."""
  params, frozen = nets.params(options), timing.replicate(load_vgg(), options.devices)

  def features(frozen, image):
    return vgg16.vgg16_features(frozen, image, layers=LAYERS, dtype=nets.config(options).dtype)

  def gradient(frozen, image):
    def loss(image):
      return sum(jnp.square(f).mean() for f in features(frozen, image).values())

    return jax.grad(loss)(image)

  cases = []
  for size in options.sizes:
    image, about = nets.images(options, size), nets.about(options, size)
    for name, function, first in (
      ("encode_style", transfer.encode_style, params),
      ("encode_content", transfer.encode_content, params),
      ("perceptual", features, frozen),
      ("perceptual gradient", gradient, frozen),
    ):
      cases.append(timing.jit_case(name, function, (first, image), options.batch, about))
  return cases


if __name__ == "__main__":
  command_line.run_cases("encode", cases, __doc__)
