"""Compares the outputs of an exported file with the package's, on images of several sizes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from stylejax import transfer
from stylejax.deploy.functions import FUNCTIONS, Arrays, Sample
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.runtime.jit import fast_jit

Exported = Callable[..., Arrays]
"""The function in a file: its inputs in order → its outputs."""

_SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
_TWO_IMAGES = 2**17
"""The largest number of pixels of an image that is tried in a batch of two."""

_CODE_SIDE = 256
"""Side in pixels of the image whose style code is used."""


def differences(
  name: str,
  exported: Exported,
  params: transfer.Params,
  sizes: Sequence[tuple[int, int]],
  tolerance: float,
) -> dict[str, float]:
  """The largest difference between the outputs of a file and of its function, at each size.

  Args:
    name: a name in FUNCTIONS.
    exported: the function in the file.
    params: the parameters that the file was made from.
    sizes: (H, W) of the images; small ones are tried two at a time if the function takes a batch.
    tolerance: the largest difference that is accepted.

  Returns:
    {"1×256×256": difference, …} by batch, height and width: the absolute difference, divided by the
    largest number of the output if that is above 1.

  Raises:
    InputError: a difference is larger than the tolerance, or NaN.
  """
  function = FUNCTIONS[name]
  ours = fast_jit(function.call)
  photo, painting = (
    read_image(_SAMPLES / image) for image in ("content/cat.jpg", "style/great_wave.jpg")
  )
  batched = any("b" in tensor.shape for tensor in function.signature(params.config).inputs.values())
  code = np.zeros(params.config.style_dim, np.float32)
  if name != "encode_style" and params.style_encoder is not None:
    small = encode.resize(painting, _CODE_SIDE, _CODE_SIDE).rgb
    code = np.asarray(fast_jit(transfer.encode_style)(params, small).vector)
  found: dict[str, float] = {}
  for height, width in sizes:
    count = 2 if batched and height * width <= _TWO_IMAGES else 1
    image = encode.resize(photo, height, width).rgb
    contents = np.stack([np.roll(image, 7 * shift, 1) for shift in range(count)])
    sample = Sample(contents, encode.resize(painting, height + 3, width + 5).rgb, code)
    size, outputs = f"{count}×{height}×{width}", None
    for _ in range(function.trials):
      inputs = function.trial(params.config, sample, outputs)
      outputs = tuple(map(np.asarray, ours(params, *inputs)))
      apart = _apart(exported(*inputs), outputs)
      found[size] = max(found.get(size, 0.0), apart)
      if not apart <= tolerance:
        raise InputError(
          f"exported file: found a difference of {apart:.2g} from `{name}` at {size}, "
          f"expected at most {tolerance:g}"
        )
  return found


def _apart(outputs: Arrays, expected: Arrays) -> float:
  """The largest difference of all outputs; NaN if one contains NaN."""
  return max(
    (
      float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
      for a, b in zip(outputs, expected, strict=True)
    ),
    key=lambda value: np.inf if np.isnan(value) else value,
  )
