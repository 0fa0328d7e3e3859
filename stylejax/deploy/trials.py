"""What an exported file gives, compared with what the package gives, on images of several sizes."""

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
"""What a file holds: the inputs of a function in order → its outputs."""

_SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
_TWO_IMAGES = 2**17
"""Pixels up to which an image is tried together with a second one."""

_CODE_SIDE = 256
"""Pixels of the side of the image whose code is tried."""


def differences(
  name: str,
  exported: Exported,
  params: transfer.Params,
  sizes: Sequence[tuple[int, int]],
  tolerance: float,
) -> dict[str, float]:
  """Largest difference between what a file gives and what its function gives, at each size.

  Args:
    name: of FUNCTIONS.
    exported: what the file holds.
    params: as it was made of.
    sizes: (H, W) of the images; small ones are tried two at a time where there is a batch.
    tolerance: largest difference that is let through.

  Returns:
    {"1×256×256": difference, …}, batch, height and width; absolute in images, otherwise as a part
    of the largest number of the output if that is above 1.

  Raises:
    InputError: one is larger than the tolerance, or no number.
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
          f"exported file: found a difference of {apart:.2g} to `{name}` at {size}, "
          f"expected at most {tolerance:g}"
        )
  return found


def _apart(outputs: Arrays, expected: Arrays) -> float:
  """The largest difference of all; NaN where there is one."""
  return max(
    (
      float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
      for a, b in zip(outputs, expected, strict=True)
    ),
    key=lambda value: np.inf if np.isnan(value) else value,
  )
